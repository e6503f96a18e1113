"""What it costs to hand work to another thread: one that is awake, one that sleeps, and with other programs
on all processors."""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import numpy
import threadpoolctl

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import compiler, thresholds
from tinygrad_rnn.backends.native.threads import run_parallel

from . import timing

ROUNDS = 2000

CHAIN = """
define void @chain(i64 %length) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %x = phi i64 [ 1, %entry ], [ %y, %loop ]
  %y = call i64 asm sideeffect "", "=r,0"(i64 %x)
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %length
  br i1 %more, label %loop, label %exit
exit:
  ret void
}
"""


def median(run: Callable[[], object], rounds: int = ROUNDS, pause: float = 0.0) -> float:
    """Microseconds."""
    times = []
    for _ in range(rounds):
        time.sleep(pause)
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e6 * statistics.median(times)


def total(run: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Microseconds each, with all that got in between."""
    start = time.perf_counter()
    for _ in range(rounds):
        run()
    return 1e6 * (time.perf_counter() - start) / rounds


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many other programs that never rest."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def main() -> None:
    chain = compiler.compiled(CHAIN, ("chain",))["chain"]
    asleep = 3 * thresholds.HANDOVER_SECONDS["spin"]
    print(f"handing over, microseconds\n{timing.machine()}")
    nothing = [(1,), (1,)]
    print(
        "  two parts of nothing, one after another   "
        f"{median(lambda: [run_parallel(chain, [part]) for part in nothing]):8.1f}"
    )
    print(f"  to a worker that is awake                 {median(lambda: run_parallel(chain, nothing)):8.1f}")
    print(
        "  to a worker that sleeps                   "
        f"{median(lambda: run_parallel(chain, nothing), 200, asleep):8.1f}"
    )
    length = round(200 * 2**20 / median(lambda: run_parallel(chain, [(2**20,)]), 20))  # 200 microseconds
    parts = [(length,), (length,)]
    for others in (0, os.cpu_count() or 1):
        with busy(others):
            alone = total(lambda: [run_parallel(chain, [part]) for part in parts])
            shared = total(lambda: run_parallel(chain, parts))
        print(
            f"  200 + 200 beside {others} busy programs: alone {alone:8.1f}, shared {shared:8.1f}, ratio "
            f"{shared / alone:.2f}"
        )
    sharing_the_machine()


SIZE = 50, 32, 128, 128
WITHIN = 20
"""Steps after which both threads are in use again."""


def training_step() -> Callable[[], object]:
    """Forward and backward through a layer."""
    steps, batch, inputs, units = SIZE
    layer = tg.nn.LSTM(inputs, units)
    x = tg.tensor(
        numpy.random.default_rng(0).standard_normal((steps, batch, inputs)), "float32", requires_grad=True
    )

    def run() -> None:
        layer.zero_grad()
        x.grad = None
        tg.sum(layer(x)[0]).backward()

    return run


def sharing_the_machine() -> None:
    """A training step beside a program that spins on the other processor, and after its end."""
    run = training_step()
    one, two = quiet_times(run)
    with busy(1):
        for _ in range(WITHIN):
            run()
        beside = {"two": [], "one": []}  # type: dict[str, list[float]]
        for _ in range(20):  # in turn, so that both meet the same
            with threadpoolctl.threadpool_limits(1):
                beside["one"] += [median(run, 1) for _ in range(5)]
            beside["two"] += [median(run, 1) for _ in range(5)]
    after = [median(run, 1) for _ in range(3 * WITHIN)]
    again = next(
        (i for i in range(len(after)) if statistics.median(after[i : i + 5]) < (one + two) / 2), len(after)
    )
    shared, alone = (statistics.median(beside[name]) for name in ("two", "one"))
    print(
        f"  an LSTM's training step, T, B, I, H = {', '.join(map(str, SIZE))}, in ms: one thread "
        f"{one / 1e3:.1f}, two {two / 1e3:.1f}"
    )
    verdict = "" if shared <= alone else f", missed by {shared / alone - 1:.0%}"
    print(
        f"    beside a program that spins: one thread {alone / 1e3:.1f}, two allowed {shared / 1e3:.1f} "
        f"(at most the same{verdict})"
    )
    print(
        f"    after its end two threads at work again from step {again} on (at most "
        f"{WITHIN}{'' if again <= WITHIN else ', missed'})"
    )


def quiet_times(run: Callable[[], object], rounds: int = 100) -> tuple[float, float]:
    """Microseconds by one thread and by two."""
    with threadpoolctl.threadpool_limits(1):
        run()
        one = median(run, rounds)
    run()
    return one, median(run, rounds)
