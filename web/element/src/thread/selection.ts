/** What the user has selected. Browsers differ in how they tell a selection inside a shadow root. */

interface SelectingRoot extends Node {
  getSelection?(): Selection | null;
}

export function selectionNear(element: Element): Selection | null {
  return (element.getRootNode() as SelectingRoot).getSelection?.() ?? document.getSelection();
}
