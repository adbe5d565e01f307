"""Generated tokens as HTML: each on a ground as strong as its probability, its rank below."""

from __future__ import annotations

import html
from collections.abc import Sequence

from model_runtime.records.counts import counted
from model_runtime.sampling.generation import GeneratedToken
from pages.shared.figure import scripts
from viz.style import share, visible

STYLE = f"<style>{scripts.asset('generated_html.css')}</style>"


def written(tokens: Sequence[GeneratedToken], numbers: bool = True) -> str:
    """The tokens in a row, safe whatever they contain; with numbers, a new row after each line break."""
    return f'<div class="gf-written">{"".join(_token(token, numbers) for token in tokens)}</div>'


def _token(generated: GeneratedToken, numbers: bool) -> str:
    text = html.escape(visible(generated.token.text)) or "⟨empty⟩"
    chance = share(generated.probability)
    says = (
        f"drawn with {chance}; the model alone gives {share(generated.model_probability)}, "
        f"number {generated.rank:,}; {counted(generated.n_kept, 'token')} could be drawn"
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
