// One text cut several ways, side by side: point at a piece and its number lights up, and what the other
// columns make of the same bytes. Text goes in by textContent only: a token is never read as markup.
//
// data: { columns: [viz/tokens/columns.py message()], selected: { column, position } | null,
//         clickable: key of the column whose clicks choose the app's token, or "", stretch, stretches, ... }

import { element, part } from "./dom.js"
import { mounted } from "./mount.js"
import { thousands, threeDigits } from "./numbers.js"
import { CATEGORIES } from "./tables.js"
import { sentence } from "./token_words.js"

const place = item => ({ column: item.dataset.column, at: Number(item.dataset.at) })

class View {
  constructor(where) {
    this.drawn = new Map() // key -> { words, root, pieces, ids, data }
    this.root = part("columns", "section")
    this.turn = part("turn")
    this.grid = part("columns-grid")
    this.legend = part("legend", "p")
    this.legend.style.setProperty("--chip", CATEGORIES[4])
    this.says = part("says", "p", { "aria-live": "polite" })
    this.root.append(this.turn, this.grid, this.says, this.legend)
    where.append(this.root)
    const item = event => event.target.closest?.("[role=option]")
    this.grid.addEventListener("pointerover", event => item(event) && this.light(place(item(event))))
    this.grid.addEventListener("pointerleave", () => this.light(null))
    this.grid.addEventListener("focusin", event => item(event) && this.light(place(item(event))))
    this.grid.addEventListener("focusout", () => this.light(null))
    this.grid.addEventListener("click", event => item(event) && this.choose(place(item(event))))
    this.grid.addEventListener("keydown", event => this.key(event, item(event)))
  }

  receive(data) {
    this.data = data
    const focused = this.grid.contains(document.activeElement) ? document.activeElement : null
    const held = focused?.dataset.at && { ...place(focused), list: focused.parentElement.className }
    this.root.setAttribute("aria-label", data.label)
    this.root.dataset.text = data.stamp
    const roots = data.columns.map(column => this.column(column))
    for (const key of this.drawn.keys()) if (!data.columns.some(column => column.key === key)) this.drawn.delete(key)
    if (roots.some((root, at) => this.grid.children[at] !== root) || this.grid.children.length !== roots.length) {
      this.grid.replaceChildren(...roots)
    }
    const selected = data.selected && this.local(data.selected)
    // A choice made here in another column holds until the text or the app's token changes.
    const stamp = JSON.stringify([data.stamp, data.selected, data.columns.map(column => column.key)])
    if (stamp !== this.stamp) this.chosen = selected ?? this.last()
    this.stamp = stamp
    this.mark()
    this.explainSigns()
    this.turning()
    this.light(null)
    if (held) this.item(held, held.list)?.focus({ preventScroll: true })
  }

  // Position in the text -> place in what is shown.
  local({ column, position }) {
    const data = this.data.columns.find(({ key }) => key === column)
    const at = data ? position - data.first : -1
    return data && at >= 0 && at < data.shown.length ? { column, at } : null
  }

  last() {
    const data = this.data.columns.find(({ shown }) => shown.length)
    return data ? { column: data.key, at: data.shown.length - 1 } : null
  }

  column(data) {
    const words = JSON.stringify(data)
    const old = this.drawn.get(data.key)
    if (old?.words === words) return old.root
    const root = old?.root ?? part("column")
    const list = (name, what) => {
      const box = element("div", { class: name, role: "listbox", "aria-orientation": "horizontal", "aria-label": `${data.title}: ${what}. Arrow keys move, Enter chooses.` })
      box.dataset.column = data.key
      return box
    }
    const drawn = { words, root, data, pieces: list("gf-pieces", `the text in ${thousands(data.count)} ${data.unit}s`), ids: null }
    drawn.pieces.dataset.unit = data.unit
    drawn.pieces.items = data.shown.map((text, at) => this.piece("gf-piece", data, at, text.replace(/\n$/, "")))
    // A break inside the last place of a piece would carry the piece's frame into the next line.
    drawn.pieces.append(...drawn.pieces.items.flatMap((item, at) => data.shown[at].endsWith("\n") ? [item, element("br")] : [item]))
    if (data.ids) {
      drawn.ids = list("gf-ids", "ids")
      drawn.ids.items = data.ids.map((id, at) => this.piece("gf-id", data, at, String(id ?? "–")))
      drawn.ids.append(...drawn.ids.items)
    }
    if (!data.shown.length) drawn.pieces.textContent = "No text."
    root.replaceChildren(...this.head(data), drawn.pieces, ...(drawn.ids ? [drawn.ids] : []))
    this.drawn.set(data.key, drawn)
    return root
  }

  piece(name, data, at, text) {
    const item = element("span", { class: name, role: "option", tabindex: "-1", "aria-selected": "false" }, text)
    item.dataset.at = at
    item.dataset.column = data.key
    if (data.kinds[at]) item.dataset.kind = data.kinds[at]
    item.style.setProperty("--chip", data.colors[at])
    return item
  }

  head(data) {
    const unit = ` ${data.unit}${data.count === 1 ? "" : "s"}${data.added ? ` + ${data.added} added` : ""}`
    const said = []
    if (data.count && data.unit === "token") said.push(`${threeDigits(data.characters_each)} characters, ${threeDigits(data.bytes_each)} bytes each`)
    const lost = data.unknown ? `, ${thousands(data.unknown)} unknown` : data.apart ? `, ${thousands(data.apart)} cut differently` : ""
    said.push(`vocabulary ${thousands(data.vocabulary)}${lost}`)
    if (data.lost) said.push(`${thousands(data.lost)} piece${data.lost === 1 ? "" : "s"} of the text lost`)
    return [
      element("h3", {}, data.title),
      part("column-count", "p", {}, element("b", {}, thousands(data.count)), unit),
      part("column-facts", "p", {}, ...said.map(words => element("span", {}, words))),
    ]
  }

  item({ column, at }, list = "gf-pieces") {
    const drawn = this.drawn.get(column)
    return (list === "gf-ids" ? drawn?.ids : drawn?.pieces)?.items[at]
  }

  // What does not follow the pointer: the chosen piece, the one tab stop of each list, what differs.
  mark() {
    for (const [key, { data, pieces, ids }] of this.drawn) {
      const apart = new Set(data.apart_at)
      const chosen = this.chosen?.column === key ? this.chosen.at : -1
      for (const list of [pieces, ids].filter(Boolean)) {
        const stop = chosen >= 0 ? chosen : 0
        for (const [at, item] of list.items.entries()) {
          if (list === pieces) item.toggleAttribute("data-apart", apart.has(at))
          item.setAttribute("aria-selected", at === chosen)
          item.tabIndex = at === stop ? 0 : -1
        }
        const item = list.items[chosen]
        if (item && list.scrollHeight > list.clientHeight) list.scrollTop = item.offsetTop - list.clientHeight / 2
      }
    }
  }

  // Light up a piece and what overlaps it elsewhere; null: the chosen one's words, no lights elsewhere.
  light(spot) {
    for (const item of this.lit ?? []) item.removeAttribute("data-lit")
    this.lit = []
    const shown = spot ?? this.chosen
    if (!shown || !this.item(shown)) { this.says.textContent = ""; return }
    for (const { column, at, own } of spot ? this.partners(spot) : []) {
      for (const list of ["gf-pieces", "gf-ids"]) {
        const item = this.item({ column, at }, list)
        if (!item) continue
        item.setAttribute("data-lit", own ? "own" : "other")
        this.lit.push(item)
      }
    }
    this.says.replaceChildren(...sentence(this.data.columns, shown, spot === null))
  }

  partners(spot) {
    const own = this.drawn.get(spot.column).data
    const [start, end] = own.spans[spot.at]
    const found = [{ ...spot, own: true }]
    for (const { key, spans } of this.data.columns) {
      if (key === spot.column) continue
      spans.forEach(([from, to], at) => { if (from < end && to > start) found.push({ column: key, at, own: false }) })
    }
    return found
  }

  choose(spot) {
    this.chosen = spot
    this.mark()
    this.light(spot)
    if (spot.column === this.data.clickable) {
      this.trigger("picked", { position: this.drawn.get(spot.column).data.first + spot.at })
    }
  }

  key(event, item) {
    if (!item) return
    const { items } = item.parentElement
    const at = Number(item.dataset.at)
    const last = items.length - 1
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last }[event.key]
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.choose(place(item)) }
    if (next === undefined) return
    event.preventDefault()
    items[Math.min(Math.max(next, 0), last)].focus()
  }

  destroy() {
    this.root.remove()
  }

  explainSigns() {
    const { columns } = this.data
    const signs = []
    const sign = (attributes, text, words) => {
      signs.push(element("span", {}, part("piece", "span", attributes, text), words))
    }
    if (columns.length > 1 && columns.every(({ ids }) => ids)) {
      sign({}, "ab", "cut the same way by all that are shown")
      if (columns.some(({ apart }) => apart)) sign({ "data-apart": "" }, "ab", "cut differently somewhere")
    }
    if (columns.some(({ unknown }) => unknown)) sign({ "data-kind": "unknown" }, "ab", "⟨unknown⟩ or ⟨?⟩: not in the table; a model would read one and the same for all of these")
    if (columns.some(({ lost }) => lost)) sign({ "data-kind": "lost" }, "ab", "lost: no token stands for it, and the model never reads it")
    if (columns.some(({ added }) => added)) sign({ "data-kind": "added" }, "<s>", "added by the tokenizer")
    if (columns.some(({ shown }) => shown.some(text => /[·↵⇥]/.test(text)))) signs.push(element("span", {}, "· space, ↵ line break, ⇥ tab"))
    this.legend.replaceChildren(...signs)
  }

  turning() {
    const { stretch, stretches, stretch_says } = this.data
    if (stretches < 2) { this.turn.replaceChildren(); return }
    const button = (words, to) => {
      const made = element("button", { type: "button" }, words)
      made.disabled = to < 0 || to >= stretches
      made.onclick = () => this.trigger("turned", to)
      return made
    }
    this.turn.replaceChildren(button("← Earlier", stretch - 1), button("Later →", stretch + 1), stretch_says)
  }
}

export default mounted(View, "token_columns")
