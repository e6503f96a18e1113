"""In which columns things stand: each to the right of all that it needs.

x ────▶ [ × ] ─▶ [ + ] ─▶ loss
w ──────┘          ▲
            b ─────┘               a leaf, and what only leaves lead to, stands just before its first use
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Sequence

from .parts import Line, Thing


def _one_by_one(things: Sequence[Thing]) -> Iterable[tuple[int, int]]:
    """What stands on the state's line stands there one after the other."""
    return itertools.pairwise(i for i, thing in enumerate(things) if thing.straight and not thing.end)


def columns_of(things: Sequence[Thing], lines: Sequence[Line]) -> list[int]:
    """The column of each thing."""
    into, out = defaultdict(list), defaultdict(list)
    ends = [(line.source, line.target) for line in lines]
    for source, target in [*ends, *_one_by_one(things)]:
        into[target].append(source)
        out[source].append(target)
    entered = any(thing.end == "in" for thing in things)
    columns = [int(entered and thing.end != "in") for thing in things]
    fixed = [thing.end == "in" or thing.state for thing in things]
    for i, thing in enumerate(things):
        if into[i] and thing.end != "out":
            columns[i] = max(columns[i], *(columns[s] + 1 for s in into[i]))
            fixed[i] = fixed[i] or any(fixed[s] for s in into[i])
    for i in reversed(range(len(things))):
        uses = [columns[t] for t in out[i] if things[t].end != "out"]
        if uses and (not into[i] or not fixed[i]) and things[i].end != "in":
            columns[i] = max(columns[i], min(uses) - 1)
    last = max(columns, default=0)
    for i, thing in enumerate(things):
        if thing.end == "first":
            columns[i] = min(columns)
        elif thing.end == "last":
            columns[i] = max(columns[i], last)
        elif thing.end == "out":
            columns[i] = last + 1
    return columns
