// A title that is wider than its picture goes on in another line, and the picture grows by that line.
// Plotly (4.1) puts the first of several lines on the top edge by its feet, not by its head, and lifts it
// further where it makes room itself: both are done here.

const LINE = 1.3 // plotly's line height, of the size of its letters
const HEAD = 0.8 // the height of letters above their line, of their size
const SPARE = 4 // pixels
const SPACES = /\s+(?![^<]*>)/ // between words, not inside a tag; a no-break space holds

/** `layout` with its title broken to fit into `width` pixels; nothing is changed in place. */
export function withFittingTitle(layout, width) {
  const { title } = layout
  if (!title?.text) return layout
  const usual = layout.template?.layout ?? {}
  const size = title.font?.size ?? usual.title?.font?.size ?? 16
  const family = title.font?.family ?? usual.font?.family ?? "sans-serif"
  const pad = { l: 0, t: 0, b: 0, ...usual.title?.pad, ...title.pad }
  const lines = title.text.split("<br>")
  const wide = measured(`${size}px ${family}`)
  const broken = lines.flatMap(line => wrapped(line, width - pad.l - 4, wide))
  const added = broken.length - lines.length
  if (!added) return layout
  if (lines.length === 1) pad.t += HEAD * size
  const top = layout.margin?.t ?? usual.margin?.t ?? 0
  const needed = pad.t + pad.b + LINE * size * broken.length + SPARE
  const more = Math.ceil(Math.max(added * LINE * size, needed - top))
  return {
    ...layout, title: { ...title, text: broken.join("<br>"), pad, automargin: false }, height: (layout.height ?? 420) + more,
    margin: { ...layout.margin, t: top + more },
  }
}

function wrapped(line, room, wide) {
  if (wide(line) <= room) return [line]
  const lines = []
  for (const word of line.split(SPACES)) {
    const longer = lines.length ? `${lines.at(-1)} ${word}` : word
    if (lines.length && wide(longer) <= room) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines
}

function measured(font) {
  const pencil = document.createElement("canvas").getContext("2d")
  const reader = document.createElement("textarea") // makes characters of entities, and no element of anything
  pencil.font = font
  return text => {
    reader.innerHTML = text.replace(/<[^>]*>/g, "")
    return pencil.measureText(reader.value).width * (text.includes("<b>") ? 1.08 : 1)
  }
}
