// Colours of the reader's theme, and the narrow layout.

import { DARK_OF, LIGHT } from "./tables.js"

const COLOR_KEY = /color/i // color, bgcolor, colorscale, colorway, coloraxis, ...
const WORDS = new Set(["text", "hovertext", "customdata", "ids", "labels", "ticktext", "hovertemplate", "meta"])

/** Dark or light is read off the page itself: the server's idea of the theme goes stale. */
export function readTheme(node) {
  const background = getComputedStyle(node).getPropertyValue("--st-background-color").trim() || LIGHT.background
  const dark = luminance(background) < 0.4
  return { dark, swap: { ...(dark ? DARK_OF : {}), [LIGHT.background]: background } }
}

/** A copy of a figure's JSON with every colour of ours replaced; data arrays are shared, words untouched. */
export function themed(value, theme, inColor = false) {
  if (typeof value === "string") return inColor ? swapped(value, theme.swap) : value
  if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value
  if (Array.isArray(value)) {
    const first = value[0]
    // A colour scale is [[0, "#ffffff"], ...]; a long list of numbers is data, whatever its key.
    const worth = inColor ? [first, value[1]].some(item => typeof item !== "number") : typeof first === "object"
    return worth ? value.map(item => themed(item, theme, inColor)) : value
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [
    key, WORDS.has(key) ? item : themed(item, theme, inColor || COLOR_KEY.test(key)),
  ]))
}

function swapped(color, table) {
  const lower = color.toLowerCase()
  const partner = table[lower]
  if (partner) return partner
  const faded = /^(#[0-9a-f]{6})([0-9a-f]{2})$/.exec(lower) // #rrggbbaa: the theme's colour, its own opacity
  return faded && /^#[0-9a-f]{6}$/i.test(table[faded[1]] ?? "") ? table[faded[1]] + faded[2] : color
}

function luminance(color) {
  const probe = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i.exec(color)
  const parts = probe ? probe.slice(1).map(part => parseInt(part, 16)) : (color.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number)
  const [red, green, blue] = parts
  return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
}

/** `layout` with `changes` put in, deeply; "xaxis.tickangle" names a place inside. Nothing is changed in place. */
export function merged(layout, changes) {
  const result = { ...layout }
  for (const [path, value] of Object.entries(changes)) {
    const dot = path.indexOf(".")
    const key = dot < 0 ? path : path.slice(0, dot)
    const change = dot < 0 ? value : { [path.slice(dot + 1)]: value }
    const old = result[key]
    const both = isPlain(old) && isPlain(change)
    result[key] = both ? merged(old, change) : isPlain(change) ? merged({}, change) : change
  }
  return result
}

function isPlain(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !ArrayBuffer.isView(value)
}

/** What a phone needs of every figure, then the figure's own wishes: a colour bar lies below, not beside. */
export function narrowed(data, layout, wishes) {
  const lying = {
    orientation: "h", thickness: 8, len: 1, lenmode: "fraction", x: 0, xref: "paper", xanchor: "left", xpad: 0,
    y: 0, yref: "container", yanchor: "bottom", ypad: 4, "title.side": "bottom",
  }
  const lay = bar => merged(bar ?? {}, lying)
  let changed = layout
  if (layout.coloraxis) changed = merged(changed, { coloraxis: { colorbar: lay(layout.coloraxis.colorbar) } })
  const traces = data.map(trace =>
    trace.type === "heatmap" && trace.showscale !== false && !trace.coloraxis
      ? { ...trace, colorbar: lay(trace.colorbar) } : trace)
  return { data: traces, layout: merged(changed, wishes) }
}
