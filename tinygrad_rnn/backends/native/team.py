"""The memory of a team of threads: 64-bit words that all of them look at, and how LLVM text gets at them."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

import numpy

from . import memory, thresholds

IDLE, POSTED, TAKEN, ASLEEP, STOPPED = range(5)

ARGUMENTS = 10
"""The most arguments of a function, integers or addresses. A function that takes fewer ignores the rest, as
calling conventions allow."""

TEAM = {
    "owner": 0,  # nobody, a call of ``run``, or a ticket
    "room": 8,  # how many boxes there are
    "workers": 9,  # how many of them have a worker
    "sleep": 10,  # functions of CPython's that need not hold the interpreter's lock: acquire a lock,
    "nap": 11,  # the same for some time only,
    "wake": 12,  # release one
    "never": 13,  # a lock that nobody releases
    "spin": 14,  # times, see ``thresholds``
    "patience": 15,
    "prompt": 16,
    "woken": 17,
    "late": 18,
    "backoff": 24,  # how many of the next calls leave the team alone
    "penalty": 25,  # how many the last ones did that had to
    "since": 26,  # when work was started
}
"""The words of a team. What is written often has a cache line of its own."""

BOX = {
    "state": 0,
    "ticket": 1,  # of work that was started, else 0
    "lock": 2,  # the worker sleeps at it
    "took": 3,  # how long the work took
    "function": 4,
    "arguments": 5,
}
"""The words of a box."""

GANG = {
    "come": 0,  # how many have, and whether the gate is shut
    "team": 1,
    "wait": 2,  # the function that waits for the others
}
"""The words of a gang."""

MEMBERS, MEMBER = 16, 16
"""Where the words of its members begin, and how far they lie apart: how often each has arrived, and how long
it has waited."""

GIVEN = 6
"""Arguments of a function that a gang does, beside the thread's number and how many there are."""

_BOXES, _BOX = 32, 16
"""Where the boxes begin, and how far they lie apart: two cache lines."""


def memory_of(room: int, ticks: Callable[[], int]) -> numpy.ndarray:
    """The memory of a team of so many boxes, none of which has a worker yet."""
    words, _ = memory.aligned((_BOXES + _BOX * room,), numpy.dtype(numpy.int64))
    words[...] = IDLE
    for lock in (TEAM["never"], *range(_BOXES + BOX["lock"], len(words), _BOX)):
        words[lock] = _held_lock()
    for word, name in (("sleep", "acquire_lock"), ("nap", "acquire_lock_timed"), ("wake", "release_lock")):
        function = getattr(ctypes.pythonapi, f"PyThread_{name}")
        words[TEAM[word]] = ctypes.cast(function, ctypes.c_void_p).value
    second = _ticks_of_a_second(ticks)
    for word, seconds in thresholds.HANDOVER_SECONDS.items():
        words[TEAM[word]] = second * seconds
    words[TEAM["room"]], words[TEAM["penalty"]] = room, thresholds.BACKOFF_MIN_CALLS
    return words


def _held_lock() -> int:
    """A lock of the interpreter's that is held."""
    allocate = ctypes.PYFUNCTYPE(ctypes.c_void_p)(("PyThread_allocate_lock", ctypes.pythonapi))
    acquire = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int)(
        ("PyThread_acquire_lock", ctypes.pythonapi)
    )
    lock = allocate()
    acquire(lock, 1)
    return int(lock)


def _ticks_of_a_second(ticks: Callable[[], int]) -> float:
    """Measured in a millisecond, to about 1 %."""
    start, before = time.perf_counter(), ticks()
    time.sleep(0.001)
    return (ticks() - before) / (time.perf_counter() - start)


# -- in LLVM text --------------------------------------------------------------------------------------------


def element(name: str, base: str, number: int | str) -> str:
    """The address of a 64-bit word."""
    return f"  %{name} = getelementptr i64, ptr %{base}, i64 {number}"


def at(name: str, of: str = "team") -> str:
    """The address of a word of a team, a box or a gang, under its name: %name.at."""
    return element(f"{name}.at", of, {"team": TEAM, "box": BOX, "gang": GANG}[of][name])


def load(name: str, of: str = "team") -> str:
    """A word, under its name."""
    return f"{at(name, of)}\n  %{name} = load i64, ptr %{name}.at"


def box(number: str) -> str:
    """The address of a box: %box."""
    place = f"  %box.first = mul i64 {number}, {_BOX}\n  %box.word = add i64 %box.first, {_BOXES}"
    return f"{place}\n{element('box', 'team', '%box.word')}"


def each(last: str, body: str, result: str = "", start: str = "0") -> str:
    """For %i from 0: the body; what it calls %result.next becomes %result."""
    carried = f"  %{result} = phi i64 [ {start}, %before ], [ %{result}.next, %on ]\n" if result else ""
    return f"""  br label %before
before:
  br label %look
look:
  %i = phi i64 [ 0, %before ], [ %i.next, %on ]
{carried}  %more = icmp slt i64 %i, {last}
  br i1 %more, label %body, label %end
body:
{body}
  br label %on
on:
  %i.next = add i64 %i, 1
  br label %look
end:"""
