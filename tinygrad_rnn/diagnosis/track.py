"""What the residual does in one chain of time steps: how much is left after so many steps back, and what each
step does to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

from .. import arguments
from ..errors import FlowError
from ..reading.chain import Chain
from ..reading.followed import Trail
from ..reading.measured import Pass
from ..reading.norms import Sizes, joint
from ..reading.words import gain_label
from ..tape import Entry, Key
from .jacobian import StateJacobian
from .paths import StepPaths, step_paths

REACH = 0.01
"""The part of the residual that counts as still reaching a step."""

_SPAN = 100
"""How many steps at a rate decide."""

_TINY = 1e-290
"""Below this, floats have too few digits to tell a rate."""

_APART = 0.5
"""By so much the logarithms of what is left and of the rate may differ before it is said that the first step
does not count."""

_FEW = 3
"""Fewer steps that change a residual tell nothing of a rate."""


@dataclass(frozen=True)
class Verdict:
    """How a residual gets through the time steps of a chain.

    The kind follows from what is left and from the rate: whether 1 % or a hundredfold is
    reached within 100 steps, or within those that were looked at, if they are more. Where fewer were, it
    tells what becomes of the residual if those repeat: of a network whose later steps are unlike its first
    ones, as where a state has yet to fill, look at more of them. What is less than at first does not explode.

    Attributes:
        kind: "vanishing"; "exploding", also where it is not finite; "healthy"; "unknown", too few steps to
            tell; or "unreached", none comes into the chain.
        horizon: how many steps back at least 1 % of it still reaches, of those that were looked at.
        steps: how many steps back were looked at.
        left: what is left of it at the first step, as a part.
        rate: the gain of one step: the average of those that change it, without the first one back, in which
            what comes in only spreads over the states; where fewer than 100 were looked at and neither end
            was reached, that of repeating them.
        chain: the name of the chain.
    """

    kind: str
    horizon: int
    steps: int
    left: float
    rate: float
    chain: str = ""

    def __str__(self) -> str:
        head = f"{self.chain}: {self.kind}" if self.chain else self.kind
        if self.kind == "unreached":
            return f"{head}: no residual comes into these steps"
        rate, left = gain_label(self.rate), gain_label(self.left)
        if self.kind == "exploding" and not self.left <= 1 / REACH:
            return f"{head}: the residual becomes {left} in {_steps(self.steps)} ({rate} a step)"
        if self.kind == "vanishing" and self.left < REACH:
            return (
                f"{head}: 1 % of the residual reaches {self.horizon} of {_steps(self.steps)} back "
                f"({rate} a step)"
            )
        looked = f"over {_steps(self.steps)} back {left} of the residual is left"
        if self.kind == "unknown":
            return f"{head}: {looked}, which is too short a way to tell"
        if self.kind == "healthy":
            first = self.rate > 0 and abs(math.log(self.left) - self.steps * math.log(self.rate)) > _APART
            return f"{head}: {looked} ({rate} a step{' after the first' if first else ''})"
        end, part = ("1 %", REACH) if self.kind == "vanishing" else ("a hundredfold", 1 / REACH)
        further = (
            math.ceil(math.log(part / self.left) / math.log(self.rate)) if 0 < self.rate < math.inf else 1
        )
        return (
            f"{head}: {looked} ({rate} a step, which makes {end} in {_steps(self.steps + further)} if "
            "these repeat)"
        )


def _steps(count: int) -> str:
    return f"{count} step" + "s" * (count != 1)


class Track:
    """One chain, measured.

    >>> def half(x, h):
    ...     return 0.5 * h + x, 0.5 * h + x
    >>> ys, last = tg.scan(half, tg.ones((30, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
    >>> tg.flow(tg.sum(last)).track().remaining[:3]
    array([1.  , 0.5 , 0.25])

    Attributes:
        chain: its steps and states.
        run: the backward pass that measured it.
        last: the step that the residual comes into which is followed; None if none comes.
        start: the norm of the residual that comes to the states of that step, to which others are compared.
        received: for each step the norm of the residual that comes into it from outside: from the step after,
            and from losses.
        passed: for each step the norm of what it sends to the steps before.
        remaining: the norm of the residual after so many steps back, as a part of what came to the states of
            step ``last``: 1 first.
    """

    def __init__(self, trail: Trail) -> None:
        chain, last, crossed = trail.chain, trail.last, trail.crossed
        self.chain: Chain = chain
        self.last: int | None = last
        self.run: Pass = trail.run
        self._crossed = crossed
        self._paths: dict[int, StepPaths] = {}
        backend = chain.backend
        sizes = Sizes(backend)
        received: list[list[int]] = [[] for _ in range(len(chain))]
        passed: list[list[int]] = [[] for _ in range(len(chain))]
        borders: list[list[int]] = [[] for _ in range(len(chain))]
        arrived = {key: sizes.add(residual) for key, residual in crossed.arrived.items()}
        for key, index in arrived.items():
            step = chain.step_of(key)
            if step is not None:
                received[step].append(index)
        across: dict[Key, Any] = {}
        for step in reversed(range(len(chain))):
            for key, residual in crossed.sent[step].items():
                index = sizes.add(residual)
                passed[step].append(index)
                across[key] = (across[key][0] + residual, None) if key in across else (residual, index)
            across = {key: kept for key, kept in across.items() if chain.step_of(key) != step}
            borders[step] = [
                sizes.add(residual) if index is None else index for residual, index in across.values()
            ]
        norms = sizes.read()
        self._arrived: dict[Key | None, float] = {key: float(norms[index]) for key, index in arrived.items()}
        self.received: numpy.ndarray = _grouped(norms, received)
        self.passed: numpy.ndarray = _grouped(norms, passed)
        crossing = _grouped(norms, borders)
        self.start: float = (start := trail.entered)
        back = crossing[last:0:-1] if last is not None else crossing[:0]
        with numpy.errstate(invalid="ignore", over="ignore"):  # of what is not finite no part is known
            self.remaining: numpy.ndarray = (
                numpy.concatenate([[1.0], back / start * (start / start)]) if start else numpy.zeros(1)
            )

    @property
    def name(self) -> str:
        return self.chain.name

    @property
    def gains(self) -> numpy.ndarray:
        """For each step what it passes back over what it received; 0 where it received nothing."""
        reached = self.received > 0
        with numpy.errstate(invalid="ignore", over="ignore"):
            return numpy.where(reached, self.passed / numpy.where(reached, self.received, 1.0), 0.0)

    @cached_property
    def states(self) -> dict[str, numpy.ndarray]:
        """For each state the norm of the residual that arrives at it after each step; 0 where it is not on
        the tape."""
        sizes = Sizes(self.chain.backend)
        indices = []
        for i in range(len(self.chain.states)):
            for step in range(len(self.chain)):
                key = self.chain.state_at(i, step)
                residual = (
                    self._crossed.arrived.get(key)
                    if key is not None and self.chain.step_of(key) == step
                    else None
                )
                indices.append(-1 if residual is None else sizes.add(residual))
        norms = numpy.append(sizes.read(), 0.0)[indices].reshape(len(self.chain.states), -1)
        return dict(zip(self.chain.states, norms, strict=True))

    @cached_property
    def gates(self) -> dict[str, numpy.ndarray]:
        """For each other tensor that has a name inside of the steps, the norm of the residual that arrives at
        it in each step, if any."""
        named: dict[int, list[tuple[int, str]]] = {}
        norms: dict[str, numpy.ndarray] = {}
        for step, inside in enumerate(self.chain.entries):
            if len(inside) not in named:  # steps of as many operations are alike
                named[len(inside)] = self._named(inside)
            for offset, name in named[len(inside)]:
                norms.setdefault(name, numpy.zeros(len(self.chain)))[step] = self.run.arrived(inside[offset])
        return dict(sorted(norms.items()))

    def _named(self, inside: Sequence[Entry]) -> list[tuple[int, str]]:
        """The operations whose one result has a name and is no state."""
        names = [
            (i, self.chain.name_of(entry.results()[0]))
            for i, entry in enumerate(inside)
            if not entry.row.several
        ]
        return [(i, name) for i, name in names if name and name not in self.chain.states]

    def sent(self, step: int) -> dict[Key, Any]:
        """What a step, counted in recorded order from 0, sends to the ones before: arrays by the key of the
        tensor they go to."""
        return dict(self._crossed.sent[self.step_of(step)])

    def paths(self, step: int, limit: int = 256) -> StepPaths:
        """The paths from a step, counted in recorded order from 0, to the ones before.

        Args:
            step: which; negative counts from the end.
            limit: follow at most so many, those first that carry most; the rest is told as one sum.

        Raises:
            FlowError: there is no such step.
        """
        step, limit = self.step_of(step), arguments.whole("paths: limit", limit, 1)
        if step not in self._paths or (self._paths[step].rest and limit > len(self._paths[step])):
            self._paths[step] = step_paths(self.chain, self._crossed, step, limit)
        return self._paths[step]

    def step_of(self, step: int) -> int:
        """A step counted from 0, in recorded order, where negative ones count from the end.

        Raises:
            FlowError: there is no such step.
        """
        try:
            return range(len(self.chain))[arguments.whole("step", step)]
        except IndexError:
            raise FlowError(
                f"flow: there is no step {step!r}: there are 0 to {len(self.chain) - 1}, or from the end "
                "-1 and so on"
            ) from None

    def jacobians(self, of: str | None = None, direct: bool = False) -> numpy.ndarray:
        """∂s_T/∂s_t, where T is the step ``last`` and s all states of all samples as one vector, or one
        state.

        A state is left out that the step T did not make or that the loss does not depend on: a tensor of an
        earlier step that is handed on, for example. N tells.

        Args:
            of: the name of one state. Its derivative by itself then goes by way of the other states too,
                unless they are cut.
            direct: cut all paths but those of sums and elementwise products from a state to itself: of an
                LSTM's c, ∏ f is what is left.

        Returns:
            (steps back, N, N), the identity first.

        Raises:
            FlowError: there is no such state on the tape.
        """
        return self._jacobian(of, direct).matrices()

    def jacobian_norms(
        self, of: str | None = None, direct: bool = False, exact: bool | None = None
    ) -> numpy.ndarray:
        """‖∂s_T/∂s_t‖₂, the most that any residual can grow on the way back.

        Args:
            of, direct: as in :meth:`jacobians`.
            exact: from the matrices; False by products with vectors (Lanczos). By default states of up to 128
                numbers are done exactly.

        Returns:
            (steps back,), 1 first; infinity where something is not finite.
        """
        return self._jacobian(of, direct).norms(
            arguments.optional(arguments.flag, "jacobian_norms: exact", exact)
        )

    def step_jacobian(self, step: int, sample: int = 0) -> numpy.ndarray:
        """∂s_t/∂s_{t−1} of one sample, where s is all states as one vector: its transpose is what a step does
        to a residual.

        >>> def half(x, h):
        ...     return h / 2 + x, h / 2 + x
        >>> ys, h = tg.scan(half, tg.ones((9, 1, 1)).requires_grad_(), tg.zeros((1, 1)))
        >>> tg.flow(tg.sum(h)).track().step_jacobian(-1)
        array([[0.5]])

        Args:
            step: t, counted in recorded order; negative counts from the end.
            sample: which of those that were run at once, along the first axis of the states.

        Returns:
            (N, N). Its eigenvalues, by ``numpy.linalg.eigvals``, tell whether a residual grows or shrinks if
            such steps repeat; its largest singular value, how much it can grow in one.

        Raises:
            FlowError: there is no such step or sample, no step comes before it, or the loss does not depend
                on its states.
        """
        step, sample = self.step_of(step), arguments.whole("step_jacobian: sample", sample)
        if step == 0:
            raise FlowError("flow: no step comes before step 0: begin with 1")
        jacobian = StateJacobian(self.chain, step, None, direct=False)
        if not 0 <= sample < jacobian.samples:
            raise FlowError(f"flow: there is no sample {sample}: there are 0 to {jacobian.samples - 1}")
        return jacobian.step(sample)

    def _jacobian(self, of: str | None, direct: bool) -> StateJacobian:
        of, direct = arguments.optional(arguments.text, "of", of), arguments.flag("direct", direct)
        return StateJacobian(self.chain, len(self.chain) - 1 if self.last is None else self.last, of, direct)

    def verdict(self) -> Verdict:
        """Vanishing, exploding or healthy, by the rate, and how far was looked."""
        return self._verdict

    @cached_property
    def _verdict(self) -> Verdict:
        steps, left = len(self.remaining) - 1, self.remaining
        if not left[0]:
            return Verdict("unreached", 0, steps, 0.0, 0.0, self.name)
        finite = numpy.isfinite(left)
        if not finite.all() or left.max() > 1 / REACH:
            top = int(numpy.argmin(finite)) if not finite.all() else int(left.argmax())
            return Verdict("exploding", steps, top, float(left[top]), self._rate(top), self.name)
        horizon = int(numpy.flatnonzero(left >= REACH)[-1])
        alive = int(numpy.flatnonzero(left >= _TINY)[-1])
        rate = self._rate(alive) if alive or not steps else 0.0
        if left[-1] < REACH:
            return Verdict("vanishing", horizon, steps, float(left[-1]), rate, self.name)
        if steps < _FEW or 0 < numpy.count_nonzero(numpy.diff(left)) < _FEW:
            return Verdict("unknown", horizon, steps, float(left[-1]), rate, self.name)
        further = max(_SPAN - sum(map(self._acts, range(steps))), 0)
        rate = self._rate_of_repeated(further, rate)
        return Verdict(
            _kind(float(left[-1]), rate, further), horizon, steps, float(left[-1]), rate, self.name
        )

    def _rate_of_repeated(self, further: int, rate: float) -> float:
        """The steady gain over so many steps further, if those that were looked at repeat; else the one that
        was measured.

        At first a residual moves between the states, and to those that keep it: a few steps say little of how
        it goes on, but their Jacobians do.
        """
        acting = [back for back in range(1, len(self.remaining) - 1) if self._acts(back)]
        if not further or not acting or self.last is None:
            return rate
        try:
            jacobian = StateJacobian(self.chain, self.last - acting[0], None, direct=False)
        except FlowError:  # no state is on the tape there
            return rate
        # in the first it settles
        growths = jacobian.repeated(self._crossed.arrived, 1 + math.ceil(further / len(acting)))
        later = growths[len(growths) // 2 :]
        if not later or not all(map(math.isfinite, later)):
            return rate
        return math.exp(sum(map(math.log, later)) / (len(acting) * len(later))) if all(later) else 0.0

    def _rate(self, steps: int) -> float:
        """The steady gain, over so many steps back; a step that a mask leaves out for all is none."""
        left = self.remaining
        if not math.isfinite(left[steps]):
            return float(left[steps])
        first = 1 if steps > 1 and left[1] > 0 else 0
        counted = sum(self._acts(back) for back in range(first, steps))
        return math.exp((math.log(left[steps]) - math.log(left[first])) / counted) if counted else 1.0

    def _acts(self, back: int) -> bool:
        """Whether something becomes of the residual in the step that it meets after so many steps back: its
        size changes, or it goes from one state to another."""
        assert self.last is not None
        if self.remaining[back] != self.remaining[back + 1]:
            return True
        step, chain = self.last - back, self.chain
        sizes = [
            [self._arrived.get(chain.state_at(i, at), 0.0) for i in range(chain.count)]
            for at in (step, step - 1)
        ]
        return sizes[0] != sizes[1]


def _kind(left: float, rate: float, further: int) -> str:
    """What becomes of a residual of which so much is left, at a rate for so many steps further."""
    change = math.log(left) + (further * math.log(rate) if rate > 0 else -math.inf)
    if abs(change) <= -math.log(REACH):
        return "healthy"
    return "vanishing" if change < 0 else "exploding" if left > 1 else "healthy"


def _grouped(norms: numpy.ndarray, groups: Sequence[list[int]]) -> numpy.ndarray:
    return joint(norms[[index for group in groups for index in group]], [len(group) for group in groups])
