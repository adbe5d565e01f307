// Numbers and shares in words: the twin of three_digits and share in viz/text.py (a test compares them).

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" }
const SPACE = "\u00a0"

/** 48902 -> "48,902"; digits after the point are left alone. */
export function thousands(number) {
  const [whole, ...decimals] = String(number).split(".")
  return [whole.replace(/\B(?=(\d{3})+(?!\d))/g, ","), ...decimals].join(".")
}

/** Three significant digits, or as many as asked; whole numbers below 1,000 in full. */
export function threeDigits(value, digits = 3) {
  if (Number.isNaN(value)) return "not a number"
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞"
  if (Number.isInteger(value) && Math.abs(value) < 1000) return minus(String(value))
  return three(value, digits)
}

/** The operand of a printed equation, with so many digits that a calculator gives the result that is printed:
 * the twin of worked in viz/equations.py. `words`: the result in words, of the operand. */
export function operand(value, words) {
  for (let digits = 3; digits < 10; digits++) {
    if (words(Number(value.toPrecision(digits))) === words(value)) return threeDigits(value, digits)
  }
  return threeDigits(value)
}

function three(value, digits = 3) {
  const rounded = Number(value.toPrecision(digits))
  if (Math.abs(rounded) < 1e-3 || Math.abs(rounded) >= 1e9) return scientific(value, digits)
  const decimals = Math.max(0, digits - 1 - exponentOf(rounded))
  return minus(thousands(rounded.toFixed(decimals)))
}

/** A share of 1: percent from 0.1 % up, scientific below; never rounded up to certainty. */
export function share(probability) {
  if (Number.isNaN(probability)) return "not a number"
  if (probability === 0 || probability === 1) return `${100 * probability}${SPACE}%`
  if (probability >= 0.9995 && probability < 1) return `> 99.9${SPACE}%`
  if (Math.abs(probability) < 0.001) return scientific(probability)
  return `${three(100 * probability)}${SPACE}%`
}

/** A round share for a tick: no digits but those that it has. */
export const inPercent = share_ => `${minus(thousands(Number((100 * share_).toPrecision(6))))}${SPACE}%`

function scientific(value, digits = 3) {
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e")
  return minus(`${mantissa} × 10${String(Number(exponent)).replace(/./g, sign => SUPERSCRIPTS[sign])}`)
}

const exponentOf = value => Number(value.toExponential().split("e")[1])
const minus = text => text.replaceAll("-", "−")
