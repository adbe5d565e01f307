"""Generated tokens as HTML: each on a ground as strong as its probability, its rank below."""

from __future__ import annotations

import html
from collections.abc import Sequence

from model_runtime.sampling.generation import GeneratedToken
from viz.style import share, visible

STYLE = """<style>
.gf-written { display: flex; flex-wrap: wrap; gap: 0.35rem 0.15rem; line-height: 1.3; }
.gf-written > span { display: inline-flex; flex-direction: column; align-items: center;
  border-radius: 0.25rem; padding: 0.1rem 0.25rem; max-width: 100%; unicode-bidi: isolate;
  background: rgb(71 110 232 / calc(0.06 + 0.44 * var(--p))); }
.gf-written b { font: 0.95rem ui-monospace, "Cascadia Mono", Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.gf-written small { font-size: 0.7rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
.gf-written i { flex-basis: 100%; height: 0; }
.gf-rows { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.6rem 1rem;
  align-items: baseline; }
.gf-rows > strong { font-weight: 600; white-space: nowrap; }
@media (max-width: 640px) {
  .gf-rows { grid-template-columns: 1fr; gap: 0.2rem; }
  .gf-rows > div { margin-bottom: 0.6rem; }
}
</style>"""


def written(tokens: Sequence[GeneratedToken], numbers: bool = True) -> str:
    """The tokens in a row, safe whatever they contain; with numbers, a new row after each line break."""
    return f'<div class="gf-written">{"".join(_token(token, numbers) for token in tokens)}</div>'


def _token(generated: GeneratedToken, numbers: bool) -> str:
    text = html.escape(visible(generated.token.text)) or "⟨empty⟩"
    chance = share(generated.probability)
    says = (
        f"drawn with {chance}; the model alone gives {share(generated.model_probability)}, "
        f"number {generated.rank:,}; {generated.n_kept:,} tokens could be drawn"
    )
    below = f"<small>{html.escape(chance)} · {generated.rank:,}</small>" if numbers else ""
    line_end = "<i></i>" if numbers and generated.token.text.endswith("\n") else ""
    return (
        f'<span style="--p:{generated.probability:.3f}" title="{html.escape(says, quote=True)}">'
        f"<b>{text}</b>{below}</span>{line_end}"
    )


def rows(named: Sequence[tuple[str, str]]) -> str:
    """Names (plain text) at the left, finished HTML at the right."""
    return (
        '<div class="gf-rows">'
        + "".join(f"<strong>{html.escape(name)}</strong><div>{content}</div>" for name, content in named)
        + "</div>"
    )
