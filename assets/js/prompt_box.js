// The prompt on top of every page. Enter runs it; what is typed and not run yet is the reader's: it is kept here,
// through other controls and other pages, until it has run or the server has another prompt to show.

import { part, element } from "./dom.js"
import { mounted } from "./mount.js"

const lines = text => text.replace(/\r\n?/g, "\n") // as a text area holds them
let kept = null // of the box that was on the page before: base is the prompt that the server gave last

class Box {
  constructor(place, data, trigger) {
    this.trigger = trigger
    this.memory = kept ??= { text: lines(data.text), base: lines(data.text), sent: null, aside: null }
    this.build(place)
    this.area.value = this.memory.text
  }

  build(place) {
    const id = "gf-prompt"
    this.area = element("textarea", { id, rows: "1", spellcheck: "false", autocapitalize: "off", autocomplete: "off",
      enterkeyhint: "go", placeholder: "Type a text for the model to go on with", "aria-describedby": `${id}-says` })
    this.run = element("button", { type: "button", class: "gf-prompt-run" }, "Run")
    this.says = part("prompt-says", "p", { id: `${id}-says`, role: "status" })
    this.back = element("button", { type: "button", class: "gf-prompt-back" }, "Put back what I typed")
    const label = element("label", { for: id }, "Prompt")
    this.root = part("prompt", "div", {}, label, this.area, this.run, this.says, this.back)
    place.append(this.root)
    this.area.addEventListener("input", () => this.typed(this.area.value))
    this.area.addEventListener("keydown", event => {
      event.stopPropagation() // a single letter is a shortcut of Streamlit's own
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
      event.preventDefault()
      this.go()
    })
    this.run.addEventListener("click", () => this.go())
    this.back.addEventListener("click", () => { this.area.value = this.memory.aside; this.typed(this.memory.aside) })
  }

  receive({ text, most }) {
    const { memory } = this, prompt = lines(text)
    this.most = most
    if (prompt !== memory.base) {
      // Typed on while the last text was running: that stays. A prompt from elsewhere (an example, Back) is put in.
      const typedOn = memory.sent === prompt && memory.text !== prompt
      if (!typedOn) {
        if (memory.text !== memory.base && memory.text !== prompt) memory.aside = memory.text
        this.area.value = memory.text = prompt
      }
      memory.base = prompt
      memory.sent = null
    }
    this.tell()
  }

  typed(text) {
    Object.assign(this.memory, { text, aside: null })
    this.tell()
  }

  go() {
    const text = this.area.value, length = Array.from(text).length // characters as Python counts them
    if (length > this.most) return this.tell(length)
    this.memory.sent = text
    this.trigger("run", { text: text.toWellFormed?.() ?? text })
  }

  tell(length = 0) {
    const { memory } = this
    this.root.dataset.waiting = memory.text !== memory.base
    this.back.hidden = memory.aside === null
    this.says.textContent = length ? `${length.toLocaleString("en")} characters; a prompt has at most ${this.most.toLocaleString("en")}. Shorten it by ${(length - this.most).toLocaleString("en")}.`
      : memory.text !== memory.base ? "Typed, not run: the page shows the prompt before. Enter runs it." : ""
  }

  destroy() {
    this.root.remove()
  }
}

export default mounted(Box, "prompt_box")
