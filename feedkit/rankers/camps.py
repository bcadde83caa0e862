"""Two camps of people by what they like: found by linear algebra, from likes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate

from feedkit.chance import fraction

ROUNDS = 10, 30  # of power iteration, for the first and the second singular vector
_NOTHING = 1e-9  # below it, what is left of a vector of length 1 is rounding

Camps = tuple[frozenset[str], frozenset[str]]
Vector = list[float]


class _Matrix:
    """Who (rows) likes what (columns), as 1 and 0, regularised: each 1 is divided by
    √(row sum + mean row sum) · √(column sum + mean column sum)."""

    def __init__(self, likes: Mapping[str, AbstractSet[str]]) -> None:
        # Sorted, so that the same likes in another order give the same to the last bit.
        places = {thing: n for n, thing in enumerate(sorted(frozenset().union(*likes.values())))}
        self.rows = [sorted(places[thing] for thing in likes[one]) for one in sorted(likes)]
        self.columns: list[list[int]] = [[] for _ in places]
        for number, row in enumerate(self.rows):
            for place in row:
                self.columns[place].append(number)
        every = sum(map(len, self.rows))
        self.row_scale = [1 / math.sqrt(len(row) + every / len(likes)) for row in self.rows]
        self._column_scale = [1 / (len(col) + every / len(places)) for col in self.columns]

    def round(self, vector: Vector) -> Vector:
        """The matrix times its transpose times `vector`."""
        scaled = [value * scale for value, scale in zip(vector, self.row_scale, strict=True)]
        loads = [
            sum(map(scaled.__getitem__, column)) * scale
            for column, scale in zip(self.columns, self._column_scale, strict=True)
        ]
        return [
            sum(map(loads.__getitem__, row)) * scale
            for row, scale in zip(self.rows, self.row_scale, strict=True)
        ]


def two_camps(likes: Mapping[str, AbstractSet[str]]) -> Camps:
    """Those who like (keys), parted into two by what they like (values, none of them empty). The
    second camp is empty where all like the same.

    Regularised spectral clustering: the second left singular vector of the regularised matrix of
    who likes what, by power iteration from a fixed start, cut in two by exact 2-means. Without
    the regularisation, a few accounts that like the same few things would be a camp. The same for
    the same likes in any order; the time goes with the number of likes.

    Source: Rohe, Qin and Yu, «Co-clustering directed graphs to discover asymmetries and directional
    communities», PNAS 113(45), 2016.
    """
    if not likes:
        return frozenset(), frozenset()
    people, matrix = sorted(likes), _Matrix(likes)
    first = _unit([1 / scale for scale in matrix.row_scale])
    for _ in range(ROUNDS[0]):
        first = _unit(matrix.round(first))
    second = _without(first, [fraction("camps", one) - 0.5 for one in people])
    for _ in range(ROUNDS[1]):
        second = _without(first, matrix.round(second))
    cut = _cut(second)
    one = frozenset(who for who, value in zip(people, second, strict=True) if value <= cut)
    return one, frozenset(people) - one


def _without(first: Vector, vector: Vector) -> Vector:
    """What of `vector` is orthogonal to `first`, at length 1."""
    along = math.fsum(a * b for a, b in zip(first, vector, strict=True))
    return _unit([b - along * a for a, b in zip(first, vector, strict=True)])


def _unit(vector: Vector) -> Vector:
    """`vector` at length 1, or all 0 where nothing is left of it."""
    length = math.hypot(*vector)
    return [value / length if length > _NOTHING else 0.0 for value in vector]


def _cut(values: Sequence[float]) -> float:
    """The highest value of the lower of two groups that differ least from their means."""
    ordered, count = sorted(values), len(values)
    whole, best, cut = math.fsum(ordered), -math.inf, ordered[-1]
    for number, below in enumerate(accumulate(ordered[:-1]), 1):
        if ordered[number] <= ordered[number - 1]:
            continue  # equal values stay together
        between = below**2 / number + (whole - below) ** 2 / (count - number)
        if between > best:
            best, cut = between, ordered[number - 1]
    return cut
