// The frame around BertViz's document, in our page: a sandboxed iframe that may run the scripts it names and
// nothing else. It is of another origin (no allow-same-origin), so it cannot read this page; the two exchange
// only numbers: which layer, head and token is selected.

import { element, part, textScale } from "./dom.js"
import { readTheme } from "./figure_theme.js"
import { mounted, ROUTES } from "./mount.js"

const LATE = 1500 // milliseconds after its arrival until a document that says nothing is asked for again

class BertvizFrame {
  constructor(place) {
    this.badge = part("badge", "span")
    this.link = part("caption", "a", { target: "_blank", rel: "noopener" }, "Open in a new tab")
    this.link.style.whiteSpace = "nowrap"
    this.box = part("bertviz")
    this.words = part("words", "p", { role: "status" })
    this.caption = part("caption", "p")
    const head = part("head", "div", {}, this.badge, this.link)
    this.root = part("figure", "section", {}, head, this.box, this.words, this.caption)
    place.append(this.root)
    this.heard = event => { if (this.frame && event.source === this.frame.contentWindow) this.hear(event.data?.bertviz) }
    addEventListener("message", this.heard)
  }

  receive(data) {
    this.data = data
    this.root.dataset.key = data.key
    this.root.setAttribute("aria-label", data.alt)
    this.badge.textContent = data.badge.text
    this.badge.title = data.badge.meaning
    this.badge.dataset.kind = data.badge.kind
    this.caption.textContent = data.caption
    this.open()
  }

  address() {
    const { document: key, layer, head, token } = this.data
    const theme = readTheme(this.root).dark ? "dark" : "light"
    const place = { theme, layer, head, token, zoom: textScale() }
    return [`${ROUTES}bertviz/at/${key}`, theme, `#${new URLSearchParams(place)}`]
  }

  // Another document or theme takes a new frame (a new address in the old one would be a step for Back); a
  // new selection is told to the frame that is there.
  open(again = false) {
    const [path, theme, place] = this.address()
    this.link.href = path + place
    if (!again && this.shown === path + theme) {
      const { layer, head, token } = this.data
      this.frame.contentWindow.postMessage({ layer, head, token }, "*")
      return
    }
    this.shown = path + theme
    const frame = element("iframe", {
      sandbox: "allow-scripts", title: this.data.title, src: path + place, tabindex: "0", referrerpolicy: "no-referrer",
    })
    const height = this.frame ? this.frame.style.height : `${this.data.height}px`
    Object.assign(frame.style, { display: "block", width: "100%", height, border: "1px solid var(--st-border-color)", borderRadius: "var(--st-base-radius)" })
    this.box.replaceChildren(frame)
    this.frame = frame
    delete this.root.dataset.drawn
    clearTimeout(this.timer)
    // Its scripts run before it counts as loaded: one that has not drawn by then is another answer.
    frame.addEventListener("load", () => {
      this.timer = setTimeout(() => { if (frame === this.frame && !this.root.dataset.drawn) this.unheard(again) }, LATE)
    })
  }

  // The server may have dropped the document: the page is asked to make it anew, once.
  unheard(again) {
    if (again) {
      this.words.textContent = "This view could not be drawn. Reload the page, or choose fewer layers."
      return
    }
    this.trigger("again", Date.now())
    this.timer = setTimeout(() => { if (!this.gone && !this.root.dataset.drawn) this.open(true) }, LATE)
  }

  hear(message) {
    if (!message) return
    if (message.drawn) {
      clearTimeout(this.timer)
      this.words.textContent = ""
      this.root.dataset.drawn = "true"
      const wanted = Math.ceil(Number(message.height)) + 2
      this.frame.style.height = `${Math.min(Math.max(wanted, 160), this.data.height)}px`
    } else if (this.data.clickable) {
      const names = ["layer", "head", "token"].filter(name => Number.isInteger(message[name]))
      if (names.length) this.trigger("choose", Object.fromEntries(names.map(name => [name, message[name]])))
    }
  }

  destroy() {
    this.gone = true
    clearTimeout(this.timer)
    removeEventListener("message", this.heard)
    this.root.remove()
  }
}

export default mounted(BertvizFrame, "live_figure")
