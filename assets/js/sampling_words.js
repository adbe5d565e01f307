// The sampling steps in words, sentence for sentence those of viz/output/sampling_words.py.

import { share, thousands, threeDigits } from "./numbers.js"
import { STEPS } from "./tables.js"

/** Six digits at most, as Python's %g writes them. */
function short(value) {
  if (value === 0 || Math.abs(value) >= 1e-4) return String(parseFloat(value.toPrecision(6)))
  const [digits, exponent] = value.toExponential(5).split("e-")
  return `${parseFloat(digits)}e-${exponent.padStart(2, "0")}`
}

const nats = value => `${threeDigits(value)}\u00a0nats`

/** "temperature 0.8", "top-k off" */
export function settingWords(name, value, active) {
  return `${STEPS[name].label} ${active ? short(value) : "off"}`
}

/** Why `step` cut token `id`; `before` is the distribution it found, `value` its setting. */
export function cutSentence(step, before, value, id) {
  const { probabilities, scores } = before
  const own = share(probabilities[id])
  let place = 1, top = 0, last = 1, keptMass = 0
  for (let other = 0; other < probabilities.length; other++) {
    if (!before.kept[other]) continue
    if (scores[other] > scores[id]) place++
    top = Math.max(top, probabilities[other])
    if (!step.kept[other]) continue
    last = Math.min(last, probabilities[other])
    keptMass += probabilities[other]
  }
  const number = thousands(place)
  switch (step.name) {
    case "temperature":
      return `Temperature 0 always takes the likeliest token. It has ${share(top)}, this one ${own} (number ${number}).`
    case "top_k":
      return (
        `Top-k keeps the ${thousands(value)} likeliest tokens. This one is number ${number} with ${own}; ` +
        `the last kept has ${share(last)}.`
      )
    case "top_p":
      return (
        `Top-p keeps the likeliest tokens until they have ${share(value)} together. The first ` +
        `${thousands(step.n_kept)} already have ${share(keptMass)}; this one, with ${own}, is number ${number}.`
      )
    case "min_p":
      return (
        `Min-p asks for ${short(value)} of the likeliest token's ${share(top)}, which is ` +
        `${share(value * top)}; this one has ${own}.`
      )
    default:
      return whyNotTypical(step, probabilities, value, id)
  }
}

function whyNotTypical(step, probabilities, value, id) {
  let entropy = 0
  for (const p of probabilities) if (p > 0) entropy -= p * Math.log(p)
  let farthest = 0
  for (let other = 0; other < probabilities.length; other++) {
    if (step.kept[other] && probabilities[other] > 0) {
      farthest = Math.max(farthest, Math.abs(-Math.log(probabilities[other]) - entropy))
    }
  }
  const surprise = -Math.log(probabilities[id])
  return (
    `Typical-p keeps the tokens whose surprise (−ln p) is closest to the average, ${nats(entropy)}, ` +
    `until they have ${share(value)} together. This one's surprise is ${nats(surprise)}, ` +
    `${nats(Math.abs(surprise - entropy))} away; the farthest kept is ${nats(farthest)} away.`
  )
}
