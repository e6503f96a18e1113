"""What a refused trace did is undone, to the last bit; and what a state tells besides its value is what the
loop tells."""

from __future__ import annotations

import collections
import contextlib
import functools
import operator
import os
import random

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.scaled import assert_same, scaled
from tinygrad_rnn import nn

# -- what a refused trace did --------------------------------------------------------------------------------


def bound_method(patch):
    rng = np.random.default_rng(0)
    draw = rng.normal
    return scaled(lambda: draw()), None, rng.random


def partial_method(patch):
    rng = np.random.default_rng(0)
    return scaled(functools.partial(rng.normal, 0, 1)), None, rng.random


def method_of_a_state(patch):
    rng = np.random.RandomState(0)
    draws = [rng.rand]

    def scale():
        (draw,) = draws
        return draw()

    return scaled(scale), None, rng.rand


def function_in_a_variable(patch):
    draws = {"next": np.random.rand}
    return scaled(lambda: draws["next"]()), None, None


def children(patch):
    rng = np.random.default_rng(0)
    return scaled(lambda: rng.spawn(1)[0].normal()), None, lambda: rng.spawn(1)[0].normal()


def own_seeds(patch):
    seeds = np.random.SeedSequence(0)
    return (
        scaled(lambda: np.random.default_rng(seeds.spawn(1)[0]).normal()),
        None,
        lambda: seeds.n_children_spawned,
    )


def started_once(patch):
    table = {}

    @functools.cache
    def start():
        table["gain"] = 0.5

    def scale():
        start()
        return table["gain"]

    return scaled(scale), None, lambda: dict(table)


def drawn_once(patch):
    rng = np.random.default_rng(0)

    @functools.lru_cache
    def gain():
        return rng.normal()

    return scaled(lambda: gain()), None, rng.normal


def private_counter(patch):
    class Count:
        __slots__ = ("__n",)

        def __init__(self):
            self.__n = 0

        def next(self):
            self.__n += 1
            return self.__n

    count = Count()
    return scaled(lambda: count.next()), None, count.next


class Shouting(dict):
    """Its own methods are nobody's business but its user's."""

    def __setitem__(self, key, value):
        raise AssertionError

    items = update = clear = None


def changing(held, change):
    """A cell that changes what it holds and scales by the result."""

    def make(patch):
        thing = held()

        def scale():
            change(thing)
            return sum(map(float, thing.values() if isinstance(thing, dict) else np.ravel(list(thing)))) / 100

        return scaled(scale), None, lambda: thing

    return make


COUNTER = lambda: collections.Counter(a=9, b=2)  # noqa: E731
ONES = lambda: np.ones(3)  # noqa: E731
RISING = lambda: np.arange(3.0)  # noqa: E731
CHANGES = {
    "Counter.update": changing(COUNTER, lambda c: c.update(["a"])),
    "Counter.subtract": changing(COUNTER, lambda c: c.subtract({"a": 1})),
    "methods of the user": changing(
        lambda: Shouting(a=1), lambda d: dict.__setitem__(d, "b", 1 + dict.get(d, "b", 0))
    ),
    "a default by reading": changing(lambda: collections.defaultdict(int), lambda d: d[len(d)]),
    "OrderedDict.move_to_end": changing(
        lambda: collections.OrderedDict(a=1, b=2), lambda d: d.move_to_end(next(iter(d)))
    ),
    "deque with an end": changing(
        lambda: collections.deque([1, 2, 3], maxlen=3), lambda d: d.append(d[0] + 1)
    ),
    "a set": changing(lambda: {1, 2, 3}, lambda s: s.add(len(s) + 1)),
    "set.pop": changing(lambda: {3, 1, 2}, lambda s: s.add(s.pop() + 8)),
    "bytearray": changing(lambda: bytearray(b"12"), lambda b: b.append(1)),
    "out by position": changing(ONES, lambda a: np.multiply(a, 0.9, a)),
    "a generator's shuffle": changing(RISING, lambda a: np.random.default_rng(int(a[0])).shuffle(a)),
    "np.random.shuffle": changing(RISING, lambda a: np.random.shuffle(a)),
    "random.shuffle": changing(lambda: [1, 2, 3], lambda a: random.shuffle(a)),
    "operator.imul": changing(ONES, lambda a: operator.imul(a, 0.5)),
    "operator.isub": changing(ONES, lambda a: operator.isub(a, 0.5)),
    "a method of an operator": changing(ONES, lambda a: a.__imul__(0.5)),
    "an array of objects": changing(
        lambda: np.array([1.0, 2.0], object), lambda a: operator.setitem(a, 0, a[0] + 1)
    ),
    "a column": changing(
        lambda: np.asfortranarray(np.ones((3, 3)))[:, 1], lambda a: a.sort() or a.__iadd__(0.5)
    ),
}


def records(patch):
    table = np.zeros(2, [("a", "f4"), ("o", object)])

    def scale():
        table["a"][0] += 1
        table["o"][1] = table["a"][0]
        return table["a"][0]

    return scaled(scale), None, table.tolist


def caught(look):
    """A cell that catches whatever refuses it, and goes on."""

    def make(patch):
        log = []

        def scale():
            with contextlib.suppress(Exception):
                look()
            log.append(random.random())
            return log[-1]

        return scaled(scale), None, lambda: log

    return make


def written(tmp_path):
    def make(patch):
        patch.chdir(tmp_path)
        array = np.ones(1)

        def scale():
            array.tofile("steps")
            return 1.0

        return scaled(scale), lambda: os.remove("steps"), lambda: os.path.getsize("steps")

    return make


LEFT = {
    make.__name__: make
    for make in (
        bound_method, partial_method, method_of_a_state, function_in_a_variable, children, own_seeds,
        started_once, drawn_once,
        private_counter, records,
    )
} | CHANGES | {"a caught clock": caught(lambda: __import__("time").time()),
"a caught line": caught(lambda: print(end=""))}  # fmt: skip


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_a_refused_trace_leaves_nothing(make, monkeypatch):
    assert_same(make, monkeypatch)


def test_files_are_written_at_each_step(tmp_path, monkeypatch):
    assert_same(written(tmp_path), monkeypatch)


# -- what a state tells besides its value --------------------------------------------------------------------


class Kept:
    """A cell that asks something of its state."""

    def __init__(self, ask):
        self.ask = ask
        self.first = tg.tensor(np.zeros(3), name="first")
        self.set, self.table = {self.first}, {self.first: 1}

    def __call__(self, x, h):
        return h, tg.tanh(x + h) + (1.0 if self.ask(self, h) else 0.0)


def named(self, h):
    before, h.name = h.name, "later"
    return before == "later"


ASKED = {
    "is": lambda self, h: h is self.first,
    "in a set": lambda self, h: h in self.set,
    "a key": lambda self, h: self.table.get(h),
    "is_leaf": lambda self, h: h.is_leaf,
    "entry": lambda self, h: h.entry is None,
    "requires_grad": lambda self, h: h.requires_grad,
    "requires_grad by a text": lambda self, h: getattr(h, "requires_grad"),  # noqa: B009
    "name": lambda self, h: h.name == "first",
    "a name that it gave": named,
}


@pytest.mark.parametrize("ask", ASKED.values(), ids=ASKED)
def test_what_a_state_tells_besides_its_value_is_what_the_loop_tells(ask):
    x = np.linspace(-1, 1, 12).reshape(4, 3)
    found, expected = [], []
    for results, how in ((found, "auto"), (expected, False)):
        for grad in (False, True):
            cell = Kept(ask)
            cell.first.requires_grad = grad
            for state in (cell.first, tg.tensor(np.zeros(3), requires_grad=grad)):
                results += [tg.scan(cell, tg.tensor(x), state, compiled=how)[0].numpy() for _ in range(2)]
                state.name = "first" if state is cell.first else None
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_who_holds_the_first_state_and_does_not_ask_is_compiled():
    h = tg.tensor(np.zeros(3))

    def cell(x, old):
        new = tg.tanh(x + old + h)
        return new, new if x is not None else old

    tg.scan(cell, tg.tensor(np.ones((4, 3))), h, compiled=True)


def test_a_class_of_the_library_that_a_cell_writes_to_is_as_the_loop_leaves_it(monkeypatch):
    def counted(patch):
        patch.setattr(nn.Module, "steps_of_a_test", 0, raising=False)

        def scale():
            nn.Module.steps_of_a_test += 1
            return nn.Module.steps_of_a_test

        return scaled(scale), None, lambda: nn.Module.steps_of_a_test

    assert_same(counted, monkeypatch)


def _once_by_an_attribute(patch):
    def scale():
        if not hasattr(scale, "begun"):
            scale.begun = True
            return 2.0
        return 1.0

    return scaled(scale), None, lambda: vars(scale)


def _counted_by_an_attribute(patch):
    def scale():
        scale.count = getattr(scale, "count", 0) + 1
        return scale.count

    return scaled(scale), None, lambda: vars(scale)


def _counted_by_a_helpers_attribute(patch):
    def helper():
        try:
            helper.count += 1
        except AttributeError:
            helper.count = 1
        return helper.count

    return scaled(lambda: helper()), None, lambda: vars(helper)


def _counted_by_a_global(patch):
    patch.delitem(globals(), "a_global_of_a_test", raising=False)

    def scale():
        global a_global_of_a_test
        try:
            a_global_of_a_test += 1
        except NameError:
            a_global_of_a_test = 1
        return a_global_of_a_test

    return scaled(scale), None, lambda: globals().pop("a_global_of_a_test")


def _kept_by_the_cell_itself(patch):
    def cell(x, h):
        old = getattr(cell, "last", None)
        cell.last = tg.tanh(x * 0.1 + h)
        return (cell.last if old is None else cell.last + old), cell.last

    return cell, None, lambda: cell.last.numpy()


@pytest.mark.parametrize(
    "make",
    [
        _once_by_an_attribute,
        _counted_by_an_attribute,
        _counted_by_a_helpers_attribute,
        _counted_by_a_global,
        _kept_by_the_cell_itself,
    ],
)
def test_a_name_that_comes_only_when_the_cell_runs_is_as_the_loop_leaves_it(make, monkeypatch):
    assert_same(make, monkeypatch)
