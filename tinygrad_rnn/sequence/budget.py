"""``checkpoint="auto"``: how many bytes scans may keep for their backward passes, and how many steps of one
that is."""

from __future__ import annotations

import itertools
import math
import weakref
from typing import Any, NamedTuple

from .. import arguments
from ..backends import Backend, current
from ..effects import effect

_given: dict[None, int] = {}
_claims: dict[int, int] = {}
"""Bytes that scans keep at the moment, by the number of each claim."""

_numbers = itertools.count()


@effect("sets the memory budget of the process")
def set_memory_budget(most: int | None) -> None:
    """How many bytes all scans with ``checkpoint="auto"`` together may keep for their backward passes, in the
    whole process.

    >>> tg.set_memory_budget(2 << 30)
    >>> tg.memory_budget()
    2147483648
    >>> tg.set_memory_budget(None)

    Args:
        most: bytes, 0 or more; None for a quarter of the memory that the machine or the device has, which is
            so at first.

    Raises:
        ArgumentError: it is neither.
    """
    if most is None:
        _given.clear()
    else:
        _given[None] = arguments.whole("set_memory_budget: most, a number of bytes,", most, 0)


def memory_budget() -> int:
    """The bytes that :func:`set_memory_budget` set; by default those for the backend of new tensors.

    >>> tg.memory_budget() > 0
    True
    """
    return _most(current())


def _most(backend: Backend) -> int:
    most = _given.get(None)
    return backend.memory() // 4 if most is None else most


def _free(backend: Backend) -> int:
    """What of the budget no scan has."""
    return max(0, _most(backend) - sum(list(_claims.values())))


def steps_at_a_time(backend: Backend, steps: int, each: int, between: int) -> int | None:
    """How many steps to keep at a time, the rest being run again; None for all of them.

    Where L of T steps are kept at a time, memory is L · each, and for every L steps the state before them, T
    / L · between: the most L for which that is in the budget, so that there are few stretches; else that for
    which it is least, √(T · between / each).

    Args:
        each: bytes that a step needs until its backward pass is done.
        between: bytes of the state.
    """
    most = _free(backend)
    if steps * each <= most:
        return None
    least = math.sqrt(steps * between / each)
    root = most * most - 4 * each * between * steps
    found = least if root < 0 else max(least, (most + math.sqrt(root)) / (2 * each))
    return min(steps, max(1, int(found)))


class Kept(NamedTuple):
    """What of a scan is kept for its backward pass.

    Attributes:
        steps: how many steps at a time; None for all of them.
        bytes: to :func:`claim` for those.
        least: the bytes that it takes at least, where that is more than the budget.
    """

    steps: int | None
    bytes: int = 0
    least: int | None = None


ALL = Kept(None)


def settled(call: Any) -> Kept:
    """What of a compiled scan is kept.

    Args:
        call: the :class:`~.run.ScanCall`.
    """
    checkpoint, plan, steps = call.options.checkpoint, call.plan, call.steps
    if checkpoint is None or isinstance(checkpoint, int):
        return Kept(checkpoint)
    if not plan.differentiated:
        return ALL
    bytes_of, loop = plan.joint.bytes_of, plan.laid_out(call.engine)
    held, between = bytes_of(loop.held), bytes_of(plan.joint.states)
    each = held + bytes_of(loop.returned)
    fitting = steps_at_a_time(call.backend, steps, each, between)
    if fitting is None:
        return Kept(None, steps * held)
    least = fitting * each + -(-steps // fitting) * between
    return Kept(fitting, least=least if least > _free(call.backend) else None)


def claim(owner: Any, kept: int) -> None:
    """Count bytes as kept for as long as their owner is there."""
    number = next(_numbers)
    _claims[number] = kept
    weakref.finalize(owner, _claims.pop, number, None)
