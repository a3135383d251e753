/**
 * The elements that the suite runs with: the open one, and the stock one if CHATKIT_STOCK_DIR names a directory with a
 * build of it. Each file here says where a user finds things in its element.
 */
import { open } from "./open.js";
import { stock } from "./stock.js";

export { open, stock };

/** The elements at hand. */
export const elements = process.env.CHATKIT_STOCK_DIR ? [open, stock] : [open];
