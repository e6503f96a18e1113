"""How strongly a state depends on itself some steps before: ∂s_T / ∂s_t as a matrix, and its largest singular
value.

One step back at a time: ∂s_T/∂s_{t−1} = ∂s_T/∂s_t · ∂s_t/∂s_{t−1}, row by row, for states of up to some
hundred numbers. For larger ones the norm alone is found by products J v and Jᵀ u, which push a tangent from
s_t to s_T and pull a residual back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from ..backends import Array
from ..errors import FlowError
from ..reading.chain import Chain
from ..reading.measured import add_to
from ..reading.path import is_straight
from ..tape import Key, Tape, key_of, pull_back, push_forward

EXACT = 128
"""States of at most so many numbers are done row by row."""

_AGREED = 1e-11
_ROUNDS = 300
"""How many products at most, and when another one adds nothing, in double precision."""


class StateJacobian:
    """∂s_T/∂s_t of a chain, where T is a given step and s all of its states or one of them.

    Args:
        chain: the steps.
        last: the step T, in recorded order.
        of: the name of one state; None for all of them together.
        direct: cut every path but those of sums and elementwise products from a state to itself.

    Raises:
        FlowError: there is no such state, or it is not on the tape after step T.
    """

    def __init__(self, chain: Chain, last: int, of: str | None, direct: bool) -> None:
        if of is not None and of not in chain.states:
            raise FlowError(
                f"flow: there is no state {of!r}: there are {', '.join(map(repr, chain.states)) or 'none'}"
            )
        self.chain = chain
        self.last = last
        self.direct = direct
        states = (
            range(chain.count) if of is None else [i for i, name in enumerate(chain.states) if name == of]
        )
        self._nodes = nodes = chain.nodes | {
            key_of(y): y for entry in chain.entries[last] for y in entry.results()
        }
        ends = {i: nodes.get(key) for i in states if (key := chain.state_at(i, last)) is not None}
        self._states = [i for i, node in ends.items() if node is not None]
        if not self._states:
            raise FlowError("flow: no state after the last step is on the tape: let the loss depend on it")
        self._targets: dict[int | None, dict[Key, None]] = {}
        for key, step in chain.crossings.values():
            self._targets.setdefault(step, {})[key] = None
        self._ends = [node for node in ends.values() if node is not None]
        self._backend = self._ends[0]._backend
        self.size: int = sum(x._data.size for x in self._ends)

    def matrices(self) -> numpy.ndarray:
        """(steps back, N, N), the identity first."""
        jacobians = numpy.zeros((self.last + 1, self.size, self.size))
        for row, unit in enumerate(numpy.eye(self.size)):
            residuals = self._split(unit)
            jacobians[0, row] = unit
            for back in range(1, self.last + 1):
                residuals = self._back(residuals, self.last - back + 1)
                jacobians[back, row] = self._joined(residuals, self.last - back)
        return jacobians

    def step(self, sample: int) -> numpy.ndarray:
        """(N, N): ∂s_T/∂s_{T−1} of one sample alone. The first axis of states counts samples, where they have
        more than one."""
        first = 0
        own: list[int] = []
        for x in self._ends:
            places = numpy.arange(first, first + x._data.size).reshape(x._data.shape)
            own.extend((places if places.ndim < 2 else places[sample]).ravel().tolist())
            first += x._data.size
        jacobian = numpy.zeros((len(own), len(own)))
        for row, place in enumerate(own):
            unit = numpy.zeros(self.size)
            unit[place] = 1.0
            jacobian[row] = self._joined(self._back(self._split(unit), self.last), self.last - 1)[own]
        return jacobian

    @property
    def samples(self) -> int:
        """How many samples there are; 1 where states have no axis for them."""
        return min((len(x._data) for x in self._ends if x._data.ndim > 1), default=1)

    def norms(self, exact: bool | None = None) -> numpy.ndarray:
        """(steps back,): the largest singular values, 1 first; infinity where something is not finite."""
        if exact is None:
            exact = self.direct or self.size <= EXACT
        if exact:
            matrices = self.matrices()
            norms, finite = numpy.full(len(matrices), math.inf), numpy.isfinite(matrices).all(axis=(1, 2))
            norms[finite] = numpy.linalg.norm(matrices[finite], 2, axis=(1, 2))
            return norms
        if self.direct:
            raise FlowError(
                "flow: with the other paths cut the norm is found row by row only: leave exact out"
            )
        return numpy.array([1.0, *(self._norm(back) for back in range(1, self.last + 1))])

    def repeated(self, first: Mapping[Key, Array], turns: int) -> list[float]:
        """By how much a residual grows on its way back from the step T to the first, if what comes out there
        enters at T again, and so on.

        Args:
            first: by key what comes to the states after T at first.
            turns: how often it goes that way; less often where nothing is left of it or it is not finite.
        """
        growths: list[float] = []
        v = self._joined(first, self.last)
        while len(growths) < turns and v.any() and numpy.isfinite(v).all():
            residuals = self._split(v / numpy.linalg.norm(v))
            for step in range(self.last, 0, -1):
                residuals = self._back(residuals, step)
            v = self._joined(residuals, 0)
            growths.append(float(numpy.linalg.norm(v)))
        return growths

    def _norm(self, back: int) -> float:
        """The largest singular value: that of Jᵀ on the space of u, J Jᵀ u, (J Jᵀ)² u, … (Lanczos).

        Plain power iteration would stop too early where J is block-diagonal, as it is by samples: at the
        block that was largest at first.
        """
        agreed = max(_AGREED, 4 * float(numpy.finfo(self._ends[0]._data.dtype).eps))
        u, norm = numpy.random.default_rng(0).standard_normal(self.size), 0.0
        basis = images = numpy.zeros((0, self.size))
        while len(basis) < min(_ROUNDS, self.size) and u.any():
            u /= numpy.abs(u).max()  # squares of what is small would vanish
            basis = numpy.vstack([basis, u / numpy.linalg.norm(u)])
            images = numpy.vstack([images, self._pulled(basis[-1], back)])
            if not numpy.isfinite(images[-1]).all():
                return math.inf
            before, norm = norm, float(numpy.linalg.norm(images, 2))
            if norm - before <= agreed * norm:
                break
            u = self._forward(images[-1] / numpy.abs(images[-1]).max(), self.last - back)
            for _ in range(2):  # once leaves what rounding adds
                u = u - (basis @ u) @ basis
        return norm

    def _pulled(self, u: numpy.ndarray, back: int) -> numpy.ndarray:
        """Jᵀ u, so many steps back."""
        residuals = self._split(u)
        for step in range(self.last, self.last - back, -1):
            residuals = self._back(residuals, step)
        return self._joined(residuals, self.last - back)

    # -- one step back, and all steps forward ----------------------------------------------------------------

    def _back(self, arriving: dict[Key, Array], step: int) -> dict[Key, Array]:
        """Residuals of the tensors after a step → of those before it."""
        chain = self.chain
        seeds = [
            (self._nodes[key], residual) for key, residual in arriving.items() if chain.step_of(key) == step
        ]
        waiting = {key: residual for key, residual in arriving.items() if chain.step_of(key) != step}
        if seeds:
            targets = {key: chain.nodes[key] for key in self._targets.get(step, ())}
            needs, towards = (self._masks(step), None) if self.direct else (None, [*targets.values()])
            residuals, _ = pull_back(seeds, towards=towards, through=Tape(chain.entries[step]), needs=needs)
            for key, node in targets.items():
                residual = residuals.at(node)
                if residual is not None:
                    add_to(waiting, key, residual)
        return waiting

    def _masks(self, step: int) -> dict[int, list[bool] | None]:
        """For each operation of a step the operands on the way of sums and products from a state to itself;
        None where none is."""
        chain = self.chain
        targets = [chain.state_at(i, step - 1) for i in self._states]
        masks: dict[int, list[bool] | None] = {}
        for entry in chain.entries[step]:
            straight = is_straight(entry.row)
            needs = [
                straight and entry.needs[i] and self._leads(entry.index, i, x, masks, targets)
                for i, x in enumerate(entry.inputs)
            ]
            masks[entry.index] = needs if any(needs) else None
        return masks

    def _leads(
        self,
        index: int,
        operand: int,
        x: Any,
        masks: dict[int, list[bool] | None],
        targets: Sequence[Key | None],
    ) -> bool:
        crossing = self.chain.crossings.get((index, operand))
        if crossing is not None:
            return crossing[0] in targets
        return x.entry is not None and masks.get(x.entry.index) is not None

    def _forward(self, v: numpy.ndarray, step: int) -> numpy.ndarray:
        """J v, where v stands at the states after a step."""
        keys = [self._key(i, step) for i in self._states]
        tangents = [
            (self.chain.nodes[key], part)
            for key, part in zip(keys, self._arrays(v), strict=True)
            if key is not None
        ]
        since = max(entry.index for inside in self.chain.entries[: step + 1] for entry in inside[-1:])
        pushed = push_forward(self._ends, tangents, since=since)
        parts = [
            numpy.zeros(x._data.size) if t is None else self._host(t)
            for x, t in zip(self._ends, pushed, strict=True)
        ]
        return numpy.concatenate(parts)

    # -- states as one vector --------------------------------------------------------------------------------

    def _key(self, state: int, step: int) -> Key | None:
        """What a state is after a step; None where nothing depends on it."""
        key = self.chain.state_at(state, step)
        if key is None and not self.chain.complete:
            raise FlowError(
                f"flow: the state {self.chain.states[state]!r} is not on the tape after step "
                f"{self.chain.labels[step]}"
            )
        return key

    def _arrays(self, vector: numpy.ndarray) -> list[Array]:
        ends = numpy.cumsum([x._data.size for x in self._ends])
        parts = numpy.split(vector, ends[:-1])
        return [
            self._backend.from_host(part.reshape(x._data.shape).astype(x._data.dtype))
            for part, x in zip(parts, self._ends, strict=True)
        ]

    def _split(self, vector: numpy.ndarray) -> dict[Key, Array]:
        return dict(zip(map(key_of, self._ends), self._arrays(vector), strict=True))

    def _joined(self, residuals: Mapping[Key, Array], step: int) -> numpy.ndarray:
        keys = [self._key(i, step) for i in self._states]
        parts = [None if key is None else residuals.get(key) for key in keys]
        return numpy.concatenate(
            [
                numpy.zeros(x._data.size) if part is None else self._host(part)
                for x, part in zip(self._ends, parts, strict=True)
            ]
        )

    def _host(self, array: Array) -> numpy.ndarray:
        return self._backend.to_host(self._backend.asarray(array)).astype(numpy.float64).ravel()
