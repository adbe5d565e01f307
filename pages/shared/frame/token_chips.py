"""The tokens of the prompt as coloured chips: one selection for all pages, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from model_runtime.records import Token
from pages.shared.escape import token_text
from viz.style import shorten, token_color, visible

MOST_CHIPS = 160
EDGE_CHIPS = 24  # always shown at both ends of a long prompt

_HTML = '<div class="gf-chips" role="listbox" aria-orientation="horizontal"></div>\n'
_CSS = """
.gf-chips {
  display: flex; flex-wrap: wrap; gap: 0.2rem; max-height: 13rem; overflow-y: auto; padding: 0.2rem;
  position: relative;
}
.gf-chips button {
  font-family: var(--st-code-font); font-size: 0.8rem; line-height: 1.2; padding: 0.2rem 0.3rem; margin: 0;
  min-height: 1.5rem; max-width: 100%; overflow-wrap: anywhere; cursor: pointer; color: var(--st-text-color);
  unicode-bidi: isolate; direction: ltr; border-radius: 0.25rem; border: 1px solid transparent;
  border-bottom: 2px solid var(--chip);
  background: color-mix(in srgb, var(--chip) 20%, var(--st-background-color));
}
.gf-chips button[aria-selected="true"] { outline: 2px solid var(--st-text-color); outline-offset: 1px; }
.gf-chips button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.gf-chips span { font-size: 0.8rem; padding: 0.2rem; color: var(--st-text-color); opacity: 0.75; }
"""
# Text goes in by textContent only: a token is never read as markup.
_JS = """
export default function ({ parentElement, data, setTriggerValue }) {
  const box = parentElement.querySelector(".gf-chips");
  const words = JSON.stringify(data.chips);
  if (box.dataset.words !== words) {
    box.dataset.words = words;
    box.setAttribute("aria-label", data.label);
    box.replaceChildren(...data.chips.map((chip) => {
      const item = document.createElement(chip.position === null ? "span" : "button");
      item.textContent = chip.text;
      if (chip.position === null) return item;
      item.type = "button";
      item.role = "option";
      item.dataset.position = chip.position;
      item.title = item.ariaLabel = chip.says;
      item.style.setProperty("--chip", chip.color);
      return item;
    }));
  }
  const chips = [...box.querySelectorAll("button")];
  for (const chip of chips) {
    const chosen = Number(chip.dataset.position) === data.selected;
    chip.setAttribute("aria-selected", chosen);
    chip.tabIndex = chosen ? 0 : -1;
    if (chosen && box.scrollHeight > box.clientHeight) box.scrollTop = chip.offsetTop - box.clientHeight / 2;
  }
  const pick = (chip) => chip && setTriggerValue("picked", Number(chip.dataset.position));
  box.onclick = (event) => pick(event.target.closest("button"));
  box.onkeydown = (event) => {
    const at = chips.indexOf(event.target);
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0,
      End: chips.length - 1 }[event.key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    chips[Math.min(Math.max(next, 0), chips.length - 1)].focus();
  };
}
"""

_component = st.components.v2.component("glassformer_token_chips", html=_HTML, css=_CSS, js=_JS)


def shown_positions(n_tokens: int, selected: int) -> list[range]:
    """Which positions get a chip: all of a short prompt; both ends and what surrounds the selection of a
    long one, so that the page stays light at 1,024 tokens.

    >>> shown_positions(5, 4)
    [range(0, 5)]
    >>> shown_positions(1000, 500)
    [range(0, 24), range(444, 556), range(976, 1000)]
    """
    if n_tokens <= MOST_CHIPS:
        return [range(n_tokens)]
    half = (MOST_CHIPS - 2 * EDGE_CHIPS) // 2
    start = min(max(selected - half, 0), n_tokens - 2 * half)
    pieces = [range(EDGE_CHIPS), range(start, start + 2 * half), range(n_tokens - EDGE_CHIPS, n_tokens)]
    merged: list[range] = []
    for piece in sorted(pieces, key=lambda piece: piece.start):
        if merged and piece.start <= merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, piece.stop))
        else:
            merged.append(piece)
    return merged


def chips_of(tokens: Sequence[Token], selected: int) -> list[dict[str, object]]:
    """What the browser draws: a chip a token, and a word for each gap."""
    chips: list[dict[str, object]] = []
    done = 0
    for piece in shown_positions(len(tokens), selected):
        if piece.start > done:
            chips.append({"position": None, "text": f"… {piece.start - done:,} tokens …"})
        chips.extend(_chip(tokens[position], position, len(tokens)) for position in piece)
        done = piece.stop
    return chips


def _chip(token: Token, position: int, n_tokens: int) -> dict[str, object]:
    text = shorten(visible(token_text(token))) or "⟨empty⟩"
    return {
        "position": position,
        "text": text,
        "says": f"{text}, token {position} of 0 to {n_tokens - 1}, id {token.id}",
        "color": token_color(token.id),
    }


def token_chips(
    tokens: Sequence[Token], selected: int, on_pick: Callable[[int, int], None], *, key: str
) -> None:
    """Draw the chips. A click or Enter calls `on_pick(position, n_tokens)` before the rerun it starts."""

    def picked() -> None:
        position = st.session_state[key].picked
        if isinstance(position, int | float):
            on_pick(int(position), len(tokens))

    label = f"Tokens of the prompt, {len(tokens)}. Arrow keys move, Enter selects."
    _component(
        key=key,
        data={"chips": chips_of(tokens, selected), "selected": selected, "label": label},
        on_picked_change=picked,
    )
