/** Mounts the page. */
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import "./style.css";

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no element with the id `root`");

createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
);

// `npm run watch` builds in this mode: the page then reloads after each build.
if (import.meta.env.MODE === "watch") void import("./reload").then(({ reloadOnNewBuild }) => reloadOnNewBuild());
