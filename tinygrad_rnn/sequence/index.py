"""Indices as sums of loop variables: 3 + 4·i + j. What is known of them is known before a program runs.

So reshapes cost nothing where loops run along the finer axes, (4·i + j) // 4 = i, and a loop over two axes
becomes one where every address says 4·i + j.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_serials = itertools.count()


@dataclass(frozen=True, eq=False)
class Var:
    """A loop variable: 0, 1, … length − 1.

    Attributes:
        batch: it counts samples, which threads share.
    """

    length: int
    batch: bool = False
    serial: int = field(default_factory=lambda: next(_serials))

    def __repr__(self) -> str:
        return f"i{self.serial}"


class Index:
    """const + Σ factor · variable."""

    __slots__ = ("_hash", "const", "terms")

    def __init__(self, const: int = 0, terms: Mapping[Var, int] | Iterable[tuple[Var, int]] = ()) -> None:
        pairs = terms.items() if isinstance(terms, Mapping) else terms
        self.const: int = const
        self.terms: dict[Var, int] = {var: factor for var, factor in pairs if factor and var.length > 1}

    _hash: int

    def __repr__(self) -> str:
        return " + ".join([*(f"{factor}·{var}" for var, factor in self.terms.items()), str(self.const)])

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            self._hash = hash((self.const, frozenset(self.terms.items())))
            return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.const == other.const and self.terms == other.terms

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.const + other, self.terms)
        terms = dict(self.terms)
        for var, factor in other.terms.items():
            terms[var] = terms.get(var, 0) + factor
        return Index(self.const + other.const, terms)

    def __mul__(self, factor: int) -> Index:
        return Index(self.const * factor, {var: factor * own for var, own in self.terms.items()})

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the largest value."""
        reach = [factor * (var.length - 1) for var, factor in self.terms.items()]
        return self.const + sum(r for r in reach if r < 0), self.const + sum(r for r in reach if r > 0)

    def divided(self, n: int) -> tuple[Index, Index] | None:
        """Quotient and remainder by n; None where they are no sums."""
        whole = {var: factor // n for var, factor in self.terms.items() if factor % n == 0}
        rest = Index(self.const % n, {var: factor for var, factor in self.terms.items() if factor % n})
        least, largest = rest.bounds
        return (Index(self.const // n, whole), rest) if least >= 0 and largest < n else None

    def replaced(self, values: Mapping[Var, Index]) -> Index:
        """With other indices in the place of variables."""
        total = Index(self.const)
        for var, factor in self.terms.items():
            total = total + values.get(var, Index(0, {var: 1})) * factor
        return total


def of(var: Var) -> Index:
    return Index(0, {var: 1})


def flat(indices: Iterable[Index], shape: tuple[int, ...]) -> Index:
    """The place in the order of elements."""
    const, terms, stride = 0, dict[Var, int](), 1
    for index, n in zip(reversed(tuple(indices)), reversed(shape), strict=True):
        const += index.const * stride
        for var, factor in index.terms.items():
            terms[var] = terms.get(var, 0) + factor * stride
        stride *= n
    return Index(const, terms)


def unflat(place: Index, shape: tuple[int, ...]) -> list[Index] | None:
    """Indices from the place in the order of elements; None where they are no sums."""
    found: list[Index] = []
    for n in reversed(shape[1:]):
        parts = place.divided(n)
        if parts is None:
            return None
        place, rest = parts
        found.append(rest)
    return [place, *reversed(found)] if shape else []


def blocks(length: int, size: int) -> list[tuple[int, int, int]]:
    """How a length is cut into blocks: (start, blocks, size) of the full ones, and of the rest."""
    full, rest = divmod(length, size)
    return [*([(0, full, size)] if full else []), *([(full * size, 1, rest)] if rest else [])]
