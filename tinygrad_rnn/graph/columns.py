"""In which columns DOT puts operations: how far apart the steps of a long picture stand, and which lines are
cut off at a sign.

    one step    x ─ × ─ + ─ tanh ─ h        columns run in forward direction;
                             └──── loss     what reads a step out stands among the step's own columns

    many steps  [step 1] ─ [step 2] ─ … ─ [step 9]
                   └ +        └ +            └───── +      one operation outside of the steps:
                                                           a line from the nearest, a sign in the others
"""

from __future__ import annotations

from .network import Link, Network, Vertex

_FAR = 6
"""From more steps than this no lines go across all of them."""


class Columns:
    """Where the vertices and links of a network stand.

    Attributes:
        stubs: by id of a link from one of many steps to an operation outside of them, that operation and the
            step, where a sign of it is drawn instead.
    """

    def __init__(self, network: Network) -> None:
        self.stubs: dict[str, tuple[Vertex, int]] = _far_ends(network)
        self._before, self._after = self._columns(network)

    def is_reversed(self, link: Link) -> bool:
        """Whether the link is written backwards in DOT, so that the readout of a step stands among the step's
        own columns."""
        return link.reversed or (link.id in self.stubs and self.stubs[link.id][0] is link.target)

    def apart(self, link: Link) -> int:
        """How many columns an arrow into a step spans: so many that the columns of the step before it end
        first. Steps that share columns would stand above each other, and the line of the state would bend."""
        one, other = link.source, link.target
        near = one.step is not None and other.step == one.step + 1
        columns = self._after[one.id] + 1 + self._before[other.id] if near else 0
        return max(3, columns) + (not link.on_path)

    def _columns(self, network: Network) -> tuple[dict[str, int], dict[str, int]]:
        """For each vertex how many columns of its step must stand before it, and how many after it."""
        before, after = ({vertex.id: 0 for vertex in network.vertices} for _ in range(2))
        inside = [
            link
            for link in network.links
            if link.source.step == link.target.step and not self.is_reversed(link)
        ]
        for link in inside:
            before[link.target.id] = max(before[link.target.id], before[link.source.id] + 1)
        for link in reversed(inside):
            after[link.source.id] = max(after[link.source.id], after[link.target.id] + 1)
        return before, after


def _far_ends(network: Network) -> dict[str, tuple[Vertex, int]]:
    """By id of a link from one of many steps to an operation outside of them, that operation and the
    step, where a sign of it is drawn instead: lines across all steps take engines minutes. Only the
    nearest step is linked to the operation itself."""
    if len(network.steps) <= _FAR:
        return {}
    far = []
    for link in network.links:
        outer, inner = (link.target, link.source) if link.target.step is None else (link.source, link.target)
        if outer.kind in ("operation", "function") and outer.step is None and inner.step is not None:
            far.append((link.id, outer, inner.step, inner.step if outer is link.target else -inner.step))
    nearest: dict[tuple[str, bool], int] = {}
    for _, outer, _, place in far:
        nearest[outer.id, place > 0] = max(nearest.get((outer.id, place > 0), place), place)
    return {name: (outer, step) for name, outer, step, place in far if nearest[outer.id, place > 0] != place}


def stub_id(outer: Vertex, step: int) -> str:
    """What the sign of an operation in a step is called."""
    return f"j{outer.id[1:]}_{step}"
