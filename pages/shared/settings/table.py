"""The one table of everything that changes a picture: key, default, bounds, text in the link.

A page that needs a new setting adds one row here. `url_state` reads, clamps and writes the table;
nothing else touches the URL.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from model_runtime.loading.catalogue import row_called
from model_runtime.sampling.settings import DEFAULT_ORDER
from pages.shared.escape import counted, quoted
from pages.shared.frame.contents import PAGES
from pages.shared.settings.edit_codes import format_edits, parse_edits, unread
from pages.shared.settings.kinds import (
    Refused,
    Setting,
    as_number,
    choice,
    decimal,
    indices,
    one_of,
    permutation,
    power_of_two,
    subset,
    switch,
    text,
    whole,
)
from pages.shared.settings.short import lengthened, shortened
from pages.shared.settings.word_lists import SENTENCES, WORD_GROUPS

DEFAULT_MODEL = "smollm2-135m-instruct"
DEFAULT_PROMPT = "When Harry Potter arrived, everyone knew that Harry"
# The default model's clearest induction head on the worked example: " Harry" reads the " Potter" that came
# after the first " Harry".
DEFAULT_LAYER, DEFAULT_HEAD = 24, 4
MOST_PROMPT_CHARACTERS = 4_000
MOST_PIN_CHARACTERS = 12_000
LAST_TOKEN = -1
TOP_CANDIDATE = -1
STRONGEST_KEY = -1  # the key that the selected token reads most
FIRST_EXPERT = -1  # the one that the selected token asks first
NUMBER_FORMATS = ("fp32", "tf32", "fp16", "bf16", "e4m3", "e5m2")
TOKENIZERS = ("gpt2", "cl100k", "o200k")

ORDER_CODES = dict(zip("reftkpmy", DEFAULT_ORDER, strict=True))


@dataclass(frozen=True)
class Limits:
    """How many of each the current model and prompt have."""

    layers: int
    heads: int
    tokens: int
    vocabulary: int
    experts: int = 0


def _edits_row() -> Setting:
    def fit(value: object) -> tuple[Any, ...]:
        return value if isinstance(value, tuple) else ()

    return Setting("edits", (), parse_edits, format_edits, fit)


def _model_row() -> Setting:
    """A model of the list by its id there, whatever name of it came: else the list would have it twice."""
    row = text("model", DEFAULT_MODEL, 200, "model name")

    def fit(value: object) -> str:
        name: str = row.fit(value)
        listed = row_called(name)
        return name if listed is None else listed.id

    return replace(row, parse=fit, fit=fit)


def _prompt_row() -> Setting:
    """A long prompt is shortened in the link."""
    row = text("prompt", DEFAULT_PROMPT, MOST_PROMPT_CHARACTERS, "prompt")
    return replace(row, parse=lambda said: row.fit(lengthened(said)), write=shortened)


def _pin_row() -> Setting:
    def fit(value: object) -> str:
        return value if isinstance(value, str) else ""

    # `parse_pin` stands below the table, which it reads.
    return Setting("pin", "", lambda pin: parse_pin(pin), str, fit)


def _part_rows() -> tuple[Setting, ...]:
    """Which part of its page is on screen, for every page that has parts."""
    return tuple(
        choice(
            entry.setting,
            entry.parts[0].key,
            tuple(part.key for part in entry.parts),
            page=entry.url,
            name="part of this page",
            shown=one_of({part.key: f"“{part.title}”" for part in entry.parts}),
        )
        for entry in PAGES
        if entry.parts
    )


# The settings that make a run: what is computed, not what is looked at.
RUN_ROWS: tuple[Setting, ...] = (
    _model_row(),
    choice("dtype", "auto", ("auto", "float32", "bfloat16", "float16"), name="number format"),
    _prompt_row(),
    _edits_row(),
    decimal("temperature", 0.8, 0.0, 100.0, page="next-token"),
    whole("top_k", 0, 0, 10_000_000, page="next-token"),
    decimal("top_p", 0.9, 0.0, 1.0, page="next-token"),
    decimal("min_p", 0.0, 0.0, 1.0, page="next-token"),
    decimal("typical_p", 1.0, 0.0, 1.0, page="next-token"),
    decimal("repetition", 1.0, 0.01, 10.0, page="next-token"),
    decimal("presence", 0.0, -10.0, 10.0, page="next-token"),
    decimal("frequency", 0.0, -10.0, 10.0, page="next-token"),
    permutation("order", ORDER_CODES, page="next-token", name="order of steps"),
    whole("seed", 0, 0, 2**53 - 1, page="next-token"),
    whole("max_new_tokens", 40, 1, 400, page="next-token"),
)

# What is looked at, and how: shared rows first, then one block a page.
VIEW_ROWS: tuple[Setting, ...] = (
    whole("layer", DEFAULT_LAYER, 0, 999, within="layers"),
    whole("head", DEFAULT_HEAD, 0, 999, within="heads"),
    whole("token", LAST_TOKEN, LAST_TOKEN, 1_000_000, within="tokens", shown=one_of({-1: "the last one"})),
    choice("text", "normal", ("normal", "large"), name="text size"),
    _pin_row(),
    *_part_rows(),
    # Start
    whole("step", 0, 0, 6, page="home", name="step of the walk", shown=one_of({0: "the whole picture"})),
    choice("opened", "nothing", ("nothing", "block", "guess"), page="home", name="what is opened"),
    whole(
        "guess",
        TOP_CANDIDATE,
        TOP_CANDIDATE,
        10_000_000,
        within="vocabulary",
        page="home",
        name="opened guess",
        shown=one_of({-1: "the likeliest"}),
    ),
    # Next token
    whole("candidate", TOP_CANDIDATE, TOP_CANDIDATE, 10_000_000, within="vocabulary", page="next-token"),
    whole("bars", 16, 8, 40, page="next-token"),
    whole("draws", 100, 10, 10_000, page="next-token"),
    # Tokens
    subset("tokenizers", ("model", *TOKENIZERS), page="tokens"),
    text(
        "known",
        "We are learning systems for LLMs.",
        2_000,
        "text to learn words from",
        page="tokens",
    ),
    choice("cut", "words", ("words", "text"), page="tokens", name="place of merges"),
    whole("merges", 3, 0, 500, page="tokens"),
    choice("fed", "gpt2", TOKENIZERS, page="tokens", name="tokenizer"),
    # Attention
    choice(
        "measure",
        "previous",
        ("entropy", "distance", "first", "previous", "induction", "duplicate", "worth"),
        page="attention",
    ),
    whole(
        "key",
        STRONGEST_KEY,
        STRONGEST_KEY,
        1_000_000,
        within="tokens",
        page="attention",
        shown=one_of({-1: "the one read most"}),
    ),
    switch("averaged", False, page="attention"),
    choice("mask", "causal", ("causal", "window", "bidirectional", "prefix"), page="attention"),
    whole("window", 4, 1, 100_000, within="tokens", counts=True, page="attention"),
    whole("prefix", 4, 1, 100_000, within="tokens", counts=True, page="attention"),
    whole("span", 128, 1, 100_000, page="attention"),  # window of the calculators of cost
    choice("bertviz", "head", ("head", "model"), page="attention", name="BertViz view"),
    choice("layers", "all", ("all", "near", "one"), page="attention"),
    # Embeddings
    text("row", "", 60, "token or id", page="embeddings"),  # "": the selected token
    text("words", "man, woman, apple, fruit, king, queen", 1_500, "list of words", page="embeddings"),
    switch("lead", True, page="embeddings", name="leading space"),  # a space before each word
    text("sum", "king - man + woman", 200, "sum of words", page="embeddings"),
    choice("points", "words", ("words", "prompt", "vocabulary"), page="embeddings"),
    text("groups", WORD_GROUPS["kinds"], 2_000, "list of words", page="embeddings"),
    whole("depth", 0, 0, 1_000, page="embeddings"),  # of the prompt's stream; 0: the embedding
    switch("first", False, page="embeddings"),  # with the prompt's first token
    whole("top", 1_000, 10, 5_000, page="embeddings", name="number of tokens"),
    choice("method", "pca", ("pca", "axis", "tsne", "umap"), page="embeddings"),
    choice("axes", "2", ("2", "3"), page="embeddings", name="number of dimensions"),
    choice("by", "cosine", ("cosine", "euclidean"), page="embeddings", name="distance"),
    decimal("perplexity", 30.0, 1.0, 500.0, page="embeddings"),
    whole("near", 15, 2, 200, page="embeddings", name="number of neighbours"),
    decimal("apart", 0.1, 0.0, 0.99, page="embeddings", name="least distance"),
    whole("shake", 0, 0, 2**31 - 1, page="embeddings", name="seed of the picture"),  # seed of t-SNE and UMAP
    text("left", "country", 60, "word", page="embeddings"),
    text("right", "city", 60, "word", page="embeddings"),
    text("find", "", 60, "text to find", page="embeddings"),
    whole("point", 0, -1, 5_000, page="embeddings"),
    text("word", "mole", 60, "word", page="embeddings"),
    text(
        "sentences",
        SENTENCES["mole"],
        2_000,
        "list of sentences",
        page="embeddings",
    ),
    switch("unit", True, page="embeddings"),
    # Positions
    whole("shuffle", 1, 0, 999_999, page="positions"),  # the seed of a shuffle
    whole("reach", 64, 2, 1024, page="positions", name="number of positions"),
    choice("theta", "own", ("own", "10000", "100000", "1000000"), page="positions", name="RoPE base"),
    whole("alibi", 8, 1, 128, page="positions", name="number of ALiBi heads"),
    whole("slope", 0, 0, 127, page="positions", name="ALiBi head"),
    # Two dimensions that turn together.
    whole("pair", 4, 0, 1024, page="positions", name="pair of dimensions"),
    # -1: its own.
    whole("turn", -1, -1, 1_000_000, page="positions", name="position of the turned query"),
    choice(
        "twist",
        "base",
        ("base", "offset", "linear", "ntk", "off"),
        page="positions",
        name="change of the rotation",
    ),
    decimal("twist_base", 10_000.0, 2.0, 1e12, page="positions", name="changed RoPE base"),
    whole("twist_by", 1_000, 0, 1_000_000, page="positions", name="offset of positions"),
    decimal("twist_factor", 4.0, 0.01, 1_000.0, page="positions", name="factor of stretching"),
    choice("story", "plays", ("plays", "scripture", "python"), page="positions", name="text to read"),
    choice("far", "quarter", ("context", "quarter", "double"), page="positions", name="distance"),
    # Mixture of experts
    whole(
        "expert",
        FIRST_EXPERT,
        FIRST_EXPERT,
        100_000,
        within="experts",
        page="moe",
        shown=one_of({-1: "the first choice"}),
    ),
    choice("without", "cut", ("cut", "scaled", "forced"), page="moe", name="edit of the expert"),
    indices("forced", 64, 100_000, page="moe", name="experts asked instead"),
    decimal("noise", 0.0, 0.0, 5.0, page="moe"),
    decimal("capacity", 0.0, 0.0, 4.0, page="moe"),
    whole("size_n", 0, 0, 256, page="moe"),  # of the calculator; 0: as in the model
    whole("size_k", 0, 0, 8, page="moe"),
    whole("size_ff", 0, 0, 1_000_000, page="moe"),
    # Number formats
    text("number", "0.1", 60, "number", page="number-formats"),
    choice("zoom", "fp16", NUMBER_FORMATS, page="number-formats", name="format of the window"),
    choice("bits", "4", ("8", "4"), page="number-formats", name="number of bits"),
    choice("kind", "absmax", ("absmax", "zero_point"), page="number-formats", name="kind of grid"),
    choice(
        "group",
        "channel",
        ("tensor", "channel", "128", "64", "32"),
        page="number-formats",
        name="group with one scale",
    ),
    choice(
        "scope",
        "layer",
        ("layer", "model"),
        page="number-formats",
        name="part that is quantized",
        shown=one_of({"layer": "this layer", "model": "the whole model"}),
    ),
    text("matrix", "", 120, "name of a matrix", page="number-formats"),  # "": the first
    text("tensor", "", 120, "name of a tensor", page="number-formats"),
    choice("block_kind", "q4_1", ("q4_1", "q8_0"), page="number-formats", name="kind of blocks"),
    whole("block_row", 0, 0, 10_000_000, page="number-formats", name="row of the tensor"),
    whole("block", 0, 0, 1_000_000, page="number-formats", name="block of the row"),
    whole("weight", 0, 0, 31, page="number-formats", name="weight of the block"),
    # Stability
    decimal(
        "gain", 1.0, 0.01, 100_000.0, page="stability", name="gain on q and k", shown="{:,g}".format
    ),  # on q and k
    choice("narrow", "fp16", ("fp16", "bf16"), page="stability", name="number format of the demonstration"),
    choice(
        "inside",
        "wide",
        ("wide", "narrow"),
        page="stability",
        name="format of the sums",
        shown=one_of({"wide": "fp32", "narrow": "every step rounded"}),
    ),
    choice(
        "added",
        "norm",
        ("norm", "logit", "vocabulary"),
        page="stability",
        name="sum to look at",
        shown=one_of({"norm": "the squares under the norm"}),
    ),
    whole(
        "swell", 0, 0, 16, page="stability", name="gain of the MLP", shown=power_of_two
    ),  # one MLP's output times 2^swell
    choice("swell_at", "largest", ("largest", "selected"), page="stability", name="layer with the gain"),
    whole("loss_scale", 12, 0, 24, page="stability", shown=power_of_two),  # k of 2^k
    choice(
        "loss_batch",
        "0",
        ("0", "4", "8", "12", "16"),
        page="stability",
        name="prompts in the batch",
        shown=power_of_two,
    ),  # log2 of its prompts
)

# Settings of another page that decide a picture of this one.
TAKEN: dict[str, tuple[str, ...]] = {"attention": ("candidate",)}

SETTINGS: dict[str, Setting] = {row.key: row for row in (*RUN_ROWS, *VIEW_ROWS)}
RUN_KEYS: tuple[str, ...] = tuple(row.key for row in RUN_ROWS)


def defaults() -> dict[str, Any]:
    """A fresh set of values."""
    return {key: row.default for key, row in SETTINGS.items()}


def of_page(key: str, page: str) -> bool:
    """Whether a page has a setting. Of a link's others nothing is said, as of unknown keys."""
    return SETTINGS[key].page in (None, page)


def read_link(link: Mapping[str, str], page: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The values in a link's parameters, each allowed, and a sentence for each that was thrown away.

    Unknown keys are ignored, missing keys are missing from the answer. Never raises.

    Args:
        page: only its settings are spoken of; None: all.
    """
    values: dict[str, Any] = {}
    notices: list[str] = []
    for key, row in SETTINGS.items():
        if key not in link:
            continue
        try:
            values[key] = row.fit(row.parse(link[key]))
        except Refused as refused:
            if page is None or of_page(key, page):
                notices.append(str(refused))
    return values, notices


def replaced(link: Mapping[str, str], values: Mapping[str, Any], twice: Collection[str] = ()) -> list[str]:
    """A sentence for each setting that `values` holds otherwise than the text of `link` says, and for those
    that stood there `twice`: ["Layer `99999` does not exist here; 29 is shown."]."""
    sentences = []
    for key, said in link.items():
        row, value = SETTINGS[key], values[key]
        name = row.named()[:1].upper() + row.named()[1:]
        shown = row.shown(value) or quoted(row.write(value), 40)
        if not row.says(said, value):
            exists = row.within is None or as_number(said) is None
            trouble = "cannot be used" if exists else "does not exist here"
            sentences.append(f"{name} {quoted(said, 24)} {trouble}; {shown} is shown.")
        elif key in twice:
            sentences.append(f"{name} stands in this link more than once; the last one is used.")
    return sentences


def replaced_in_pin(text: str) -> list[str]:
    """The same sentences about the run that a link's text pins, if it is one."""
    values = read_pin(text)
    if values is None:
        return []
    written = {key: said for key, said in json.loads(lengthened(text)).items() if key in RUN_KEYS}
    found = [*replaced(written, values), *lost_edits(written.get("edits", ""))]
    return [f"Of the pinned run: {sentence[:1].lower()}{sentence[1:]}" for sentence in found]


def lost_edits(text: str) -> list[str]:
    """A sentence about the edits of a link that are no edits, if there are any."""
    lost = unread(text)
    if not lost:
        return []
    named = ", ".join(quoted(code, 24) for code in lost[:3])
    more = f" and {len(lost) - 3:,} more" if len(lost) > 3 else ""
    verb = "is" if len(lost) == 1 else "are"
    return [f"{counted(len(lost), 'edit')} in this link {verb} not made: {named}{more} cannot be read."]


def write_link(values: Mapping[str, Any], page: str | None = None) -> dict[str, str]:
    """The link's parameters: shared rows and those of `page`, defaults too, in the table's order; and what
    the page takes from another, where it was chosen."""
    taken = {
        key for key in TAKEN.get(page or "", ()) if key in values and values[key] != SETTINGS[key].default
    }
    return {
        key: row.write(values[key])
        for key, row in SETTINGS.items()
        if (row.page in (None, page) or key in taken) and key in values
    }


def fit_to(values: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Those of `values` that the model or the prompt bounds, at the nearest value it has."""
    fitted = {}
    for key, row in SETTINGS.items():
        if row.within is not None and key in values:
            most = getattr(limits, row.within)
            fitted[key] = min(values[key], max(most, 1) if row.counts else max(most - 1, 0))
    return fitted


def write_pin(values: Mapping[str, Any]) -> str:
    """The run in `values` as one compact text for the link."""
    written = {row.key: row.write(values[row.key]) for row in RUN_ROWS}
    written["prompt"] = values["prompt"]  # the whole is shortened, and not a part of it twice
    return shortened(json.dumps(written, ensure_ascii=False, separators=(",", ":")))


def read_pin(pin: str) -> dict[str, Any] | None:
    """The values of a pinned run, each allowed, missing ones at their default; None where it is no run."""
    pin = lengthened(pin)
    if not pin or len(pin) > MOST_PIN_CHARACTERS:
        return None
    try:
        written = json.loads(pin)
    except (ValueError, RecursionError):
        return None
    if not isinstance(written, dict) or not all(isinstance(value, str) for value in written.values()):
        return None
    run_part = {key: value for key, value in written.items() if key in RUN_KEYS}
    values, notices = read_link(run_part)
    if notices or not values:
        return None
    return {row.key: values.get(row.key, row.default) for row in RUN_ROWS}


def parse_pin(pin: str) -> str:
    """`pin` in its own canonical form; raises `Refused` for text that is no run."""
    if not pin:
        return ""
    values = read_pin(pin)
    if values is None:
        raise Refused("The pinned run in this link cannot be read. It was left out.")
    return write_pin(values)
