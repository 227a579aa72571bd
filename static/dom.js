// Building elements. Everything that is shown goes in as text, never as markup: what agents and clients write is only
// ever read.

/** The element with this id, which index.html is known to have. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * A new element. `attributes` are set as attributes, `true` as an empty one; null, undefined and false are left out.
 * `children` are nodes, or values that are shown as text.
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children.filter((child) => child !== null).map((child) => (child instanceof Node ? child : String(child))));
  return made;
}
