// The load of a layer's experts under noise and a capacity, while a slider is dragged: the twin of
// model_runtime/moe/load.py (noisy_top_k, dispatch) and viz/expert_load*.py. A test holds both to the same
// numbers, words and traces.
//
// data: { logits, noise: rows of Float32Array [pos][expert], measured: rows of Int32Array [pos][k], tokens,
//         labels: the same safe for Plotly, layer, top }

import { share, thousands, threeDigits } from "./numbers.js"
import { CATEGORIES, CUT, LIGHT, PATTERNS } from "./tables.js"

const MOST_NAMED = 4

/** What the figure frame calls at every movement of a slider. */
export function update(data, values) {
  const record = recordOf(data, values.noise ?? 0, values.capacity ?? 0)
  return { data: tracesOf(record), layout: layoutOf(record), words: wordsOf(record) }
}

// --- the router's choice and the places -----------------------------------------------------------------

function recordOf(data, sigma, factor) {
  const measured = data.measured.map(row => [...row])
  const nExperts = data.logits[0].length
  const k = measured[0].length
  const experts = sigma > 0 ? data.logits.map((row, at) => topK(row, data.noise[at], sigma, k)) : measured
  const capacity = factor ? Math.max(1, Math.floor((factor * k * experts.length) / nExperts + 1e-9)) : null
  const taken = Array(nExperts).fill(0), dropped = Array(nExperts).fill(0)
  const kept = experts.map(row => row.map(() => false))
  for (let choice = 0; choice < k; choice++) { // all first choices before all second ones
    experts.forEach((row, at) => {
      const expert = row[choice]
      kept[at][choice] = capacity === null || taken[expert] < capacity
      if (kept[at][choice]) taken[expert] += 1
      else dropped[expert] += 1
    })
  }
  let moved = 0
  experts.forEach((row, at) => row.forEach(expert => { if (!measured[at].includes(expert)) moved += 1 }))
  return { ...data, nExperts, k, experts, kept, taken, dropped, capacity, moved, nSlots: k * experts.length }
}

function topK(logits, noise, sigma, k) {
  const noisy = Array.from(logits, (logit, expert) => logit + sigma * noise[expert])
  return noisy.map((_, expert) => expert).sort((a, b) => noisy[b] - noisy[a] || a - b).slice(0, k)
}

const sum = values => values.reduce((total, value) => total + value, 0)
const countsOf = record => record.taken.map((n, expert) => n + record.dropped[expert])

function variation(counts) {
  const mean = sum(counts) / counts.length
  return mean ? (sum(counts.map(n => (n - mean) ** 2)) / counts.length) ** 0.5 / mean : 0
}

// --- words (viz/moe/load.py) -------------------------------------------------------------------------

function titleOf(record) {
  const counts = countsOf(record)
  const busiest = counts.indexOf(Math.max(...counts))
  const idle = counts.filter(n => n === 0).length
  const words = `L${record.layer}: E${busiest} gets ${share(counts[busiest] / record.nSlots)} of the work`
  const dropped = sum(record.dropped)
  if (dropped) return `${words}; ${share(dropped / record.nSlots)} dropped`
  return idle ? `${words}; ${idle} of ${record.nExperts} idle` : words
}

function wordsOf(record) {
  const { tokens, k, nSlots, moved, capacity } = record
  let words =
    `${thousands(tokens.length)} token${tokens.length === 1 ? "" : "s"} × ${k} = ${thousands(nSlots)} slots, ` +
    `${threeDigits(nSlots / record.nExperts)} an expert on average. ` +
    `Coefficient of variation ${threeDigits(variation(countsOf(record)))}.`
  if (moved) words += ` Noise moved ${thousands(moved)} slots to another expert.`
  if (capacity === null) return words
  const dropped = sum(record.dropped)
  words += ` Each expert takes at most ${thousands(capacity)}: ${thousands(dropped)} slots dropped`
  const lost = record.kept.flatMap((row, at) => (row.some(Boolean) ? [] : [at]))
  if (!lost.length) return dropped ? `${words}; every token still has an expert.` : `${words}.`
  const named = lost.slice(0, MOST_NAMED).map(at => `“${tokens[at]}” (${at})`).join(", ")
  const more = lost.length > MOST_NAMED ? ` and ${thousands(lost.length - MOST_NAMED)} more` : ""
  return `${words}. No expert works on ${named}${more}.`
}

// --- traces and layout (viz/moe/load.py) -------------------------------------------------------------

function tracesOf(record) {
  const slots = record.experts.flatMap((row, position) =>
    row.map((expert, choice) => ({ position, choice, expert, kept: record.kept[position][choice] })))
  return [
    marks(record, slots.filter(slot => slot.kept), true),
    marks(record, slots.filter(slot => !slot.kept), false),
    bars(record, record.taken, true),
    bars(record, record.dropped, false),
  ]
}

function marks(record, slots, kept) {
  const large = Math.max(3, Math.min(12, rounded(420 / record.tokens.length)))
  const end = kept ? "" : ", dropped"
  return {
    type: "scatter", name: kept ? "has a place" : "dropped", mode: "markers",
    x: slots.map(slot => slot.position), y: slots.map(slot => slot.expert),
    marker: {
      symbol: kept ? "square" : "x-thin",
      size: slots.map(slot => (slot.choice === 0 ? large : Math.max(3, large - 4))),
      color: slots.map(slot => (kept ? CATEGORIES[slot.expert % 8] : LIGHT.cut_line)),
      line: { width: kept ? 0 : 2, color: LIGHT.cut_line },
    },
    hovertext: slots.map(({ position, choice, expert }) =>
      `“${record.labels[position]}” (${position}), ${ordinal(choice)} choice: E${expert}${end}`),
    hovertemplate: "%{hovertext}<extra></extra>", xaxis: "x", yaxis: "y",
  }
}

// As Python rounds: halves to the even number.
function rounded(value) {
  const low = Math.floor(value)
  return value - low === 0.5 ? low + (low % 2) : Math.round(value)
}

const ordinal = choice => ["1st", "2nd", "3rd"][choice] ?? `${choice + 1}th`

function bars(record, slots, kept) {
  const experts = slots.map((_, expert) => expert)
  const fills = {
    color: experts.map(expert => CATEGORIES[expert % 8]),
    pattern: { shape: experts.map(expert => PATTERNS[Math.floor(expert / 8) % 8]), size: 6, solidity: 0.2 },
  }
  const verb = kept ? "with a place" : "dropped"
  return {
    type: "bar", name: kept ? "with a place" : "dropped", orientation: "h", x: slots, y: experts,
    marker: kept ? fills : CUT,
    text: experts.map(expert => number(record, expert, kept)), textposition: "outside",
    textfont: { size: 11, color: LIGHT.ink }, cliponaxis: false,
    hovertext: slots.map((n, expert) => `E${expert}: ${thousands(n)} ${verb}`),
    hovertemplate: "%{hovertext}<extra></extra>", xaxis: "x2", yaxis: "y2",
  }
}

function number(record, expert, kept) {
  const [taken, dropped] = [record.taken[expert], record.dropped[expert]]
  if (record.nExperts > 32 || kept === Boolean(dropped) || !(taken + dropped)) return ""
  return kept ? thousands(taken) : `${thousands(taken)} + ${thousands(dropped)}`
}

function layoutOf(record) {
  const mean = record.nSlots / record.nExperts
  const reach = 1.5 * Math.max(record.top, ...countsOf(record))
  const shapes = [line(mean, "dot", LIGHT.line)]
  const annotations = [note(mean, "mean", 0, reach)]
  if (record.capacity !== null && record.capacity <= reach) {
    shapes.push(line(record.capacity, "solid", LIGHT.ink))
    annotations.push(note(record.capacity, `places: ${thousands(record.capacity)}`, 14, reach))
  }
  return { title: { text: titleOf(record) }, shapes, annotations, "xaxis2.range": [0, reach] }
}

function line(at, dash, color) {
  return { type: "line", line: { color, width: 1.5, dash }, x0: at, x1: at, y0: 0, y1: 1, xref: "x2", yref: "y2 domain" }
}

function note(at, words, up, reach) {
  return {
    x: at, y: 1, xref: "x2", yref: "y2 domain", yanchor: "bottom", xanchor: at > 0.7 * reach ? "right" : "left",
    yshift: up, text: words, showarrow: false, font: { size: 11, color: LIGHT.muted },
  }
}
