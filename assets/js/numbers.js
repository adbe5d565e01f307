// Numbers and shares in words: the twin of three_digits and share in viz/text.py (a test compares them).

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" }
const SPACE = "\u00a0"

/** 48902 -> "48,902"; digits after the point are left alone. */
export function thousands(number) {
  const [whole, ...decimals] = String(number).split(".")
  return [whole.replace(/\B(?=(\d{3})+(?!\d))/g, ","), ...decimals].join(".")
}

/** Three significant digits; whole numbers below 1,000 in full. */
export function threeDigits(value) {
  if (Number.isNaN(value)) return "not a number"
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞"
  if (Number.isInteger(value) && Math.abs(value) < 1000) return minus(String(value))
  return three(value)
}

function three(value) {
  const rounded = Number(value.toPrecision(3))
  if (Math.abs(rounded) < 1e-3 || Math.abs(rounded) >= 1e9) return scientific(value)
  const decimals = Math.max(0, 2 - exponentOf(rounded))
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

function scientific(value) {
  const [mantissa, exponent] = value.toExponential(2).split("e")
  return minus(`${mantissa} × 10${String(Number(exponent)).replace(/./g, sign => SUPERSCRIPTS[sign])}`)
}

const exponentOf = value => Number(value.toExponential().split("e")[1])
const minus = text => text.replaceAll("-", "−")
