"""One prompt at several temperatures, side by side on one scale: from one choice to all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model_runtime.records import SamplingReport
from viz.distribution_bars import DistributionBars, distribution, longest
from viz.output.next_token.record import shown_in_order
from viz.text import three_digits


def temperatures_record(
    reports: Sequence[tuple[float, SamplingReport]], shown: Sequence[int], token_text: Callable[[int], str]
) -> DistributionBars:
    """Put the distributions of several temperatures side by side.

    Args:
        reports: (temperature, its steps), all of the same logits.
        shown: ids of the tokens with a row of their own.
    """
    ids = shown_in_order(reports[0][1], shown)
    finals = [(temperature, report.steps[-1]) for temperature, report in reports]
    found = tuple(
        distribution(f"T = {temperature:g}", final.probabilities, ids, _choices(final.effective_choices))
        for temperature, final in finals
    )
    least, most = (three_digits(finals[at][1].effective_choices) for at in (0, -1))
    title = f"Temperature alone: from {least} to {most} choices"
    texts = tuple(map(token_text, ids))
    others = f"{reports[0][1].d_vocab - len(ids):,} more"
    return DistributionBars(tuple(ids), texts, found, title, longest(found), reference=False, others=others)


def _choices(effective: float) -> str:
    words = three_digits(effective)
    return f"{words} {'choice' if words == '1' else 'choices'}"
