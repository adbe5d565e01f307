// Values of a figure: arrays as they come from Python, and a point as it travels back.

const ARRAYS = {
  f4: Float32Array, f8: Float64Array, i1: Int8Array, i2: Int16Array, i4: Int32Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
}

/** {dtype, shape, bdata} -> typed array; two-dimensional ones become arrays of rows (views, not copies). */
export function decoded(value) {
  if (Array.isArray(value)) return value.map(decoded)
  if (value === null || typeof value !== "object") return value
  if (typeof value.bdata === "string" && ARRAYS[value.dtype]) {
    const bytes = Uint8Array.from(atob(value.bdata), letter => letter.charCodeAt(0))
    const flat = new ARRAYS[value.dtype](bytes.buffer)
    if (value.shape.length !== 2) return flat
    const [rows, columns] = value.shape
    return Array.from({ length: rows }, (_, row) => flat.subarray(row * columns, (row + 1) * columns))
  }
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, decoded(item)]))
}

/** A plotly event's point as plain values: what travels to Python. */
export function pointOf(point) {
  if (!point) return null
  const number = point.pointNumber ?? point.pointIndex
  return {
    trace: point.curveNumber, point: Array.isArray(number) ? [...number] : number,
    x: plain(point.x), y: plain(point.y), customdata: plain(point.customdata),
  }
}

/**
 * Traces with a blank in the place of each empty text. Plotly (4.1.1) takes the letters of an empty text away but
 * keeps the point, and so drops the text that stands in the same place of the list at the next drawing.
 */
export function withoutEmptyTexts(data) {
  return data.map(trace => {
    const lists = typeof trace.mode === "string" && trace.mode.includes("text") && Array.isArray(trace.text)
    return lists ? { ...trace, text: trace.text.map(text => (text === 0 ? text : text || " ")) } : trace
  })
}

function plain(value) {
  if (value === undefined) return null
  return ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value, plain) : value
}
