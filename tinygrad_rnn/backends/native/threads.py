"""Threads that run machine code in parallel, and are handed work within a microsecond.

    Python, one call each        in machine code, without the interpreter's lock
    run_parallel(f, parts)  ──▶  post parts 1 … n to workers, do part 0, wait for the others
    start(ticket, f, part)  ──▶  post the part, return; a worker does it meanwhile
    join(ticket)            ──▶  wait for it, or do it here if nobody has begun
    gather(f, parts, gang)  ──▶  f by as many threads as come, which wait for each other inside of f

Waking a sleeping thread takes tens of microseconds, and a training step hands over about ten times. So a
worker that is done looks for its next piece of work for another moment before it sleeps. ``handover`` has the
machine code. Here is what Python does: it makes the team, gives tickets to what it starts, and keeps the
memory that is in use.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import itertools
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from . import compiler, handover, memory, team, thresholds

_ADDRESS, _INTEGER = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES: dict[str, Any] = {
    "run": (None, _ADDRESS, _INTEGER, _ADDRESS, _INTEGER, _INTEGER),
    "start": (None, _ADDRESS, _INTEGER, _INTEGER, _ADDRESS, _INTEGER),
    "join": (None, _ADDRESS, _INTEGER),
    "serve": (None, _ADDRESS),
    "stop": (None, _ADDRESS),
    "ticks": (_INTEGER,),
    "gather": (None, _ADDRESS, _INTEGER, _INTEGER, _ADDRESS, _INTEGER, _INTEGER),
    "barrier": (None, _ADDRESS, _INTEGER, _INTEGER),
}


class _Team:
    """Up to as many workers as there are processors besides the one that asks; each is started when it is
    first needed."""

    def __init__(self) -> None:
        addresses = compiler.compiled(handover.text(), tuple(_SIGNATURES))
        functions = {name: ctypes.CFUNCTYPE(*types)(addresses[name]) for name, types in _SIGNATURES.items()}
        self._code = addresses  # workers run it
        self._run, self._start, self._join, self._serve, self._stop, ticks, self._gather, _ = (
            functions.values()
        )
        self._threads: list[threading.Thread] = []
        self._started, self._room = 0, (os.cpu_count() or 1) - 1
        self._words = team.memory_of(self._room, ticks)
        self._at = memory.address(self._words)

    def _start_workers(self, count: int) -> None:
        """Have so many, if the system gives them. An interrupt may cut this anywhere: a worker too many finds
        no box free and returns."""
        while self._started < min(count, self._room):
            name = f"tinygrad_rnn-{self._started}"
            self._threads.append(
                threading.Thread(target=self._serve, args=(self._at,), name=name, daemon=True)
            )
            try:
                self._threads[-1].start()
            except RuntimeError:  # can't start new thread
                self._room = self._started
            else:
                self._started += 1

    def owner(self) -> int:
        """Who owns the team: 0 for nobody."""
        return int(self._words[team.TEAM["owner"]])

    def run(self, function: int, parts: Sequence[Sequence[int]]) -> None:
        self._start_workers(len(parts) - 1)
        table = _table(parts)
        self._run(self._at, function, table.buffer_info()[0], len(parts[0]), len(parts))

    def start(self, ticket: int, function: int, part: Sequence[int]) -> None:
        self._start_workers(1)
        table = _table([part])
        self._start(self._at, ticket, function, table.buffer_info()[0], len(part))

    def gather(self, function: int, parts: Sequence[Sequence[int]], gang: int) -> None:
        (_, *call), _table = self.bound(function, parts, gang)
        self._gather(*call)

    def bound(self, function: int, parts: Sequence[Sequence[int]], gang: int) -> tuple[list[int], Any]:
        self._start_workers(len(parts) - 1)
        table = _table([(gang, function, *part) for part in parts])
        return [
            self._code["gather"],
            self._at,
            gang,
            function,
            table.buffer_info()[0],
            2 + team.GIVEN,
            len(parts),
        ], table

    def gang(self, members: int) -> numpy.ndarray:
        """The words of a gang of at most so many."""
        words, _ = memory.aligned((team.MEMBERS + team.MEMBER * members,), numpy.dtype(numpy.int64))
        words[...] = 0
        words[team.GANG["team"]], words[team.GANG["wait"]] = self._at, self._code["barrier"]
        return words

    def join(self, ticket: int) -> None:
        self._join(self._at, ticket)

    def leave(self) -> None:
        """There are no workers any longer, and nobody owns it."""
        self._words[team.TEAM["workers"]] = self._words[team.TEAM["owner"]] = 0

    def stop(self) -> None:
        """Wait until all workers have returned; whoever asks from then on works alone."""
        self._room = 0
        while any(thread.is_alive() for thread in self._threads):
            self._stop(self._at)
            time.sleep(0.0001)
        self._words[team.TEAM["workers"]] = 0


def _table(parts: Sequence[Sequence[int]]) -> Any:
    """Lists of arguments, one after another; machine code reads as many for each as a function can take."""
    return memory.numbers([*itertools.chain.from_iterable(parts), *_PADDING])


_PADDING = [0] * team.ARGUMENTS
_teams: dict[None, _Team] = {}
_left_behind: list[_Team] = []


def _team() -> _Team:
    """The team of this process. Threads that come at once may make one each; all of them get the same."""
    return _teams.get(None) or _teams.setdefault(None, _Team())


@functools.lru_cache(maxsize=1024)
def _callable(function: int, count: int) -> Any:
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)(function)


def run_parallel(function: int, parts: Sequence[Sequence[int]]) -> None:
    """Call the machine code at an address with each of the lists of arguments, at the same time.

    No Python runs in this thread meanwhile, so an interrupt comes when all is done. The caller keeps the
    memory that it names.
    """
    if len(parts) == 1:
        # a plain number: what is remembered here holds no code
        _callable(int(function), len(parts[0]))(*parts[0])
    else:
        _team().run(function, parts)


def gang(members: int) -> numpy.ndarray:
    """The words of a gang of at most so many threads, for one call of :func:`gather` at a time."""
    return _team().gang(members)


def gather(function: int, parts: Sequence[Sequence[int]], words: numpy.ndarray) -> None:
    """Call machine code by as many threads as come, up to one for each part: with its part, its number, and
    how many there are.

    Args:
        words: of the gang, which the code waits with.
    """
    _team().gather(function, parts, memory.address(words))


def bound(function: int, parts: Sequence[Sequence[int]], words: numpy.ndarray) -> tuple[list[int], Any]:
    """The same, for machine code to call: the address of what does it and what that takes; and the parts, one
    after another, each after two numbers."""
    return _team().bound(function, parts, memory.address(words))


# -- work that goes on meanwhile -----------------------------------------------------------------------------


class Ticket:
    """Names work that :func:`start` starts and :func:`join` waits for. It is made before the work is started,
    so that an interrupt at any place finds it.

    When Python drops a ticket that nobody has joined, it is joined.
    """

    __slots__ = ("__weakref__", "number")

    def __init__(self) -> None:
        self.number: int = next(_numbers)


_numbers = itertools.count(2)
_in_use: dict[int, tuple[Any, weakref.ref[Ticket]]] = {}
"""By ticket, the code and the memory of work that may not be done yet. Nothing frees them before somebody has
waited for it, whatever becomes of the ticket."""


def start(ticket: Ticket, function: int, parts: Sequence[Sequence[int]], buffers: Any) -> None:
    """As :func:`run_parallel`, but a single part may be left to a worker meanwhile.

    Args:
        ticket: for this one call.
        buffers: the memory that it reads and writes, which must not hold the ticket.
    """
    if len(parts) == 1 and threads() > 1:
        number = ticket.number
        _in_use[number] = (function, buffers), weakref.ref(ticket, functools.partial(_settle, number))
        _team().start(number, function, parts[0])
    else:
        run_parallel(function, parts)


def join(ticket: Ticket) -> None:
    """Wait until it is done; at once if it is, or was never started. It may be joined again, and by any
    thread."""
    _settle(ticket.number)


def _settle(number: int, _lost: Any = None) -> None:
    if number in _in_use:
        _team().join(number)
        _in_use.pop(number, None)


def _settle_all() -> None:
    for number in tuple(_in_use):
        _team().join(number)


def _begin_anew() -> None:
    """In a child process threads stay behind, and with them who could own the team, or wait for something.
    Code that is bound to a team goes on with it, alone."""
    for each in _teams.values():
        each.leave()
        _left_behind.append(each)
    _teams.clear()
    _in_use.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_settle_all, after_in_child=_begin_anew)


@atexit.register
def _join_at_exit() -> None:
    """The process is about to drop the code that workers run."""
    for each in _teams.values():
        each.stop()


# -- how many ------------------------------------------------------------------------------------------------


@functools.cache
def _blas() -> Any:
    """What sets the threads of NumPy's BLAS, and of others that were loaded by now: users set them all alike,
    and a file does not tell whose it is. It knows none where that is Apple's Accelerate."""
    import threadpoolctl  # only who runs machine code needs it

    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def workers(elements: int) -> int:
    """How many threads share elementwise work."""
    return threads() if elements >= thresholds.PARALLEL_MIN_ELEMENTS else 1


@functools.lru_cache(maxsize=1024)
def shares(length: int, count: int) -> list[tuple[int, int]]:
    """Bounds of so many parts of a length."""
    return list(itertools.pairwise(length * i // count for i in range(count + 1)))


def threads() -> int:
    """How many threads may be used: as many as NumPy's own products, so OMP_NUM_THREADS and the like and
    threadpoolctl set this too."""
    before = list(_open.values()) if _open else []  # another thread may end its block meanwhile
    told = [number for number in (before[0] if before else _told()) if number]
    if told:
        return min(told)
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else os.cpu_count() or 1


def _told() -> list[int]:
    """How many threads each of the libraries uses; 0 if it does not say."""
    return [library.get_num_threads() or 0 for library in _blas().lib_controllers]


def _put(numbers: list[int]) -> None:
    """Set how many threads each of the libraries uses; 0 leaves it. Threadpoolctl lets nobody else set them
    from then on, until a block of the thread that did so has ended."""
    for library, number in zip(_blas().lib_controllers, numbers, strict=True):
        if number:
            library.set_num_threads(number)
    with _blas().limit():
        pass


_open: dict[object, list[int]] = {}
"""By open blocks in which NumPy's products use one thread: how many they used before the first of them."""

_blocks = threading.Lock()


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """A block in which NumPy's products, of all threads of the process, use one thread; scans go on using as
    many as before. After the last of the blocks that are open the products do so, too."""
    block = object()
    try:
        with _blocks:
            before = _open[block] = next(iter(_open.values())) if _open else _told()
            _put([min(number, 1) for number in before])
        yield
    finally:
        with _blocks:
            then = _open.pop(block, None)
            if then is not None and not _open:
                _put(then)
