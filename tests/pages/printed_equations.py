"""Reads printed equations as a reader with a calculator does, in plain text and in formulas.

`mistakes(text)` names every `left = right` whose left side is arithmetic of printed numbers and whose right
side is not what that gives, to the digit that is printed. After ≈ it may be off by the operands' rounding.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Iterator

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_PLAIN = re.compile(r"[\d\s.,()+\-−×·/√^*⁻⁰¹²³⁴⁵⁶⁷⁸⁹%\u00a0]|(?:rad|bits|nats|points)\b")
_BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_CALLS = {"exp": math.exp, "sqrt": math.sqrt, "tanh": math.tanh, "ln": math.log, "log_2": math.log2}


def mistakes(text: str) -> Iterator[str]:
    """What does not come out in a text with formulas between dollar signs."""
    outside = []
    for number, piece in enumerate(re.split(r"\$\$?", text)):
        if number % 2:
            yield from formula_mistakes(piece)
        outside.append(" ; " if number % 2 else re.sub(r"\\([^\w\s])", r"\1", piece))
    for line in re.split(r"[\n;:|]|, |\*\*|\. ", "".join(outside)):
        yield from _wrong(re.split(r"([=≈])", line), _plain_left, _plain_right)


def formula_mistakes(formula: str) -> Iterator[str]:
    """What does not come out in a formula."""
    formula = re.sub(r"\\(begin|end)\{\w+\}|[&$]|\\[,;!]|\\left|\\right|\\mathbf", "", formula)
    formula = formula.replace("{,}", "").replace(r"\approx", "≈").replace(r"\%", "%")
    for part in re.split(r"\\\\(?:\[\d+pt\])?|\\q?quad|\\to|\\xrightarrow|\\text|\\Rightarrow|, ", formula):
        sides = [side if side in "=≈" else _arithmetic(side) for side in re.split(r"([=≈])", part)]
        yield from _wrong(sides, str, str)


def _wrong(sides: list[str], left_of: object, right_of: object) -> Iterator[str]:
    for left, sign, right in zip(sides[::2], sides[1::2], sides[2::2], strict=False):
        printed, given = left_of(left), right_of(right)  # type: ignore[operator]
        if not re.search(r"[+\-−×·/√^*(]", printed.strip().lstrip("-−")) or not given:
            continue
        value, result = _value(printed), _value(given)
        if value is None or result is None or math.isinf(value):
            continue
        unit = _last_place(given, result)
        allowed = 0.5 * unit * (1 + 1e-6) if sign == "=" else max(2 * unit, 0.1 * abs(result))
        if abs(value - result) > allowed + 1e-12 * abs(result):
            yield f"{printed.strip()} {sign} {given.strip()}, which is {value:.8g}"


def _plain_left(text: str) -> str:
    """The arithmetic at the end of a text."""
    found = re.search(rf"(?:{_PLAIN.pattern})*$", text)
    return re.sub(r"^[\s.,)/%×·]+", "", found[0]) if found else ""


def _plain_right(text: str) -> str:
    """The number, or arithmetic, at the beginning of a text."""
    found = re.match(rf"(?:{_PLAIN.pattern})*", text.lstrip())
    words = found[0] if found else ""
    return re.sub(r"[\s.,(/×·+−-]+$", "", words)


def _arithmetic(tex: str) -> str:
    """LaTeX as arithmetic; what is none stays, so that it has no value."""
    before = None
    while before != tex:
        before = tex
        tex = re.sub(r"\\underbrace\{([^{}]*)\}_\{[^{}]*(?:\{[^{}]*\}[^{}]*)?\}", r"\1", tex)
        tex = re.sub(r"\\[td]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", tex)
        tex = re.sub(r"\\sqrt\{([^{}]*)\}", r"sqrt(\1)", tex)
        tex = re.sub(r"\be\^\{([^{}]*)\}", r"exp(\1)", tex)
        tex = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", tex)
        tex = re.sub(r"\\(ln|log_2) (\d[\d.]*)", r"\1(\2)", tex)
    tex = re.sub(r"^\{(.*)\}$", r"\1", tex.strip())
    return tex.replace(r"\cdot", "*").replace(r"\times", "*").replace(r"\tanh", "tanh").replace("^", "**")


def _value(words: str) -> float | None:
    """What a calculator gives; None for what is no arithmetic of numbers."""
    text = re.sub(r"\b(rad|bits|nats|points)\b", "", words)
    text = re.sub(r"([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)", lambda m: f"**({m[1].translate(_SUPERSCRIPTS)})", text)
    text = re.sub(r"√(\d[\d.,]*)", r"sqrt(\1)", text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"(\d)\s*%", r"\1/100", text)
    for sign, plain in {"−": "-", "×": "*", "·": "*", "^": "**", "\u00a0": " "}.items():
        text = text.replace(sign, plain)
    try:
        return _evaluated(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError):
        return None


def _evaluated(node: ast.expr) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return float(_BINARY[type(sign)](_evaluated(left), _evaluated(right)))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand)
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _CALLS:
            return _CALLS[name](_evaluated(argument))
    raise ValueError(ast.dump(node))


def _last_place(printed: str, value: float) -> float:
    """What one unit in the last printed digit is worth; of an expression, as its roughest number has it."""
    units = []
    for found in re.finditer(
        rf"({_NUMBER})(?:\s*[×*]\s*10(?:\*\*\()?([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+|-?\d+)\)?)?(\s*%)?", printed
    ):
        number, power, percent = found.groups()
        decimals = len(number.partition(".")[2])
        exponent = int(power.translate(_SUPERSCRIPTS)) if power else 0
        unit = 10.0 ** (exponent - decimals) / (100 if percent else 1)
        units.append(
            (unit, 10.0**-decimals / (abs(float(number.replace(",", ""))) or 1.0) if decimals else 0.0)
        )
    if len(units) == 1:
        return units[0][0]
    return abs(value) * max((relative for _, relative in units), default=0.0)
