// A walk through a figure: a bar with next and back, one stop of the picture lit and the rest dimmed, and a line
// that is drawn as far as the walk has come. Nothing plays unless asked to; a touch stops it.

import { element, part } from "./dom.js"

const PLAY_MS = 6_000 // a stop: time to read two lines
const SVG = "http://www.w3.org/2000/svg"
let made = 0

const svg = (tag, attributes = {}) => {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  return node
}

export class Walk {
  constructor(frame) {
    this.frame = frame
    this.at = 0
    this.seq = 0 // number of the last report
    this.stopPlaying = event => {
      const pressed = event.type === "pointerdown" || event.key === "Enter" || event.key === " " // the button itself
      if (!(pressed && this.dom.play.contains(event.target))) this.play(false)
    }
  }

  // `walk` of the message, or null: this figure has none.
  take(walk) {
    if (!walk) { this.leave(); return }
    const first = !this.dom
    if (first) this.build()
    this.stops = walk.stops
    this.words = walk
    // The reader's hand is ahead of the server's answer.
    if (first || walk.seq >= this.seq) {
      this.moved ||= walk.at > 0 && walk.at !== this.at
      this.at = walk.at
      this.seq = walk.seq
    }
    this.say()
  }

  leave() {
    if (!this.dom) return
    const { root, walk } = this.frame.dom
    this.stop()
    this.dom = null
    walk.replaceChildren()
    root.classList.remove("gf-walking")
    delete root.dataset.walk
  }

  build() {
    const button = (name, words, act) => {
      const node = element("button", { type: "button", class: `gf-button gf-walk-${name}` }, words)
      node.onclick = act
      return node
    }
    this.dom = {
      says: part("walk-says", "p", { "aria-live": "polite" }), look: part("walk-look", "p"),
      back: button("back", "← Back", () => this.go(this.at - 1)),
      next: button("next", "Next →", () => this.go(this.at + 1)),
      play: button("play", "Play", () => this.play(!this.timer)),
      whole: button("whole", "Leave", () => this.go(0)),
    }
    const { says, look, back, next, play, whole } = this.dom
    whole.title = "Back to the whole picture"
    const quiet = part("walk-quiet", "div", {}, play, whole)
    const buttons = part("walk-buttons", "div", {}, part("walk-steps", "div", {}, back, next), quiet)
    this.frame.dom.walk.append(part("walk-text", "div", {}, says, look), buttons)
    this.veil()
  }

  // The veil over all but what is lit, the line behind the token, and the token: a ring.
  veil() {
    const id = `gf-walk-${++made}`
    this.mask = svg("mask", { id })
    this.mask.append(svg("rect", { width: "100%", height: "100%", fill: "#fff" }))
    this.trail = svg("path", { class: "gf-walk-trail" })
    this.sheet = svg("svg", { class: "gf-walk-sheet", width: "100%", height: "100%" })
    this.sheet.append(this.mask, svg("rect", { class: "gf-walk-veil", width: "100%", height: "100%", mask: `url(#${id})` }), this.trail)
    this.ring = part("walk-ring")
    this.frame.dom.overlay.append(this.sheet, this.ring)
    this.holes = []
  }

  go(at) {
    this.at = Math.max(0, at)
    const onward = this.at > this.stops.length
    if (onward || this.at === this.stops.length) this.play(false)
    this.moved = true
    this.seq += 1
    this.frame.trigger("walk", { seq: this.seq, at: this.at })
    if (onward) { this.at = this.stops.length; return }
    this.say()
    this.show()
  }

  play(on) {
    clearInterval(this.timer)
    this.timer = on ? setInterval(() => this.go(this.at + 1), PLAY_MS) : null
    for (const touch of ["pointerdown", "keydown", "wheel"]) {
      if (on) document.addEventListener(touch, this.stopPlaying, { capture: true, passive: true })
      else document.removeEventListener(touch, this.stopPlaying, { capture: true })
    }
    if (on && this.at >= this.stops.length) this.go(1)
    if (this.dom) this.dom.play.textContent = on ? "Stop" : "Play"
  }

  say() {
    const { says, look, back, next, play, whole } = this.dom
    const { at, stops, words } = this
    const stop = stops[at - 1]
    const text = stop
      ? [element("b", {}, `Step ${at} of ${stops.length}: ${stop.name}.`), ` ${stop.says}`] : [words.invitation]
    says.replaceChildren(...text)
    look.replaceChildren(...(stop ? [element("b", {}, "Look at "), stop.look] : []))
    back.hidden = play.hidden = whole.hidden = !stop
    next.textContent = !stop ? "Start →" : at < stops.length ? "Next →" : words.onward
    this.frame.dom.root.dataset.walk = at
  }

  // Puts everything where the drawn picture has it. Called after each drawing and each step.
  show() {
    if (!this.dom || !this.frame.library) return
    const { plot, root } = this.frame.dom
    const plan = plot._fullLayout?.meta?.walk
    const stop = plan?.stops[this.at - 1]
    root.classList.toggle("gf-walking", Boolean(stop))
    if (!stop) return
    const { l, t, w, h } = plot._fullLayout._size
    const boxes = stop.lit.map(([left, top, right, bottom]) => ({
      x: l + left * w, y: t + top * h, width: (right - left) * w, height: (bottom - top) * h,
    }))
    this.light(boxes)
    this.draw(plan.path, stop.drawn, (x, y) => [l + x * w, t + y * h])
    if (this.moved) { this.moved = false; this.bringIntoView(boxes) }
  }

  light(boxes) {
    while (this.holes.length < boxes.length) {
      const hole = svg("rect", { class: "gf-walk-hole", fill: "#000", rx: 4 })
      this.holes.push(hole)
      this.mask.append(hole)
    }
    this.holes.forEach((hole, number) => {
      for (const [side, value] of Object.entries(boxes[number] ?? boxes[0])) hole.style[side] = `${value}px`
    })
  }

  draw(path, drawn, place) {
    const write = commands => commands.map(([letter, ...flat]) => {
      const points = []
      for (let i = 0; i < flat.length; i += 2) points.push(place(flat[i], flat[i + 1]).map(value => value.toFixed(1)).join(" "))
      return `${letter} ${points.join(" ")}`
    }).join(" ")
    const probe = svg("path", { d: write(path.slice(0, drawn)) })
    const length = probe.getTotalLength()
    const whole = write(path)
    this.trail.setAttribute("d", whole)
    const total = this.trail.getTotalLength()
    this.trail.style.strokeDasharray = `${total} ${total}`
    this.trail.style.strokeDashoffset = `${total - length}px`
    this.ring.style.offsetPath = `path("${whole}")`
    this.ring.style.offsetDistance = `${length}px`
  }

  // The page scrolls as little as it must for what is lit to stand above the bar.
  bringIntoView(boxes) {
    const { walk, stage } = this.frame.dom
    const atFoot = getComputedStyle(walk).position === "sticky" // of the screen; else above the picture
    const { scale } = this.frame
    const top = atFoot ? Math.min(...boxes.map(box => box.y)) * scale : walk.offsetTop - stage.offsetTop
    const bottom = Math.max(...boxes.map(box => box.y + box.height)) * scale
    const marker = part("walk-marker")
    marker.style.top = `${top}px`
    marker.style.height = `${bottom - top}px`
    const above = document.querySelector(":has(> .st-key-gf-bar)") // the page's own bar, where it stays on top
    const covered = above && getComputedStyle(above).position === "sticky" ? above.offsetHeight : 0
    marker.style.scrollMarginTop = `${Math.max(covered, 60) + 8}px`
    marker.style.scrollMarginBottom = `${atFoot ? walk.offsetHeight + 16 : 8}px`
    stage.append(marker)
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches
    marker.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" })
    marker.remove()
  }

  stop() {
    this.play(false)
    this.sheet?.remove()
    this.ring?.remove()
  }
}
