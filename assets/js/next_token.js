// The next-token picture while a slider is dragged: the whole vocabulary goes through the pipeline again, and
// the traces of viz/output/next_token/traces.py get the numbers of the moment. Everything that stays (colours, widths,
// fonts, places) comes from Python in `data.traces` and `data.look`; a test holds both to the same picture,
// number by number.
//
// data: { logits Float32Array [d_vocab], settings, context_ids, generated_ids, shown: [{ id, label, rank }],
//         selected, pinned: [share, null where unknown], paired, slider_steps, traces, look }

import { inPercent, share, thousands, threeDigits } from "./numbers.js"
import { cutBy, samplingSteps, tail } from "./sampling.js"

/** What the figure frame calls at every movement of a slider; `narrow`: below 600 pixels. */
export function update(data, values, narrow = false) {
  const record = recordOf(data, values)
  const numbers = traceNumbers(record, data)
  return {
    data: data.traces.map((trace, at) => merge(trace, numbers[at])),
    layout: layoutOf(record, data, narrow),
    words: record.words,
  }
}

// --- values -> record (viz/output/next_token/record.py) ---------------------------------------------------------------

function recordOf(data, values) {
  const settings = { ...data.settings, ...values }
  const report = samplingSteps(data.logits, settings, data.context_ids, data.generated_ids)
  const candidates = data.shown.map((token, at) => candidateOf(report, token, data.pinned?.[at]))
  const { base, final } = report
  const rows = [stepRow("base", "the model", base, base, candidates)]
  let before = base
  for (const step of report.steps) {
    if (step.active || data.slider_steps.includes(step.name)) {
      rows.push(stepRow(step.name, step.setting, step, before, candidates))
    }
    before = step
  }
  rows.push({ ...stepRow("final", "drawn from", final, final, candidates), active: true })
  const rest = tail(report, data.shown.map(({ id }) => id))
  const { axis_steps, axis_room } = data.look
  const reach = reachOf(candidates, data.look)
  const axis = axis_steps.find(([end]) => reach <= end) ?? axis_steps.at(-1)
  return {
    candidates, rows, rest, axis, whole: axis_room * axis[0],
    title: titleOf(candidates, final), words: wordsOf(rest, final),
  }
}

// As far as the longest bar where beside the model's strokes no bar could be seen.
function reachOf(candidates, { least_bar }) {
  const bars = Math.max(...candidates.map(candidate => Math.max(candidate.bar, candidate.pinned ?? 0)))
  const marks = Math.max(bars, ...candidates.map(candidate => candidate.model))
  return bars >= least_bar * marks ? marks : bars
}

function candidateOf(report, { id, label, rank }, pinned) {
  const found = cutBy(report, id)
  const model = report.base.probabilities[id]
  const final = report.final.probabilities[id]
  const entering = found ? found.before.probabilities[id] : final
  const cutName = found ? found.step.setting.slice(0, found.step.setting.lastIndexOf(" ")) : null
  return { id, label, rank, model, final, entering, cutName, pinned, bar: Math.max(final, entering) }
}

function stepRow(name, setting, step, before, candidates) {
  const cuts = step.n_kept < before.n_kept
  const { probabilities } = cuts ? before : step
  const segments = []
  let start = 0
  let shownCut = 0
  for (const { id, label } of candidates) {
    const width = probabilities[id]
    if (width <= 0) continue
    const cut = !step.kept[id]
    segments.push({ start, width, cut, label, others: false })
    start += width
    if (cut) shownCut += width
  }
  const lost = cuts ? Math.max(step.cut_mass - shownCut, 0) : 0
  const left = Math.max(1 - start - lost, 0)
  for (const [begin, width, cut] of [[start, left, false], [start + left, lost, true]]) {
    if (width > 1e-9) segments.push({ start: begin, width, cut, label: "all other tokens", others: true })
  }
  const own = name === "base" || name === "final"
  return {
    setting, active: step.active, segments, n_kept: step.n_kept, cut_mass: own ? 0 : step.cut_mass,
    entropy: step.entropy, effective_choices: step.effective_choices,
  }
}

function titleOf(candidates, final) {
  const top = candidates.reduce((best, candidate) => (candidate.final > best.final ? candidate : best))
  const size = final.kept.length
  const left = final.n_kept === size ? `all ${thousands(size)}` : `${thousands(final.n_kept)} of ${thousands(size)}`
  // Typical-p or a penalty can make a token lead that has no row until the slider is let go.
  if (top.final < largest(final.probabilities)) return `${left} tokens left`
  if (final.n_kept === 1) return `Only “${top.label}” is left: it is chosen every time`
  return `“${top.label}” leads with ${share(top.final)}; ${left} tokens left`
}

function largest(values) {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}

function wordsOf(rest, final) {
  const left = rest.n_kept === rest.n_tokens ? "all" : rest.n_kept ? thousands(rest.n_kept) : "none"
  const others =
    `And ${thousands(rest.n_tokens)} more tokens: ${share(rest.mass)} in the model, ` +
    `${share(rest.final_mass)} after the steps (${left} of them left).`
  if (final.n_kept === 1) return `Entropy 0 nats: nothing is left to chance. ${others}`
  return (
    `Entropy ${threeDigits(final.entropy)} nats: as open as a fair choice among about ` +
    `${threeDigits(final.effective_choices)} tokens. ${others}`
  )
}

// --- record -> numbers of the traces (viz/output/next_token/traces.py) ------------------------------------------

function traceNumbers(record, data) {
  const { candidates, whole } = record
  const { look } = data
  const beyond = candidate => candidate.model > whole
  const y = candidates.map((_, at) => at)
  const middles = y.map(row => (data.paired ? row - 0.23 : row))
  const of = value => candidates.map(value)
  return [
    {
      x: of(() => record.axis[0] * look.narrow_room), y, customdata: of(c => [c.id]),
      hovertext: of(c => hoverWords(c, data.paired)),
    },
    segmentNumbers(record, data, segment => !segment.cut && !segment.others),
    segmentNumbers(record, data, segment => !segment.cut && segment.others),
    segmentNumbers(record, data, segment => segment.cut),
    columnNumbers(record, data),
    { x: of(c => c.final), y },
    { x: of(c => (c.cutName ? c.entering : 0)), y },
    {
      x: of(c => (beyond(c) ? look.edge * whole : c.model)), y: middles,
      marker: { symbol: of(c => (beyond(c) ? look.beyond : look.stroke)) },
    },
    {
      x: [...of(c => wordsAt(c, whole, look)), 0], y: [...middles, candidates.length],
      text: [...of(c => rowWords(c, data.selected)), ` ${restLine(record.rest)}`],
      textfont: { color: [...of(c => (c.cutName ? look.muted : look.accent)), look.ink] },
    },
    ...(data.paired ? pairedNumbers(candidates, y, data) : []),
  ]
}

// Behind the bar; behind the model's stroke where that is in the way of the words.
function wordsAt({ bar, model }, whole, { label_span }) {
  return bar <= model && model <= Math.min(bar + label_span * whole, whole) ? model : bar
}

function segmentNumbers(record, { look }, wanted) {
  const lists = { y: [], base: [], x: [], width: [], hovertext: [] }
  record.rows.forEach((row, y) => {
    for (const segment of row.segments.filter(wanted)) {
      lists.y.push(y)
      lists.base.push(segment.start)
      lists.x.push(segment.width)
      lists.width.push(row.active ? look.thick : look.thin)
      const fate = segment.cut ? ` · cut by ${row.setting}` : ""
      lists.hovertext.push(`${row.setting}: ${segment.label} ${share(segment.width)}${fate}`)
    }
  })
  return lists
}

const hasRoom = ({ width, label }, [room, character]) => width >= room + character * [...label].length

function columnNumbers(record, { look }) {
  const lists = { x: [], y: [], text: [], textposition: [] }
  const color = []
  const add = (x, y, text, place, ink) => {
    lists.x.push(x)
    lists.y.push(y)
    lists.text.push(text)
    lists.textposition.push(place)
    color.push(ink)
  }
  for (const words of look.resting_words) add(...words)
  record.rows.forEach((row, y) => {
    const texts = row.active
      ? [thousands(row.n_kept), row.cut_mass > 0 ? atLeast(row.cut_mass, share, "0.1\u00a0%") : "", atLeast(row.entropy, threeDigits, "0.001"),
        threeDigits(row.effective_choices)]
      : ["", "", "", ""]
    texts.forEach((text, column) => add(look.column_edges[column], y, text, "middle left", look.ink))
    for (const segment of row.segments.filter(segment => row.active && hasRoom(segment, look.label_room))) {
      const { start, width, label, cut, others } = segment
      add(start + width / 2, y, label, "middle center", cut || others ? look.ink : look.background)
    }
  })
  return { ...lists, textfont: { color } }
}

const LEAST = 0.001
const atLeast = (value, words, thousandth) => (value > 0 && value < LEAST ? `< ${thousandth}` : words(value))

function rowWords(candidate, selected) {
  const swatch = candidate.final >= candidate.model ? "" : "■ "
  const words = candidate.cutName ? `cut by ${candidate.cutName}` : `${swatch}${share(candidate.final)}`
  return candidate.id === selected ? ` <b>${words}</b>` : ` ${words}`
}

function hoverWords(candidate, paired) {
  const lines = [
    `<b>${candidate.label}</b>, id ${candidate.id}, number ${thousands(candidate.rank)} in the model`,
    `model's probability ${exact(candidate.model)}`,
    candidate.cutName
      ? `cut by ${candidate.cutName}, when it had ${exact(candidate.entering)}`
      : `drawn with ${exact(candidate.final)}`,
  ]
  if (paired) lines.push(`pinned run ${known(candidate.pinned) ? exact(candidate.pinned) : "no such token"}`)
  return lines.join("<br>")
}

function pairedNumbers(candidates, y, { look }) {
  const differences = candidates.map(c => (known(c.pinned) ? 100 * (c.final - c.pinned) : null))
  return [
    { x: candidates.map(c => c.pinned ?? 0), y },
    { x: differences, y, marker: { color: differences.map(value => (value > 0 ? look.positive : look.negative)) } },
    {
      x: y.map(() => 0), y, text: differences.map(value => (value === null ? "" : ` ${points(value)} `)),
      textposition: differences.map(value => (value > 0 ? "middle left" : "middle right")),
    },
  ]
}

const known = value => value !== null && value !== undefined
const exact = share_ => (share_ >= 0.001 ? `${(100 * share_).toFixed(4)}\u00a0%` : share(share_))

function points(value) {
  if (Math.abs(value) < 0.005) return "0.00"
  return `${value > 0 ? "+" : ""}${value.toFixed(2)}`.replace("-", "−")
}

// --- what changes in the layout ---------------------------------------------------------------------------

function layoutOf(record, data, narrow) {
  const ticks = record.rows.map(({ setting, active }) => {
    const short = setting.replace(" penalty", "")
    return active ? `<b>${short}</b>` : short
  })
  const [end, step] = record.axis
  const tickvals = narrow ? [0, end / 2, end]
    : Array.from({ length: Math.round(end / step) + 1 }, (_, tick) => tick * step)
  const beyond = record.candidates.some(({ model }) => model > record.whole)
  const layout = {
    title: { text: record.title }, yaxis: { ticktext: ticks },
    xaxis2: { range: [0, narrow ? end * data.look.narrow_room : record.whole], tickvals, ticktext: tickvals.map(inPercent), title: { text: data.look.axis_words[Number(beyond)] } },
  }
  return data.paired ? { ...layout, xaxis3: { range: differenceRange(record.candidates, data.look) } } : layout
}

function differenceRange(candidates, { difference_ends }) {
  const widest = Math.max(...candidates.map(c => (known(c.pinned) ? Math.abs(100 * (c.final - c.pinned)) : 0)))
  const end = 1.05 * (difference_ends.find(limit => widest <= limit) ?? 100)
  return [-end, end]
}

const restLine = rest => `${share(rest.mass)} → now ${share(rest.final_mass)}`

/** A trace with the numbers of the moment in it; the part of its look that moves goes one level deeper. */
function merge(trace, numbers) {
  const merged = { ...trace, ...numbers }
  for (const part of ["marker", "textfont"]) {
    if (numbers[part]) merged[part] = { ...trace[part], ...numbers[part] }
  }
  return merged
}
