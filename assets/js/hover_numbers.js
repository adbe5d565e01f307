// Plotly's own numbers in our notation. A saved page has this file inside, its `export` taken away.

/** What plotly's own formats write, in our notation: a minus sign for its hyphen, a space before its %. */
const inHouse = text => text.replace(/-(?=[\d.])/g, "−").replace(/(?<=\d)%/g, "\u00a0%")

// Plotly formats the numbers of a hover itself, with "-" for minus and "%" without a space, and has no setting
// for either: `percent` and `minus` of d3's locale are not handed through. So its formatter is wrapped, once a
// drawing. (Ticks and texts are written in Python.)
export function speakHouse(plot) {
  const locale = plot._fullLayout?._d3locale
  const { numberFormat } = locale ?? {}
  if (!numberFormat || locale.inHouse) return
  locale.inHouse = true
  locale.numberFormat = format => {
    const write = numberFormat(format)
    return value => inHouse(String(write(value)))
  }
}
