"""The ranker for a formula of one's own. Read as arithmetic, never run as Python."""

from __future__ import annotations

import ast
import difflib
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property, lru_cache
from typing import Annotated

from pydantic import AfterValidator

from feedkit.plugin import COUNTS, Field, Term
from feedkit.post import Post, Request
from feedkit.rankers.votes import Counting, age_hours

_LONGEST = 500  # characters
Values = Mapping[str, float]
Formula = Callable[[Values], float]

# What a formula may name. Each takes the post and its age in hours.
_NAMES: dict[str, Callable[[Post, float], float]] = {
    "likes": lambda post, hours: post.likes,
    "reposts": lambda post, hours: post.reposts,
    "replies": lambda post, hours: post.replies,
    "quotes": lambda post, hours: post.quotes,
    "age_minutes": lambda post, hours: hours * 60,
    "age_hours": lambda post, hours: hours,
    "age_days": lambda post, hours: hours / 24,
    "length": lambda post, hours: len(post.text),
    "images": lambda post, hours: len(post.images),
    "links": lambda post, hours: len(post.links),
    "tags": lambda post, hours: len(post.tags),
    "mentions": lambda post, hours: len(post.mentions),
    "is_reply": lambda post, hours: bool(post.reply_parent),
    "is_quote": lambda post, hours: bool(post.quote),
    "has_video": lambda post, hours: post.video is not None,
}
_FUNCTIONS: dict[str, tuple[Callable[..., float], int]] = {  # with how many numbers they take
    "log": (math.log, 1),
    "log2": (math.log2, 1),
    "log10": (math.log10, 1),
    "exp": (math.exp, 1),
    "sqrt": (math.sqrt, 1),
    "abs": (abs, 1),
    "min": (min, 0),
    "max": (max, 0),
}
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,  # **, but never a complex number
}
_TAKES = (
    "a formula takes numbers, + - * / **, parentheses, "
    f"{', '.join(_FUNCTIONS)}, and {', '.join(_NAMES)}"
)


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[Formula, frozenset[str]]:
    """The formula that `text` writes, and the names in it. Raises `ValueError` with a remedy."""
    if len(text) > _LONGEST:
        raise ValueError(f"the formula is longer than {_LONGEST} characters")
    try:
        try:
            tree = ast.parse(text.strip(), mode="eval")
        except (SyntaxError, ValueError) as error:  # ValueError: a NUL, up to Python 3.11.3
            said = str(getattr(error, "msg", error)).partition(".")[0]
            raise ValueError(f"“{text}” is no formula ({said}); {_TAKES}") from None
        names: set[str] = set()
        return _read(tree.body, names), frozenset(names)
    except (MemoryError, RecursionError):
        raise ValueError(f"“{text}” is nested too deeply") from None


def _read(node: ast.expr, names: set[str]) -> Formula:
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            try:
                constant = float(number)
            except OverflowError:
                raise ValueError(f"{number} is too large a number") from None
            return lambda values: constant
        case ast.Name(id=name) if name in _NAMES:
            names.add(name)
            return lambda values: values[name]
        case ast.Name(id=name):
            near = difflib.get_close_matches(name, [*_NAMES, *_FUNCTIONS], 1)
            hint = f"did you mean {near[0]!r}?" if near else _TAKES
            raise ValueError(f"nothing is called {name!r} in a formula; {hint}")
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=inner):
            read = _read(inner, names)
            return read if isinstance(sign, ast.UAdd) else lambda values: -read(values)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            do, one, other = _OPERATORS[type(op)], _read(left, names), _read(right, names)
            return lambda values: do(one(values), other(values))
        case ast.BinOp(op=ast.BitXor()):
            raise ValueError("^ is no power in a formula; write **")
        case ast.Call(func=ast.Name(id=name), args=given, keywords=[]) if name in _FUNCTIONS:
            function, takes = _FUNCTIONS[name]
            if len(given) != takes if takes else len(given) < 2:
                raise ValueError(f"{name} takes {'one number' if takes else 'several numbers'}")
            inner_ones = [_read(part, names) for part in given]
            return lambda values: function(*(part(values) for part in inner_ones))
    raise ValueError(f"“{ast.unparse(node)}” cannot be part of a formula: {_what(node)}; {_TAKES}")


def _what(node: ast.expr) -> str:
    match node:
        case ast.Attribute():
            return "it looks inside a thing, by a dot"
        case ast.Call():
            return "there is no such function"
        case ast.Subscript():
            return "it looks inside a thing, by brackets"
        case ast.Compare() | ast.BoolOp() | ast.IfExp():
            return "there are no conditions (min and max often do; or use the ranker boost)"
        case ast.Constant():
            return "it is no number"
    return "it is no arithmetic"


def _formula(text: str) -> str:
    parse(text)
    return text.strip()


class Expression(Counting):
    """A formula over a post's numbers: + - * / **, parentheses, log, log2, log10, exp, sqrt, abs,
    min, max.

    Numbers: likes, reposts, replies, quotes, age_minutes, age_hours, age_days, length (of the
    text), images, links, tags, mentions; is_reply, is_quote, has_video (1 or 0). Where the result
    is no number (a division by zero, the logarithm of nothing), the post scores 0.

    ```yaml
    expression: (likes + 3*quotes) / (age_hours + 2)**1.5 - 0.5*is_reply
    ```
    """

    formula: Annotated[str, AfterValidator(_formula)] = Field(
        min_length=1, description="the formula, such as likes + 3*quotes - 0.5*age_hours"
    )

    @property
    def needs(self) -> AbstractSet[str]:
        return self.counting(self._parsed[1] & COUNTS)

    @cached_property
    def _parsed(self) -> tuple[Formula, frozenset[str]]:
        return parse(self.formula)

    def score(self, post: Post, request: Request) -> float:
        return self._result(self._values_of(post, request)) or 0.0

    def explain(self, post: Post, request: Request) -> Sequence[Term]:
        values = self._values_of(post, request)
        given = ", ".join(f"{name} = {value:.4g}" for name, value in sorted(values.items()))
        because = f"{self.formula}{f', where {given}' if given else ''}"
        result = self._result(values)
        if result is None:
            return (Term("formula", 0.0, f"{because}: the result is no number, which counts as 0"),)
        return (Term("formula", result, because),)

    def _values_of(self, post: Post, request: Request) -> Values:
        hours = age_hours(post, request.now)
        post = self.counted(post)
        return {name: float(_NAMES[name](post, hours)) for name in self._parsed[1]}

    def _result(self, values: Values) -> float | None:
        """The result, or None where it is no number."""
        try:
            result = self._parsed[0](values)
        except (ArithmeticError, ValueError):
            return None
        return result if math.isfinite(result) else None
