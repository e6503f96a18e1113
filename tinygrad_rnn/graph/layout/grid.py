"""The layout of every block: steps of the same operations have one layout, with room for the largest of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from ...reading.words import plain
from ..placement import Frame, Point, Road, Sign, Spot, joined
from ..scene import Arrow, Box, Group
from ..text import width_of
from .blocks import Block
from .parts import Line, Thing
from .pattern import Pattern
from .sizes import LABEL, SIGN, TITLE, size_of

_PADDING, _HEADING = 10.0, 16.0
"""In points: inside a frame, and for its label."""

Key = tuple[Hashable, ...]
"""What a thing or a line is in every block of the same operations: "box", 3; or "out" of box 3, the second."""


@dataclass
class Laid:
    """A block laid out around its own place on the state's line.

    Attributes:
        spots: of its boxes.
        frame: around a step; else around all of it.
        room: how much is free behind it, for labels.
        roads: of its arrows, as far as they run in here.
        rests: of those that are cut off, from the sign where they begin again.
        signs, cut: the signs, and for each arrow that is cut off those where it begins and ends in here.
        ins, outs: by arrow that comes in or goes out, where it does.
    """

    block: Block
    spots: dict[str, Spot]
    frame: Frame
    room: float = 0.0
    roads: dict[str, Road] = field(default_factory=dict)
    rests: dict[str, Road] = field(default_factory=dict)
    signs: list[Sign] = field(default_factory=list)
    cut: dict[str, tuple[str, str]] = field(default_factory=dict)
    ins: dict[str, Point] = field(default_factory=dict)
    outs: dict[str, Point] = field(default_factory=dict)


def laid_out(blocks: Sequence[Block], banded: bool) -> list[Laid]:
    """Each block, laid out; where there is a band, the state stands at its ends."""
    boxes = {box.id: (box, block.group) for block in blocks for box in block.boxes}
    drafts = [_Draft(block, boxes, banded) for block in blocks]
    alike: dict[Hashable, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        alike[draft.operations].append(draft)
    laid = {}
    for same in alike.values():
        shared = _Shared(same)
        for draft in same:
            laid[id(draft)] = shared.laid(draft)
    return [laid[id(draft)] for draft in drafts]


class _Draft:
    """A block as things and lines, by key."""

    def __init__(self, block: Block, boxes: dict[str, tuple[Box, Group | None]], banded: bool) -> None:
        self.block = block
        self._boxes = boxes
        self.key_of = self._name(block)
        operations = [box for box in block.boxes if self.key_of[box.id][0] == "box"]
        self.operations: Hashable = (
            block.group is not None,
            tuple((box.look.get("shape"), box.straight, len(box.lines)) for box in operations),
            tuple((self.key_of[a.source], self.key_of[a.target]) for a in block.inner if not self._is_leaf(a.source)),
        )
        leaving = {arrow.source for arrow in block.inner}
        self.things: dict[Key, Thing] = {}
        self.lines: dict[Key, Line] = {}
        self.ends: dict[Key, tuple[Key, Key]] = {}
        self.arrows: dict[Key, Arrow] = {}
        self.signs: dict[Key, Sign] = {}
        for box in block.boxes:
            self.things[self.key_of[box.id]] = self._thing(box, banded, box.id in leaving)
        self._count: dict[Key, int] = defaultdict(int)
        self._straight: set[str] = set()
        for arrow in block.inner:
            self._line(("inner",), arrow, self.key_of[arrow.source], self.key_of[arrow.target])
        for arrow in block.ins:
            self._line(("in",), arrow, None, self.key_of[arrow.target])
        for arrow in block.through:
            self._line(("through",), arrow, None, None)
        for arrow in block.outs:
            self._line(("out",), arrow, self.key_of[arrow.source], None)
        for arrow in block.targets:
            self._sign(arrow, arrow.source, arrow.target, False)
        for arrow in block.sources:
            self._sign(arrow, arrow.target, arrow.source, True)

    def _thing(self, box: Box, banded: bool, leaves: bool) -> Thing:
        kind = box.look.get("class") or ""
        end = "first" if box.straight and kind == "state" else "last" if not leaves and kind == "output" else ""
        return Thing(
            *size_of(box), box.look.get("shape") or "", box.straight, kind == "state", end if banded else ""
        )

    def _name(self, block: Block) -> dict[str, Key]:
        """Operations are counted; leaves go by what uses them first, since not every step has all of them."""
        into = {a.target for a in (*block.inner, *block.ins, *block.targets)}
        use = {a.source: a.target for a in reversed(block.inner)}
        keys: dict[str, Key] = {}
        for box in block.boxes:
            if box.id in into or box.id not in use:
                keys[box.id] = "box", len(keys)
        count: dict[Key, int] = defaultdict(int)
        for box in block.boxes:
            if box.id not in keys:
                user = keys.get(use[box.id], ())
                count[user] += 1
                keys[box.id] = "leaf", user, count[user]
        return keys

    def _is_leaf(self, box: str) -> bool:
        return self.key_of[box][0] == "leaf"

    def _line(self, kind: Key, arrow: Arrow, source: Key | None, target: Key | None) -> None:
        """A line; where it comes in or goes out, with a place on the border."""
        name = (*kind, source, target)
        self._count[name] += 1
        name = (*name, self._count[name])
        if source is None:
            source = ("from", *name)
            self.things[source] = Thing(0.0, 10.0, straight=self._is_straight(arrow, "in"), end="in")
        if target is None:
            target = ("to", *name)
            self.things[target] = Thing(0.0, 10.0, straight=self._is_straight(arrow, "out"), end="out")
        self._add(name, arrow, source, target)

    def _is_straight(self, arrow: Arrow, end: str) -> bool:
        """Whether it is the state's line that crosses this border."""
        if end in self._straight or not all(self._boxes[id][0].straight for id in (arrow.source, arrow.target)):
            return False
        self._straight.add(end)
        return True

    def _add(self, name: Key, arrow: Arrow, source: Key, target: Key) -> None:
        label = arrow.look.get("label")
        own = name[0] not in ("in", "through")
        width = width_of(label, LABEL) if label and own else 0.0
        self.lines[name] = Line(-1, -1, width, arrow.back and own)
        self.ends[name] = source, target
        self.arrows[name] = arrow

    def _sign(self, arrow: Arrow, shown: str, here: str, leaves: bool) -> None:
        """What an arrow that is cut off leads to, and in which step that stands."""
        box_, step = self._boxes[shown]
        text = plain(f"{box_.label} {step.label if step else ''}".rstrip(), 40)
        box = self.key_of[here]
        name: Key = ("to sign" if leaves else "from sign", box)
        self._count[name] += 1
        name = (*name, self._count[name])
        size = width_of(text, SIGN) + 4, 14.0
        name_ = arrow.id[1:].replace("-", "_")
        sign = ("sign", *name)
        self.things[sign] = Thing(*size)
        self.signs[sign] = Sign(f"j{name_}{'' if leaves else '_'}", text, Spot(0.0, 0.0, *size))
        self._add(name, arrow, *((box, sign) if leaves else (sign, box)))


class _Shared:
    """The layout that several drafts share."""

    def __init__(self, drafts: Sequence[_Draft]) -> None:
        things: dict[Key, Thing] = {}
        lines: dict[Key, Line] = {}
        ends: dict[Key, tuple[Key, Key]] = {}
        for draft in drafts:
            for key, thing in draft.things.items():
                known = things.get(key, thing)
                things[key] = replace(
                    known, width=max(known.width, thing.width), height=max(known.height, thing.height),
                    straight=known.straight or thing.straight,
                )  # fmt: skip
            for key, one in draft.lines.items():
                before = lines.get(key, one)
                lines[key] = replace(
                    before, label=max(before.label, one.label), back=before.back or one.back
                )
                ends[key] = draft.ends[key]
        order = {key: i for i, key in enumerate(things)}
        found = Pattern(
            list(things.values()),
            [replace(one, source=order[ends[key][0]], target=order[ends[key][1]]) for key, one in lines.items()],
        )
        self.spots = dict(zip(things, found.spots, strict=True))
        self.roads = dict(zip(lines, found.roads, strict=True))
        self.ends = ends
        framed = drafts[0].block.group is not None
        heads = [width_of(f"{d.block.group.label}    {d.block.group.text}", TITLE) for d in drafts if d.block.group]
        self.frame = self._frame(framed, max(heads, default=0.0))

    def _frame(self, framed: bool, heading: float) -> Frame:
        around = bounds(self.spots.values())
        margin = _PADDING if framed else 0.0
        right = max(around.right + margin, around.left + heading + 12)
        return Frame(
            around.left - margin,
            around.top - margin - (_HEADING if framed else 0.0),
            right,
            around.bottom + margin,
        )

    def laid(self, draft: _Draft) -> Laid:
        spots = {box.id: self.spots[draft.key_of[box.id]] for box in draft.block.boxes}
        laid = Laid(draft.block, spots, self.frame)
        for key, arrow in draft.arrows.items():
            road = self.roads[key]
            if key[0] in ("in", "through"):
                laid.ins[arrow.id] = self.frame.left, road.curve[0][1]
                road = replace(road, curve=joined([laid.ins[arrow.id]], road.curve))
            if key[0] in ("out", "through"):
                laid.outs[arrow.id] = self.frame.right, road.curve[-1][1]
                road = replace(road, curve=joined(road.curve, [laid.outs[arrow.id]]))
            (laid.rests if key[0] == "from sign" else laid.roads)[arrow.id] = road
        for key, sign in draft.signs.items():
            laid.signs.append(replace(sign, spot=self.spots[key]))
            name = key[1:]
            begins = name[0] == "from sign"
            laid.cut[draft.arrows[name].id] = (sign.id, "") if begins else ("", sign.id)
        return laid


def bounds(spots: Iterable[Spot]) -> Frame:
    """Around all of them; of none, a point."""
    found = list(spots) or [Spot(0.0, 0.0, 0.0, 0.0)]
    return Frame(
        min(spot.x - spot.width / 2 for spot in found),
        min(spot.y - spot.height / 2 for spot in found),
        max(spot.x + spot.width / 2 for spot in found),
        max(spot.y + spot.height / 2 for spot in found),
    )
