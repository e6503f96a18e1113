"""A picture cut into blocks that follow each other: a time step, or what stands between steps.

    [ before ] [ step 1 ] [ step 2 ] [ … ] [ step 9 ] [ after ]

An arrow leads from a block to the one behind it, by way of those between steps. One that would run across a
step is cut off at a sign of what it leads to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..scene import Arrow, Box, Group, Scene

_FEW = 6
"""So many arrows that are cut off get a sign each where they end outside of the steps."""

_DEEP = 10
"""So many operations follow each other in a block at most."""


@dataclass
class Block:
    """Boxes that stand together.

    Attributes:
        group: the step, or None between steps.
        inner: the arrows within.
        ins, outs: those that come from the block before, and that go to the next one.
        through: those that pass.
        sources, targets: those that are cut off, by which end is here.
    """

    group: Group | None
    boxes: list[Box] = field(default_factory=list)
    inner: list[Arrow] = field(default_factory=list)
    ins: list[Arrow] = field(default_factory=list)
    outs: list[Arrow] = field(default_factory=list)
    through: list[Arrow] = field(default_factory=list)
    sources: list[Arrow] = field(default_factory=list)
    targets: list[Arrow] = field(default_factory=list)


def blocks_of(scene: Scene) -> list[Block]:
    """The blocks in order, each with its arrows."""
    turns = _turns(scene)
    blocks: dict[float, Block] = {float(i): Block(group) for i, group in enumerate(scene.groups, start=1)}
    for box in scene.boxes:
        blocks.setdefault(turns[box.id], Block(None)).boxes.append(box)
    order = [blocks[turn] for turn in sorted(blocks)]
    place = {box.id: i for i, block in enumerate(order) for box in block.boxes}
    cut: dict[str, list[Arrow]] = defaultdict(list)
    for arrow in scene.arrows:
        here, there = place[arrow.source], place[arrow.target]
        if here == there:
            order[here].inner.append(arrow)
        elif here < there and all(block.group is None for block in order[here + 1 : there]):
            order[here].outs.append(arrow)
            order[there].ins.append(arrow)
            for block in order[here + 1 : there]:
                block.through.append(arrow)
        else:
            cut[arrow.target].append(arrow)
    for arrows in cut.values():
        _cut_off(arrows, order, place)
    return order


def _cut_off(arrows: Sequence[Arrow], order: Sequence[Block], place: dict[str, int]) -> None:
    """Signs at both ends; outside of the steps not at what many arrows end at, or all begin at."""
    for arrow in arrows:
        here, there = order[place[arrow.source]], order[place[arrow.target]]
        if here.group is not None:
            here.sources.append(arrow)
        if there.group is not None or here.group is None or len(arrows) <= _FEW:
            there.targets.append(arrow)


def _turns(scene: Scene) -> dict[str, float]:
    """When each box comes: in step 3, at 3; what the step needs, just before it; what needs it and no other
    step, just after it; and what no step needs, at the end."""
    last = len(scene.groups) + 1.0
    turn = {group.id: float(i) for i, group in enumerate(scene.groups, start=1)}
    own = {box.id: turn.get(box.group or "") for box in scene.boxes}
    sources, targets = defaultdict(list), defaultdict(list)
    for arrow in scene.arrows:
        sources[arrow.target].append(arrow.source)
        targets[arrow.source].append(arrow.target)
    after: dict[str, float] = {}
    for box in scene.boxes:
        here = own[box.id]
        after[box.id] = (
            max((after.get(s, 0.0) for s in sources[box.id]), default=0.0) if here is None else here
        )
    before: dict[str, float] = {}
    for box in reversed(scene.boxes):
        here = own[box.id]
        before[box.id] = (
            min((before.get(t, last) for t in targets[box.id]), default=last) if here is None else here
        )
    turns = {}
    for box in scene.boxes:
        here, first, end = own[box.id], after[box.id], before[box.id]
        if here is not None:
            turns[box.id] = here
        elif end < last and first < end:
            turns[box.id] = end - 0.25
        elif (
            not targets[box.id]
            and 0 < first < last - 1
            and len(sources[box.id]) == 1
            and own[sources[box.id][0]]
        ):
            turns[box.id] = first + 0.25
        else:
            turns[box.id] = last if scene.groups else 0.0
    return turns | _parted([box.id for box in scene.boxes if turns[box.id] == last], sources, last)


def _parted(boxes: Sequence[str], sources: Mapping[str, Sequence[str]], last: float) -> dict[str, float]:
    """The turns of what no step needs: a long chain of it, such as a sum of losses, is in several blocks.
    What has no operands stands with what needs it first."""
    deep: dict[str, int] = {}
    first: dict[str, int] = {}
    for box in boxes:
        deep[box] = 1 + max((deep[source] for source in sources[box] if source in deep), default=-1)
        for source in sources[box]:
            first[source] = min(first.get(source, deep[box]), deep[box])
    return {
        box: last + (depth if sources[box] else first.get(box, depth)) // _DEEP for box, depth in deep.items()
    }
