"""From one step to the one before, a residual is a sum over paths: each is followed alone, and what each carries adds up to the whole.

A path begins where a residual comes into the step from outside, goes through one operand of each operation, and ends at a tensor of the
step before. Its gain, the norm of what comes out over the norm of what came in, is the product of the gains of its operations.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..backends import Array
from ..graph.gains import gain_label, size
from ..graph.ops_view import symbol_of
from ..tape import Entry, Node, Residuals, _pull_watched
from .chains import Chain, Key, _stem
from .measure import Crossed

CASES = ("composition", "weighting", "addition")


@dataclass(frozen=True)
class Hop:
    """One operation on a path.

    Attributes:
        entry: the operation.
        operand: which of its operands the path goes on to.
        gain: the norm of what goes on over the norm of what came.
    """

    entry: Entry
    operand: int
    gain: float

    @property
    def case(self) -> str:
        return self.entry.row.case

    @property
    def name(self) -> str:
        """What a composition is called, or what a weighting weights with: the user's name, else the symbol."""
        if self.case == "weighting":
            others = [_leaf_name(x) for i, x in enumerate(self.entry.inputs) if i != self.operand]
            return next((name for name in others if name), symbol_of(self.entry))
        return symbol_of(self.entry)


@dataclass(frozen=True)
class Path:
    """A way through one step, and what a residual that goes this way alone becomes.

    Attributes:
        start, end: the names of the tensors where it begins and ends.
        hops: its operations, in the order in which the residual meets them.
        received: the norm of the residual that begins here.
        carried: the norm of what arrives at the end.
        share: ``carried`` as a part of what all paths of the step carry.
        contribution: what arrives at the end.
        target: the key of the tensor at the end.
        names: the named tensors on the way, without the ends.
    """

    start: str
    end: str
    hops: tuple[Hop, ...]
    received: float
    carried: float
    share: float
    contribution: Array
    target: Key
    names: tuple[str, ...]

    @property
    def gain(self) -> float:
        return self.carried / self.received if self.received else 0.0

    @property
    def by_case(self) -> dict[str, float]:
        """The gain split by case: three factors whose product it is."""
        return {case: math.prod(hop.gain for hop in self.hops if hop.case == case) for case in CASES}

    @property
    def direct(self) -> bool:
        """Whether nothing but sums and elementwise products lies between a state and itself."""
        return self.start == self.end and all(hop.case == "addition" or hop.entry.row.name == "multiply" for hop in self.hops)

    @property
    def name(self) -> str:
        """``c directly``, or ``h → c by way of f``; a state that leads to itself is named once."""
        ends = self.start if self.start == self.end else f"{self.start} → {self.end}"
        return f"{ends} directly" if self.direct else f"{ends} by way of {self.way}"

    @property
    def way(self) -> str:
        """What it passes: the named tensors, else the symbols of what bends it."""
        return ", ".join(self.names or [symbol_of(hop.entry) for hop in self.hops if hop.case != "addition"] or ["additions"])

    @property
    def product(self) -> str:
        """``×0.13 = σ (composition) ×0.21 · U (weighting) ×0.63 · additions ×1``"""
        factors = [f"{hop.name} ({hop.case}) {gain_label(hop.gain)}" for hop in self.hops if hop.case != "addition"]
        if any(hop.case == "addition" for hop in self.hops):
            factors.append(f"additions {gain_label(self.by_case['addition'])}")
        return f"{gain_label(self.gain)} = {' · '.join(factors)}"

    def __str__(self) -> str:
        return f"{self.name}: {self.product}; carries {percent(self.share)}"


@dataclass(frozen=True)
class StepPaths:
    """All paths from one step to the ones before.

    Attributes:
        label: what the program calls the step.
        paths: by what they carry, most first.
        received: the norm of the residual that comes into the step from outside.
        passed: the norm of what it sends to the steps before.
        count: how many paths there are.
        rest: what the paths that were not followed carry together, by key; empty if all were.
    """

    label: Any
    paths: list[Path]
    received: float
    passed: float
    count: int
    rest: dict[Key, Array]

    def __iter__(self) -> Iterator[Path]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __str__(self) -> str:
        lines = [f"{gain_label(path.gain):>9}  carries {percent(path.share):>6}  {path.name}" for path in self.paths]
        if self.rest:
            lines.append(f"{self.count - len(self.paths)} other paths were not followed")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Prefix:
    """The beginning of a path, as far as it was followed: the next operation, and what arrives there."""

    entry: Entry
    residual: Any
    size: float
    start: Key
    received: float
    hops: tuple[Hop, ...]
    names: tuple[str, ...]


def step_paths(chain: Chain, crossed: Crossed, step: int, limit: int) -> StepPaths:
    """Follow the paths through a step, those that carry most first, at most ``limit`` of them."""
    inside = chain.entries[step]
    counts = _counts(chain, step)
    guarded = any(entry.row.masks for entry in inside)
    entering = {key: residual for key, residual in crossed.arrived.items() if chain.step_of(key) == step}
    makers = {entry.index: entry for entry in inside}
    order = itertools.count()
    waiting: list[tuple[float, int, _Prefix]] = []

    def wait(entry: Entry, position: int, part: Array, norm: float, start: Key, received: float, hops: Any, names: Any) -> None:
        residual = [part if i == position else None for i in range(len(entry.y))] if type(entry.y) is tuple else part
        heapq.heappush(waiting, (-norm, next(order), _Prefix(entry, residual, norm, start, received, hops, names)))

    for key, residual in entering.items():
        index, position = key if type(key) is tuple else (key, 0)
        if counts.get(index):
            norm = size(makers[index].backend, residual)
            wait(makers[index], position, residual, norm, key, norm, (), ())
    total = sum(counts.get(key[0] if type(key) is tuple else key, 0) for key in entering)
    found: list[tuple[_Prefix, Key, Array, float, tuple[Hop, ...]]] = []
    while waiting and len(found) < limit:
        _, _, prefix = heapq.heappop(waiting)
        entry = prefix.entry
        needs = [_leads_on(chain, counts, entry, i, step) for i in range(len(entry.inputs))]
        for operand, part in _parts(entry, prefix.residual, needs, guarded):
            norm = size(entry.backend, part)
            hops = (*prefix.hops, Hop(entry, operand, norm / prefix.size if prefix.size else 0.0))
            x = entry.inputs[operand]
            crossing = chain.crossings.get((entry.index, operand))
            if crossing is not None:
                found.append((prefix, crossing[0], part, norm, hops))
            else:
                names = (*prefix.names, x.name) if x.name and x.name not in prefix.names else prefix.names
                wait(x.entry, x.position, part, norm, prefix.start, prefix.received, hops, names)
    carried = sum(norm for *_, norm, _ in found)
    states = _state_names(chain, step)
    paths = [
        Path(
            states.get(prefix.start) or _output_name(chain, prefix.start),
            states.get(target) or _output_name(chain, target),
            hops,
            prefix.received,
            norm,
            norm / carried if carried else 0.0,
            part,
            target,
            tuple(name for name in map(_stem, prefix.names) if name),
        )
        for prefix, target, part, norm, hops in found
    ]
    paths.sort(key=lambda path: -path.carried)
    sent = crossed.sent[step]
    backend = inside[0].backend
    rest = _rest(sent, paths) if len(found) < total else {}
    received = math.hypot(*(size(backend, r) for r in entering.values()))
    return StepPaths(chain.labels[step], paths, received, math.hypot(*(size(backend, r) for r in sent.values())), total, rest)


def _counts(chain: Chain, step: int) -> dict[int, int]:
    """For each operation of a step how many paths lead from it to the steps before."""
    counts: dict[int, int] = {}
    for entry in chain.entries[step]:
        counts[entry.index] = sum(
            1 if (entry.index, i) in chain.crossings else counts.get(x.entry.index, 0)
            for i, x in enumerate(entry.inputs)
            if entry.needs[i] and ((entry.index, i) in chain.crossings or x.entry is not None)
        )
    return counts


def _leads_on(chain: Chain, counts: dict[int, int], entry: Entry, operand: int, step: int) -> bool:
    if not entry.needs[operand]:
        return False
    if (entry.index, operand) in chain.crossings:
        return True
    maker = entry.inputs[operand].entry
    return maker is not None and bool(counts.get(maker.index))


def _parts(entry: Entry, residual: Any, needs: Sequence[bool], guarded: bool) -> list[tuple[int, Array]]:
    """What goes on to each of the needed operands, before it meets anything else."""
    found: list[tuple[int, Array]] = []
    with entry.backend.quiet():
        _pull_watched(lambda _entry, _g, i, part: found.append((i, part)), entry, residual, needs, None, Residuals(False), guarded)
    return found


def _rest(sent: dict[Key, Array], paths: Sequence[Path]) -> dict[Key, Array]:
    rest = dict(sent)
    for path in paths:
        rest[path.target] = rest[path.target] - path.contribution
    return rest


def _state_names(chain: Chain, step: int) -> dict[Key, str]:
    """The names of the tensors that are states after a step or before it."""
    found: dict[Key, str] = {}
    for boundary in range(step, max(-1, step - 2) - 1, -1):
        for i, name in enumerate(chain.states):
            key = chain.state_at(i, boundary)
            if key is not None:
                found.setdefault(key, name)
    return found


def _output_name(chain: Chain, key: Key) -> str:
    node = chain.nodes.get(key)
    return _stem(node.name if node is not None else None) or "output"


def _leaf_name(x: Any) -> str:
    """The name of a tensor, or of what it is a mere rearrangement of."""
    while isinstance(x, Node):
        if x.name:
            return _stem(x.name)
        if x.entry is None or x.entry.row.case != "addition" or len(x.entry.inputs) != 1:
            return ""
        (x,) = x.entry.inputs
    return ""


def percent(share: float) -> str:
    """``91 %``, and never 0 or 100 for what is not."""
    if 0 < share < 0.01:
        return "<1 %"
    if 0.99 < share < 1 - 1e-9:
        return ">99 %"
    return f"{100 * share:.0f} %"
