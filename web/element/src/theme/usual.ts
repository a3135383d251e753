/** By the name of the property, without `--ck-`. */
export type Colors = Record<string, readonly [light: string, dark: string]>;

/**
 * The colours [light, dark] of a page that chooses none: what `paletteOf` calculates for it, as test/theme.test.js
 * checks. The calculation is loaded only for a page that chooses colours.
 */
export const USUAL: Colors = {
  bg: ["#ffffff", "#1c1c1c"],
  fg: ["#141414", "#eeeeee"],
  muted: ["#5e5e5e", "#9b9b9b"],
  border: ["#dcdcdc", "#333333"],
  "border-strong": ["#828282", "#767676"],
  surface: ["#f3f3f3", "#232323"],
  "surface-strong": ["#e4e4e4", "#2d2d2d"],
  elevated: ["#ffffff", "#252525"],
  accent: ["#141414", "#eeeeee"],
  "on-accent": ["#ffffff", "#000000"],
  "accent-text": ["#141414", "#eeeeee"],
  "accent-soft": ["#dfdfdf", "#313131"],
  focus: ["#2171cc", "#53a0ff"],
  user: ["#f3f3f3", "#232323"],
  "on-user": ["#141414", "#eeeeee"],
  icon: ["#464646", "#b4b4b4"],
  danger: ["#b93435", "#f66c66"],
  "danger-soft": ["#fcecea", "#422b29"],
  "danger-solid": ["#c13c3b", "#ef6661"],
  "on-danger": ["#ffffff", "#000000"],
  warning: ["#8b5807", "#d28813"],
  "warning-soft": ["#f5efe8", "#3b2f22"],
  "warning-solid": ["#9d6300", "#d0860d"],
  "on-warning": ["#ffffff", "#000000"],
  success: ["#00763a", "#20b561"],
  "success-soft": ["#e9f3eb", "#253729"],
  "success-solid": ["#018844", "#20b561"],
  "on-success": ["#ffffff", "#000000"],
  info: ["#0a63be", "#4d9bfb"],
  "info-soft": ["#e9f1fc", "#263343"],
  "info-solid": ["#1570d1", "#4699fe"],
  "on-info": ["#ffffff", "#000000"],
  discovery: ["#7c4dbd", "#af82f7"],
  "discovery-soft": ["#f2eefa", "#342e41"],
  "discovery-solid": ["#8254c4", "#a97cf0"],
  "on-discovery": ["#ffffff", "#000000"],
  hover: ["#1414140e", "#eeeeee14"],
  pressed: ["#1414141a", "#eeeeee21"],
  scrim: ["#00000047", "#00000080"],
  "shadow-color": ["#0000001f", "#00000073"],
};
