// Runs inside the frame, before BertViz's own script: hands it the data and the libraries that it asks
// require.js for, and adds what it leaves out: numbers on the squares, tokens in full by keyboard, the
// selection of the app. BertViz draws all lines, boxes and words itself.

(function () {
  "use strict"
  const data = JSON.parse(document.getElementById("data").textContent)
  const asked = Object.fromEntries(new URLSearchParams(location.hash.slice(1)))
  const framed = window.parent !== window
  const dark = asked.theme === "dark"
  const place = { ...data.place, ...numbers(asked) }
  const isHead = data.kind === "head"
  const root = document.documentElement
  if (!isHead && /^[12](\.\d{1,3})?$/.test(asked.zoom)) document.body.style.zoom = asked.zoom // larger text
  root.dataset.theme = dark ? "dark" : "light"
  const colors = data.colors[dark ? "dark" : "light"]
  let vis = null

  window.bertviz = {
    attention: [{ name: null, attn: isHead ? squared(data.attention) : data.attention, left_text: data.tokens, right_text: data.tokens }],
    default_filter: "0", root_div_id: "bertviz", display_mode: dark ? "dark" : "light",
    layer: data.layers.includes(place.layer) ? place.layer : data.layers[0],
    heads: place.head < data.heads ? [place.head] : null,
    include_layers: data.layers, include_heads: data.layers.length ? range(data.heads) : [], total_heads: data.heads,
  }
  window.require = { config() {} }
  window.requirejs = (names, run) => {
    d3.schemeCategory10 = colors
    vis = document.getElementById("vis")
    run(jQuery, d3)
    finish()
    new MutationObserver(finish).observe(vis, { childList: true }) // BertViz draws anew at another layer
    if (isHead) document.getElementById("layer").addEventListener("change", event => tell({ layer: Number(event.target.value) }))
    else listenToThumbnails()
    addEventListener("message", event => { if (event.source === window.parent) follow(event.data) })
    addEventListener("resize", fit)
    follow(place)
    tell({ drawn: true, height: document.body.getBoundingClientRect().bottom + 8 })
  }

  function numbers(words) {
    return Object.fromEntries(["layer", "head", "token"].filter(name => /^\d{1,6}$/.test(words[name])).map(name => [name, Number(words[name])]))
  }

  function range(count) {
    return Array.from({ length: count }, (_, index) => index)
  }

  // The head view wants whole rows; what was not sent is nought.
  function squared(layers) {
    const width = data.tokens.length
    return layers.map(heads => heads.map(rows => rows.map(row => row.concat(Array(width - row.length).fill(0)))))
  }

  function tell(message) {
    if (framed) window.parent.postMessage({ bertviz: message }, "*")
  }

  function finish() {
    const svg = vis.querySelector("svg")
    if (!svg) return
    svg.setAttribute("role", "img")
    svg.setAttribute("aria-label", document.title)
    if (isHead) { numberSquares(svg); ["left", "right"].forEach(side => tokensByKeyboard(svg, side)) }
    mark()
    fit()
  }

  // The head view is drawn 335 pixels wide: grown to the frame, as long as its tokens stay in sight.
  function fit() {
    const svg = vis.querySelector("svg")
    if (!isHead || !svg || !svg.getAttribute("height")) return
    const width = Math.max(345, 20 * data.heads), height = parseFloat(svg.getAttribute("height")) + 6
    const room = (framed ? 640 : innerHeight) - 60
    const scale = Math.min(2.2, Math.max(1, document.body.clientWidth / width), Math.max(1.3, room / height))
    svg.setAttribute("viewBox", `-5 0 ${width} ${height}`)
    svg.style.width = `${width * scale}px`
    svg.style.height = `${height * scale}px`
  }

  function squares(svg) {
    return [...svg.lastElementChild.parentNode.querySelectorAll(":scope > g:not([id]) > rect")]
  }

  function isShown(square, head) {
    return square.getAttribute("fill") === colors[head % 10]
  }

  function numberSquares(svg) {
    squares(svg).forEach((square, head) => {
      const number = document.createElementNS(svg.namespaceURI, "text")
      number.textContent = head
      number.setAttribute("class", "number")
      number.setAttribute("x", head * 20 + 10)
      number.setAttribute("y", 14.5)
      svg.append(number)
      const state = () => {
        square.setAttribute("aria-checked", isShown(square, head))
        number.classList.toggle("off", !isShown(square, head))
        number.style.fill = light(square.getAttribute("fill")) ? "#000" : "#fff"
      }
      square.setAttribute("tabindex", "0")
      square.setAttribute("role", "checkbox")
      square.setAttribute("aria-label", `Head ${head}`)
      square.addEventListener("keydown", event => {
        if (event.key !== " " && event.key !== "Enter") return
        event.preventDefault()
        square.dispatchEvent(new MouseEvent(event.key === " " ? "click" : "dblclick", { bubbles: true }))
      })
      new MutationObserver(state).observe(square, { attributeFilter: ["fill"] })
      state()
    })
  }

  function light(color) {
    const { r, g, b } = d3.rgb(color)
    return 0.299 * r + 0.587 * g + 0.114 * b > 140
  }

  // One stop of the tab key on each side; the arrow keys move over its tokens, as the pointer would.
  function tokensByKeyboard(svg, side) {
    const column = svg.querySelector(`#${side}`)
    const tokens = [...column.querySelectorAll("text")].map(text => text.parentNode)
    tokens.forEach((token, index) => {
      squeeze(token.querySelector("text"), 104)
      token.setAttribute("tabindex", index === 0 ? "0" : "-1")
      token.setAttribute("role", "button")
      token.setAttribute("aria-label", `Token ${data.positions[index]}: ${data.tokens[index]}`)
      token.addEventListener("focus", () => token.dispatchEvent(new MouseEvent("mouseover")))
      token.addEventListener("blur", () => column.dispatchEvent(new MouseEvent("mouseleave")))
      token.addEventListener("click", () => tell({ token: data.positions[index] }))
      token.addEventListener("keydown", event => {
        const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: tokens.length - 1 }[event.key]
        if (event.key === "Enter") tell({ token: data.positions[index] })
        else if (to === undefined) return
        event.preventDefault()
        if (tokens[to]) tokens[to].focus()
      })
    })
  }

  // A token wider than its box is pressed together instead of being cut off.
  function squeeze(text, width) {
    if (text && text.getComputedTextLength() > width) {
      text.setAttribute("textLength", width)
      text.setAttribute("lengthAdjust", "spacingAndGlyphs")
    }
  }

  function mark() {
    const index = data.positions.indexOf(place.token)
    vis.querySelectorAll(isHead ? "#left text" : ".detail text.token").forEach((text, at) => {
      const selected = at % data.tokens.length === index && at < data.tokens.length
      text.classList.toggle("selected", selected)
    })
  }

  function follow(wanted) {
    Object.assign(place, wanted)
    if (isHead) followHead(wanted)
    else openDetail()
    mark()
    if (isHead) inSight(vis.querySelector("#left text.selected"))
  }

  // Scrolls this document, never the page around it, as little as shows the whole of a thing.
  function inSight(thing, margin = 24) {
    if (!thing || !framed) return
    const box = thing.getBoundingClientRect()
    const left = Math.min(0, box.left - margin) || Math.max(0, Math.min(box.right + margin - root.clientWidth, box.left))
    const top = Math.min(0, box.top - margin) || Math.max(0, Math.min(box.bottom + margin - innerHeight, box.top - margin))
    scrollBy({ left, top })
  }

  function followHead({ layer, head }) {
    const select = document.getElementById("layer")
    if (data.layers.includes(layer) && Number(select.value) !== layer) {
      jQuery(select).val(layer).trigger("change")
      finish()
    }
    const all = squares(vis.querySelector("svg"))
    const shown = all.filter(isShown)
    if (head === place.shownHead || !all[head]) return
    place.shownHead = head
    if (shown.length !== 1 || shown[0] !== all[head]) all[head].dispatchEvent(new MouseEvent("dblclick"))
  }

  function opened() {
    const frame = [...vis.querySelectorAll(".attn_background")].find(rect => Number(rect.getAttribute("stroke-opacity")) > 0)
    return frame ? frame.id.split("_").slice(2).map(Number) : null
  }

  function openDetail() {
    const at = data.layers.indexOf(place.layer), now = opened()
    const frame = document.getElementById(`attn_background_${at}_${place.head}`)
    if (!frame || (now && now[0] === at && now[1] === place.head)) return
    frame.parentNode.lastElementChild.dispatchEvent(new MouseEvent("click"))
    detailDrawn()
    if (framed) scrollBy({ top: frame.getBoundingClientRect().top - 120 })
    inSight(vis.querySelector("rect.detail"))
  }

  function detailDrawn() {
    vis.querySelectorAll(".detail text.token").forEach(text => squeeze(text, 76))
    mark()
  }

  function listenToThumbnails() {
    vis.querySelectorAll(".attn_background").forEach(frame => {
      const [layer, head] = frame.id.split("_").slice(2).map(Number)
      const region = frame.parentNode.lastElementChild
      region.setAttribute("tabindex", "0")
      region.setAttribute("role", "button")
      region.setAttribute("aria-label", `Layer ${data.layers[layer]}, head ${head}`)
      region.append(document.createElementNS(vis.querySelector("svg").namespaceURI, "title"))
      region.lastElementChild.textContent = `Layer ${data.layers[layer]}, head ${head}`
      region.addEventListener("click", event => {
        detailDrawn()
        if (event.isTrusted && opened()) tell({ layer: data.layers[layer], head })
      })
      region.addEventListener("keydown", event => {
        if (event.key !== "Enter" && event.key !== " ") return
        event.preventDefault()
        region.dispatchEvent(new MouseEvent("click"))
        if (opened()) tell({ layer: data.layers[layer], head })
      })
    })
  }
})()
