// The figure frame in the browser: a message or another theme changes the picture in place with Plotly.react.

import { element, part, textScale } from "./dom.js"
import { Bands } from "./figure_bands.js"
import { decoded, pointOf, withoutEmptyTexts } from "./figure_data.js"
import { Player } from "./figure_frames.js"
import { Menu } from "./figure_menu.js"
import { Cursor, hoverAt, Links } from "./figure_points.js"
import { Sliders } from "./figure_sliders.js"
import { merged, narrowed, readTheme, themed } from "./figure_theme.js"
import { withFittingTitle } from "./figure_title.js"
import { Walk } from "./figure_walk.js"
import { speakHouse } from "./hover_numbers.js"
import { mounted, ROUTES, SCRIPTS } from "./mount.js"
import { presentedScale } from "./present.js"
import { LIGHT } from "./tables.js"

const NARROW = 600 // pixels; below, narrow_layout holds
const MIDDLE = 900 // pixels; below, a figure that has a layout for it is drawn in that one

let plotlyLoading = null
function plotly() {
  plotlyLoading ??= window.Plotly ? Promise.resolve(window.Plotly) : new Promise((done, failed) => {
    const script = element("script", { src: `${SCRIPTS}plotly.min.js`, charset: "utf-8" })
    script.onload = () => done(window.Plotly)
    script.onerror = () => { plotlyLoading = null; failed(new Error("plotly.min.js could not be loaded")) }
    document.head.append(script)
  })
  return plotlyLoading
}

class Frame {
  constructor(place) {
    this.drawing = false
    this.wanted = false
    plotly().catch(() => {}) // begins to load now; drawNow() tells the reader if it failed
    this.build(place)
    this.sliders = new Sliders(this.dom.sliders, () => this.draw(), report => this.trigger("slide", report))
    this.menu = new Menu(this.dom.menu, this)
    this.player = new Player(this.dom.player, () => this.draw())
    this.cursor = new Cursor(this)
    this.links = new Links(this)
    this.bands = new Bands(this)
    this.walk = new Walk(this)
    this.observer = new ResizeObserver(() => this.resized())
    this.observer.observe(this.dom.stage)
    this.observer.observe(this.dom.head) // grows with the page's text size, when the stage may not
  }

  build(place) {
    this.dom = {
      root: part("figure", "section"), head: part("head"), badge: part("badge", "span"), menu: part("menu"),
      sliders: part("sliders"), player: part("player"), walk: part("walk"), stage: part("stage", "div", { tabindex: "0" }),
      plot: part("plot"), overlay: part("overlay", "div", { "aria-hidden": "true" }),
      words: part("words", "p"), spoken: part("spoken", "p", { "aria-live": "polite" }),
      caption: part("caption", "p"), table: part("table", "details"),
    }
    const d = this.dom
    d.present = element("button", { type: "button", class: "gf-button gf-present", title: "Full screen (F)", "aria-label": "Full screen" }, part("wide", "span", {}, "Full screen"))
    d.present.onclick = () => d.root.dispatchEvent(new CustomEvent("gf-present", { bubbles: true }))
    d.info = element("button", { type: "button", class: "gf-info", title: "Where these numbers come from", "aria-label": "Where these numbers come from", "aria-expanded": "false" }, "i")
    d.info.onclick = () => d.info.setAttribute("aria-expanded", String(!(d.caption.hidden = !d.caption.hidden)))
    d.caption.hidden = true
    d.head.append(d.badge, d.info, d.present, d.menu)
    d.stage.append(d.plot, d.overlay)
    d.root.append(d.head, d.caption, d.sliders, d.player, d.walk, d.stage, d.words, d.spoken, d.table)
    place.append(d.root)
  }

  receive(data) {
    if (data.figure !== this.data?.figure) {
      this.figure = JSON.parse(data.figure)
      this.player.take(this.figure.frames)
    }
    this.data = data
    this.narrow = JSON.parse(data.narrow)
    this.narrowFigure = this.variant(data.narrow_figure)
    this.middleFigure = data.middle_figure === "narrow" ? this.narrowFigure : this.variant(data.middle_figure)
    this.describe()
    this.sliders.take(data.sliders, data.seq, data.reports)
    this.menu.take(data)
    this.walk.take(data.walk)
    this.loadBrowserSide(data.browser)
    this.draw()
  }

  // The figure in another layout; a trace that is a number is that trace of the figure itself.
  variant(text) {
    if (!text) return null
    const figure = JSON.parse(text)
    figure.data = figure.data.map(trace => (typeof trace === "number" ? this.figure.data[trace] : trace))
    return figure
  }

  describe() {
    const { badge, caption, alt, key, clickable } = this.data
    const d = this.dom
    d.root.dataset.key = key
    d.root.dataset.clickable = clickable
    d.badge.textContent = badge.text
    d.badge.dataset.short = badge.short
    d.badge.title = badge.meaning
    d.badge.dataset.kind = badge.kind
    d.caption.textContent = caption
    const keys = clickable ? "Arrow keys move over the points, Enter chooses one." : "Arrow keys read the points."
    d.stage.setAttribute("role", clickable ? "application" : "img")
    d.stage.setAttribute("aria-roledescription", "figure")
    d.stage.setAttribute("aria-label", `${alt} ${keys}`)
  }

  // The arrays and the function behind the sliders: fetched once for each content.
  async loadBrowserSide(browser) {
    if (!browser) { this.update = null; return }
    if (browser.data === this.browserKey) return
    this.browserKey = browser.data
    try {
      const [module, values] = await Promise.all([
        import(`./${browser.module}`),
        fetch(`${ROUTES}data/at/${browser.data}`).then(answer => {
          if (!answer.ok) throw new Error(`data: ${answer.status}`)
          return answer.json()
        }),
      ])
      if (this.browserKey !== browser.data) return
      this.update = module[browser.function]
      this.values = decoded(values)
      this.draw()
    } catch (error) {
      this.browserKey = null // the sliders still work through the server; the next message tries again
      this.update = null
      console.warn("The figure's browser side could not be loaded:", error.message)
    }
  }

  // Draws soon: calls that arrive while one drawing runs are answered by one more.
  draw() {
    this.wanted = true
    if (this.drawing) return
    this.drawing = true
    requestAnimationFrame(async () => {
      try {
        while (this.wanted && !this.gone) {
          this.wanted = false
          await this.drawNow()
        }
      } catch (error) {
        this.dom.words.textContent = `This figure could not be drawn: ${error.message}`
        console.error(error)
      } finally {
        this.drawing = false
      }
    })
  }

  async drawNow() {
    const library = await plotly()
    const scale = presentedScale(this.dom.root, this.height(), textScale())
    this.scale = scale
    const width = Math.floor(this.dom.stage.clientWidth / scale)
    if (this.gone || !width) return
    this.dom.root.classList.toggle("gf-narrow", width < NARROW)
    const { data, layout } = this.picture(width)
    this.enlarge(scale, width, layout.height)
    const first = !this.dom.plot.classList.contains("js-plotly-plot")
    await library.react(this.dom.plot, data, layout, config(width < NARROW))
    if (this.gone) return
    speakHouse(this.dom.plot)
    this.library = library
    if (first) this.listen()
    this.links.forget()
    this.bands.show(null)
    this.cursor.place()
    this.walk.show()
    if (this.hovered && this.dom.plot.matches(":hover")) {
      hoverAt(library, this.dom.plot, ...this.hovered)
    }
    this.dom.root.dataset.drawn = Number(this.dom.root.dataset.drawn ?? 0) + 1
  }

  // With projector-sized text the whole picture grows: letters, lines and distances keep their proportions.
  enlarge(scale, width, height) {
    const { stage, plot, overlay } = this.dom
    const larger = scale !== 1
    stage.style.height = larger ? `${height * scale}px` : ""
    for (const part of [plot, overlay]) {
      part.style.transform = larger ? `scale(${scale})` : ""
      part.style.width = larger ? `${width}px` : ""
    }
  }

  // In pixels of the picture, before it is enlarged.
  height() {
    return this.data.height ?? this.figure.layout.height ?? 420
  }

  figureFor(width) {
    if (width < NARROW) return this.narrowFigure ?? this.figure
    return (width < MIDDLE && this.middleFigure) || this.figure
  }

  picture(width) {
    let { data, layout } = this.figureFor(width)
    const moved = this.update ? this.update(this.values, this.sliders.values(), width < NARROW) : {}
    data = moved.data ?? data
    layout = merged(layout, moved.layout ?? {});
    ({ data, layout } = this.player.apply(data, layout))
    this.dom.words.textContent = moved.words || this.player.words()
    if (width < NARROW) {
      ({ data, layout } = narrowed(data, layout, this.narrow))
      layout = merged(layout, moved.layout ?? {}) // what a slider moves is moved on a phone, too
    }
    if (this.data.height) layout = { ...layout, height: this.data.height }
    layout = withFittingTitle(layout, width)
    const theme = readTheme(this.dom.root)
    this.dom.root.dataset.theme = theme.dark ? "dark" : "light"
    const height = layout.height ?? 420
    const coarse = matchMedia("(pointer: coarse)").matches
    const frame = {
      width, height, autosize: false, uirevision: layout.uirevision ?? this.data.key,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: LIGHT.muted, activecolor: LIGHT.accent, ...layout.modebar },
      dragmode: layout.dragmode ?? (coarse || width < NARROW ? false : "zoom"),
    }
    return { data: themed(withoutEmptyTexts(data), theme), layout: themed({ ...layout, ...frame }, theme) }
  }

  listen() {
    const { plot } = this.dom
    plot.on("plotly_click", event => this.clicked(pointOf(event.points[0])))
    plot.on("plotly_hover", event => {
      const point = event.points[0]
      this.hovered = [point.curveNumber, point.pointNumber]
      this.links.tell(point.customdata)
      this.bands.show(point)
    })
    plot.on("plotly_unhover", () => { this.hovered = null; this.links.tell(undefined); this.bands.show(null) })
  }

  clicked(point) {
    if (!this.data.clickable || !point) return
    this.trigger("click", point)
    const { leads_to: next } = this.data
    if (!next || this.dom.stage.clientWidth >= NARROW) return
    const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth"
    document.querySelector(`.gf-figure[data-key="${CSS.escape(next)}"]`)?.scrollIntoView({ behavior, block: "center" })
  }

  resized() {
    const width = this.dom.stage.clientWidth
    const size = `${width} ${this.dom.root.clientHeight * this.dom.root.classList.contains("gf-presented")} ${textScale()}`
    if (width && size !== this.lastSize) { this.lastSize = size; this.draw() }
  }

  destroy() {
    this.gone = true
    this.observer.disconnect()
    this.sliders.stop()
    this.player.stop()
    this.menu.stop()
    this.links.leave()
    this.walk.stop()
    if (window.Plotly) window.Plotly.purge(this.dom.plot)
    this.dom.root.remove()
  }
}

function config(narrow) {
  return {
    displaylogo: false, responsive: false, typesetMath: false, showTips: false, doubleClick: "reset",
    displayModeBar: narrow ? false : "hover", modeBarButtons: [["zoom2d", "pan2d", "resetScale2d"]],
    plotlyServerURL: "",
  }
}

export default mounted(Frame, "live_figure")
