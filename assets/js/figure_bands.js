// Axes that mean the same thing: pointing at a place in one matrix lights up that place in all of them.
// A figure asks for it with layout.meta.linked_axes, axis -> name: { y: "query", x3: "key", y3: "query" }.

import { markAt } from "./dom.js"
import { axisName } from "./figure_points.js"

export class Bands {
  constructor(frame) {
    this.frame = frame
    this.nodes = []
  }

  // `point` is plotly's own (of a hover), or null: nothing is pointed at.
  show(point) {
    this.nodes.forEach(node => node.remove())
    this.nodes = []
    const { plot, overlay } = this.frame.dom
    const linked = plot._fullLayout?.meta?.linked_axes
    if (!linked || !point) return
    const { xaxis, yaxis } = plot._fullData[point.curveNumber]
    const places = { [linked[xaxis]]: point.x, [linked[yaxis]]: point.y }
    for (const [id, name] of Object.entries(linked)) {
      if (places[name] === undefined) continue
      const box = bandOf(plot._fullLayout, id, places[name])
      if (box) this.nodes.push(markAt(overlay, "band", box))
    }
  }
}

// The cells at `place` of an axis, across the whole of the other axis: pixels inside the plot element.
function bandOf(layout, id, place) {
  const axis = layout[axisName(id)]
  const other = axis && layout[axisName(axis.anchor)]
  if (!other) return null
  const ends = [place - 0.5, place + 0.5].map(value => axis._offset + axis.c2p(value))
  const [from, size] = [Math.min(...ends), Math.abs(ends[1] - ends[0])]
  return id[0] === "y"
    ? { left: other._offset, top: from, width: other._length, height: size }
    : { left: from, top: other._offset, width: size, height: other._length }
}
