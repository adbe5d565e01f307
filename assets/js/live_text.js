// The text box of the Tokens page: what is typed goes to the server while one types, and becomes the app's
// prompt when one stops. The box is the reader's: text is put into it only when the prompt was changed
// elsewhere (`version` tells), never while an answer to what was typed comes back.

import { element } from "./dom.js"
import { mounted } from "./mount.js"

const APART_MS = 120 // between two messages while the server is still busy with the first
const REST_MS = 1500 // without a key: the text becomes the prompt
const memory = {} // key -> what was typed last: a page that is built anew must not lose it

class Box {
  constructor(place, data, trigger) {
    this.trigger = trigger
    this.waiting = false // for the server's answer to what was sent
    this.dirty = false // typed, not yet sent
    this.settled = true // what was sent last may become the prompt
    this.composing = false
    this.build(place, data.key)
    const kept = memory[data.key]
    this.kept = kept && kept.version === data.version && kept.seq >= data.seq ? kept : null
    memory[data.key] = this.memory = { seq: data.seq, version: data.version, text: data.text }
    this.area.value = this.kept ? this.kept.text : data.text
    this.memory.seq = Math.max(data.seq, this.kept?.seq ?? 0)
    this.memory.text = this.area.value
    if (this.kept && this.kept.text !== data.text && this.kept.seq > data.seq) this.typed()
  }

  build(place, key) {
    const id = `gf-live-text-${key}`
    this.root = element("div", { class: "gf-live-text" })
    this.label = element("label", { for: id })
    this.area = element("textarea", { id, rows: "3", spellcheck: "false", autocapitalize: "off", autocomplete: "off", "aria-describedby": `${id}-says` })
    this.says = element("p", { id: `${id}-says`, class: "gf-live-says" })
    this.refusal = element("p", { class: "gf-live-refusal", role: "status" })
    this.root.append(this.label, this.area, this.says, this.refusal)
    place.append(this.root)
    const on = (name, act) => this.area.addEventListener(name, act)
    on("compositionstart", () => { this.composing = true })
    on("compositionend", () => { this.composing = false; this.typed() })
    on("input", () => { this.typed() })
    on("blur", () => this.settle())
    on("keydown", event => {
      event.stopPropagation() // a single letter is a shortcut of Streamlit's own
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); this.settle() }
    })
  }

  receive(data) {
    this.most = data.most
    this.label.textContent = data.label
    if (data.version !== this.memory.version) {
      this.memory.version = data.version
      this.forget()
      if (this.area.value !== data.text) this.area.value = data.text
      this.memory.text = this.area.value
    }
    const answered = data.seq >= this.memory.seq
    if (answered) {
      this.waiting = false
      this.says.textContent = data.says
      this.refusal.textContent = data.refusal
      this.root.dataset.seq = data.seq
    }
    if (this.dirty && !this.waiting) this.send(false)
  }

  // A key was pressed: at once if the server is free, else when it has answered or a moment has passed.
  typed() {
    this.memory.text = this.area.value
    this.dirty = true
    this.settled = false
    if (this.composing) return // the letters of an unfinished character are nobody's text yet
    clearTimeout(this.rest)
    this.rest = setTimeout(() => this.settle(), REST_MS)
    if (!this.waiting) this.send(false)
    else this.later ??= setTimeout(() => { this.later = null; if (this.dirty) this.send(false) }, APART_MS)
  }

  // Typing has stopped.
  settle() {
    clearTimeout(this.rest)
    if (!this.settled && !this.composing) this.send(true)
  }

  send(done) {
    clearTimeout(this.later)
    this.later = null
    this.dirty = false
    if (done) this.settled = true
    this.waiting = true
    this.memory.seq += 1
    const { value, selectionEnd } = this.area
    const long = value.length > this.most
    const characters = long ? Array.from(value) : null // characters as Python counts them
    const text = long ? characters.slice(0, this.most).join("") : value
    this.trigger("typed", {
      seq: this.memory.seq, done, text: text.toWellFormed?.() ?? text,
      length: long ? characters.length : Array.from(value).length,
      caret: Array.from(value.slice(0, selectionEnd)).length,
    })
  }

  forget() {
    for (const timer of [this.rest, this.later]) clearTimeout(timer)
    this.later = null
    this.dirty = false
    this.settled = true
  }

  destroy() {
    this.forget()
    this.root.remove()
  }
}

export default mounted(Box, "live_text")
