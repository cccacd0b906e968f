"""The sentences by which fixtures describe their inputs, evaluated without `eval`.

A sentence is an expression and, behind it, words for people: `0.4*inputs('surface',(2,300,6),salt): xyz then normals`.
Only the names and operators listed here exist, so a fixture from elsewhere can describe arrays but not run code.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tests.parity import fill

LONGEST = 1000
"""Characters of an expression."""
LARGEST = 2**28
"""Values of an array."""


class ExpressionError(ValueError):
    """A sentence that is no expression of the closed list: says which part is not understood."""


def split(sentence: str) -> tuple[str, str]:
    """(expression, remark): the expression ends at `:` or `;`, or where two operands stand side by side."""
    depth, quote = 0, ""
    for place, sign in enumerate(sentence):
        if quote:
            quote = "" if sign == quote else quote
        elif sign in "'\"":
            quote = sign
        elif sign in "([":
            if depth == 0 and place and sentence[place - 1] == " " and _ends_operand(sentence[:place]):
                return sentence[:place].strip(), sentence[place:]
            depth += 1
        elif sign in ")]":
            depth -= 1
        elif depth == 0 and (sign in ":;" or _starts_word(sentence, place)):
            return sentence[:place].strip(), sentence[place:]
    return sentence.strip(), ""


def _ends_operand(text: str) -> bool:
    return bool(text.strip()) and (text.rstrip()[-1].isalnum() or text.rstrip()[-1] in ")]'\"")


def _starts_word(sentence: str, place: int) -> bool:
    """Whether a word begins at `place` right behind an operand, as in `img(4,4,0) with A=25`."""
    behind_blank = place > 0 and sentence[place - 1] == " "
    return behind_blank and sentence[place].isalpha() and _ends_operand(sentence[:place])


def evaluate(sentence: str, salt: int, names: Mapping[str, Any] | None = None) -> Any:
    """The value of the expression that `sentence` begins with: a number, a tuple or an array.

    `salt` stands for itself and is what `inputs` and `uniform` use when they are given none; `same` and `...` stand for
    `names["same"]`, a shape. `|p|` is the norm of p and `^` a power, as people write them.
    Raises ExpressionError for anything outside the closed list, and for what would be too large.
    """
    expression, remark = split(sentence)
    if len(expression) > LONGEST:
        raise ExpressionError(f"expression of {len(expression)} characters, at most {LONGEST} are read")
    readable = re.sub(r"\|(\w+)\|", r"norm(\1)", expression).replace("^", "**")
    try:
        tree = ast.parse(readable, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ExpressionError(f"not an expression: {expression!r}") from error
    coverage = re.search(r"with A=(\d+)", remark)
    try:
        return _Evaluator(salt, names or {}, int(coverage[1]) if coverage else 64).value(tree)
    except RecursionError as error:
        raise ExpressionError(f"nested too deeply: {expression!r}") from error


def assignments(sentence: str) -> dict[str, str]:
    """{name: expression with its remark} of a sentence such as `keys a=inputs('a',(2,),salt), b=norm(a)<1 (inside)`."""
    starts = [match for match in re.finditer(r"(?:^|[;,]\s*|\s)(\w+)=(?!=)", sentence) if _level(sentence, match) == 0]
    ends = [match.start() for match in starts[1:]] + [len(sentence)]
    return {match[1]: sentence[match.end() : end].strip() for match, end in zip(starts, ends, strict=True)}


def _level(sentence: str, match: re.Match[str]) -> int:
    """Depth of brackets where `match` begins."""
    before = sentence[: match.start(1)]
    return sum(before.count(sign) for sign in "([") - sum(before.count(sign) for sign in ")]")


def picture(height: int, width: int, salt: int, coverage: int = 64) -> UInt8[np.ndarray, "H W 4"]:
    """The fixtures' RGBA test picture, integers throughout: triangle waves, and an ellipse as alpha.

    The ellipse is opaque where ((2x+1-w)^2 h^2 + (2y+1-h)^2 w^2) 100 < coverage w^2 h^2, else alpha is 0.
    """
    y, x = np.mgrid[:height, :width].astype(np.int64)
    steps = [x * (3 + c) + y * (5 - c) + (x * y) // (40 + c) + 37 * c + 11 * salt for c in range(3)]
    distance = (2 * x + 1 - width) ** 2 * height**2 + (2 * y + 1 - height) ** 2 * width**2
    inside = distance * 100 < coverage * width**2 * height**2
    return np.stack([*(abs(k % 510 - 255) for k in steps), 255 * inside], axis=-1).astype(np.uint8)


def _elements(shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple, checked: an expression must not be able to fill the memory."""
    try:
        sizes = tuple(operator.index(size) for size in shape)
    except TypeError as error:
        raise ExpressionError(f"a shape is a row of whole numbers, got {shape!r}") from error
    if any(size < 0 for size in sizes) or np.prod(sizes, dtype=np.float64) > LARGEST:
        raise ExpressionError(f"shape {sizes}: sizes must not be negative, nor their product above {LARGEST}")
    return sizes


def _check_room(*operands: Any) -> None:
    """ExpressionError where arrays do not go together, or would together become too large."""
    try:
        shape = np.broadcast_shapes(*(np.shape(operand) for operand in operands))
    except ValueError as error:
        raise ExpressionError(f"shapes do not go together: {error}") from error
    _elements(shape)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "clip": np.clip,
    "cos": np.cos,
    "exp": np.exp,
    "float16": np.float16,
    "float32": np.float32,
    "floor": np.floor,
    "hypot": np.hypot,
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
    "norm": lambda vectors: np.linalg.norm(vectors, axis=-1),
    "packbits": np.packbits,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "uint8": lambda values: np.asarray(values).astype(np.uint8),
    "unit": _unit,
}

_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}

_MODULES = ("fill", "np")  # whose names the sentences also write with a dot


class _Evaluator:
    """Walks a syntax tree; every kind of node that it has no rule for is an error."""

    def __init__(self, salt: int, names: Mapping[str, Any], coverage: int) -> None:
        self.salt = salt
        self.names = {"salt": salt, "pi": np.pi, **names}
        self.functions = _FUNCTIONS | {
            "inputs": self._inputs,
            "uniform": self._uniform,
            "img": partial(self._picture, coverage=coverage),
        }

    def value(self, node: ast.AST) -> Any:
        """The value of a node."""
        rule = getattr(self, f"_{type(node).__name__.lower()}", None)
        if rule is None:
            raise ExpressionError(f"{type(node).__name__} is not allowed in {ast.unparse(node)!r}")
        return rule(node)

    def _constant(self, node: ast.Constant) -> Any:
        if node.value is Ellipsis:
            return self._same()
        if type(node.value) not in (int, float, str):
            raise ExpressionError(f"constant {node.value!r} is not allowed")
        return node.value

    def _name(self, node: ast.Name) -> Any:
        if node.id == "same":
            return self._same()
        if node.id not in self.names:
            raise ExpressionError(f"name {node.id!r} is not known here")
        return self.names[node.id]

    def _same(self) -> Any:
        if "same" not in self.names:
            raise ExpressionError("the sentence leaves a shape open")
        return self.names["same"]

    def _attribute(self, node: ast.Attribute) -> tuple[int, ...]:
        owner = self.value(node.value) if isinstance(node.value, ast.Name) else None
        if node.attr != "shape" or not isinstance(owner, np.ndarray):
            raise ExpressionError(f"{ast.unparse(node)!r}: only the shape of an array can be asked")
        return owner.shape

    def _tuple(self, node: ast.Tuple | ast.List) -> tuple[Any, ...]:
        return tuple(self.value(item) for item in node.elts)

    _list = _tuple

    def _joinedstr(self, node: ast.JoinedStr) -> str:
        parts = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue) and (part.format_spec or part.conversion != -1):
                raise ExpressionError(f"{ast.unparse(node)!r}: plain names only between the braces")
            parts.append(str(self.value(part.value if isinstance(part, ast.FormattedValue) else part)))
        return "".join(parts)

    def _unaryop(self, node: ast.UnaryOp) -> Any:
        if not isinstance(node.op, ast.USub | ast.UAdd):
            raise ExpressionError(f"{ast.unparse(node)!r} is not allowed")
        value = _operand(self.value(node.operand))
        return -value if isinstance(node.op, ast.USub) else value

    def _binop(self, node: ast.BinOp) -> Any:
        return self._combine(node.op, node.left, node.right)

    def _compare(self, node: ast.Compare) -> Any:
        if len(node.ops) != 1:
            raise ExpressionError(f"{ast.unparse(node)!r}: one comparison at a time")
        return self._combine(node.ops[0], node.left, node.comparators[0])

    def _combine(self, sign: ast.AST, left: ast.expr, right: ast.expr) -> Any:
        if type(sign) not in _OPERATORS:
            raise ExpressionError(f"operator {type(sign).__name__} is not allowed")
        first, second = _operand(self.value(left)), _operand(self.value(right))
        if isinstance(sign, ast.Pow) and not (np.ndim(second) == 0 and abs(second) <= 16):
            raise ExpressionError("a power has one exponent, at most 16")
        _check_room(first, second)
        result = _OPERATORS[type(sign)](first, second)
        if isinstance(result, int) and abs(result) > 2**62:
            raise ExpressionError("a whole number grows beyond 64 bits")
        return result

    def _call(self, node: ast.Call) -> Any:
        name = node.func
        if isinstance(name, ast.Attribute) and isinstance(name.value, ast.Name) and name.value.id in _MODULES:
            name = ast.Name(name.attr)
        if not isinstance(name, ast.Name) or name.id not in self.functions or node.keywords:
            raise ExpressionError(f"call {ast.unparse(node)!r} is not in the closed list")
        arguments = [self.value(argument) for argument in node.args]
        _check_room(*(argument for argument in arguments if isinstance(argument, np.ndarray)))
        try:
            return self.functions[name.id](*arguments)
        except (TypeError, ValueError) as error:
            raise ExpressionError(f"{ast.unparse(node)!r}: {error}") from error

    def _inputs(self, name: str, shape: Any, salt: int | None = None) -> np.ndarray:
        return fill.inputs(name, _elements(shape), self.salt if salt is None else salt)

    def _uniform(self, name: str, shape: Any, low: float = 0, high: float = 1, salt: int | None = None) -> np.ndarray:
        return fill.uniform(name, _elements(shape), low, high, self.salt if salt is None else salt)

    def _picture(self, height: int, width: int, salt: int, coverage: int) -> np.ndarray:
        _elements((height, width, 4))
        return picture(height, width, salt, coverage)


def _operand(value: Any) -> Any:
    """A number or an array to calculate with; a tuple is a vector."""
    if isinstance(value, str):
        raise ExpressionError(f"{value!r} is text, not a number")
    return np.asarray(value, np.float32) if isinstance(value, tuple) else value
