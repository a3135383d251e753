/** Makes shown nodes equal to wanted ones and keeps those that fit: selection, scroll positions and images survive. */

/**
 * Replaces `shown`, which are neighbours below `parent` (its last children), by `wanted`; returns the nodes that are now there.
 */
export function patchNodes(parent: Node, shown: ChildNode[], wanted: ChildNode[]): ChildNode[] {
  const result = wanted.map((node, index) => {
    const old = shown[index];
    if (!old) return parent.appendChild(node);
    return patchNode(old, node);
  });
  for (const node of shown.slice(wanted.length)) node.remove();
  return result;
}

/** A comment stands for a node that is right as it is. */
function patchNode(old: ChildNode, wanted: ChildNode): ChildNode {
  if (wanted instanceof Comment) return old;
  if (old instanceof Text && wanted instanceof Text) {
    if (old.data !== wanted.data) {
      if (wanted.data.startsWith(old.data)) old.appendData(wanted.data.slice(old.data.length));
      else old.data = wanted.data;
    }
    return old;
  }
  if (old instanceof Element && wanted instanceof Element && old.localName === wanted.localName) {
    patchAttributes(old, wanted);
    patchNodes(old, [...old.childNodes], [...wanted.childNodes]);
    return old;
  }
  old.replaceWith(wanted);
  return wanted;
}

function patchAttributes(old: Element, wanted: Element): void {
  for (const { name } of [...old.attributes]) if (!wanted.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of wanted.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}
