// The sampling pipeline in the browser: the twin of model_runtime/sampling/steps.py, so that a figure moves while
// a slider is dragged. Same steps, same names, same sentences; a test runs both on the same logits.
//
//   const report = samplingSteps(logits, settings, contextIds, generatedIds)
//   report.base, report.steps (in settings.order), report.final:
//     { name, active, setting, probabilities, kept, n_kept, cut_mass, entropy, effective_choices }
//
// logits: Float32Array [d_vocab]. settings: the fields of Python's SamplingSettings (missing ones are off).
// `kept` is cumulative: 0 means that this step or one before it cut the token. Work that depends on the
// logits alone (sorting, the plain softmax) is done once for each array, and buffers are used again: a
// report is valid until the next call with the same logits.
//
// Python decides in float32 as transformers does. Here thresholds and running sums are rounded to float32
// too, from exact exponentials; where a threshold falls within about 1e-6 of a running sum, the tokens at
// the boundary can differ from Python's (and Python's from a GPU's). Scores that float32 cannot hold are kept in
// float64 from that step on, unrounded, as in Python.

import { cutSentence, settingWords } from "./sampling_words.js"
import { STEPS } from "./tables.js"

const f32 = Math.fround
const exactly = number => number
const COLDEST = 1e-260 // as in Python: colder gives the same choice, and float64 holds what this one gives
const preparedOf = new WeakMap()

function valueOf(settings, name) {
  const { field, off } = STEPS[name]
  return settings[field] ?? off
}

/** Run all steps. Throws where Python raises SamplingError: logits that are NaN or infinite. */
export function samplingSteps(logits, settings, contextIds = [], generatedIds = []) {
  const prepared = prepare(logits)
  // What a step reads and replaces: scores (uncut values), the ids that are left by rising (score, id),
  // exp(score - top) of each and their sum.
  let state = { ...prepared.state, seen: { contextIds, generatedIds } }
  let before = prepared.base
  const steps = (settings.order ?? Object.keys(STEPS)).map((name, index) => {
    const value = valueOf(settings, name)
    const active = value !== STEPS[name].off
    const setting = settingWords(name, value, active)
    if (!active) before = { ...before, name, active, setting, cut_mass: 0 }
    else {
      const found = before
      state = CHANGES[name](state, value, prepared.slots[index])
      before = distribution(name, setting, state, found, prepared.slots[index])
    }
    return before
  })
  const final = steps[steps.length - 1]
  return { logits, settings, base: prepared.base, steps, final, probabilities: final.probabilities, kept: final.kept }
}

// --- once for each array of logits --------------------------------------------------------------------

function prepare(logits) {
  const known = preparedOf.get(logits)
  if (known) return known
  let bad = 0
  for (let id = 0; id < logits.length; id++) if (!Number.isFinite(logits[id])) bad++
  if (bad || !logits.length) {
    throw new Error(`${bad} of the model's ${logits.length} logits are not finite: there is no distribution.`)
  }
  const n = logits.length
  const slot = () => ({
    scores: new Float32Array(n), weights: new Float64Array(n), ids: new Uint32Array(n), flags: new Uint8Array(n),
    probabilities: new Float64Array(n), kept: new Uint8Array(n),
  })
  const ids = sortedIds(Uint32Array.from({ length: n }, (_, id) => id), logits)
  const own = slot()
  const state = weigh({ scores: logits, ids }, own)
  const everything = { kept: new Uint8Array(n).fill(1), probabilities: new Float64Array(n) }
  const base = distribution("base", "the model's own distribution", state, everything, own)
  base.cut_mass = 0
  const made = { base, state, slots: Object.keys(STEPS).map(slot) }
  preparedOf.set(logits, made)
  return made
}

const isWide = scores => scores instanceof Float64Array

/** The slot's room for new scores; `wide`: in float64. */
function roomIn(slot, wide) {
  return wide ? (slot.wide ??= new Float64Array(slot.scores.length)) : slot.scores
}

/** Ids by rising score, equals by rising id: one number to sort by, 32 bits of score above 21 bits of id. */
function sortedIds(ids, scores) {
  if (isWide(scores)) return Uint32Array.from(ids).sort((a, b) => scores[a] - scores[b] || a - b)
  const bits = new Uint32Array(1)
  const asFloat = new Float32Array(bits.buffer)
  const keys = new Float64Array(ids.length)
  for (let place = 0; place < ids.length; place++) {
    asFloat[0] = scores[ids[place]] + 0 // + 0 makes -0 equal to 0
    const rising = bits[0] >>> 31 ? ~bits[0] >>> 0 : (bits[0] | 0x80000000) >>> 0
    keys[place] = rising * 2097152 + ids[place]
  }
  keys.sort()
  return Uint32Array.from(keys, key => key % 2097152)
}

// --- from scores to a distribution --------------------------------------------------------------------

/** exp(score - top) of the ids that are left, into the slot. */
function weigh(state, slot) {
  const { scores, ids } = state
  const top = scores[ids[ids.length - 1]]
  const weights = slot.weights
  let total = 0
  for (let place = 0; place < ids.length; place++) {
    const weight = Math.exp(scores[ids[place]] - top)
    weights[ids[place]] = weight
    total += weight
  }
  return { ...state, top, weights, total }
}

/** The same weights for fewer ids. Only where the top token went (typical-p) are they computed anew. */
function fewer(state, ids, slot) {
  if (state.scores[ids[ids.length - 1]] !== state.top) return weigh({ ...state, ids }, slot)
  let total = 0
  for (let place = 0; place < ids.length; place++) total += state.weights[ids[place]]
  return { ...state, ids, total }
}

function distribution(name, setting, state, before, slot) {
  const { scores, ids, weights, total, top } = state
  const { probabilities, kept } = slot
  probabilities.fill(0)
  kept.fill(0)
  let meanGap = 0
  for (let place = 0; place < ids.length; place++) {
    const id = ids[place]
    kept[id] = 1
    probabilities[id] = weights[id] / total
    if (weights[id] > 0) meanGap += probabilities[id] * (scores[id] - top)
  }
  let cutMass = 0
  if (before.n_kept !== ids.length) {
    for (let id = 0; id < kept.length; id++) if (!kept[id] && before.kept[id]) cutMass += before.probabilities[id]
  }
  const entropy = Math.max(Math.log(total) - meanGap, 0)
  return {
    name, active: true, setting, probabilities, kept, n_kept: ids.length, cut_mass: cutMass, entropy,
    effective_choices: Math.exp(entropy), scores,
  }
}

// --- the steps ----------------------------------------------------------------------------------------

/** New scores for some ids: the rest keep their order, the changed ones are sorted and merged in. */
function rescored(state, changes, slot, wide) {
  const { ids, scores } = state
  const { flags } = slot
  const next = roomIn(slot, wide)
  next.set(scores)
  flags.fill(0)
  for (const [id, score] of changes) {
    next[id] = score
    flags[id] = 1
  }
  const unchanged = ids.filter(id => !flags[id])
  const moved = sortedIds(ids.filter(id => flags[id]), next)
  const merged = slot.ids.subarray(0, ids.length)
  for (let place = 0, a = 0, b = 0; place < merged.length; place++) {
    const left = unchanged[a], right = moved[b]
    const takeLeft =
      b >= moved.length || (a < unchanged.length && (next[left] < next[right] || (next[left] === next[right] && left < right)))
    merged[place] = takeLeft ? unchanged[a++] : moved[b++]
  }
  return weigh({ ...state, scores: next, ids: merged }, slot)
}

function countsOf(tokenIds, size) {
  const counts = new Map()
  for (const id of tokenIds) if (id >= 0 && id < size) counts.set(id, (counts.get(id) ?? 0) + 1)
  return counts
}

function penalty(change, seenIds) {
  return (state, value, slot) => {
    const counts = countsOf(seenIds(state.seen), state.scores.length)
    let changes
    const held = (round, wide) => {
      changes = new Map()
      for (const [id, count] of counts) {
        const score = state.scores[id]
        const changed = round(change(score, count, round(value), round))
        if (!wide && Number.isFinite(score) && !Number.isFinite(changed)) return false
        changes.set(id, changed)
      }
      return true
    }
    const wide = isWide(state.scores) || !held(f32, false)
    if (wide) held(exactly, true)
    return rescored(state, changes, slot, wide)
  }
}

function temperature(state, value, slot) {
  const { ids, scores } = state
  if (value === 0) {
    // Greedy: of equals the lowest id, which stands first in its group.
    let place = ids.length - 1
    while (place > 0 && scores[ids[place - 1]] === scores[ids[place]]) place--
    return weigh({ ...state, ids: ids.slice(place, place + 1) }, slot)
  }
  const held = (next, divisor) => {
    for (const id of ids) next[id] = scores[id] / divisor
    return ids.every(id => Number.isFinite(next[id]))
  }
  const wide = isWide(scores) || !held(slot.scores, f32(Math.max(value, COLDEST)))
  const next = roomIn(slot, wide)
  if (wide) held(next, Math.max(value, COLDEST))
  const nextIds = slot.ids.subarray(0, ids.length)
  nextIds.set(ids)
  // Division can round neighbours to one value: equals stand by id.
  for (let start = 0; start < ids.length; ) {
    let end = start + 1
    while (end < ids.length && next[nextIds[end]] === next[nextIds[start]]) end++
    if (end - start > 1) nextIds.subarray(start, end).sort()
    start = end
  }
  return weigh({ ...state, scores: next, ids: nextIds }, slot)
}

function topK(state, value, slot) {
  const { ids, scores } = state
  let place = Math.max(ids.length - value, 0)
  while (place > 0 && scores[ids[place - 1]] === scores[ids[place]]) place--
  return fewer(state, ids.subarray(place), slot)
}

function topP(state, value, slot) {
  const { ids, weights, total } = state
  const limit = f32(1 - value)
  let running = 0
  let place = 0
  for (; place < ids.length - 1; place++) {
    running += f32(weights[ids[place]] / total)
    if (f32(running) > limit) break
  }
  return fewer(state, ids.subarray(place), slot)
}

function minP(state, value, slot) {
  const { ids, weights, total } = state
  const least = f32(f32(value) * f32(weights[ids[ids.length - 1]] / total))
  let place = 0
  while (place < ids.length - 1 && f32(weights[ids[place]] / total) < least) place++
  return fewer(state, ids.subarray(place), slot)
}

function typicalP(state, value, slot) {
  const { ids, scores, weights, total, top } = state
  const round = isWide(scores) ? exactly : f32
  const logTotal = round(Math.log(total))
  const logP = place => round(round(scores[ids[place]] - top) - logTotal)
  let sum = 0
  for (let place = 0; place < ids.length; place++) {
    const lp = logP(place)
    const p = Math.exp(lp)
    if (p > 0) sum += lp * p
  }
  const entropy = round(-sum)
  const distance = place => Math.abs(round(-logP(place) - entropy))
  // Surprise falls along `ids`, so the distance to the entropy falls to one place and rises after it.
  let right = 0
  while (right < ids.length && -logP(right) > entropy) right++
  let left = right - 1
  let running = 0
  let last = -1 // distance of the token at which the sum reaches the limit
  while (left >= 0 || right < ids.length) {
    const takeLeft = right >= ids.length || (left >= 0 && distance(left) <= distance(right))
    const place = takeLeft ? left-- : right++
    last = distance(place)
    running += f32(weights[ids[place]] / total)
    if (f32(running) >= f32(value)) break
  }
  while (left >= 0 && distance(left) <= last) left--
  while (right < ids.length && distance(right) <= last) right++
  return fewer(state, ids.slice(left + 1, right), slot)
}

const CHANGES = {
  repetition: penalty(
    (score, _, value) => (score < 0 ? score * value : score / value),
    seen => [...seen.contextIds, ...seen.generatedIds],
  ),
  presence: penalty((score, _, value) => score - value, seen => seen.generatedIds),
  frequency: penalty((score, count, value, round) => score - round(count * value), seen => seen.generatedIds),
  temperature, top_k: topK, top_p: topP, min_p: minP, typical_p: typicalP,
}

// --- questions a figure asks --------------------------------------------------------------------------

/** Ids of the n likeliest tokens before any step, likeliest first, equals by id. */
export function topTokens(logits, n) {
  const { ids } = prepare(logits).state
  const shown = []
  for (let end = ids.length; end > 0 && shown.length < n; ) {
    let start = end - 1
    while (start > 0 && logits[ids[start - 1]] === logits[ids[start]]) start--
    shown.push(...ids.subarray(start, Math.min(end, start + n - shown.length)))
    end = start
  }
  return shown
}

/** The step that cut a token, with the distribution it found; null where the token can still be drawn. */
export function cutBy(report, id) {
  const at = report.steps.findIndex(step => !step.kept[id])
  return at < 0 ? null : { step: report.steps[at], before: at ? report.steps[at - 1] : report.base }
}

/** Why a token cannot be drawn, in one sentence with the numbers; null where it can. */
export function whyCut(report, id) {
  const found = cutBy(report, id)
  return found && cutSentence(found.step, found.before, valueOf(report.settings, found.step.name), id)
}

/** What is beside the tokens shown: { n_tokens, mass, final_mass, n_kept }. */
export function tail(report, shownIds) {
  const { base, final } = report
  const rest = { n_tokens: base.kept.length, mass: 1, final_mass: 1, n_kept: final.n_kept }
  for (const id of new Set(shownIds)) {
    rest.n_tokens--
    rest.mass -= base.probabilities[id]
    rest.final_mass -= final.probabilities[id]
    rest.n_kept -= final.kept[id]
  }
  // A difference of sums can leave a last digit where nothing is left.
  rest.mass = rest.n_tokens ? Math.max(rest.mass, 0) : 0
  rest.final_mass = rest.n_kept ? Math.max(rest.final_mass, 0) : 0
  return rest
}

/** The token on which each number in [0, 1) falls when the probabilities lie side by side in order of id. */
export function tokensAt(probabilities, uniforms) {
  const edges = new Float64Array(probabilities.length)
  let sum = 0
  let lastPossible = 0
  for (let id = 0; id < edges.length; id++) {
    if (probabilities[id] > 0) lastPossible = id
    edges[id] = sum += probabilities[id]
  }
  return Array.from(uniforms, uniform => {
    const target = uniform * sum
    let low = 0, high = edges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (edges[middle] > target) high = middle
      else low = middle + 1
    }
    return Math.min(low, lastPossible)
  })
}
