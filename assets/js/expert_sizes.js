// The calculator of experts while a slider is dragged: the twin of model_runtime/moe/sizes.py (Calculator) and
// viz/expert_sizes*.py. A test holds both to the same numbers, words and traces.
//
// data: { base, base_multiplications, n_layers, d_model, matrices, now: { total, active, work } }

import { thousands, threeDigits } from "./numbers.js"
import { LIGHT } from "./tables.js"

const SPACE = "\u00a0"

/** What the figure frame calls at every movement of a slider. */
export function update(data, { experts, topk, width }) {
  const k = Math.min(topk, experts)
  const router = experts > 1 ? data.n_layers * data.d_model * experts : 0
  const one = data.n_layers * data.matrices * data.d_model * width
  const added = k * one + router
  const then = {
    total: data.base + experts * one + router, active: data.base + added, work: data.base_multiplications + added,
  }
  const largest = Math.max(then.total, data.now.total, then.work, data.now.work)
  const name = experts > 1 ? `${thousands(experts)} experts, top-${k}` : "One MLP"
  const title =
    `${name}, width ${thousands(width)}: ${threeDigits(then.total / data.now.total)} × the memory, ` +
    `${threeDigits(then.work / data.now.work)} × the work`
  return {
    data: [bars("the model as it is", data.now, LIGHT.line), bars("with these experts", then, LIGHT.accent)],
    layout: { title: { text: title }, "xaxis.range": [0, 1.2 * largest] },
  }
}

function bars(name, { total, active, work }, color) {
  const values = [total, active, work]
  return {
    type: "bar", name, orientation: "h", x: values, y: [0, 1, 2], marker: { color },
    text: values.map(inParameters), textposition: "outside", textfont: { size: 12, color: LIGHT.ink }, cliponaxis: false,
    hovertext: values.map(thousands), hovertemplate: "%{hovertext}<extra></extra>",
  }
}

function inParameters(n) {
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return `${threeDigits(n / size)}${SPACE}${letter}`
  }
  return threeDigits(n)
}
