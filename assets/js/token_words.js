// The sentence about one piece: what it is, and what the other columns make of the same bytes. Our own words are
// text nodes, strangers' text stands in <code>.

import { element } from "./dom.js"
import { thousands } from "./numbers.js"

const MOST_LISTED = 6

const quoted = text => element("code", {}, text.replaceAll("\n", ""))
const numbered = (data, at) => (data.ids && data.ids[at] !== null ? ` (${thousands(data.ids[at])})` : "")

export function sentence(columns, spot, chosen) {
  const data = columns.find(({ key }) => key === spot.column)
  const { at } = spot
  const piece = data.unit[0].toUpperCase() + data.unit.slice(1)
  if (data.kinds[at] === "lost") {
    return [`Lost in ${data.title}: `, quoted(data.shown[at]), ", bytes ", quoted(data.hex[at]), ". No token of the table stands for it, and the model never reads it."]
  }
  const number = data.numbers ? data.numbers[at] : data.first + at
  const name = data.ids ? `${piece} ${thousands(number)} of ${data.title}: ` : `${piece} ${thousands(number)}: `
  const said = [chosen ? element("b", {}, "Chosen. ") : "", name, quoted(data.shown[at])]
  if (data.ids) said.push(`, id ${thousands(data.ids[at])}`)
  if (data.kinds[at] === "added") return [...said, ": no part of the text; the tokenizer puts it there by itself."]
  if (data.kinds[at] === "unknown") said.push(", not in the table")
  const bytes = data.spans[at][1] - data.spans[at][0]
  if (data.unit !== "byte") said.push(`, ${thousands(bytes)} byte${bytes === 1 ? "" : "s"}: `, quoted(data.hex[at]))
  if (data.part_of[at]) said.push(", only some of the bytes of ", quoted(data.part_of[at]))
  said.push(".")
  for (const other of columns) if (other.key !== spot.column) said.push(...elsewhere(other, data.spans[at]))
  return said
}

function elsewhere(other, [start, end]) {
  const covering = other.spans.flatMap(([from, to], at) => (from < end && to > start ? [at] : []))
  if (!covering.length) return [` ${other.title}: nothing.`]
  const [from, to] = [other.spans[covering[0]][0], other.spans[covering.at(-1)][1]]
  const listed = covering.slice(0, MOST_LISTED).flatMap((at, nth) => [nth ? " " : "", quoted(other.shown[at]), numbered(other, at)])
  if (covering.length > MOST_LISTED) listed.push(` and ${covering.length - MOST_LISTED} more`)
  if (covering.length === 1 && from === start && to === end) return [` ${other.title}: the same piece${numbered(other, covering[0])}.`]
  if (covering.length === 1 && from <= start && to >= end) return [` ${other.title}: inside the longer `, ...listed, "."]
  if (covering.length === 1) return [` ${other.title}: has `, ...listed, " of it."]
  const exact = from === start && to === end
  return [` ${other.title}: ${exact ? "cut into" : "spread over"} ${covering.length} ${other.unit}s, `, ...listed, "."]
}
