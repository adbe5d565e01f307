// The export menu and the data table of a figure. Both are fetched when they are opened, not before.

import { element } from "./dom.js"
import { ROUTES } from "./mount.js"

const PICTURES = { png: "Picture (PNG)", svg: "Vector picture (SVG)", pdf: "Print (PDF)" }
const FILES = { html: "Interactive page (HTML)", csv: "Data (CSV)" }
const SAVED_MS = 1200 // "Saved." stays to be read this long, then the menu closes
let count = 0

export class Menu {
  constructor(place, frame) {
    this.frame = frame
    const id = `gf-menu-${(count += 1)}`
    this.button = element("button", { type: "button", class: "gf-button", "aria-expanded": "false", "aria-controls": id }, "Export")
    this.list = element("div", { class: "gf-menu-list", id, role: "group", "aria-label": "Export this figure", hidden: "" })
    this.status = element("p", { class: "gf-menu-status", role: "status" })
    this.button.onclick = () => this.open(this.list.hidden)
    place.append(this.button, this.list)
    place.addEventListener("keydown", event => this.key(event))
    this.outside = event => { if (!place.contains(event.target)) this.open(false) }
    document.addEventListener("pointerdown", this.outside)
    place.addEventListener("focusout", event => { if (event.relatedTarget && !place.contains(event.relatedTarget)) this.open(false) })
    this.table = frame.dom.table
    this.table.append(element("summary", {}, "Data as a table"))
    this.table.addEventListener("toggle", () => this.fillTable())
  }

  take(data) {
    const changed = this.data?.export !== data.export || this.data?.install !== data.install
    this.data = data
    if (!changed) return
    if (!this.list.hidden || !this.built) this.build()
    else this.built = false
    this.fillTable()
  }

  build() {
    this.built = true
    const item = (text, act, attributes = {}) => {
      const button = element("button", { type: "button", class: "gf-item", ...attributes }, text)
      button.onclick = act
      return button
    }
    const off = this.data.install ? { disabled: "" } : {}
    this.list.replaceChildren(
      ...Object.entries(PICTURES).map(([kind, text]) => item(text, () => this.save(kind), { "data-kind": kind, ...off })),
      ...Object.entries(FILES).map(([kind, text]) => item(text, () => this.save(kind), { "data-kind": kind })),
      item("What is on screen now (PNG)", () => this.photograph(), { "data-kind": "camera" }),
      item("Copy link to this view", () => this.copyLink(), { "data-kind": "link" }),
      ...(this.data.install ? [element("p", { class: "gf-menu-help" }, this.data.install)] : []),
      this.status,
    )
  }

  open(yes) {
    if (yes === !this.list.hidden) return
    if (yes && !this.built) this.build()
    this.list.hidden = !yes
    this.status.textContent = ""
    this.button.setAttribute("aria-expanded", String(yes))
    if (yes) this.list.querySelector("button:not(:disabled)")?.focus()
  }

  key(event) {
    if (this.list.hidden) return
    const items = [...this.list.querySelectorAll("button:not(:disabled)")]
    const at = items.indexOf(document.activeElement)
    const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key]
    if (event.key === "Escape") { this.open(false); this.button.focus() }
    else if (next !== undefined) items[(next + items.length) % items.length].focus()
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  async save(kind) {
    this.status.textContent = kind in PICTURES ? "Drawing…" : "Preparing…"
    try {
      const answer = await this.fetchKept(key => `${ROUTES}export/${kind}/${key}`)
      if (!answer.ok) throw new Error((await answer.text()) || `the server answered ${answer.status}`)
      download(await answer.blob(), this.data.files[kind])
      this.saved()
    } catch (error) {
      this.status.textContent = `Not saved: ${error.message}`
    }
  }

  // 410: the server no longer keeps this picture. Ask the page to draw it again, then once more.
  async fetchKept(address) {
    const answer = await fetch(address(this.data.export))
    if (answer.status !== 410) return answer
    this.frame.trigger("again", Date.now())
    await new Promise(done => setTimeout(done, 1500))
    return fetch(address(this.data.export))
  }

  async photograph() {
    const { plot } = this.frame.dom
    const address = await this.frame.library.toImage(plot, { format: "png", scale: 2, width: plot.clientWidth, height: plot.clientHeight })
    download(await (await fetch(address)).blob(), this.data.files.camera)
    this.saved()
  }

  saved() {
    this.status.textContent = "Saved."
    setTimeout(() => {
      if (this.list.hidden || this.status.textContent !== "Saved.") return
      const inside = this.list.contains(document.activeElement)
      this.open(false)
      if (inside) this.button.focus()
    }, SAVED_MS)
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href)
      this.status.textContent = "Copied."
    } catch {
      // Browsers allow the clipboard on https and localhost only: show the link, selected, instead.
      const field = element("input", { class: "gf-link", readonly: "", "aria-label": "Link to this view", value: location.href })
      this.status.replaceChildren(field)
      field.focus()
      field.select()
    }
  }

  async fillTable() {
    if (!this.table.open || this.filled === this.data.export) return
    this.filled = this.data.export
    const answer = await this.fetchKept(key => `${ROUTES}table/at/${key}`)
    this.table.querySelector("div")?.remove()
    const box = element("div", { class: "gf-table-box", tabindex: "0", role: "region", "aria-label": "Data of the figure" })
    this.table.append(box)
    if (!answer.ok) { box.textContent = await answer.text(); this.filled = null; return }
    const { columns, rows, total } = await answer.json()
    const isNumber = columns.map((_, at) => rows.some(row => typeof row[at] === "number"))
    const head = element("tr", {}, ...columns.map((name, at) => element("th", { scope: "col", ...(isNumber[at] ? { class: "gf-number" } : {}) }, name)))
    const body = rows.map(row => element("tr", {}, ...row.map(cell => element("td", typeof cell === "number" ? { class: "gf-number" } : {}, written(cell)))))
    box.append(element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)))
    if (total > rows.length) {
      box.append(element("p", {}, `The first ${rows.length} of ${total.toLocaleString("en-US")} rows; Export has them all (CSV).`))
    }
  }

  stop() {
    document.removeEventListener("pointerdown", this.outside)
  }
}

function written(cell) {
  if (typeof cell !== "number") return cell === null ? "" : String(cell)
  return Number.isInteger(cell) ? cell.toLocaleString("en-US") : String(Number(cell.toPrecision(6)))
}

function download(blob, name) {
  const address = URL.createObjectURL(blob)
  const link = element("a", { href: address, download: name })
  document.body.append(link)
  link.click()
  link.remove()
  setTimeout(() => URL.revokeObjectURL(address), 10_000)
}
