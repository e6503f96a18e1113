"""Options of optimisers: which are refused, which may change, what they choose."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import parameters
from tinygrad_rnn import arguments, optim


def test_wrong_arguments(rng):
    for call, said in [
        (lambda: optim.SGD([]), "no parameters"),
        (lambda: optim.SGD([np.ones(2)]), r"parameters\[0\] must be a tensor"),
        (lambda: optim.SGD([tg.nn.Parameter(1.0) * 2]), "leaf tensors"),
        (
            lambda: optim.Adam(tg.nn.Linear(2, 3)),
            r"must be tensors, not a module, Linear: write its \.parameters\(\)",
        ),
        (lambda: optim.Adam(tg.nn.Linear(2, 3).named_parameters()), r"parameters\[0\] must be a tensor"),
        (lambda: optim.Adam(tg.nn.Parameter(1.0)), r"write \[tensor\]"),
        (lambda: optim.Adam(parameters(rng), lr=-1.0), "lr must be at least 0, not -1.0"),
        (lambda: optim.Adam(parameters(rng), lr=math.inf), "lr must be finite, not inf"),
        (lambda: optim.Adam(parameters(rng), lr="x"), "lr must be a number, not 'x'"),
        (lambda: optim.Adam(parameters(rng), betas=(0.9, 1.0)), r"betas\[1\] must be at least 0 and below 1"),
        (lambda: optim.SGD(parameters(rng), nesterov=True), "nesterov needs a momentum"),
        (lambda: optim.clip_grad_norm(parameters(rng), -1.0), "max_norm must be at least 0, not -1.0"),
        (lambda: optim.clip_grad_norm(parameters(rng), math.nan), "max_norm must be at least 0, not nan"),
        (lambda: optim.StepLR(optim.SGD(parameters(rng)), 0), "step_size must be at least 1, not 0"),
    ]:
        with pytest.raises(tg.ArgumentError, match=said) as caught:
            call()
        assert isinstance(caught.value, ValueError)


def test_an_option_that_is_changed_later_is_checked_too(rng):
    optimizer = optim.Adam(parameters(rng), lr=0.5)
    for option, value in [
        ("lr", math.nan),
        ("lr", -1.0),
        ("eps", "x"),
        ("betas", (1.0, 0.9)),
        ("amsgrad", "no"),
    ]:
        with pytest.raises(tg.ArgumentError, match=f"Adam: {option}"):
            setattr(optimizer, option, value)
    optimizer.lr = np.float32(0.25)
    assert (optimizer.lr, type(optimizer.lr), optimizer.betas) == (0.25, float, (0.9, 0.999))


def test_an_optimiser_of_the_users_says_what_its_options_are():
    class Halving(optim.Optimizer):
        def __init__(self, parameters, rate, way):
            super().__init__(parameters, rate=rate, way=way)

        checks = {"way": lambda what, value: arguments.choice(what, value, ("up", "down"))}  # noqa: RUF012

        def _numbers(self, options, n):
            return (options.rate,)

        def _updated(self, options, np, p, g, averages, numbers):
            return p - g * numbers[0]

    p = tg.nn.Parameter([1.0])
    p.grad = tg.tensor([2.0])
    Halving([p], 0.25, "up").step()
    assert p.item() == 0.5
    with pytest.raises(tg.ArgumentError, match="Halving: way must be 'up' or 'down', not 'on'"):
        Halving([p], 0.25, "on")
    with pytest.raises(tg.ArgumentError, match="Halving: rate must be at least 0"):
        Halving([p], -0.25, "up")


@pytest.mark.parametrize("size", [10, 10_000])
@pytest.mark.parametrize("options", [("up", "down"), (1, 2)], ids=str)
def test_an_option_chooses_what_is_computed_at_any_size(size, options):
    """Also one that is not only on or off, switched between steps and different in two optimisers of a
    kind."""

    class Chosen(optim.Optimizer):
        def __init__(self, parameters, way):
            super().__init__(parameters, way=way)

        checks = {"way": lambda what, value: value}  # noqa: RUF012

        def _numbers(self, options, n):
            return (0.5,)

        def _updated(self, options, np, p, g, averages, numbers):
            return p + g * numbers[0] * {"up": 1, "down": -1, 1: 2, 2: 4}[options.way]

    expected, changes = 0.0, {"up": 0.5, "down": -0.5, 1: 1.0, 2: 2.0}
    first = tg.nn.Parameter(np.zeros(size))
    optimizer = Chosen([first], options[0])
    for way in options * 2:
        optimizer.way = way
        other = tg.nn.Parameter(np.zeros(size))
        first.grad = other.grad = tg.ones(size, "float64")
        optimizer.step()
        Chosen([other], way).step()
        expected += changes[way]
        assert (first.numpy() == expected).all()
        assert (other.numpy() == changes[way]).all()


@pytest.mark.parametrize("size", [10, 10_000])
def test_which_of_several_decays_are_zero_may_choose_the_update(size):
    """As a subclass may: with few numbers, where arrays take it, and with many, where machine code does."""

    class Steps(optim.Adam):
        def _updated(self, options, np, p, g, averages, numbers):
            super()._updated(options, np, p, g, averages, numbers)
            return p - (0.1 if options.betas[0] else 0.2)

    for first, expected in ((0.9, 0.9), (0.0, 0.8), (0.9, 0.9)):
        w = tg.tensor(np.ones(size), "float64", requires_grad=True)
        w.grad = tg.ones(size, dtype="float64")
        Steps([w], betas=(first, 0.99)).step()
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-15)
