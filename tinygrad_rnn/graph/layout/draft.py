"""A block as things and lines, each with a key that is the same in every step of the same operations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping

from ...reading.words import plain
from ..placement import Sign, Spot
from ..scene import Arrow, Box, Group
from ..text import width_of
from .blocks import Block
from .parts import End, Line, Thing
from .sizes import LABEL, SIGN, size_of

Key = tuple[Hashable, ...]
"""("box", 3) is an operation; ("out", ("box", 3), None, 2) the second line that goes out from it."""

_PASSED = 10.0
"""How high a place is that a line passes, in points."""


class Draft:
    """A block before it is laid out.

    Args:
        boxes: all boxes of the picture, each with its step.
        banded: the state stands at the ends of its band.

    Attributes:
        key_of: by id of a box, its key.
        operations: what steps have in common that are laid out alike.
        things, lines: by key; a line's ends are in ``ends``, its arrow in ``arrows``.
        signs: by the key of the thing.
    """

    def __init__(self, block: Block, boxes: Mapping[str, tuple[Box, Group | None]], banded: bool) -> None:
        self.block = block
        self._boxes = boxes
        self.things: dict[Key, Thing] = {}
        self.lines: dict[Key, Line] = {}
        self.ends: dict[Key, tuple[Key, Key]] = {}
        self.arrows: dict[Key, Arrow] = {}
        self.signs: dict[Key, Sign] = {}
        self._count: dict[Key, int] = defaultdict(int)
        self._straight: set[str] = set()
        self.key_of: dict[str, Key] = self._keys()
        self.operations: Hashable = self._operations()
        leaving = Counter(arrow.source for arrow in (*block.inner, *block.outs, *block.sources))
        for box in block.boxes:
            self.things[self.key_of[box.id]] = _thing(box, banded, leaving[box.id])
        for arrow in block.inner:
            self._add_line("inner", arrow, self.key_of[arrow.source], self.key_of[arrow.target])
        for arrow in block.ins:
            self._add_line("in", arrow, None, self.key_of[arrow.target])
        for arrow in block.through:
            self._add_line("through", arrow, None, None)
        for arrow in block.outs:
            self._add_line("out", arrow, self.key_of[arrow.source], None)
        for arrow in block.targets:
            self._add_sign("from sign", arrow, arrow.source, arrow.target)
        for arrow in block.sources:
            self._add_sign("to sign", arrow, arrow.target, arrow.source)

    def _keys(self) -> dict[str, Key]:
        """Operations are counted; leaves go by what uses them first, since not every step has all of them."""
        block = self.block
        into = {arrow.target for arrow in (*block.inner, *block.ins, *block.targets)}
        use = {arrow.source: arrow.target for arrow in reversed(block.inner)}
        keys: dict[str, Key] = {}
        for box in block.boxes:
            if box.id in into or box.id not in use:
                keys[box.id] = "box", len(keys)
        for box in block.boxes:
            if box.id not in keys:
                keys[box.id] = self._counted("leaf", keys.get(use[box.id]))
        return keys

    def _counted(self, *key: Hashable) -> Key:
        """The key for the first, the second and so on of that kind."""
        self._count[key] += 1
        return *key, self._count[key]

    def _operations(self) -> Hashable:
        keys = self.key_of
        boxes = [box for box in self.block.boxes if keys[box.id][0] == "box"]
        inner = [(keys[arrow.source], keys[arrow.target]) for arrow in self.block.inner]
        return (
            self.block.group is not None,
            tuple((box.look.get("shape"), box.straight, len(box.lines)) for box in boxes),
            tuple(ends for ends in inner if ends[0][0] == "box"),
        )

    def _add_line(self, kind: str, arrow: Arrow, source: Key | None, target: Key | None) -> None:
        """A line; where it comes in or goes out, with a place on the border."""
        name = self._counted(kind, source, target)
        if source is None:
            source = ("from", *name)
            self.things[source] = Thing(0.0, _PASSED, straight=self._is_straight(arrow, "in"), end="in")
        if target is None:
            target = ("to", *name)
            self.things[target] = Thing(0.0, _PASSED, straight=self._is_straight(arrow, "out"), end="out")
        self._add(name, arrow, source, target, begins=kind in ("inner", "out"))

    def _is_straight(self, arrow: Arrow, border: str) -> bool:
        """Whether it is the state's line that crosses this border."""
        straight = border not in self._straight and all(
            self._boxes[end][0].straight for end in (arrow.source, arrow.target)
        )
        self._straight |= {border} if straight else set()
        return straight

    def _add_sign(self, kind: str, arrow: Arrow, far: str, here: str) -> None:
        """What an arrow that is cut off leads to, by its name or by the step that it stands in."""
        box, step = self._boxes[far]
        name, named, _ = box.label.partition(" = ")
        text = plain(name if named or step is None else f"{name} {step.label}", 40)
        size = width_of(text, SIGN) + 4, 1.4 * SIGN
        line = self._counted(kind, self.key_of[here])
        sign = ("sign", *line)
        leaves = kind == "to sign"
        id = f"j{arrow.id[1:].replace('-', '_')}{'' if leaves else '_'}"
        self.things[sign], self.signs[sign] = Thing(*size), Sign(id, text, Spot(0.0, 0.0, *size))
        ends = (self.key_of[here], sign) if leaves else (sign, self.key_of[here])
        self._add(line, arrow, *ends, begins=True)

    def _add(self, name: Key, arrow: Arrow, source: Key, target: Key, begins: bool) -> None:
        """A line; where it begins in here, with its label and its head."""
        label = width_of(arrow.look.get("label") or "", LABEL)
        self.lines[name] = Line(-1, -1, label, arrow.back) if begins else Line(-1, -1, 0.0, False)
        self.ends[name], self.arrows[name] = (source, target), arrow


def _thing(box: Box, banded: bool, leaving: int) -> Thing:
    """A box."""
    kind, shape = box.look.get("class") or "", box.look.get("shape") or ""
    width, height = size_of(box)
    end: End = ""
    if banded and box.straight and kind == "state":
        end = "first"
    elif banded and not leaving and kind == "output":
        end = "last"
    return Thing(width, height, shape, box.straight, kind == "state", end)
