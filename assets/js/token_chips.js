// The prompt's tokens as chips. Text goes in by textContent only: a token is never read as markup.

export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".gf-chips")
  const words = JSON.stringify(data.chips)
  if (box.dataset.words !== words) {
    box.dataset.words = words
    box.setAttribute("aria-label", data.label)
    box.replaceChildren(...data.chips.map(chip => {
      const item = document.createElement(chip.position === null ? "span" : "button")
      item.textContent = chip.text
      if (chip.position === null) return item
      item.type = "button"
      item.role = "option"
      item.dataset.position = chip.position
      item.title = item.ariaLabel = chip.says
      item.style.setProperty("--chip", chip.color)
      return item
    }))
  }
  const chips = [...box.querySelectorAll("button")]
  for (const chip of chips) {
    const chosen = Number(chip.dataset.position) === data.selected
    chip.setAttribute("aria-selected", chosen)
    chip.tabIndex = chosen ? 0 : -1
    if (chosen && box.scrollWidth > box.clientWidth) box.scrollLeft = chip.offsetLeft - box.clientWidth / 2
  }
  const pick = chip => chip && setTriggerValue("picked", Number(chip.dataset.position))
  box.onclick = event => pick(event.target.closest("button"))
  box.onkeydown = event => {
    const at = chips.indexOf(event.target)
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0,
      End: chips.length - 1 }[event.key]
    if (at < 0 || next === undefined) return
    event.preventDefault()
    chips[Math.min(Math.max(next, 0), chips.length - 1)].focus()
  }
}
