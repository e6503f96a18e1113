"""What the loop would carry residuals through: which results of a scan have ``requires_grad``, and from which
of them something comes back to which operand.

A state may begin to depend on a parameter at some step, or stop to: h ← sign(h) has no way back. So both
questions are followed from step to step, forwards and backwards, until they repeat themselves.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .options import ScanOptions
from .program import Number, Program

_Flags = tuple[bool, ...]


class Flow:
    """Whether outputs and states require a gradient, and whether operands get one.

    Args:
        program: the cell's step.
        needs: for each of its inputs, states and fixed values whether it does.
    """

    def __init__(self, program: Program, needs: Sequence[bool]) -> None:
        inputs, states = len(program.steps), len(program.states)
        floats = zip(
            (*program.steps, *program.fixed), (*needs[:inputs], *needs[inputs + states :]), strict=True
        )
        self._program, asked = program, {v for v, need in floats if need}
        self._first = tuple(needs[inputs : inputs + states]), (False,) * len(program.outputs)
        self._one_step = functools.lru_cache(maxsize=256)(functools.partial(_one_step, program, asked))
        self._one_step_back = functools.lru_cache(maxsize=256)(functools.partial(_one_step_back, program))
        unmasked = ScanOptions()
        self._unmasked = functools.lru_cache(maxsize=256)(lambda steps: self._results(unmasked, steps))
        self._unmasked_back = functools.lru_cache(maxsize=256)(
            lambda g, steps: self._operands(g, unmasked, steps)
        )

    def results(self, options: ScanOptions, steps: int) -> list[bool]:
        """For outputs and last states of so many steps."""
        return self._unmasked(steps) if options.live is None else self._results(options, steps)

    def operands(self, g: _Flags, options: ScanOptions, steps: int) -> list[bool]:
        """For inputs, first states and fixed values, whether a residual comes there.

        Args:
            g: for outputs and last states, whether one begins there.
        """
        if options.live is None:
            return self._unmasked_back(g, steps)
        return self._operands(g, options, steps)

    def _results(self, options: ScanOptions, steps: int) -> list[bool]:
        state, y = self._first
        some = y
        step = functools.partial(self._step, options.repeats)
        for new_state, new_y in _changes(step, state, y, _runs(options, steps)):
            state, some = new_state, _either(some, new_y)
        return [*some, *state]

    def _operands(self, g: _Flags, options: ScanOptions, steps: int) -> list[bool]:
        count = len(self._program.outputs)
        outputs, state = g[:count], g[count:]
        repeated = (False,) * count
        reached = (False,) * (len(self._program.steps) + len(self._program.fixed))
        step = functools.partial(self._step_back, options.repeats, outputs)
        runs = reversed(_runs(options, steps))
        for new_state, (_, here) in _changes(step, state, (repeated, reached), runs):
            state, reached = new_state, here
        inputs = len(self._program.steps)
        return [*reached[:inputs], *state, *reached[inputs:]]

    def _step_back(
        self, previous: bool, outputs: _Flags, masked: bool, state: _Flags, before: tuple[_Flags, _Flags]
    ) -> tuple[_Flags, tuple[_Flags, _Flags]]:
        """The flags of states before a step; of outputs before it, where masked ones repeat those; and of
        what else is read."""
        y = _either(outputs, before[0])
        old, read = self._one_step_back(state, y)
        repeated = y if masked and previous else (False,) * len(y)
        return (_either(old, state) if masked else old), (repeated, _either(before[1], read))

    def _step(self, previous: bool, masked: bool, state: _Flags, before: _Flags) -> tuple[_Flags, _Flags]:
        """The flags of states and outputs after a step, from those of states and outputs before it."""
        new, y = self._one_step(state)
        if not masked:
            return new, y
        return _either(new, state), _either(y, before) if previous else y


def _changes(
    step: Any, state: _Flags, y: Any, runs: Iterable[tuple[int, bool]]
) -> Iterator[tuple[_Flags, Any]]:
    """What the steps give, as long as any can change it, in runs that are masked or not."""
    still = set[bool]()
    for count, masked in runs:
        if masked in still:
            continue
        for new_state, new_y in _repeated(functools.partial(step, masked), state, y, count):
            still = {*still, masked} if (new_state, new_y) == (state, y) else set()
            state, y = new_state, new_y
            yield state, y
        if len(still) == 2:
            return


def _repeated(step: Any, state: _Flags, y: Any, count: int) -> Iterator[tuple[_Flags, Any]]:
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


def _runs(options: ScanOptions, steps: int) -> list[tuple[int, bool]]:
    """How many steps follow each other that are masked, or not, in the order of running."""
    if options.live is None:
        return [(steps, False)]
    masked: Any = ~options.live.all(axis=1)
    flags = (masked[::-1] if options.reverse else masked).tolist()
    return [(len(list(group)), flag) for flag, group in itertools.groupby(flags)]


def _either(one: _Flags, other: _Flags) -> _Flags:
    return tuple([a or b for a, b in zip(one, other, strict=True)])


def _one_step(program: Program, asked: set[int], state: _Flags) -> tuple[_Flags, _Flags]:
    """The flags of new states and outputs."""
    reached = asked | {v for v, need in zip(program.states, state, strict=True) if need}
    for instruction in program.instructions:
        if not instruction.stopped and any(
            not isinstance(ref, Number) and ref in reached for ref in instruction.operands
        ):
            reached.update(v for v in instruction.results if program.dtypes[v].kind == "f")
    return tuple([v in reached for v in program.carried]), tuple([v in reached for v in program.outputs])


def _one_step_back(program: Program, state: _Flags, y: _Flags) -> tuple[_Flags, _Flags]:
    """The flags of states, and of inputs and fixed values, from those of new states and outputs."""
    reached = {
        v
        for v, flag in zip((*program.carried, *program.outputs), (*state, *y), strict=True)
        if flag and program.dtypes[v].kind == "f"
    }
    for instruction in reversed(program.instructions):
        if not instruction.stopped and not reached.isdisjoint(instruction.results):
            refs = (ref for ref in instruction.operands if not isinstance(ref, Number))
            reached.update(ref for ref in refs if program.dtypes[ref].kind == "f")
    return tuple([v in reached for v in program.states]), tuple(
        [v in reached for v in (*program.steps, *program.fixed)]
    )
