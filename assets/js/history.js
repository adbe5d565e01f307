// One entry in the browser's history for each thing a visitor did (see pages/shared/settings/history.py);
// and after a choice in the menu of a phone the page that was chosen is in sight.

const DRAG_MS = 600
const ALWAYS_WRITTEN = "pin"
const PHONE_PIXELS = 768 // narrower, and the menu lies over the page

function closeMenu() {
  if (window.innerWidth < PHONE_PIXELS) document.querySelector('[data-testid="stSidebarCollapseButton"] button')?.click()
}

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
    else closeMenu()
    return (replace ? window.history.replaceState : push).call(this, state, title, address)
  }
}
