"""From one step to the one before, a residual is a sum over paths. Each path is followed alone, and the
residuals that they carry add up to the whole.

A path begins where a residual comes into the step from outside, goes through one operand of each operation,
and ends at a tensor of the step before. Its gain, the norm of what comes out over the norm of what came in,
is the product of the gains of its operations.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..backends import Array
from ..reading.chain import Chain
from ..reading.followed import Crossed
from ..reading.norms import overall, sizes
from ..reading.path import is_straight
from ..reading.words import gain_label, percent, symbol_of
from ..tape import Entry, Key, Node, Residuals, key_of, pull_watched

CASES = ("composition", "weighting", "addition")


@dataclass(frozen=True)
class Hop:
    """One operation on a path.

    Attributes:
        entry: the operation.
        operand: which of its operands the path goes on to.
        gain: the norm of what goes on over the norm of what came.
        name: the symbol of the operation; of a weighting, what it weights with, if that has a name.
    """

    entry: Entry
    operand: int
    gain: float
    name: str

    @property
    def case(self) -> str:
        return self.entry.row.case


@dataclass(frozen=True)
class Path:
    """A way through one step, and what a residual that goes this way alone becomes.

    Attributes:
        start, end: the names of the tensors where it begins and ends.
        hops: its operations, in the order in which the residual meets them.
        received: the norm of the residual that begins here.
        carried: the norm of what arrives at the end.
        share: ``carried`` divided by the sum of what each of the followed paths carries.
        contribution: what arrives at the end.
        target: the key of the tensor at the end.
        names: what it passes: its compositions by the names of their results, or else the named tensors on
            the way.
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
        return self.start == self.end and all(is_straight(hop.entry.row) for hop in self.hops)

    @property
    def name(self) -> str:
        """``c directly``, or ``h → c by way of f``; a state that leads to itself is named once."""
        ends = self.start if self.start == self.end else f"{self.start} → {self.end}"
        return f"{ends} directly" if self.direct else f"{ends} by way of {self.way}"

    @property
    def way(self) -> str:
        """What it passes, in the order in which the residual meets it."""
        return ", ".join(
            self.names or [hop.name for hop in self.hops if hop.case == "weighting"] or ["additions"]
        )

    @property
    def product(self) -> str:
        """``×0.13 = σ (composition) ×0.21 · U (weighting) ×0.63 · additions ×1``"""
        factors = [
            f"{hop.name} ({hop.case}) {gain_label(hop.gain)}" for hop in self.hops if hop.case != "addition"
        ]
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
        lines = [
            f"{gain_label(path.gain):>9}  carries {percent(path.share):>6}  {path.name}"
            for path in self.paths
        ]
        if self.rest:
            lines.append(f"{self.count - len(self.paths)} other paths were not followed")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Prefix:
    """The beginning of a path, as far as it was followed: where it stands, and what arrives there.

    Attributes:
        key: the tensor where it stands.
        entry: the operation that made it; None at the end, outside of the step.
        name: what the tensor is called.
        begin: where it began, and with what norm.
        way: the names of the compositions that it went through.
        passed: the names of all tensors on the way.
    """

    key: Key
    entry: Entry | None
    residual: Array
    size: float
    name: str
    begin: tuple[Key, float]
    hops: tuple[Hop, ...] = ()
    way: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()


def step_paths(chain: Chain, crossed: Crossed, step: int, limit: int) -> StepPaths:
    """Follow the paths through a step, at most ``limit`` of them, the strongest first: begin where most comes
    in, and go on to the largest part each time."""
    inside = {entry.index: entry for entry in chain.entries[step]}
    counts = _counts(chain, step)
    guarded = any(entry.row.masks for entry in inside.values())
    backend = chain.backend
    entering = {key: residual for key, residual in crossed.arrived.items() if chain.step_of(key) == step}
    sent = crossed.sent[step]
    order = itertools.count()
    waiting: list[tuple[float, int, _Prefix]] = []
    prefixes: list[_Prefix] = []
    total = 0
    for key, residual in entering.items():
        if counts[key[0]]:
            total += counts[key[0]]
            (norm,) = sizes([residual], backend)
            heapq.heappush(
                waiting, (-norm, next(order), _Prefix(key, inside[key[0]], residual, norm, "", (key, norm)))
            )
    while waiting and len(prefixes) < limit:
        prefix = heapq.heappop(waiting)[2]
        while prefix.entry is not None:
            prefix, *others = sorted(_further(chain, counts, prefix, guarded), key=lambda one: -one.size)
            for other in others:
                heapq.heappush(waiting, (-other.size, next(order), other))
        prefixes.append(prefix)
    paths = _finished(chain, step, prefixes)
    rest = _rest(sent, paths) if len(prefixes) < total else {}
    received, passed = (overall(room.values(), backend) for room in (entering, sent))
    return StepPaths(chain.labels[step], paths, received, passed, total, rest)


def _further(chain: Chain, counts: dict[int, int], prefix: _Prefix, guarded: bool) -> Iterator[_Prefix]:
    """A path one operation further on, through each operand that leads to a step before."""
    entry = prefix.entry
    assert entry is not None
    parts = [prefix.residual if i == prefix.key[1] else None for i in range(len(entry.ys))]
    residual = parts if entry.row.several else prefix.residual
    needs = [_leads_on(chain, counts, entry, i) for i in range(len(entry.inputs))]
    sent = _parts(entry, residual, needs, guarded)
    for (operand, part), norm in zip(sent, sizes((part for _, part in sent), entry.backend), strict=True):
        x = entry.inputs[operand]
        name = chain.name_of(x)
        hop = Hop(
            entry, operand, norm / prefix.size if prefix.size else 0.0, _hop_name(chain, entry, operand)
        )
        called = prefix.name or (f"{symbol_of(entry)}({name})" if name else symbol_of(entry))
        leaves = (entry.index, operand) in chain.crossings
        yield _Prefix(
            key_of(x),
            None if leaves else x.entry,
            part,
            norm,
            name,
            prefix.begin,
            (*prefix.hops, hop),
            (*prefix.way, called) if entry.row.case == "composition" else prefix.way,
            prefix.passed if leaves or not name or name in prefix.passed else (*prefix.passed, name),
        )


def _finished(chain: Chain, step: int, prefixes: Sequence[_Prefix]) -> list[Path]:
    carried = sum(prefix.size for prefix in prefixes)
    after, before = _state_names(chain, step), _state_names(chain, step - 1)
    paths = [
        Path(
            start=after.get(prefix.begin[0]) or _output_name(chain, prefix.begin[0]),
            end=before.get(prefix.key) or after.get(prefix.key) or _output_name(chain, prefix.key),
            hops=prefix.hops,
            received=prefix.begin[1],
            carried=prefix.size,
            share=prefix.size / carried if carried else 0.0,
            contribution=prefix.residual,
            target=prefix.key,
            names=prefix.way or prefix.passed,
        )
        for prefix in prefixes
    ]
    return sorted(paths, key=lambda path: -path.carried)


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


def _leads_on(chain: Chain, counts: dict[int, int], entry: Entry, operand: int) -> bool:
    if not entry.needs[operand]:
        return False
    if (entry.index, operand) in chain.crossings:
        return True
    maker = entry.inputs[operand].entry
    return maker is not None and bool(counts.get(maker.index))


def _parts(entry: Entry, residual: Any, needs: Sequence[bool], guarded: bool) -> list[tuple[int, Array]]:
    """What goes on to each of the needed operands, before it meets anything else."""
    parts: list[tuple[int, Array]] = []
    with entry.backend.quiet():
        pull_watched(
            lambda _entry, _g, i, part: parts.append((i, part)),
            entry,
            residual,
            needs,
            None,
            Residuals(False),
            guarded,
        )
    return parts


def _rest(sent: dict[Key, Array], paths: Sequence[Path]) -> dict[Key, Array]:
    rest = dict(sent)
    for path in paths:
        rest[path.target] = rest[path.target] - path.contribution
    return rest


def _state_names(chain: Chain, step: int) -> dict[Key, str]:
    """The names of the tensors that are states after a step, or were a step or two earlier."""
    names: dict[Key, str] = {}
    for boundary in range(step, max(-1, step - 2) - 1, -1):
        for i, name in enumerate(chain.states):
            key = chain.state_at(i, boundary)
            if key is not None:
                names.setdefault(key, name)
    return names


def _output_name(chain: Chain, key: Key) -> str:
    node = chain.nodes.get(key)
    return (chain.name_of(node) if node is not None else "") or "output"


def _hop_name(chain: Chain, entry: Entry, operand: int) -> str:
    if entry.row.case != "weighting":
        return symbol_of(entry)
    names = (source_name(chain, x) for i, x in enumerate(entry.inputs) if i != operand)
    return next((name for name in names if name), symbol_of(entry))


def source_name(chain: Chain, x: Any) -> str:
    """The name of a tensor, or of what it is a mere rearrangement of."""
    while isinstance(x, Node):
        name = chain.name_of(x)
        if name or x.entry is None or x.entry.row.case != "addition" or len(x.entry.inputs) != 1:
            return name
        (x,) = x.entry.inputs
    return ""
