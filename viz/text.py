"""How tokens and numbers are written, so that they read the same on every page and can hurt nobody.

Token text comes from strangers' links and from a model's vocabulary. `visible` shows what an eye would miss
or what would reorder the line; `label` also makes it safe for plotly, which reads a subset of HTML, LaTeX
between dollar signs, and `%{...}` in its labels.
"""

from __future__ import annotations

import html
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

LONGEST_LABEL = 24  # characters; a token of 128 spaces or a base64 blob must not widen an axis

_SIGNS = {" ": "·", "\n": "↵", "\t": "⇥", "\r": "␍"}
# Drawn as nothing although Unicode calls them letters, marks or symbols.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
_MOST_MARKS = 2  # combining marks drawn on one letter; more would climb over the neighbouring lines
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS, _THIN = "\u2212", "\u00a0"


def visible(text: str) -> str:
    """`text` with nothing hidden: spaces as `·`, line breaks as `↵`, and whatever draws nothing as its code.

    Controls, zero-width and bidirectional characters, odd spaces, variation selectors and surplus combining
    marks become `⟨U+200B⟩` and the like. The result has no line break and reads left to right as stored.

    >>> visible(" the\\n")
    '·the↵'
    >>> visible("a\\u202eb")
    'a⟨U+202E⟩b'
    """
    shown: list[str] = []
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        if character in _SIGNS:
            shown.append(_SIGNS[character])
        elif _draws_nothing(character) or marks > _MOST_MARKS:
            shown.append(f"⟨U+{ord(character):04X}⟩")
        elif marks and not shown:
            shown.append(f"◌{character}")  # a mark alone would sit on whatever stands to its left
        else:
            shown.append(character)
    return "".join(shown)


def prose(text: str) -> str:
    """As `visible`, but a single space between two words stays a space: for prompts inside a sentence.

    >>> prose("The quick  fox ")
    'The quick··fox·'
    """
    return " ".join(visible(part) for part in re.split(r"(?<=\S) (?=\S)", text))


def shorten(text: str, longest: int = LONGEST_LABEL) -> str:
    """At most `longest` characters, the middle left out; never inside a `⟨U+...⟩` code.

    >>> shorten("abcdefghij", 7)
    'abcd…ij'
    """
    if len(text) <= longest:
        return text
    tail = (longest - 1) // 3
    head = longest - 1 - tail
    start, end = text[:head], text[len(text) - tail :] if tail else ""
    if start.rfind("⟨") > start.rfind("⟩"):
        start = start[: start.rfind("⟨")]
    if "⟩" in end and ("⟨" not in end or end.find("⟩") < end.find("⟨")):
        end = end[end.find("⟩") + 1 :]
    return f"{start}…{end}"


def label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Token text for a plotly tick, label or hover: visible, short, and inert.

    >>> label("<b>")
    '&lt;b&gt;'
    >>> label("$x$ %{y}")
    '&#36;x&#36;·&#37;{y}'
    """
    return inert(shorten(visible(text), longest))


def inert(text: str) -> str:
    """`text` so that plotly draws it as it stands: no tags, no formulas, no placeholders.

    Quotes stay: without an open tag they mean nothing, and plotly does not know their entity.
    """
    return html.escape(text, quote=False).replace("$", "&#36;").replace("%{", "&#37;{")


def quoted(text: str, longest: int = LONGEST_LABEL) -> str:
    """Token text inside a plain sentence.

    >>> quoted(" the")
    '“·the”'
    """
    return f"“{shorten(visible(text), longest)}”"


def in_bytes(n_bytes: float) -> str:
    """Bytes as a person reads them, in thousands.

    >>> in_bytes(512), in_bytes(46_080), in_bytes(188_743_680)
    ('512\\xa0bytes', '46.1\\xa0kB', '189\\xa0MB')
    """
    return _in_units(n_bytes, {"TB": 1e12, "GB": 1e9, "MB": 1e6, "kB": 1e3}, "bytes")


def in_words(count: float) -> str:
    """A count of parameters as people say it.

    >>> in_words(134_515_008), in_words(46_702_792_704), in_words(1_571_308_943_360)
    ('135\\xa0M', '46.7\\xa0B', '1,570\\xa0B')
    >>> in_words(999_999), in_words(999_499), in_words(640)
    ('1.00\\xa0M', '999\\xa0k', '640')
    """
    return _in_units(count, {"B": 1e9, "M": 1e6, "k": 1e3})


def _in_units(value: float, sizes: Mapping[str, float], least: str = "") -> str:
    """In the largest unit of which there is a whole one, as printed: no "1,000 k"."""
    for unit, size in sizes.items():
        if as_printed(value, 3) >= size:
            return three_digits(value / size, unit)
    return three_digits(value, least)


def three_digits(value: float, unit: str = "") -> str:
    """A number for the screen: three significant digits, thousands separated, whole numbers in full.

    >>> three_digits(0.123456), three_digits(1234.5), three_digits(48902, "tokens")
    ('0.123', '1,230', '48,902\\xa0tokens')
    >>> three_digits(-0.0000123)
    '−1.23 × 10⁻⁵'
    """
    return _with_unit(_number(value), unit)


def significant(value: float, digits: int, unit: str = "") -> str:
    """As `three_digits`, with as many significant digits as asked: for equations that must come out.

    >>> significant(19.1653, 5), significant(0.0000123456, 4), significant(8, 5)
    ('19.165', '1.235 × 10⁻⁵', '8')
    """
    return _with_unit(_number(value, digits), unit)


def column(*values: float) -> tuple[str, ...]:
    """Numbers that stand below one another, in one notation: a whole one among decimals has three digits too,
    and where one below 1 needs a power of ten, all have one.

    >>> column(1.85, 2, 13.4), column(1, 2), column(0.0000977, 0, 0.00781)
    (('1.85', '2.00', '13.4'), ('1', '2'), ('9.77 × 10⁻⁵', '0', '7.81 × 10⁻³'))
    """
    told = [abs(value) for value in values if value and math.isfinite(value)]
    if all(float(value).is_integer() for value in told):
        return tuple(map(three_digits, values))
    write = _scientific if min(told) < 1e-3 and max(told) < 1 else _three
    return tuple(write(value) if value and math.isfinite(value) else _number(value) for value in values)


def as_printed(value: float, digits: int) -> float:
    """What a reader types off the screen: the value rounded to `digits` significant digits, halves up.

    So does JavaScript, so both write the same; Python's own formats round 0.3125 to 0.312.

    >>> as_printed(0.3125, 3), as_printed(-31.25, 3), as_printed(99.96, 3)
    (0.313, -31.3, 100.0)
    """
    if not math.isfinite(value) or value == 0:
        return value
    exact = Decimal(float(value))  # numpy.float32 too
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() + 1 - digits), ROUND_HALF_UP))


def in_percent(share_of_one: float) -> str:
    """A round share for a tick: no digits but those that it has.

    >>> in_percent(0.25), in_percent(0.025), in_percent(1e-8), in_percent(0), in_percent(-0.2)
    ('25\\xa0%', '2.5\\xa0%', '10⁻⁶\\xa0%', '0\\xa0%', '−20\\xa0%')
    """
    return f"{round_number(100 * share_of_one)}{_THIN}%"


def round_number(value: float) -> str:
    """A number that is round already, for a tick: no zeros after its digits, powers of ten as such.

    >>> round_number(0.001), round_number(2.5), round_number(10_000), round_number(1e-7), round_number(3e9)
    ('0.001', '2.5', '10,000', '10⁻⁷', '3 × 10⁹')
    """
    if value == 0 or 1e-3 <= abs(as_printed(value, 6)) < 1e6:
        return f"{as_printed(value, 6):,.6f}".rstrip("0").removesuffix(".").replace("-", _MINUS)
    mantissa, exponent = f"{value:.5e}".split("e")
    mantissa = mantissa.rstrip("0").removesuffix(".").replace("-", _MINUS)
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if mantissa == "1" else f"{mantissa} × {power}"


def signed(value: float, decimals: int = 4) -> str:
    """A number of a hover, with its minus sign.

    >>> signed(-1.5), signed(0.12346)
    ('−1.5000', '0.1235')
    """
    return f"{value:.{decimals}f}".replace("-", _MINUS)


def two_decimals(value: float) -> str:
    """A number from −1 to 1 in a cell.

    >>> two_decimals(-0.014), two_decimals(-0.001), two_decimals(1.0)
    ('−0.01', '0.00', '1.00')
    """
    words = f"{value:.2f}"
    return "0.00" if words == "-0.00" else words.replace("-", _MINUS)


def share(probability: float) -> str:
    """A share of 1 for the screen: percent above 0.1 %, scientific below (of 1, not of 100).

    Never rounded up to certainty or down to nothing.

    >>> share(0.338), share(0.0000123), share(0.99996), share(1), share(0)
    ('33.8\\xa0%', '1.23 × 10⁻⁵', '> 99.9\\xa0%', '100\\xa0%', '0\\xa0%')
    """
    if math.isnan(probability):
        return "not a number"
    if probability == 0 or probability == 1:
        return f"{100 * probability:.0f}{_THIN}%"
    if 0.9995 <= probability < 1:
        return f"> 99.9{_THIN}%"
    if abs(probability) < 0.001:
        return _scientific(probability)
    return f"{_three(100 * probability)}{_THIN}%"


def shares(*probabilities: float) -> tuple[str, ...]:
    """Shares that stand beside one another, in one notation: percent for all where one of them has it.

    >>> shares(0.0131, 0.000958)
    ('1.31\\xa0%', '0.0958\\xa0%')
    >>> shares(0.0000123, 0.00042)
    ('1.23 × 10⁻⁵', '4.20 × 10⁻⁴')
    """
    if not any(0.001 <= abs(p) < math.inf for p in probabilities):
        return tuple(map(share, probabilities))
    return tuple(_percent(p) if 0 < abs(p) < 0.001 else share(p) for p in probabilities)


def _percent(probability: float) -> str:
    """A small share in percent: 0.0958 %, 3.61 × 10⁻⁴ %."""
    percent = 100 * probability
    decimals = max(0, 2 - math.floor(math.log10(abs(percent))))
    words = f"{percent:.{decimals}f}".replace("-", _MINUS) if abs(percent) >= 1e-4 else _scientific(percent)
    return f"{words}{_THIN}%"


def shared_range(*values: object, symmetric: bool = False) -> tuple[float, float]:
    """One axis or colour range for several arrays, so that equal quantities are drawn equal.

    Values that are not finite are left out; with `symmetric` 0 lies in the middle (signed scales), else the
    range starts at 0 or below. Nothing finite gives (0, 1), or (-1, 1).

    >>> shared_range([1, 2], [0.5, float("inf")])
    (0.0, 2.0)
    >>> shared_range([-3, 2], symmetric=True)
    (-3.0, 3.0)
    """
    import numpy as np

    arrays = [np.asarray(value, dtype=np.float64).ravel() for value in values]
    finite = np.concatenate([array[np.isfinite(array)] for array in arrays]) if arrays else np.empty(0)
    top = float(np.abs(finite).max() if symmetric else finite.max()) if finite.size else 0.0
    if symmetric:
        return -(top or 1.0), top or 1.0
    low = min(0.0, float(finite.min())) if finite.size else 0.0
    return low, top if top > low else low + 1.0


def _draws_nothing(character: str) -> bool:
    code = ord(character)
    selector = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    return character in _BLANK or selector or unicodedata.category(character) in _INVISIBLE_CATEGORIES


def _number(value: float, digits: int = 3) -> str:
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1000):
        return f"{int(value):,}".replace("-", _MINUS)
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    return _three(value, digits)


def _three(value: float, digits: int = 3) -> str:
    rounded = as_printed(value, digits)
    if not 1e-3 <= abs(rounded) < 1e9:
        return _scientific(value, digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(rounded))))
    return f"{rounded:,.{decimals}f}".replace("-", _MINUS)


def _scientific(value: float, digits: int = 3) -> str:
    mantissa, exponent = f"{as_printed(value, digits):.{digits - 1}e}".split("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}".replace("-", _MINUS)


def _with_unit(number: str, unit: str) -> str:
    return f"{number}{_THIN}{unit}" if unit else number
