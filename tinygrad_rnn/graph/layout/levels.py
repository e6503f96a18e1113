"""How far down things stand: each as level with its neighbours as those above and below it allow.

The places of a column that differ least from what its things wish, in order and apart, are found at once by
pooling neighbours that push each other (isotonic regression: Barlow et al., 1972).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from .ordering import Item, Stacks

_SWEEPS, _STRAIGHTENING = 10, 6
_APART = 7.0
"""Between things, in points."""

_LONG, _HALF, _SHORT = 8.0, 2.0, 1.0
"""What a wish counts: of a line to itself, to a thing, and between things."""


def level(stacks: Stacks) -> None:
    """Set every item's height; the state's line is at 0, and all else below it."""
    items = stacks.items
    straight = [item for item in items if item.straight]
    floor = max((item.height / 2 for item in straight), default=0.0) + _APART if straight else None
    loose = [[i for i in stack if not items[i].straight] for stack in stacks.stacks]
    for stack in loose:
        _stand([items[i] for i in stack], [0.0] * len(stack), [1.0] * len(stack), floor)
    for sweep in range(_SWEEPS):
        last = sweep >= _SWEEPS - 2
        sides = [stacks.before, stacks.after] if last else [(stacks.before, stacks.after)[sweep % 2]]
        for stack in loose if sweep % 2 == 0 else loose[::-1]:
            wishes, weights = [], []
            for i in stack:
                found = [(items[n].y, _weight(items[i], items[n])) for side in sides for n in side[i]]
                weight = sum(w for _, w in found)
                wishes.append(sum(y * w for y, w in found) / weight if found else items[i].y)
                weights.append(weight or 0.1)
            _stand([items[i] for i in stack], wishes, weights, floor)
    for _ in range(_STRAIGHTENING):
        _straighten(stacks, loose, floor)


def _straighten(stacks: Stacks, loose: Sequence[Sequence[int]], floor: float | None) -> None:
    """Lines over several columns become level, where that is possible; the rest stays as it is."""
    items = stacks.items
    wish = {i: items[i].y for stack in loose for i in stack}
    for way in stacks.ways:
        inside = [i for i in way if items[i].free and not items[i].straight]
        wish.update({i: sum(items[k].y for k in inside) / len(inside) for i in inside})
    for stack in loose:
        weights = [_LONG if items[i].free else _HALF for i in stack]
        _stand([items[i] for i in stack], [wish[i] for i in stack], weights, floor)


def _weight(one: Item, other: Item) -> float:
    return (_SHORT, _HALF, _LONG)[(one.thing is None) + (other.thing is None)]


def _stand(
    items: Sequence[Item], wishes: Sequence[float], weights: Sequence[float], floor: float | None
) -> None:
    if not items:
        return
    offsets = [0.0]
    for one, other in itertools.pairwise(items):
        offsets.append(offsets[-1] + (one.height + other.height) / 2 + _APART)
    pools: list[tuple[float, float, int]] = []
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] >= mean:
            before, heavy, many = pools.pop()
            mean = (before * heavy + mean * weight) / (heavy + weight)
            weight, count = weight + heavy, count + many
        pools.append((mean, weight, count))
    places = [mean for mean, _, count in pools for _ in range(count)]
    least = -1e9 if floor is None else floor + items[0].height / 2
    for item, place, offset in zip(items, places, offsets, strict=True):
        item.y = max(place, least) + offset
