"""Kinds of settings: how each reads hostile text from a link, clamps it, and writes it back.

Every reader is total: any text at all gives an allowed value, the nearest one where "nearest" means
something (99 layers -> the last layer, "inf" -> the largest number), else the default. Text that was
thrown away as a whole (a prompt over the limit) is reported by `Refused`, so that the page can say so.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_WHOLE = re.compile(r"[+-]?[0-9]{1,30}\Z")


class Refused(Exception):
    """Text that is not used at all; the message says what came and what is allowed."""


@dataclass(frozen=True)
class Setting:
    """One row of the table of settings.

    Attributes:
        key: name in Python and in the link.
        default: its value before anybody chose one; written into links as well.
        parse: text from a link -> value that may still have to be fitted; raises `Refused`.
        write: allowed value -> text for a link.
        fit: any value at all -> the nearest allowed one; raises `Refused` for text over its limit.
        within: the field of `Limits` that bounds it, for what depends on model or prompt.
        counts: it is a number of what `within` names, which may be all of them, and no place among them.
        page: the page it belongs to; None: all pages.
        says: whether a link's text means just this value, rather than being replaced by it.
        name: what notices call it where its key is no plain word: "number format".
        shown: a value as the page writes it where that is not as the link does: token -1 is "the last one",
            a power 4 is "16"; "" for all others.
    """

    key: str
    default: Any
    parse: Callable[[str], Any]
    write: Callable[[Any], str]
    fit: Callable[[Any], Any]
    within: str | None = None
    counts: bool = False
    page: str | None = None
    says: Callable[[str, Any], bool] = lambda text, value: True
    name: str = ""
    shown: Callable[[Any], str] = lambda value: ""

    def named(self) -> str:
        """The setting in words; its key with blanks where that says it."""
        return self.name or self.key.replace("_", " ")


def one_of(words: dict[Any, str]) -> Callable[[Any], str]:
    """For `Setting.shown`: some values in words."""
    return lambda value: words.get(value, "")


def power_of_two(value: int | str) -> str:
    """For `Setting.shown`: kept as k, shown as 2^k."""
    return f"{2 ** int(value):,}"


def as_number(value: object) -> float | None:
    """The number that `value` means, or None: texts are read, nan and booleans are no numbers."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    except OverflowError:  # an int beyond the largest float
        number = math.inf if int(value) > 0 else -math.inf
    return None if math.isnan(number) else number


def whole(key: str, default: int, least: int, most: int, **row: Any) -> Setting:
    """A whole number; fractions are rounded, infinities become the bound they lie beyond."""

    def fit(value: object) -> int:
        # Whole numbers are read as such: seeds above 2^53 would lose digits as floats.
        if isinstance(value, str) and _WHOLE.match(value.strip()):
            value = int(value.strip())  # strip takes more for a space than int does
        if isinstance(value, int) and not isinstance(value, bool):
            return min(max(value, least), most)
        number = as_number(value)
        return default if number is None else round(min(max(number, least), most))

    return Setting(key, default, fit, str, fit, says=_is_number, **row)


def _is_number(text: str, value: float) -> bool:
    """Whether `text` is exactly this number: read as a whole one where it is, so that no digit is lost."""
    words = text.strip()
    return int(words) == value if _WHOLE.match(words) else as_number(words) == value


def decimal(key: str, default: float, least: float, most: float, **row: Any) -> Setting:
    """A real number."""

    def fit(value: object) -> float:
        number = as_number(value)
        return default if number is None else min(max(number, least), most)

    return Setting(key, default, fit, lambda value: f"{value:.12g}", fit, says=_is_number, **row)


def choice(key: str, default: str, options: tuple[str, ...], **row: Any) -> Setting:
    """One of a few words."""

    def fit(value: object) -> str:
        word = value.strip().lower() if isinstance(value, str) else ""
        return word if word in options else default

    def says(text: str, value: str) -> bool:
        return text.strip().lower() == value

    return Setting(key, default, fit, str, fit, says=says, **row)


def switch(key: str, default: bool, **row: Any) -> Setting:
    """Yes or no; 1 and 0 in links."""
    words = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}

    def fit(value: object) -> bool:
        return value if isinstance(value, bool) else words.get(str(value).strip().lower(), default)

    def says(text: str, value: bool) -> bool:
        return words.get(text.strip().lower()) is value

    return Setting(key, default, fit, lambda value: "1" if value else "0", fit, says=says, **row)


def text(key: str, default: str, most: int, called: str, **row: Any) -> Setting:
    """Free text, `called` a "list of words"; over `most` characters it is refused, not cut in the middle."""

    def fit(value: object) -> str:
        if not isinstance(value, str):
            return default
        if len(value) > most:
            raise Refused(
                f"This {called} has {len(value):,} characters; at most {most:,} are allowed. It is not used: "
                "shorten it."
            )
        return clean(value)

    return Setting(key, default, fit, str, fit, name=called, **row)


def clean(value: str) -> str:
    """`value` without lone surrogates, which no encoder takes; everything else stays as it came."""
    return value.encode("utf-8", "replace").decode("utf-8")


def permutation(key: str, codes: dict[str, str], **row: Any) -> Setting:
    """An order of all `codes` (letter -> name), written as its letters.

    Unknown and repeated letters are dropped, missing ones follow in the default order.
    """
    default = tuple(codes.values())
    letters = {name: letter for letter, name in codes.items()}

    def complete(names: list[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*names, *default]))

    def parse(value: str) -> tuple[str, ...]:
        return complete([codes[letter] for letter in value[:100] if letter in codes])

    def fit(value: object) -> tuple[str, ...]:
        if isinstance(value, str):
            return parse(value)
        names = value if isinstance(value, list | tuple) else ()
        return complete([name for name in names if isinstance(name, str) and name in letters])

    def write(value: tuple[str, ...]) -> str:
        return "".join(letters[name] for name in value)

    return Setting(key, default, parse, write, fit, says=lambda text, value: text == write(value), **row)


def indices(key: str, most: int, largest: int, **row: Any) -> Setting:
    """Different whole numbers from 0 on, at most `most` of them, in the order given; points between them."""

    def fit(value: object) -> tuple[int, ...]:
        words = value.split(".") if isinstance(value, str) else value
        several = words if isinstance(words, list | tuple) else ()
        numbers = [as_number(word) for word in several]
        allowed = (int(number) for number in numbers if number is not None and 0 <= number <= largest)
        return tuple(dict.fromkeys(allowed))[:most]

    def write(value: tuple[int, ...]) -> str:
        return ".".join(map(str, value))

    return Setting(key, (), fit, write, fit, says=lambda text, value: text.strip() == write(value), **row)


def subset(key: str, options: tuple[str, ...], **row: Any) -> Setting:
    """At least one of a few words, in the order of `options`; written with points between them.

    Unknown words are dropped; where none is left, all are chosen.
    """

    def fit(value: object) -> tuple[str, ...]:
        words = value.lower().split(".") if isinstance(value, str) else value
        several = words if isinstance(words, list | tuple | set) else ()
        chosen = {word for word in several if isinstance(word, str)}
        return tuple(option for option in options if option in chosen) or options

    def says(text: str, value: tuple[str, ...]) -> bool:
        return sorted(text.strip().lower().split(".")) == sorted(value)

    return Setting(key, options, fit, ".".join, fit, says=says, **row)
