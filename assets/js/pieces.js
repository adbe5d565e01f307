// A text in pieces, as coloured spans. Text goes in by textContent only: a piece is never read as markup.

export default function ({ parentElement, data }) {
  const box = parentElement.querySelector(".gf-pieces")
  box.setAttribute("aria-label", data.label)
  const parts = data.pieces.flatMap(([text, kinds, color, breaks]) => {
    const span = document.createElement("span")
    span.textContent = text
    span.className = kinds
    if (color) span.style.setProperty("--piece", color)
    return breaks ? [span, document.createElement("br")] : [span, document.createElement("wbr")]
  })
  if (data.rest) {
    const rest = document.createElement("em")
    rest.textContent = data.rest
    parts.push(rest)
  }
  box.replaceChildren(...parts)
}
