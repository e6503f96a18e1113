"""What the residual does in one chain of time steps: how much is left after so many steps back, and what each step does to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

from ..errors import FlowError
from ..reading.followed import Crossed, Pass, Sizes, joint
from ..reading.steps import Chain
from ..reading.words import gain_label
from ..tape import Entry, Key, Node, key_of
from .jacobian import StateJacobian
from .paths import StepPaths, step_paths

REACH = 0.01
"""The part of the residual that counts as still reaching a step."""


@dataclass(frozen=True)
class Verdict:
    """How a residual gets through the time steps of a chain.

    Attributes:
        kind: "vanishing", less than 1 % comes to the first step; "exploding", it grows more than a hundredfold or is not finite;
            "healthy"; or "unreached", none comes into the chain.
        horizon: how many steps back at least 1 % of it still reaches.
        steps: how many steps back there are.
        left: what is left of it at the first step, as a part.
        rate: the gain of one step, on average.
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
        if self.kind == "exploding":
            return f"{head}: the residual becomes {gain_label(self.left)} in {_steps(self.steps)} ({gain_label(self.rate)} a step)"
        if self.kind == "vanishing":
            return f"{head}: 1 % of the residual reaches {self.horizon} of {_steps(self.steps)} back ({gain_label(self.rate)} a step)"
        return f"{head}: over {_steps(self.steps)} back {gain_label(self.left)} of the residual is left ({gain_label(self.rate)} a step)"


def _steps(count: int) -> str:
    return f"{count} step" + "s" * (count != 1)


class Track:
    """One chain, measured.

    Attributes:
        chain: its steps and states.
        run: the backward pass that measured it.
        last: the step that the residual comes into which is followed; None if none comes.
        received: for each step the norm of the residual that comes into it from outside: from the step after, and from losses.
        passed: for each step the norm of what it sends to the steps before.
        remaining: the norm of the residual after so many steps back, as a part of what came into step ``last``: 1 first.
    """

    def __init__(self, chain: Chain, crossed: Crossed, last: int | None, run: Pass) -> None:
        self.chain, self.last = chain, last
        self._crossed, self.run = crossed, run
        self._paths: dict[int, StepPaths] = {}
        backend = chain.entries[0][0].backend
        sizes = Sizes()
        received: list[list[int]] = [[] for _ in range(len(chain))]
        passed: list[list[int]] = [[] for _ in range(len(chain))]
        held: list[list[int]] = [[] for _ in range(len(chain))]
        for key, residual in crossed.arrived.items():
            step = chain.step_of(key)
            if step is not None:
                received[step].append(sizes.add(residual, backend))
        across: dict[Key, Any] = {}
        for step in reversed(range(len(chain))):
            for key, residual in crossed.sent[step].items():
                number = sizes.add(residual, backend)
                passed[step].append(number)
                across[key] = (across[key][0] + residual, None) if key in across else (residual, number)
            across = {key: kept for key, kept in across.items() if chain.step_of(key) != step}
            held[step] = [sizes.add(residual, backend) if number is None else number for residual, number in across.values()]
        norms = sizes.read()
        self.received, self.passed, crossing = (_grouped(norms, groups) for groups in (received, passed, held))
        start = self.received[last] if last is not None else 0.0
        back = crossing[last:0:-1] if last is not None else crossing[:0]
        with numpy.errstate(invalid="ignore", over="ignore"):  # of what is not finite no part is known
            self.remaining = numpy.concatenate([[1.0], back / start * (start / start)]) if start else numpy.zeros(1)

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
        """For each state the norm of the residual that arrives at it after each step; 0 where it is not on the tape."""
        sizes, backend = Sizes(), self.chain.entries[0][0].backend
        numbers = []
        for i in range(len(self.chain.states)):
            for step in range(len(self.chain)):
                key = self.chain.state_at(i, step)
                residual = self._crossed.arrived.get(key) if key is not None and self.chain.step_of(key) == step else None
                numbers.append(-1 if residual is None else sizes.add(residual, backend))
        norms = numpy.append(sizes.read(), 0.0)[numbers].reshape(len(self.chain.states), -1)
        return dict(zip(self.chain.states, norms, strict=True))

    @cached_property
    def gates(self) -> dict[str, numpy.ndarray]:
        """For each other tensor that has a name inside of the steps, the norm of the residual that arrives at it in each step, if any."""
        norms = {entry.index: norm for entry, norm in zip(self.run.entries, self.run.received.tolist(), strict=True)}
        named: dict[int, list[tuple[int, str]]] = {}
        found: dict[str, numpy.ndarray] = {}
        for step, inside in enumerate(self.chain.entries):
            if len(inside) not in named:  # steps of as many operations are alike
                named[len(inside)] = self._named(inside)
            for offset, name in named[len(inside)]:
                found.setdefault(name, numpy.zeros(len(self.chain)))[step] = norms.get(inside[offset].index, 0.0)
        return dict(sorted(found.items()))

    def _named(self, inside: Sequence[Entry]) -> list[tuple[int, str]]:
        """The operations whose one result has a name and is no state."""
        used = {key_of(x): x for entry in inside for x in entry.inputs if isinstance(x, Node)}
        single = [(i, (entry.index, 0)) for i, entry in enumerate(inside) if not entry.row.several]
        names = [(i, self.chain.name_of(used[key])) for i, key in single if key in used]
        return [(i, name) for i, name in names if name and name not in self.chain.states]

    def sent(self, step: int) -> dict[Key, Any]:
        """What a step, counted in recorded order from 0, sends to the ones before: arrays by the key of the tensor they go to."""
        return dict(self._crossed.sent[self._number(step)])

    def paths(self, step: int, limit: int = 256) -> StepPaths:
        """The paths from a step, counted in recorded order from 0, to the ones before.

        Args:
            step: which; negative counts from the end.
            limit: follow at most so many, those first that carry most; the rest is told as one sum.

        Raises:
            FlowError: there is no such step.
        """
        step = self._number(step)
        if step not in self._paths or (self._paths[step].rest and limit > len(self._paths[step])):
            self._paths[step] = step_paths(self.chain, self._crossed, step, limit)
        return self._paths[step]

    def _number(self, step: int) -> int:
        try:
            return range(len(self.chain))[step]
        except (IndexError, TypeError):
            raise FlowError(
                f"flow: there is no step {step!r}: there are 0 to {len(self.chain) - 1}, or from the end -1 and so on"
            ) from None

    def jacobians(self, of: str | None = None, direct: bool = False) -> numpy.ndarray:
        """∂s_T/∂s_t, where T is the step ``last`` and s all states of all samples as one vector, or one state.

        A state is left out that the step T did not make or that the loss does not depend on: a tensor of an earlier step that is handed
        on, for example. N tells.

        Args:
            of: the name of one state. Its derivative by itself then goes by way of the other states too, unless they are cut.
            direct: cut all paths but those of sums and elementwise products from a state to itself: of an LSTM's c, ∏ f is what is left.

        Returns:
            (steps back, N, N), the identity first.

        Raises:
            FlowError: there is no such state on the tape.
        """
        return self._jacobian(of, direct).matrices()

    def jacobian_norms(self, of: str | None = None, direct: bool = False, exact: bool | None = None) -> numpy.ndarray:
        """‖∂s_T/∂s_t‖₂, the most that any residual can grow on the way back.

        Args:
            of, direct: as in :meth:`jacobians`.
            exact: from the matrices; False by products with vectors (Lanczos). By default states of up to 128 numbers are done exactly.

        Returns:
            (steps back,), 1 first; infinity where something is not finite.
        """
        return self._jacobian(of, direct).norms(exact)

    def _jacobian(self, of: str | None, direct: bool) -> StateJacobian:
        return StateJacobian(self.chain, len(self.chain) - 1 if self.last is None else self.last, of, direct)

    def verdict(self) -> Verdict:
        """Vanishing, exploding or healthy, and the horizon."""
        steps, left = len(self.remaining) - 1, self.remaining
        if not left[0]:
            return Verdict("unreached", 0, steps, 0.0, 0.0, self.name)
        finite = numpy.isfinite(left)
        if not finite.all() or left.max() > 1 / REACH:
            top = int(numpy.argmin(finite)) if not finite.all() else int(left.argmax())
            return Verdict("exploding", steps, top, float(left[top]), _rate(left, top), self.name)
        horizon = int(numpy.flatnonzero(left >= REACH)[-1])
        alive = int(numpy.flatnonzero(left > 0)[-1])
        kind = "healthy" if horizon == steps else "vanishing"
        return Verdict(kind, horizon, steps, float(left[-1]), _rate(left, alive) if alive or not steps else 0.0, self.name)


def _grouped(norms: numpy.ndarray, groups: Sequence[list[int]]) -> numpy.ndarray:
    return joint(norms[[number for group in groups for number in group]], [len(group) for group in groups])


def _rate(left: numpy.ndarray, steps: int) -> float:
    """The steady gain that takes 1 to what is left after so many steps."""
    if not steps:
        return 1.0
    return math.exp(math.log(left[steps]) / steps) if math.isfinite(left[steps]) else float(left[steps])
