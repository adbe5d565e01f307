// The field's words in our own texts: dotted where they stand, explained on hover and tap, and all in a list that a
// key reaches. The texts' nodes are React's and stay as they are: ranges are marked, and pointers are held against them.

import { element, part } from "./dom.js"
import { mounted } from "./mount.js"
import { GLOSSARY } from "./tables.js"

const NAME = "gf-term"
const HOVER_MS = 300
const REST_MS = 200 // after the page's last change
const TEXTS = "[data-testid=stMain] :is([data-testid=stMarkdownContainer], [data-testid=stCaptionContainer]) :is(p, li)"
// Headings, controls and what visitors wrote have no words of ours.
const NOT_OURS = "h1, h2, h3, h4, h5, h6, button, label, summary, a, code, pre, .katex, svg, .st-key-gf-bar, [data-testid=stAlert], [data-testid=stTooltipContent]"
const meaning = new Map(GLOSSARY.flatMap(word => [word.term, ...word.forms].map(form => [form.toLowerCase(), word])))
const spelled = [...meaning.keys()].sort((one, other) => other.length - one.length)
  .map(form => form.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")
const PATTERN = new RegExp(`(?<![\\p{L}\\p{N}_-])(?:${spelled})(?![\\p{L}\\p{N}_])(?!-\\p{L})`, "giu")

/** The first place of each word in a text of ours, as { word, start, end }; what stands in “quotes” is a visitor's. */
export function found(text) {
  const ours = text.replace(/“[^”]*(”|$)/gu, quote => " ".repeat(quote.length))
  const places = [...ours.matchAll(PATTERN)].map(({ 0: form, index }) =>
    ({ word: meaning.get(form.toLowerCase()), start: index, end: index + form.length }))
  return places.filter(({ word }, at) => places.findIndex(other => other.word === word) === at)
}

function marksOf(paragraph) {
  if (paragraph.closest(NOT_OURS)) return []
  const walker = document.createTreeWalker(paragraph, NodeFilter.SHOW_TEXT)
  const nodes = []
  let text = ""
  while (walker.nextNode()) {
    const node = walker.currentNode
    nodes.push({ node, start: text.length })
    // Code keeps its length, but no letters; a paragraph inside another counts there.
    const skip = node.parentElement.closest(NOT_OURS) || node.parentElement.closest("p, li") !== paragraph
    text += skip ? "\u0000".repeat(node.length) : node.data
  }
  const at = place => nodes.findLast(({ start }) => start <= place)
  return found(text).map(({ word, start, end }) => {
    const range = new Range(), first = at(start), last = at(end - 1)
    range.setStart(first.node, start - first.start)
    range.setEnd(last.node, end - last.start)
    return { word, range }
  })
}

class Words {
  constructor(place) {
    this.marks = new Map() // paragraph -> its marks
    this.tip = part("tip", "div", { role: "tooltip", popover: "manual" })
    this.list = part("words", "div", { id: "gf-words", popover: "auto", role: "dialog", "aria-label": "Words on this page", tabindex: "-1" })
    this.button = part("words-open", "button", { type: "button", popovertarget: "gf-words", hidden: "" }, "Words on this page")
    place.append(this.button, this.list, this.tip)
    this.list.addEventListener("toggle", event => { if (event.newState === "open") this.list.focus() })
    this.watch = new MutationObserver(records => { if (records.some(one => !this.within(one.target))) this.later() })
    this.watch.observe(document.querySelector("[data-testid=stMain]") ?? document.body, { childList: true, characterData: true, subtree: true })
    this.stop = new AbortController()
    const on = (name, act, more) => document.addEventListener(name, act, { signal: this.stop.signal, ...more })
    on("pointermove", event => { if (event.pointerType === "mouse") this.hover(event) })
    on("click", event => this.show(this.under(event)))
    on("scroll", () => { this.over = null; this.show(null) }, { capture: true, passive: true })
    on("keydown", event => {
      if (event.key !== "Escape" || !this.shown) return
      this.show(null)
      event.stopImmediatePropagation()
    }, { capture: true })
    this.later()
  }

  receive() {}

  // Figures change at every frame of a drag, and have no texts of ours.
  within(node) {
    return (node.closest ? node : node.parentElement)?.closest(".gf-figure, .gf-words, .gf-tip, .gf-words-open")
  }

  later() {
    clearTimeout(this.rest)
    this.rest = setTimeout(() => this.mark(), REST_MS)
  }

  mark() {
    const paragraphs = [...document.querySelectorAll(TEXTS)]
    this.marks = new Map(paragraphs.map(one => [one, marksOf(one)]).filter(([, marks]) => marks.length))
    const marks = [...this.marks.values()].flat()
    if (globalThis.Highlight) CSS.highlights.set(NAME, new Highlight(...marks.map(({ range }) => range)))
    const here = new Set(marks.map(({ word }) => word))
    const words = GLOSSARY.filter(word => here.has(word)).sort((one, other) => one.term.localeCompare(other.term))
    this.button.hidden = words.length === 0
    this.list.replaceChildren(element("dl", {}, ...words.flatMap(({ term, means }) => [element("dt", {}, term), element("dd", {}, means)])))
  }

  under({ target, clientX: x, clientY: y }) {
    const marks = this.marks.get(target.closest?.("p, li")) ?? []
    return marks.find(({ range }) => [...range.getClientRects()].some(box => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom)) ?? null
  }

  hover(event) {
    const mark = this.under(event)
    if (mark === this.over) return
    this.over = mark
    document.documentElement.classList.toggle("gf-over-term", mark !== null)
    clearTimeout(this.wait)
    if (mark) this.wait = setTimeout(() => this.show(mark), HOVER_MS)
    else this.show(null)
  }

  show(mark) {
    this.shown = mark
    clearTimeout(this.wait)
    if (!mark) return this.tip.hidePopover()
    this.tip.replaceChildren(element("b", {}, mark.word.term), ` ${mark.word.means}`)
    this.tip.showPopover()
    const box = mark.range.getClientRects()[0], { offsetWidth: width, offsetHeight: height } = this.tip
    const below = box.bottom + 6
    this.tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`
    this.tip.style.top = `${below + height > innerHeight ? box.top - height - 6 : below}px`
  }

  destroy() {
    clearTimeout(this.rest)
    clearTimeout(this.wait)
    this.watch.disconnect()
    this.stop.abort()
    globalThis.CSS.highlights?.delete(NAME)
    document.documentElement.classList.remove("gf-over-term")
    for (const one of [this.button, this.list, this.tip]) one.remove()
  }
}

export default mounted(Words, "words")
