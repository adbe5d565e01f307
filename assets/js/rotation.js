// One query turned by another position, and the clocks of all pairs, while the slider is dragged: the twin of
// viz/positions/rotation.py. A test holds both to the same numbers and words.

import { operand, thousands, threeDigits } from "./numbers.js"

/** What the figure frame calls at every movement of the slider. */
export function turn(data, { position }) {
  const at = Math.round(position)
  const { frequencies, pair } = data
  const angle = at * frequencies[pair]
  return {
    data: [...data.still, ...movingTraces(data, at)],
    layout: { title: { text: inert(titleOf(data, at, angle)) } },
    words: wordsOf(data, at, angle),
  }
}

function movingTraces({ q, frequencies, length, pair, name, centres, radius, colors }, at) {
  const angle = at * frequencies[pair]
  const [cos, sin] = [length * Math.cos(angle), length * Math.sin(angle)]
  const tip = [q[0] * cos - q[1] * sin, q[1] * cos + q[0] * sin]
  const hands = Array.from(frequencies, (theta, n) => {
    const [x, y] = centres[n]
    return [x, y, x + radius * Math.cos(at * theta), y + radius * Math.sin(at * theta)]
  })
  const mine = hands[pair]
  const clocks = { type: "scatter", mode: "lines", hoverinfo: "skip", xaxis: "x3", yaxis: "y3" }
  return [
    {
      type: "scatter", name: "selected query, turned", mode: "lines+markers", x: [0, tip[0]], y: [0, tip[1]],
      line: { color: colors.query, width: 4 }, marker: { size: [0, 12], color: colors.query },
      hovertemplate: `q of ${inert(name)} turned<br>%{x:.4g}, %{y:.4g}<extra></extra>`, xaxis: "x2", yaxis: "y2",
    },
    {
      ...clocks, name: "clocks", line: { color: colors.hand, width: 2 },
      x: hands.flatMap(([x, , to]) => [x, to, null]), y: hands.flatMap(([, y, , to]) => [y, to, null]),
    },
    {
      ...clocks, name: "this pair's clock", line: { color: colors.query, width: 4 },
      x: [mine[0], mine[2]], y: [mine[1], mine[3]],
    },
  ]
}

function titleOf({ pair, name }, at, angle) {
  return `${name} at position ${thousands(at)}: pair ${pair} turns by ${threeDigits((angle * 180) / Math.PI)}°`
}

function wordsOf({ frequencies, pair, query }, at, angle) {
  const turns = theta => threeDigits((at * theta) / (2 * Math.PI))
  return (
    `${thousands(at)} × ${operand(frequencies[pair], theta => threeDigits(at * theta))} rad = ${threeDigits(angle)} rad, ` +
    `${turns(frequencies[pair])} turns of this pair.${at === query ? " This is its own position." : ""} ` +
    `Meanwhile the fastest clock made ${turns(frequencies[0])} turns and the slowest ${turns(frequencies[frequencies.length - 1])}.`
  )
}

// As viz/text.py: drawn as it stands, no tags, no formulas, no placeholders.
function inert(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    .replaceAll("$", "&#36;").replaceAll("%{", "&#37;{")
}
