"""Caches of bounded size."""

from __future__ import annotations

import random
import threading

import pytest

from tinygrad_rnn.caches import Recent, clear, memoised, recent


@pytest.mark.parametrize("most", [1, 2, 8, 100])
def test_it_holds_no_more_than_its_bound_and_what_was_used_last(most: int) -> None:
    cache: Recent[int, int] = Recent(most)
    for i in range(10 * most):
        cache.put(i, -i)
        assert len(cache) <= most
        # half of it is never sent away
        assert set(range(max(0, i - most // 2), i + 1)) <= {-value for value in cache.values()}


def test_a_use_keeps() -> None:
    cache: Recent[int, str] = Recent(16)
    for i in range(200):
        cache.put(i, "other")
        cache.share(-1, "kept")
        assert cache.get(-1) == "kept"
        assert cache.values().count("kept") == 1
    assert cache.get(0) is None


def test_who_comes_first_is_shared_and_a_put_replaces() -> None:
    cache: Recent[str, list[int]] = Recent(4)
    first = cache.share("a", [1])
    assert cache.share("a", [1]) is first
    second = cache.put("a", [2])
    assert cache.get("a") is second
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None


def test_clear_empties_those_that_are_listed() -> None:
    listed, own = recent(4), Recent[int, int](4)
    calls = []

    @memoised(4)
    def squared(x: int) -> int:
        calls.append(x)
        return x * x

    listed.put(1, 1)
    own.put(1, 1)
    assert [squared(3), squared(3)] == [9, 9]
    clear()
    assert (len(listed), len(own)) == (0, 1)
    assert squared(3) == 9
    assert calls == [3, 3]


def test_threads_at_once() -> None:
    """Each gets what it put there or nothing, never another's; the bound holds when all are done."""
    cache: Recent[int, tuple[int, int]] = Recent(20)
    wrong: list[object] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(5000):
            key = choose.randrange(60)
            match choose.randrange(20):
                case 0:
                    cache.drop(key)
                case 1:
                    cache.clear()
                case _:
                    value = cache.get(key)
                    value = cache.share(key, (key, seed)) if value is None else value
                    if value[0] != key:
                        wrong.append((key, value))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert len(cache) <= 20
