// One entry in the browser's history for each thing a visitor did (see pages/shared/settings/history.py).

const DRAG_MS = 600
const ALWAYS_WRITTEN = "pin"

export default function () {
  if (window.glassformerHistory) return
  window.glassformerHistory = true
  const push = window.history.pushState
  let last = -Infinity
  window.history.pushState = function (state, title, address) {
    const next = new URL(address, window.location.href)
    const here = new URLSearchParams(window.location.search)
    const samePage = next.pathname === window.location.pathname
    const now = performance.now()
    const replace = samePage && (!here.has(ALWAYS_WRITTEN) || now - last < DRAG_MS)
    if (samePage) last = now
    return (replace ? window.history.replaceState : push).call(this, state, title, address)
  }
}
