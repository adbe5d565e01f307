"""What notices call a setting whose key is no plain word, and the values that stand for a choice of the app.

A setting itself is one row of the table in `settings`; it needs a name here only where its key would not do.
"""

from __future__ import annotations

_NAMES = {
    "dtype": "number format",
    "text": "text size",
    "order": "order of steps",
    "known": "text to learn words from",
    "cut": "place of merges",
    "fed": "tokenizer",
    "bertviz": "BertViz view",
    "by": "distance",
    "groups": "list of words",
    "sentences": "list of sentences",
    "find": "text to find",
    "near": "number of neighbours",
    "apart": "least distance",
    "shake": "seed of the picture",
    "top": "number of tokens",
    "axes": "number of dimensions",
    "moe": "part of the page",
    "place": "part of the page",
    "without": "edit of the expert",
    "forced": "experts asked instead",
    "reach": "number of positions",
    "theta": "RoPE base",
    "alibi": "number of ALiBi heads",
    "slope": "ALiBi head",
    "pair": "pair of dimensions",
    "turn": "position of the turned query",
    "twist": "change of the rotation",
    "twist_base": "changed RoPE base",
    "twist_by": "offset of positions",
    "twist_factor": "factor of stretching",
    "row": "token or id",
    "lead": "leading space",
    "sum": "sum of words",
    "story": "text to read",
    "formats": "part of number formats",
    "stability": "part of the page",
    "gain": "gain on q and k",
    "narrow": "number format of the demonstration",
    "inside": "format of the sums",
    "added": "sum to look at",
    "loss_batch": "prompts in the batch",
    "zoom": "format of the window",
    "far": "distance",
    "bits": "number of bits",
    "kind": "kind of grid",
    "group": "group with one scale",
    "scope": "part that is quantized",
    "block_kind": "kind of blocks",
    "block_row": "row of the tensor",
    "block": "block of the row",
    "weight": "weight of the block",
    "swell": "gain of the MLP",
    "swell_at": "layer with the gain",
}
# As the page writes them; all else is shown as the link has it.
_SPECIAL: dict[tuple[str, object], str] = {
    ("token", -1): "the last one",
    ("key", -1): "the one read most",
    ("expert", -1): "the first choice",
    ("inside", "wide"): "fp32",
    ("inside", "narrow"): "every step rounded",
    ("scope", "layer"): "this layer",
    ("scope", "model"): "the whole model",
    ("added", "norm"): "the squares under the norm",
}
_POWERS = ("swell", "loss_batch", "loss_scale")  # kept as k, shown as 2^k


def name_of(key: str) -> str:
    """The setting in words: "number format"; its key with blanks where that says it."""
    return _NAMES.get(key, key.replace("_", " "))


def name_of_value(key: str, value: object) -> str | None:
    """A value that the page writes otherwise than the link: token -1 is "the last one", swell 4 is "16".

    None where the page and the link agree.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if key in _POWERS and str(value).isdigit():
        return f"{2 ** int(value):,}"
    if key == "gain" and isinstance(value, float):
        return f"{value:,g}"
    return _SPECIAL.get((key, value))
