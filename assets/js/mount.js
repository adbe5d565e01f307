// How a component of ours is mounted. Streamlit calls its script at every message and theme change; the script that
// travels with a message only imports a module from our own route and hands the call to its default export.

import { element } from "./dom.js"

export const SCRIPTS = new URL(".", import.meta.url).pathname // of this version of ours: "/glassformer/1a2b3c/"
export const ROUTES = new URL("..", import.meta.url).pathname // what the server keeps: "/glassformer/"

const views = new WeakMap() // where Streamlit mounts us -> view

/**
 * The default export of a component: one `View` for each place, styled by `style`.css.
 *
 * View: { constructor(place, data, trigger), receive(data), destroy() }; its `trigger(name, value)` reports to Python.
 */
export function mounted(View, style) {
  return ({ parentElement: place, data, setTriggerValue }) => {
    addStyles(style)
    const view = views.get(place) ?? new View(place, data, setTriggerValue)
    views.set(place, view)
    view.trigger = setTriggerValue
    const call = (view.calls = (view.calls ?? 0) + 1)
    view.receive(data)
    return () => {
      // Streamlit also runs the clean-up of a call that a later one overtook: then the view lives on.
      if (call !== view.calls) return
      view.destroy()
      views.delete(place)
    }
  }
}

function addStyles(name) {
  const id = `gf-styles-${name}`
  if (document.getElementById(id)) return
  document.head.append(element("link", { id, rel: "stylesheet", href: `${SCRIPTS}${name}.css` }))
}
