// The sliders of a figure: plain range inputs, so keyboard and screen reader come for free.

import { element } from "./dom.js"

const REPORT_EVERY = 100 // ms; and no second report before the server has answered the first ...
const PATIENCE = 2_000 // ... unless it takes longer than this: its run may have failed above the figure

export class Sliders {
  constructor(place, draw, send) {
    this.place = place
    this.draw = draw
    this.send = send
    this.rows = new Map() // name -> {input, output, spec}
    this.seq = 0 // number of the last report
    this.answered = 0 // number of the last report that the server has drawn
    this.lastReport = -Infinity
    this.timer = null
  }

  take(specs, seq, reports) {
    this.reports = reports
    this.seq = Math.max(this.seq, seq) // after a remount the server has counted on
    this.answered = Math.max(this.answered, seq)
    const names = specs.map(spec => spec.name)
    if (names.join() !== [...this.rows.keys()].join()) this.build(specs)
    for (const spec of specs) {
      const row = this.rows.get(spec.name)
      row.spec = spec
      setBounds(row)
      // The reader's hand is ahead of the server's answer: its value is the newer one.
      if (this.answered >= this.seq && !this.unsent && !row.held) row.input.value = positionOf(spec, spec.value)
      show(row)
    }
    if (this.unsent) this.report(false)
  }

  build(specs) {
    this.place.replaceChildren()
    this.rows.clear()
    for (const spec of specs) {
      const input = element("input", { type: "range", "aria-label": spec.label })
      const output = element("output")
      const label = element("label", { title: spec.help }, element("span", { class: "gf-slider-name" }, spec.label), output, input)
      const row = { input, output, spec, held: false }
      input.addEventListener("pointerdown", () => { row.held = true })
      input.addEventListener("input", () => { show(row); this.draw(); this.unsent = true; this.report(false) })
      input.addEventListener("change", () => {
        // The end of a drag goes out at once; arrow keys change at every press and queue like a drag.
        if (row.held && this.unsent) this.report(true)
        row.held = false
      })
      input.addEventListener("pointerup", () => setTimeout(() => { row.held = false }))
      input.addEventListener("pointercancel", () => { row.held = false })
      this.rows.set(spec.name, row)
      this.place.append(label)
    }
  }

  values() {
    return Object.fromEntries([...this.rows].map(([name, row]) => [name, valueOf(row)]))
  }

  report(released) {
    if (!this.reports) { this.unsent = false; return }
    if (this.reports === "released" && !released && [...this.rows.values()].some(row => row.held)) return
    clearTimeout(this.timer)
    const pause = this.answered < this.seq ? PATIENCE : REPORT_EVERY // a server's answer ends the wait: take()
    const wait = this.lastReport + pause - performance.now()
    if (!released && wait > 0) {
      this.timer = setTimeout(() => this.report(false), wait)
      return
    }
    this.unsent = false
    this.lastReport = performance.now()
    this.seq += 1
    this.send({ seq: this.seq, values: this.values(), released })
  }

  stop() {
    clearTimeout(this.timer)
  }
}

function setBounds({ input, spec }) {
  const [low, high, step] = spec.stops.length ? [0, spec.stops.length - 1, 1] : [spec.low, spec.high, spec.step]
  for (const [name, value] of Object.entries({ min: low, max: high, step })) {
    if (input.getAttribute(name) !== String(value)) input.setAttribute(name, value)
  }
}

function positionOf(spec, value) {
  if (!spec.stops.length) return value
  let nearest = 0
  spec.stops.forEach((stop, at) => {
    if (Math.abs(stop - value) < Math.abs(spec.stops[nearest] - value)) nearest = at
  })
  return nearest
}

// Where uneven stops stand near the server's value but not on it, the server's value counts until moved.
function valueOf({ input, spec }) {
  const position = Number(input.value)
  if (!spec.stops.length) return position
  return position === positionOf(spec, spec.value) ? spec.value : spec.stops[position]
}

function show(row) {
  const { spec, input, output } = row
  const value = valueOf(row)
  const word = spec.words.find(([special]) => special === value)?.[1]
  const number = value.toLocaleString("en-US", { maximumFractionDigits: 4 })
  const text = word ?? (spec.unit ? `${number} ${spec.unit}` : number)
  if (output.textContent !== text) output.textContent = text
  input.setAttribute("aria-valuetext", text)
}
