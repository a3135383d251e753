/** What the user has selected. Browsers differ in how they tell a selection inside a shadow root. */

/** What ends a selection, on a phone a long press too. */
export const SELECTING = ["pointerup", "keyup", "touchend", "contextmenu"] as const;

interface SelectingRoot extends Node {
  getSelection?(): Selection | null;
}

export function selectionNear(element: Element): Selection | null {
  return (element.getRootNode() as SelectingRoot).getSelection?.() ?? document.getSelection();
}
