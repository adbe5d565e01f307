// A figure's frames (plotly's `figure.frames`): a play button and a slider. Nothing plays by itself.

import { element } from "./dom.js"
import { merged } from "./figure_theme.js"

const FRAME_MS = 700

export class Player {
  constructor(place, draw) {
    this.place = place
    this.draw = draw
    this.frames = []
    this.at = 0
  }

  take(frames) {
    this.frames = frames ?? []
    this.at = Math.min(this.at, Math.max(0, this.frames.length - 1))
    if (!this.frames.length) { this.stop(); this.place.replaceChildren(); this.slider = null; return }
    if (!this.slider) this.build()
    this.slider.max = this.frames.length - 1
    this.show()
  }

  build() {
    this.button = element("button", { type: "button", class: "gf-button" })
    this.slider = element("input", { type: "range", min: 0, step: 1, "aria-label": "Step" })
    this.output = element("output")
    this.button.onclick = () => (this.timer ? this.stop() : this.play())
    this.slider.oninput = () => {
      const at = Number(this.slider.value) // before stop(), which puts the slider where the picture is
      this.stop()
      this.go(at)
    }
    this.place.replaceChildren(this.button, this.slider, this.output)
  }

  play() {
    if (this.at >= this.frames.length - 1) this.at = -1
    this.timer = setInterval(() => {
      this.go(this.at + 1)
      if (this.at >= this.frames.length - 1) this.stop()
    }, FRAME_MS)
    this.go(this.at + 1)
  }

  stop() {
    clearInterval(this.timer)
    this.timer = null
    if (this.slider) this.show()
  }

  go(at) {
    this.at = Math.min(at, this.frames.length - 1)
    this.show()
    this.draw()
  }

  show() {
    this.button.textContent = this.timer ? "Pause" : "Play"
    this.slider.value = this.at
    this.slider.setAttribute("aria-valuetext", this.words())
    this.output.textContent = `${this.at + 1} of ${this.frames.length}`
  }

  words() {
    return this.frames[this.at]?.name ?? ""
  }

  // The figure at the current step: each frame changes the traces it names.
  apply(data, layout) {
    const frame = this.frames[this.at]
    if (!frame) return { data, layout }
    const changed = [...data]
    ;(frame.data ?? []).forEach((change, index) => {
      const at = frame.traces?.[index] ?? index
      changed[at] = merged(changed[at] ?? {}, change)
    })
    return { data: changed, layout: frame.layout ? merged(layout, frame.layout) : layout }
  }
}
