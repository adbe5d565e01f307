// The points of a drawn figure: where each is, how arrow keys walk over them, and which others share a key.

import { markAt } from "./dom.js"
import { pointOf } from "./figure_data.js"

const MOST_RINGS = 60 // highlights in one figure; more would be a carpet
const SCATTER_SIZE = 16 // pixels of the ring around a marker
const HOVER_MS = 80 // Plotly waits up to 50 ms before it shows a hover label

// Traces whose points can be pointed at, in drawing order: {at, rows, columns} or {at, length}.
function reachable(plot) {
  return (plot._fullData ?? []).flatMap(trace => {
    const cd = plot.calcdata?.[trace.index]
    if (trace.visible !== true || trace.hoverinfo === "skip" || !cd?.length) return []
    if (trace.type === "heatmap") {
      const z = cd[0].z
      return z?.length ? [{ at: trace.index, rows: z.length, columns: z[0].length }] : []
    }
    return trace.xaxis ? [{ at: trace.index, length: cd.length }] : []
  })
}

/** The pixels of a point inside the plot element, or null where nothing is drawn. */
function boxOf(plot, at, point) {
  const trace = plot._fullData?.[at]
  if (!trace?.xaxis) return null
  const xa = plot._fullLayout[axisName(trace.xaxis)]
  const ya = plot._fullLayout[axisName(trace.yaxis)]
  const cd = plot.calcdata[at]
  if (trace.type === "heatmap") {
    const [row, column] = point
    const { x, y, z } = cd[0]
    if (!Number.isFinite(z[row]?.[column])) return null
    return box(xa, ya, x[column], x[column + 1], y[row], y[row + 1])
  }
  const one = cd[point]
  if (!one) return null
  if (trace.type === "bar") {
    const [from, to] = [one.b ?? 0, (one.b ?? 0) + one.s]
    return trace.orientation === "h" ? box(xa, ya, from, to, one.p0, one.p1) : box(xa, ya, one.p0, one.p1, from, to)
  }
  const [left, top] = [xa._offset + xa.c2p(one.x), ya._offset + ya.c2p(one.y)]
  if (!Number.isFinite(left) || !Number.isFinite(top)) return null
  return { left: left - SCATTER_SIZE / 2, top: top - SCATTER_SIZE / 2, width: SCATTER_SIZE, height: SCATTER_SIZE }
}

/** Shows the hover label of a point as if a mouse stood in its middle. (Plotly's own way, by point number,
 * knows neither heat maps nor bars.) */
export function hoverAt(library, plot, at, point) {
  const place = boxOf(plot, at, point)
  if (!place) return
  const { xaxis, yaxis } = plot._fullData[at]
  const xpx = place.left + place.width / 2 - plot._fullLayout[axisName(xaxis)]._offset
  const ypx = place.top + place.height / 2 - plot._fullLayout[axisName(yaxis)]._offset
  library.Fx.hover(plot, { xpx, ypx }, xaxis + yaxis)
}

/** "x3" -> "xaxis3": an axis's place in the layout. */
export function axisName(id) {
  return `${id[0]}axis${id.slice(1)}`
}

function box(xa, ya, x0, x1, y0, y1) {
  const xs = [x0, x1].map(x => xa._offset + xa.c2p(x))
  const ys = [y0, y1].map(y => ya._offset + ya.c2p(y))
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top]
  if (![left, top, width, height].every(Number.isFinite)) return null
  return { left: left - 1, top: top - 1, width: Math.max(width, 3) + 2, height: Math.max(height, 3) + 2 }
}

function readLines(text) {
  const lines = [...text.querySelectorAll("tspan.line")]
  return lines.length ? lines.map(line => line.textContent) : [text.textContent]
}

function eventPoint(plot, at, point) {
  const trace = plot._fullData[at]
  const pick = (values, index) => values?.[index]
  if (Array.isArray(point)) {
    const [row, column] = point
    return pointOf({ curveNumber: at, pointNumber: point, x: pick(trace.x, column) ?? column, y: pick(trace.y, row) ?? row, customdata: trace.customdata?.[row]?.[column] })
  }
  return pointOf({ curveNumber: at, pointNumber: point, x: pick(trace.x, point), y: pick(trace.y, point), customdata: pick(trace.customdata, point) })
}

/** A cursor that arrow keys move over the points; Enter or space clicks, Escape leaves. */
export class Cursor {
  constructor(frame) {
    this.frame = frame
    this.at = null // {trace, point}
    const { stage } = frame.dom
    stage.addEventListener("keydown", event => this.key(event))
    stage.addEventListener("blur", () => this.hide())
  }

  key(event) {
    if (event.target !== this.frame.dom.stage || event.ctrlKey || event.metaKey || event.altKey) return
    const { plot } = this.frame.dom
    const traces = reachable(plot)
    if (!traces.length) return
    if (event.key === "Escape") { this.hide(); return }
    if (event.key === "Enter" || event.key === " ") {
      if (this.at) this.frame.clicked(eventPoint(plot, this.at.trace, this.at.point))
    } else if (!this.move(event.key, traces)) return
    event.preventDefault()
  }

  move(key, traces) {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1], Home: [-Infinity, 0], End: [Infinity, 0] }
    const known = traces.findIndex(trace => trace.at === this.at?.trace)
    const turn = { PageUp: -1, PageDown: 1 }[key]
    if (!steps[key] && !turn) return false
    if (known < 0) this.enter(traces[0])
    else if (turn) this.enter(traces[(known + turn + traces.length) % traces.length])
    else this.step(traces[known], ...steps[key])
    this.place()
    this.speak()
    return true
  }

  enter(trace) {
    const { plot } = this.frame.dom
    const start = plot.data[trace.at].meta?.start // where a figure has something chosen
    if (start && boxOf(plot, trace.at, start)) { this.at = { trace: trace.at, point: start }; return }
    const all = trace.rows
      ? Array.from({ length: trace.rows * trace.columns }, (_, i) => [Math.floor(i / trace.columns), i % trace.columns])
      : Array.from({ length: trace.length }, (_, i) => i)
    const first = all.find(point => boxOf(plot, trace.at, point))
    if (first !== undefined) this.at = { trace: trace.at, point: first }
  }

  // One step on, over gaps (masked cells); at the edge, or with nothing beyond, the cursor stays.
  step(trace, right, down) {
    const { plot } = this.frame.dom
    const inside = point => Array.isArray(point)
      ? point[0] >= 0 && point[0] < trace.rows && point[1] >= 0 && point[1] < trace.columns
      : point >= 0 && point < trace.length
    const last = trace.rows ? trace.columns - 1 : trace.length - 1
    const leap = !Number.isFinite(right)
    const [dx, dy] = leap ? [-Math.sign(right), 0] : [right, this.downOnScreen(trace, down)]
    const from = leap ? (right > 0 ? last + 1 : -1) : null
    let point = this.at.point
    if (leap) point = trace.rows ? [point[0], from] : from
    const next = () => { point = Array.isArray(point) ? [point[0] + dy, point[1] + dx] : point + (dx || dy) }
    for (next(); inside(point); next()) {
      if (boxOf(plot, trace.at, point)) { this.at = { trace: trace.at, point }; return }
    }
  }

  // In a heat map whose first row is at the bottom, "down" means the row before. A list goes on by index
  // unless horizontal bars stand in the other direction.
  downOnScreen(trace, down) {
    if (!down) return 0
    const full = this.frame.dom.plot._fullData[trace.at]
    const ya = this.frame.dom.plot._fullLayout[axisName(full.yaxis)]
    const upward = ya.range[0] < ya.range[1]
    const byRows = trace.rows || full.orientation === "h"
    return byRows && upward ? -down : down
  }

  place() {
    this.node?.remove()
    this.node = null
    if (!this.at) return
    const place = boxOf(this.frame.dom.plot, this.at.trace, this.at.point)
    if (place) this.node = markAt(this.frame.dom.overlay, "ring gf-ring-cursor", place)
  }

  // What a mouse would read in the hover label, read out. Plotly shows it up to 50 ms later.
  speak() {
    if (!this.at) return
    const { plot, spoken } = this.frame.dom
    const { trace, point } = this.at
    hoverAt(this.frame.library, plot, trace, point)
    const { x, y, customdata } = eventPoint(plot, trace, point)
    this.frame.links.tell(customdata)
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      const texts = [...plot.querySelectorAll(".hoverlayer .hovertext text:not(.name), .hoverlayer .axistext text")]
      spoken.textContent = texts.flatMap(readLines).filter(Boolean).join(", ") || `${x}, ${y}`
    }, HOVER_MS)
  }

  hide() {
    if (!this.at) return
    clearTimeout(this.timer)
    this.at = null
    this.place()
    this.frame.dom.spoken.textContent = ""
    this.frame.library?.Fx.unhover(this.frame.dom.plot)
    this.frame.links.tell(undefined)
  }
}

const groups = new Map() // link group -> the Links of its figures

// The first element of a point's customdata (or the scalar itself) is its key in a link group.
function keyOf(customdata) {
  const key = Array.isArray(customdata) || ArrayBuffer.isView(customdata) ? customdata[0] : customdata
  return key === undefined || key === null ? undefined : String(key)
}

/** Hovering a point here rings the points with the same key in the other figures of the group. */
export class Links {
  constructor(frame) {
    this.frame = frame
    this.nodes = []
  }

  members() {
    const name = this.frame.data?.group
    if (name !== this.joined) {
      groups.get(this.joined)?.delete(this)
      this.joined = name
      if (name) groups.set(name, (groups.get(name) ?? new Set()).add(this))
    }
    return groups.get(name) ?? new Set()
  }

  tell(customdata) {
    for (const other of this.members()) if (other !== this) other.show(keyOf(customdata))
  }

  show(key) {
    this.nodes.forEach(node => node.remove())
    const { plot, overlay } = this.frame.dom
    const points = key === undefined ? [] : (this.index().get(key) ?? []).slice(0, MOST_RINGS)
    this.nodes = points.flatMap(([at, point]) => {
      const place = boxOf(plot, at, point)
      return place ? [markAt(overlay, "ring gf-ring-linked", place)] : []
    })
  }

  // key -> [[trace, point], ...], made when first asked for after a drawing
  index() {
    if (this.known) return this.known
    this.known = new Map()
    const add = (customdata, at, point) => {
      const key = keyOf(customdata)
      if (key !== undefined) this.known.set(key, [...(this.known.get(key) ?? []), [at, point]])
    }
    const { plot } = this.frame.dom
    for (const { at, rows } of reachable(plot)) {
      const { customdata } = plot._fullData[at]
      if (!customdata) continue
      if (rows) Array.from(customdata, (line, row) => Array.from(line, (item, column) => add(item, at, [row, column])))
      else Array.from(customdata, (item, point) => add(item, at, point))
    }
    return this.known
  }

  forget() {
    this.known = null
    this.show(undefined)
    this.members()
  }

  leave() {
    groups.get(this.joined)?.delete(this)
    if (groups.get(this.joined)?.size === 0) groups.delete(this.joined)
  }
}
