"""Between two columns lie three strips: in the first those lines bend that part, in the last those that meet;
in the middle all are level, and there their labels stand.

    source ──┬──── ×0.4 ────── target
             ╰──── ×0.2 ──╮
    source ─────── ×0.9 ──┴─── target
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..placement import HEAD
from .ends import Ends, Piece
from .ordering import Stacks
from .parts import Line

BEND, BESIDE = 13.0, 3.0
"""In points: across a bend, and beside a label."""

_TEXT, _EMPTY, _ROUNDS = 15.0, 5.0, 3
"""In points the height of a label with its line, and how wide a strip without labels is; how often all lines
of a strip are looked at."""


class Strips:
    """Where lines bend, and where their labels stand.

    Attributes:
        early: by piece whether it bends in the first strip, or else in the last.
        begin: by line how far from the beginning of the middle strip the middle of its label is.
        below: the lines whose label stands below them.
        widths: of the three strips behind each column.
    """

    def __init__(self, lines: Sequence[Line], stacks: Stacks, ends: Ends) -> None:
        self._lines, self._stacks, self._ends = lines, stacks, ends
        self._out = Counter(line.source for line in lines)
        self._into = Counter(line.target for line in lines)
        self.early: dict[Piece, bool] = {}
        self.begin: dict[int, float] = {}
        self.below: set[int] = set()
        gaps: list[list[Piece]] = [[] for _ in stacks.stacks]
        for i, way in enumerate(stacks.ways):
            for k, item in enumerate(way[:-1]):
                gaps[stacks.items[item].column].append((i, k))
        self.widths: list[tuple[float, float, float]] = [self._strip(pieces) for pieces in gaps]

    def level(self, piece: Piece) -> float:
        """Where a piece is in the middle strip."""
        begins, ends = self._ends.heights(piece)
        return ends if self.early[piece] else begins

    def _strip(self, pieces: Sequence[Piece]) -> tuple[float, float, float]:
        self._choose(pieces)
        bends = {self.early[piece] for piece in pieces if self._ends.is_bent(piece)}
        wide = self._stand(pieces)
        heads = any(self._lines[i].back and k == 0 for i, k in pieces)
        first = (HEAD + 1) * heads + BEND * (True in bends)
        return first, wide + 2 * BESIDE if wide else _EMPTY, BEND * (False in bends)

    def _label(self, piece: Piece) -> float:
        """How wide the label is that stands there."""
        return self._lines[piece[0]].label if piece[1] == 0 else 0.0

    def _choose(self, pieces: Sequence[Piece]) -> None:
        """Lines bend where several leave one thing, else where several meet; or elsewhere, if otherwise a
        label would lie on another one or on a line."""
        for i, k in pieces:
            way = self._stacks.ways[i]
            parts = k == 0 and self._out[way[0]] > 1
            meets = k == len(way) - 2 and self._into[way[-1]] > 1
            self.early[i, k] = parts or not meets
        loose = [piece for piece in pieces if self._ends.is_bent(piece)]
        for _ in range(_ROUNDS if any(map(self._label, pieces)) else 0):
            for piece in loose:
                before = self._cost(piece, pieces)
                self.early[piece] = not self.early[piece]
                if self._cost(piece, pieces) >= before:
                    self.early[piece] = not self.early[piece]

    def _cost(self, piece: Piece, pieces: Sequence[Piece]) -> int:
        """How often a label lies on another one or on a line there."""
        here, label, cost = self.level(piece), self._label(piece), 0
        for other in pieces:
            if other != piece:
                higher, beside = here - self.level(other), self._label(other)
                cost += bool(label and beside and abs(higher) < _TEXT)
                cost += bool(label and 1 < higher < _TEXT) + bool(beside and 1 < -higher < _TEXT)
        return cost

    def _stand(self, pieces: Sequence[Piece]) -> float:
        """Labels that would lie on each other stand beside each other, and one with a line close above it
        below its own; how wide all of them are."""
        levels = {piece: self.level(piece) for piece in pieces}
        lanes: list[list[Piece]] = []
        for piece in sorted(filter(self._label, pieces), key=lambda piece: levels[piece]):
            y = levels[piece]
            above, below = (any(1 < side * (at - y) < _TEXT for at in levels.values()) for side in (-1, 1))
            if above and not below:
                self.below.add(piece[0])
            free = [lane for lane in lanes if all(abs(y - levels[other]) >= _TEXT - 3 for other in lane)]
            if not free:
                lanes.append([])
            (free or lanes[-1:])[0].append(piece)
        wide = 0.0
        for lane in lanes:
            wide += 2 * BESIDE if wide else 0.0
            room = max(map(self._label, lane))
            self.begin.update({i: BESIDE + wide + room / 2 for i, _ in lane})
            wide += room
        return wide
