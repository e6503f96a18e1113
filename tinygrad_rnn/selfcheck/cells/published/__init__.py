"""Cells of the literature, each written from its paper's equations in several spellings of the same
mathematics.

A spelling is what somebody might write: another operator for a product, other axes, a state that is flat, or
a matrix, or several, an object or a function, a loop or none. Whatever runs them has to see through all of
that. Sizes that are no batch and no width differ from each other and from 3, 4 and 5 where they can, so that
two axes that change places show.
"""

from . import (
    clocks,
    composed,
    dynamics,
    inner_loops,
    linear,
    lstm,
    matrices,
    memory,
    normalised,
    paths,
    recursions,
    sequences,
    shapes,
    state_spaces,
    tokens,
)
from .cell import PUBLISHED, Published

__all__ = [
    "PUBLISHED",
    "Published",
    "clocks",
    "composed",
    "dynamics",
    "inner_loops",
    "linear",
    "lstm",
    "matrices",
    "memory",
    "normalised",
    "paths",
    "recursions",
    "sequences",
    "shapes",
    "state_spaces",
    "tokens",
]
