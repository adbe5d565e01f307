// One figure on the whole screen, for a projector: its page's controls and words stand beside it, and keys step
// through tokens, heads, parts and pages. What a step changes is the server's business; the page stays the page.

import { element, part } from "./dom.js"
import { mounted } from "./mount.js"

const ROOT = document.documentElement
const PRESENTED = "gf-presented"
const LOOK_MS = 300 // between two looks whether the next part's figure has come
const STEPS = { ArrowLeft: ["token", -1], ArrowRight: ["token", 1], ArrowUp: ["head", -1], ArrowDown: ["head", 1],
  PageUp: ["part", -1], PageDown: ["part", 1] }
const KEYS = [["F", "show a figure on the whole screen, and back"], ["← →", "the token before, the next token"],
  ["↑ ↓", "the head before, the next head"], ["Page ↑ Page ↓", "the part before, the next part (a presenter's buttons too)"],
  ["1 … 9", "another figure of the page"], ["?", "these keys"], ["Esc", "back to the page"]]
// What has keys of its own keeps them.
const OWN_KEYS = "input, textarea, select, [contenteditable], [role=slider], [role=radiogroup], [role=listbox], [role=tablist], .gf-stage, .gf-menu"

let presenting = false // survives the change of a page: the next one's first figure takes the place

/** How much larger a presented figure is drawn, so that it fills its place; `otherwise` for all others. */
export function presentedScale(root, height, otherwise) {
  if (!root.classList.contains(PRESENTED)) return otherwise
  const stage = root.querySelector(".gf-stage")
  const rest = [...root.children].filter(one => one !== stage).reduce((sum, one) => sum + one.offsetHeight, 0)
  const space = root.clientHeight - rest - 48 // of the frame's own distances
  return Math.min(Math.max(space / height, 0.75), stage.clientWidth / 480, 3)
}

class Presenter {
  constructor(place, data, trigger) {
    this.trigger = trigger
    this.bar = part("present-bar", "div", { role: "toolbar", "aria-label": "Presenting" })
    const button = (text, says, act) => {
      const made = element("button", { type: "button", title: says, "aria-label": says }, text)
      made.onclick = act
      this.bar.append(made)
      return made
    }
    for (const what of ["part", "token", "head"]) {
      button(`‹ ${what}`, `The ${what} before`, () => this.step(what, -1))
      button(`${what} ›`, `The next ${what}`, () => this.step(what, 1))
    }
    button("?", "The keys", () => this.help())
    this.end = button("✕ Back", "Back to the page (Esc)", () => this.stop())
    this.keys = part("present-keys", "dialog", { "aria-label": "Keys" }, element("dl", {},
      ...KEYS.flatMap(([key, does]) => [element("dt", {}, key), element("dd", {}, does)])))
    this.keys.onclick = () => this.keys.close()
    place.append(this.bar, this.keys)
    this.onKey = event => this.key(event)
    this.onAsk = event => this.toggle(event.target.closest(".gf-figure"))
    this.onScreen = () => { if (!document.fullscreenElement && this.wasFull) this.stop() }
    document.addEventListener("keydown", this.onKey)
    document.addEventListener("gf-present", this.onAsk)
    document.addEventListener("fullscreenchange", this.onScreen)
    if (presenting) this.start()
  }

  receive() {}

  figures() {
    return [...document.querySelectorAll("[data-testid=stMain] .gf-figure")]
  }

  toggle(figure) {
    if (presenting && figure?.classList.contains(PRESENTED)) this.stop()
    else this.start(figure)
  }

  start(figure = null) {
    presenting = true
    ROOT.classList.add("gf-presenting")
    this.show(figure ?? this.nearest())
    this.look = setInterval(() => { if (!document.querySelector(`.${PRESENTED}`)) this.show(this.figures()[0]) }, LOOK_MS)
    this.end.focus({ preventScroll: true })
    if (!document.fullscreenElement) ROOT.requestFullscreen?.().then(() => { this.wasFull = true }, () => {}) // without: it fills the window
  }

  show(figure) {
    document.querySelector(`.${PRESENTED}`)?.classList.remove(PRESENTED)
    figure?.classList.add(PRESENTED)
    document.querySelector("[data-testid=stMain]")?.scrollTo(0, 0)
  }

  // The figure that one looks at: the first whose middle is on the screen.
  nearest() {
    const all = this.figures(), middle = innerHeight / 2
    const away = one => { const box = one.getBoundingClientRect(); return Math.abs(box.top + box.height / 2 - middle) }
    return all.toSorted((one, other) => away(one) - away(other))[0]
  }

  stop() {
    presenting = false
    this.wasFull = false
    clearInterval(this.look)
    ROOT.classList.remove("gf-presenting")
    const figure = document.querySelector(`.${PRESENTED}`)
    figure?.classList.remove(PRESENTED)
    figure?.scrollIntoView({ block: "center" })
    figure?.querySelector(".gf-present")?.focus({ preventScroll: true })
    if (document.fullscreenElement) document.exitFullscreen().catch(() => {})
  }

  help() {
    if (this.keys.open) this.keys.close()
    else this.keys.showModal()
  }

  step(what, by) {
    this.trigger("step", { what, by })
  }

  key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.key === "Escape" && presenting && !this.keys.open) return this.stop()
    const { target } = event
    if (target.closest?.(OWN_KEYS) && !this.bar.contains(target)) return
    const step = presenting && STEPS[event.key]
    const figure = presenting && /^[1-9]$/.test(event.key) && this.figures()[event.key - 1]
    if (event.key === "?") this.help()
    else if (event.key === "f" || event.key === "F") this.toggle(presenting ? document.querySelector(`.${PRESENTED}`) : this.nearest())
    else if (step) this.step(...step)
    else if (figure) this.show(figure)
    else return
    event.preventDefault()
  }

  destroy() {
    clearInterval(this.look)
    document.removeEventListener("keydown", this.onKey)
    document.removeEventListener("gf-present", this.onAsk)
    document.removeEventListener("fullscreenchange", this.onScreen)
    this.bar.remove()
    this.keys.remove()
  }
}

export default mounted(Presenter, "present")
