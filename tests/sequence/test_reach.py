"""What a cell reads by ways that no attribute shows is seen when it changes."""

from __future__ import annotations

import builtins
import dataclasses
import decimal
import math
import os
import string
import sys
import threading
import types

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.scaled import assert_same, scaled
from tinygrad_rnn import nn

# -- what changes between two calls --------------------------------------------------------------------------


def environment(patch):
    patch.setenv("GAIN_OF_A_TEST", "1.0")
    return scaled(lambda: os.environ["GAIN_OF_A_TEST"]), lambda: patch.setenv("GAIN_OF_A_TEST", "0.1"), None


def environment_by_function(patch):
    patch.setenv("GAIN_OF_A_TEST", "1.0")
    return scaled(lambda: os.getenv("GAIN_OF_A_TEST")), lambda: patch.setenv("GAIN_OF_A_TEST", "0.1"), None


def arguments_of_the_program(patch):
    patch.setattr(sys, "argv", ["program"])
    return scaled(lambda: len(sys.argv)), lambda: sys.argv.append("more"), None


def of_the_user(patch, name="settings_of_a_test"):
    module = types.ModuleType(name)
    module.scale = 1.0
    patch.setitem(sys.modules, name, module)
    return module


def imported_inside(patch):
    module = of_the_user(patch)

    def scale():
        import settings_of_a_test

        return settings_of_a_test.scale

    return scaled(scale), lambda: setattr(module, "scale", 0.1), None


def imported_by_name_inside(patch):
    module = of_the_user(patch)

    def scale():
        from settings_of_a_test import scale

        return scale

    return scaled(scale), lambda: setattr(module, "scale", 0.1), None


def among_all_modules(patch):
    module = of_the_user(patch)
    return (
        scaled(lambda: sys.modules["settings_of_a_test"].scale),
        lambda: setattr(module, "scale", 0.1),
        None,
    )


def a_module_under_the_name_of_another(patch):
    """A file ``calendar.py`` beside a script."""
    module = of_the_user(patch, "calendar")
    return scaled(lambda: module.scale), lambda: setattr(module, "scale", 0.1), None


def a_built_in(patch):
    patch.setattr(builtins, "gain_of_a_test", 1.0, raising=False)
    return scaled(lambda: gain_of_a_test), lambda: setattr(builtins, "gain_of_a_test", 0.1), None  # noqa: F821


def a_patched_function_of_the_library(patch):
    def cell(x, h):
        h = tg.tanh(x + h)
        return h, h

    return cell, lambda: patch.setattr(tg, "tanh", tg.sigmoid), None


def patched(holder):
    def make(patch):
        patch.setattr(holder, "gain_of_a_test", 1.0, raising=False)
        return scaled(lambda: holder.gain_of_a_test), lambda: setattr(holder, "gain_of_a_test", 0.1), None

    return make


def inherited_from_the_library(patch):
    patch.setattr(nn.Module, "gain_of_a_test", 1.0, raising=False)

    class Cell(nn.Module):
        def __call__(self, x, h):
            h = tg.tanh(x + h * self.gain_of_a_test)
            return h, h

    return Cell(), lambda: setattr(nn.Module, "gain_of_a_test", 0.1), None


def of_a_class(kind):
    return lambda patch: (scaled(lambda: kind.scale), lambda: patch.setattr(kind, "scale", 0.1), None)


def executed_class():
    names = {}
    exec("class Gain: scale = 1.0", names)
    return names["Gain"]


def private_slot(patch):
    class Gain:
        __slots__ = ("__scale",)

        def __init__(self):
            self.__scale = 1.0

        def put(self, value):
            self.__scale = value

        def scale(self):
            return self.__scale

    gain = Gain()
    return scaled(lambda: gain.scale()), lambda: gain.put(0.1), None


def method_of_a_number(patch):
    box = {"f": (2.5).__floor__}

    def change():
        box["f"] = None  # the next one may lie where it was
        box["f"] = (2.5).__ceil__

    return scaled(lambda: box["f"]()), change, None


def method_of_an_array(patch):
    array = np.array([0.1, 0.5])
    box = {"f": array.min}

    def change():
        box["f"] = None
        box["f"] = array.max

    return scaled(lambda: box["f"]()), change, None


def precision_of_decimal_numbers(patch):
    context = decimal.Context(prec=28)
    decimal.setcontext(context)
    return (
        scaled(lambda: decimal.Decimal(2) / decimal.Decimal(3)),
        lambda: setattr(decimal.getcontext(), "prec", 1),
        None,
    )


def a_large_array(patch):
    table = np.ones((50, 41))
    return scaled(lambda: table[-1, -1]), lambda: table.__setitem__((-1, -1), 0.1), None


def numbers_of_a_list(patch):
    numbers = [*range(1000), 1.0]
    return scaled(lambda: numbers[-1]), lambda: numbers.__setitem__(-1, 0.1), None


def the_type_of_a_number(patch):
    numbers = [1, 2]
    return scaled(lambda: isinstance(numbers[0], bool)), lambda: numbers.__setitem__(0, True), None


def this_threads_own(patch):
    own = threading.local()
    own.scale = 1.0
    return scaled(lambda: own.scale), lambda: setattr(own, "scale", 0.1), None


CHANGED = [
    environment, environment_by_function, arguments_of_the_program, imported_inside, imported_by_name_inside,
    among_all_modules,
    a_module_under_the_name_of_another, a_built_in, a_patched_function_of_the_library,
    inherited_from_the_library, private_slot,
    method_of_a_number, method_of_an_array, precision_of_decimal_numbers, a_large_array, numbers_of_a_list,
    the_type_of_a_number,
    this_threads_own,
]  # fmt: skip
CHANGED_BY_NAME = {
    "a module of Python": patched(math),
    "a function of Python": patched(string.capwords),
    "types.new_class": of_a_class(types.new_class("Gain", (), {}, lambda names: names.update(scale=1.0))),
    "exec": of_a_class(executed_class()),
    "make_dataclass": of_a_class(dataclasses.make_dataclass("Gain", ["x"], namespace={"scale": 1.0})),
} | {make.__name__: make for make in CHANGED}


@pytest.fixture(autouse=True)
def decimal_context():
    with decimal.localcontext():
        yield


@pytest.mark.parametrize("make", CHANGED_BY_NAME.values(), ids=CHANGED_BY_NAME)
def test_what_changed_between_two_calls_is_seen(make, monkeypatch):
    before, after = assert_same(make, monkeypatch)
    assert not np.array_equal(before, after)  # so the test can fail
