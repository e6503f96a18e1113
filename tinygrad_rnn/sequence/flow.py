"""Which results of a scan carry residuals: those that the loop, step by step, would give ``requires_grad``.

A state may begin to depend on a parameter at some step, or stop to: h ← sign(h) has no way back. So the question is followed from step to
step until it repeats itself.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from .program import Number, Program

_Flags = tuple[bool, ...]


class Flow:
    """Whether outputs and states require a gradient.

    Args:
        program: the cell's step.
        needs: for each of its inputs, states and fixed values whether it does.
    """

    def __init__(self, program: Program, needs: Sequence[bool]) -> None:
        inputs, states = len(program.steps), len(program.states)
        floats = zip((*program.steps, *program.fixed), (*needs[:inputs], *needs[inputs + states :]), strict=True)
        self._program, self._asked = program, {v for v, need in floats if need}
        self._first = tuple(needs[inputs : inputs + states]), (False,) * len(program.outputs)
        self._steps: dict[Any, tuple[_Flags, _Flags]] = {}
        self.unmasked = functools.lru_cache(maxsize=256)(lambda steps: self.results(None, False, False, steps))

    def results(self, live: numpy.ndarray | None, reverse: bool, previous: bool, steps: int) -> list[bool]:
        """For outputs and last states.

        Args:
            live, reverse: as of the scan.
            previous: whether masked outputs repeat the one before.
            steps: how many there are.
        """
        state, y = self._first
        some = y
        for count, masked in _runs(live, reverse, steps):
            for new_state, new_y in _repeated(functools.partial(self._step, masked, previous), state, y, count):
                state, y, some = new_state, new_y, _either(some, new_y)
        return [*some, *state]

    def _step(self, masked: bool, previous: bool, state: _Flags, before: _Flags) -> tuple[_Flags, _Flags]:
        """The flags of states and outputs after a step, from those of states and outputs before it."""
        if state not in self._steps:
            self._steps[state] = _one_step(self._program, self._asked, state)
        new, y = self._steps[state]
        if not masked:
            return new, y
        return _either(new, state), _either(y, before) if previous else y


def _repeated(step: Any, state: _Flags, y: _Flags, count: int) -> Iterator[tuple[_Flags, _Flags]]:
    """What so many steps give, each different one at least once and the last one last."""
    seen: dict[Any, int] = {}
    n = 0
    while n < count:
        if (state, y) in seen:
            n += (count - n) // (n - seen[state, y]) * (n - seen[state, y])  # whole periods change nothing
            seen = {}
            if n == count:
                return
        seen[state, y] = n
        state, y = step(state, y)
        n += 1
        yield state, y


def _runs(live: numpy.ndarray | None, reverse: bool, steps: int) -> list[tuple[int, bool]]:
    """How many steps follow each other that are masked, or not, in the order of running."""
    if live is None:
        return [(steps, False)]
    flags: Any = (~live[::-1] if reverse else ~live).any(axis=1).tolist()
    return [(len(list(group)), flag) for flag, group in itertools.groupby(flags)]


def _either(one: _Flags, other: _Flags) -> _Flags:
    return tuple([a or b for a, b in zip(one, other, strict=True)])


def _one_step(program: Program, asked: set[int], state: _Flags) -> tuple[_Flags, _Flags]:
    """The flags of new states and outputs."""
    reached = asked | {v for v, need in zip(program.states, state, strict=True) if need}
    for instruction in program.instructions:
        if not instruction.stopped and any(not isinstance(ref, Number) and ref in reached for ref in instruction.operands):
            reached.update(v for v in instruction.results if program.dtypes[v].kind == "f")
    return tuple([v in reached for v in program.carried]), tuple([v in reached for v in program.outputs])
