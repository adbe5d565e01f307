// Small helpers for what we put into the page.

/** A new element; children are elements or plain text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  node.append(...children)
  return node
}

/** An element of the class "gf-..." that a part of a component has. */
export function part(name, tag = "div", attributes = {}, ...children) {
  return element(tag, { class: `gf-${name}`, ...attributes }, ...children)
}

/** A mark of the class "gf-..." in an overlay, at { left, top, width, height } in pixels. */
export function markAt(overlay, name, box) {
  const node = part(name)
  for (const [side, value] of Object.entries(box)) node.style[side] = `${value}px`
  overlay.append(node)
  return node
}

/** The page's text size against the usual 16 pixels. */
export function textScale() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize) / 16 || 1
}
