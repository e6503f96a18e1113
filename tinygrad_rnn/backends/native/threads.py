"""Threads that run machine code together, and are handed over to within a microsecond.

Waking a sleeping thread takes 30 to 70 µs, and then it has to wait for the interpreter's lock; a training step hands over about ten times.
So a worker that is done looks for its next piece of work for another moment, in machine code and without that lock, before it sleeps.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import glob
import itertools
import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

from . import compiler, memory

_MOST = 10
"""Arguments of a function, all of them integers or addresses; one that takes fewer ignores the rest, as calling conventions allow."""

_SPINS = 30_000
"""How often a worker looks before it sleeps: most of a millisecond."""

_LATE, _LEAST, _MOST_APART = 100e-6, 4, 256
"""Where other programs want the processors a worker may stand still in the middle of its work, and the one that asks waits longer, by these
seconds at least, than it would have taken to do all alone. Then it does the next few alone: twice as many each time, one fewer for each
time that went well."""

_PAYS = 1 << 15
"""Elements from which handing a part of them over pays."""

_POSTED, _ASLEEP, _TAKEN = 1, 2, 3
"""What a worker's box says besides 0, that there is nothing to do."""

_BOX = 16
"""Numbers in a box, two cache lines: the state, the function, its arguments."""


@functools.cache
def _text() -> str:
    """``@post(box)``: there is work; what the box said before. ``@serve(box, spins)``: do what comes until nothing came for a while.
    ``@take(box)``: take the work back, if nobody has begun. ``@done(box, spins)``: whether it is done, after waiting so long at most."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    pause, given = ("@llvm.aarch64.hint", "i32 1") if arm else ("@llvm.x86.sse2.pause", "")
    numbers = range(1, _MOST + 2)
    loads = "\n".join(f"  %p{i} = getelementptr i64, ptr %box, i64 {i}\n  %x{i} = load i64, ptr %p{i}" for i in numbers)
    arguments = ", ".join(f"i64 %x{i}" for i in numbers[1:])
    return f"""
declare void {pause}({given.split(" ")[0]})

define i64 @post(ptr %box) {{
  %before = atomicrmw xchg ptr %box, i64 {_POSTED} acq_rel
  ret i64 %before
}}

define i1 @take(ptr %box) {{
  %pair = cmpxchg ptr %box, i64 {_POSTED}, i64 0 acq_rel acquire
  %taken = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %taken
}}

define void @serve(ptr %box, i64 %spins) {{
start:
  br label %look
look:
  %n = phi i64 [ 0, %start ], [ 0, %work ], [ %n1, %idle ], [ 0, %posted ], [ %n, %try ]
  %state = load atomic i64, ptr %box acquire, align 8
  %is = icmp eq i64 %state, {_POSTED}
  br i1 %is, label %try, label %count
count:
  %n1 = add i64 %n, 1
  %on = icmp slt i64 %n1, %spins
  br i1 %on, label %idle, label %sleep
idle:
  call void {pause}({given})
  br label %look
sleep:
  %pair = cmpxchg ptr %box, i64 0, i64 {_ASLEEP} acq_rel acquire
  %slept = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %slept, label %exit, label %posted
posted:
  br label %look
exit:
  ret void
try:
  %claim = cmpxchg ptr %box, i64 {_POSTED}, i64 {_TAKEN} acq_rel acquire
  %ours = extractvalue {{ i64, i1 }} %claim, 1
  br i1 %ours, label %work, label %look
work:
{loads}
  %f = inttoptr i64 %x1 to ptr
  call void %f({arguments})
  store atomic i64 0, ptr %box release, align 8
  br label %look
}}

define i1 @done(ptr %box, i64 %spins) {{
start:
  br label %look
look:
  %n = phi i64 [ 0, %start ], [ %n1, %idle ]
  %state = load atomic i64, ptr %box acquire, align 8
  %is = icmp eq i64 %state, {_TAKEN}
  %n1 = add i64 %n, 1
  %on = icmp slt i64 %n1, %spins
  %wait = and i1 %is, %on
  br i1 %wait, label %idle, label %exit
idle:
  call void {pause}({given})
  br label %look
exit:
  %ok = xor i1 %is, true
  ret i1 %ok
}}
"""


class _Team:
    """As many workers as there are processors besides the one that asks."""

    def __init__(self) -> None:
        addresses = compiler.compiled(_text(), ("post", "take", "serve", "done"))
        self._post = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(addresses["post"])
        self._take = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p)(addresses["take"])
        self._serve = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(addresses["serve"])
        self._done = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.c_int64)(addresses["done"])
        self._held = threading.Lock()
        self._apart, self._penalty = 0, _LEAST
        count = (os.cpu_count() or 1) - 1
        self._boxes = numpy.zeros((count, _BOX), numpy.int64)
        self._places = [memory.address(box) for box in self._boxes]
        self._alarms = [threading.Lock() for _ in range(count)]
        for i in range(count):
            self._alarms[i].acquire()
            self._boxes[i, 0] = _ASLEEP
            threading.Thread(target=self._work, args=(i,), name=f"tinygrad_rnn-{i}", daemon=True).start()

    def _work(self, i: int) -> None:
        while True:
            self._alarms[i].acquire()
            self._serve(self._places[i], _SPINS)

    def asleep(self) -> bool:
        return bool((self._boxes[:, 0] == _ASLEEP).all())

    def _ours(self) -> bool:
        """Whether the workers are ours now."""
        if self._apart or not self._held.acquire(blocking=False):  # another thread of the user's has them
            self._apart = max(0, self._apart - 1)
            return False
        return True

    def _give(self, i: int, function: int, part: Sequence[int]) -> None:
        self._boxes[i, 1 : 2 + len(part)] = (function, *part)
        if self._post(self._places[i]) == _ASLEEP:
            self._alarms[i].release()

    def _settle(self) -> None:
        """Wait until no worker works; the workers are free then."""
        for place in self._places:
            self._take(place)
            while not self._done(place, _SPINS):
                time.sleep(0)  # let others have the processor: the worker may wait for it
        self._held.release()

    def begin(self, function: int, part: Sequence[int]) -> Callable[[], None]:
        if not self._places or not self._ours():
            _alone(function, [part])
            return _nothing
        self._give(0, function, part)

        def wait() -> None:
            try:
                if self._take(self._places[0]):
                    _alone(function, [part])
            finally:
                self._settle()

        return wait

    def run(self, function: int, parts: Sequence[Sequence[int]]) -> None:
        if not self._ours():
            _alone(function, parts)
            return
        try:
            given = parts[1 : 1 + len(self._places)]
            for i, part in enumerate(given):
                self._give(i, function, part)
            begin = time.perf_counter()
            _alone(function, [parts[0], *parts[1 + len(given) :]])
            ours = time.perf_counter()
            for place, part in zip(self._places, given, strict=False):
                if self._take(place):  # the processor has been busy with something else: no need to wait for it
                    _alone(function, [part])
        finally:  # also when interrupted: the memory is in use
            self._settle()
        if time.perf_counter() - ours > ours - begin + _LATE:
            self._apart = self._penalty
            self._penalty = min(2 * self._penalty, _MOST_APART)
        else:
            self._penalty = max(self._penalty - 1, _LEAST)


_team = functools.cache(_Team)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_team.cache_clear)  # threads stay behind in the parent


@atexit.register
def _rest() -> None:
    """Wait until all workers sleep: the process is about to drop the code that they look for work in."""
    while _team.cache_info().currsize and not _team().asleep():
        time.sleep(0.001)
    time.sleep(0.001 * _team.cache_info().currsize)


@functools.lru_cache(maxsize=1024)
def _callable(function: int, count: int) -> Any:
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * count)(function)


def _alone(function: int, parts: Sequence[Sequence[int]]) -> None:
    for part in parts:
        _callable(function, len(part))(*part)


def together(function: int, parts: Sequence[Sequence[int]]) -> None:
    """Call the machine code at an address with each of the lists of arguments, at the same time."""
    if len(parts) == 1:
        _alone(function, parts)
    else:
        _team().run(function, parts)


def begun(function: int, parts: Sequence[Sequence[int]]) -> Callable[[], None]:
    """As :func:`together`, but a single list may be left to a worker meanwhile; what this returns waits for it, and has to be called."""
    if len(parts) == 1 and threads() > 1:
        return _team().begin(function, parts[0])
    together(function, parts)
    return _nothing


def _nothing() -> None:
    """There is nothing to wait for."""


# -- how many -------------------------------------------------------------------------------------------------------------------------


@functools.cache
def _openblas_threads() -> Any:
    """The function of the OpenBLAS beside NumPy that tells its number of threads; None where there is none that is known here."""
    folder = Path(numpy.__file__).parent
    for pattern in (folder.parent / "numpy.libs" / "*openblas*", folder / ".dylibs" / "*openblas*"):
        for path in glob.glob(str(pattern)):
            for prefix, suffix in (("scipy_", "64_"), ("", "64_")):
                with contextlib.suppress(OSError, AttributeError):
                    return getattr(ctypes.CDLL(path), f"{prefix}openblas_get_num_threads{suffix}")
    return None


def workers(elements: int) -> int:
    """How many threads share elementwise work."""
    return threads() if elements >= _PAYS else 1


def shares(length: int, count: int) -> list[tuple[int, int]]:
    """Bounds of so many parts of a length."""
    return list(itertools.pairwise(length * i // count for i in range(count + 1)))


def threads() -> int:
    """How many threads may be used: as many as NumPy's own products, so OMP_NUM_THREADS and the like and threadpoolctl set this too."""
    ask = _openblas_threads()
    if ask is not None:
        return int(ask())
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else os.cpu_count() or 1
