// The same softmax as figures_page.py, in the browser: what a page's own module looks like.

export function bars({ logits, names }, { temperature, kept }) {
  const top = Math.max(...logits)
  const scaled = Array.from(logits, logit => Math.exp((logit - top) / temperature))
  const total = scaled.reduce((sum, value) => sum + value, 0)
  const share = scaled.map(value => value / total)
  const at = share.map((_, position) => position)
  const trace = (name, some, marker) => ({
    type: "bar", name, marker, x: at.filter(some), y: share.filter((_, i) => some(i)), customdata: at.filter(some),
    text: share.filter((_, i) => some(i)).map(value => `${(100 * value).toPrecision(3)} %`),
    hovertemplate: "%{x}: %{y:.3f}<extra></extra>",
  })
  return {
    data: [
      trace("kept", i => i < kept, { color: "#2f54c9" }),
      trace("cut", i => i >= kept, { color: "#d9dce3", line: { color: "#7d8494", width: 1 } }),
    ],
    layout: { xaxis: { tickvals: at, ticktext: names } },
    words: `At temperature ${temperature} the likeliest token has ${(100 * share[0]).toFixed(1)} %.`,
  }
}
