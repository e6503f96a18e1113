"""The threads that run machine code: every part is run, once, whatever the threads were doing before."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import types
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

from tinygrad_rnn.backends.native import compiler, memory, threads

pytestmark = pytest.mark.machine_code

COUNT = """
define void @count(ptr %place, i64 %amount) {
  %before = atomicrmw add ptr %place, i64 %amount monotonic
  ret void
}
"""


def count(parts):
    """What the parts have added up to, each to a number of its own."""
    sums = np.zeros(parts, np.int64)
    function = compiler.compiled(COUNT, ("count",))["count"]
    threads.run_parallel(function, [(memory.address(sums[i:]), 10 + i) for i in range(parts)])
    return sums.tolist()


@pytest.mark.parametrize("parts", [1, 2, 3, 9])
def test_every_part_is_run_once(parts):
    for _ in range(300):
        assert count(parts) == [10 + i for i in range(parts)]


def test_threads_that_fell_asleep_are_woken():
    for pause in (0, 0.001, 0.05, 0.001, 0):
        time.sleep(pause)
        assert count(2) == [10, 11]


@pytest.mark.parametrize("most", [1, 2])
def test_what_was_begun_is_done_when_it_was_waited_for(monkeypatch, most):
    monkeypatch.setattr(threads, "threads", lambda: most)
    function = compiler.compiled(COUNT, ("count",))["count"]
    for pause in (0, 0, 0.001, 0.05):
        sums = np.zeros(2, np.int64)
        ticket = threads.Ticket()
        threads.start(ticket, function, [(memory.address(sums), 5)], sums)
        assert count(3) == [10, 11, 12]  # nobody is waited for meanwhile
        time.sleep(pause)
        threads.join(ticket)
        threads.start(threads.Ticket(), function, [(memory.address(sums[i:]), 7) for i in range(2)], sums)
        assert sums.tolist() == [12, 7]
        assert count(2) == [10, 11]


def test_several_users_at_once():
    wrong = []

    def work():
        wrong.extend(found for _ in range(300) if (found := count(3)) != [10, 11, 12])

    users = [threading.Thread(target=work) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert wrong == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own():
    assert count(2) == [10, 11]
    child = os.fork()
    if child == 0:
        threads._join_at_exit()  # none of its own yet
        found = count(2)
        threads._join_at_exit()
        os._exit(0 if found == [10, 11] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_process_ends_while_its_threads_look_for_work():
    program = "import test_threads; test_threads.count(2)"
    done = [
        subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, check=False).returncode
        for _ in range(5)
    ]
    assert done == [0] * 5


BLAS = threadpoolctl.ThreadpoolController().select(user_api="blas")
known_blas = pytest.mark.skipif(not BLAS.lib_controllers, reason="NumPy's BLAS is none that is known")


def numpys():
    """How many threads NumPy's products use."""
    return BLAS.lib_controllers[0].num_threads


@known_blas
def test_beside_scans_numpys_products_use_one_thread():
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        with contextlib.suppress(ZeroDivisionError), threads.alone():
            assert (numpys(), threads.threads()) == (1, 2)
            with threads.alone():
                assert (numpys(), threads.threads()) == (1, 2)
            assert (numpys(), threads.threads()) == (1, 2)
            _ = 1 / 0
        assert (numpys(), threads.threads()) == (2, 2)
    with threadpoolctl.threadpool_limits(1, user_api="blas"), threads.alone():
        assert (numpys(), threads.threads()) == (1, 1)


@known_blas
def test_who_sets_threads_of_blas_later_is_heard():
    for most in (1, 2, 1):
        with threadpoolctl.threadpool_limits(most):
            assert threads.threads() == most


@known_blas
def test_blocks_of_several_threads():
    """The last that ends gives NumPy's products their threads back, whoever began; and then anybody may set
    them."""
    inside, end = threading.Event(), threading.Event()

    def another():
        with threads.alone():
            inside.set()
            end.wait(60)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        pass  # from here on no thread is preferred
    before = numpys()
    thread = threading.Thread(target=another)
    with threads.alone():
        thread.start()
        assert inside.wait(60)
    assert numpys() == 1
    assert threads.threads() == before
    end.set()
    thread.join()
    assert numpys() == before
    seen = []

    def setter():
        with threadpoolctl.threadpool_limits(before + 1, user_api="blas"):
            seen.append(numpys())

    thread = threading.Thread(target=setter)
    thread.start()
    thread.join()
    assert seen == [before + 1]


@pytest.mark.parametrize(("given", "expected"), [("3", 3), ("", 5), ("2,1", 5)])
def test_where_blas_is_unknown(monkeypatch, given, expected):
    """As Apple's Accelerate, or a library that does not say."""
    silent = types.SimpleNamespace(get_num_threads=lambda: None)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr(os, "cpu_count", lambda: 5)
    for libraries in ([], [silent]):
        unknown = BLAS.select(user_api="of another kind")
        unknown.lib_controllers = libraries
        monkeypatch.setattr(threads, "_blas", lambda unknown=unknown: unknown)
        assert threads.threads() == expected


def test_a_block_alone_where_blas_is_unknown(monkeypatch):
    unknown = BLAS.select(user_api="of another kind")
    monkeypatch.setattr(threads, "_blas", lambda: unknown)
    before = threads.threads()
    with threads.alone():
        assert threads.threads() == before
    assert threads._open == {}


def test_of_several_libraries_the_least_counts(monkeypatch):
    several = types.SimpleNamespace(
        lib_controllers=[types.SimpleNamespace(get_num_threads=lambda n=n: n) for n in (4, 2, None, 3)]
    )
    monkeypatch.setattr(threads, "_blas", lambda: several)
    assert threads.threads() == 2
