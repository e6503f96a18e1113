"""One rise and fall of the learning rate, and of the momentum against it."""

from __future__ import annotations

import math

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import optim


def seen(schedule, steps):
    """Rate and momentum of every group, before each step."""
    found = []
    for _ in range(steps):
        found.append([(group.lr, group.momentum) for group in schedule.optimizer.groups])
        schedule.step()
    return found


def sgd(**options):
    return optim.SGD([{"params": [tg.nn.Parameter(1.0)]}, {"params": [tg.nn.Parameter(1.0)]}], **options)


def test_a_linear_cycle_by_hand():
    """10 steps, the top at number 4: evenly up, and evenly down to the last."""
    schedule = optim.OneCycleLR(
        sgd(),
        [1.0, 2.0],
        10,
        pct_start=0.5,
        anneal_strategy="linear",
        base_momentum=0.5,
        max_momentum=0.9,
        div_factor=5.0,
        final_div_factor=4.0,
    )
    up = [(0.2 + 0.8 * n / 4, 0.9 - 0.4 * n / 4) for n in range(5)]
    down = [(1 - 0.95 * n / 5, 0.5 + 0.4 * n / 5) for n in range(1, 6)]
    for found, (rate, momentum) in zip(seen(schedule, 10), up + down, strict=True):
        (one, first), (two, second) = found
        assert (one, two, first, second) == pytest.approx((rate, 2 * rate, momentum, momentum), rel=1e-14)


def test_a_cosine_in_three_phases_by_hand():
    schedule = optim.OneCycleLR(sgd(momentum=0.3), 1.0, 11, 0.4, cycle_momentum=False, three_phase=True)
    begins, ends, values = [0, 3.4, 6.8], [3.4, 6.8, 10], [1 / 25, 1.0, 1 / 25, 1 / 25e4]
    for n, found in enumerate(seen(schedule, 11)):
        phase = 0 if n <= 3 else 1 if n <= 6 else 2
        share = (n - begins[phase]) / (ends[phase] - begins[phase])
        expected = (
            values[phase + 1] + (values[phase] - values[phase + 1]) * (1 + math.cos(math.pi * share)) / 2
        )
        for rate, momentum in found:
            assert (rate, momentum) == pytest.approx((expected, 0.3), rel=1e-13)


def test_the_end():
    """One call more than there are steps stays at the last rate, as loops make it; no further one."""
    optimizer = optim.Adam([tg.nn.Parameter(1.0)], betas=(0.5, 0.99))
    schedule = optim.OneCycleLR(optimizer, 1.0, 10)
    assert optimizer.betas == (0.95, 0.99)
    for _ in range(10):
        schedule.step()
    last = optimizer.lr
    assert (last, optimizer.betas) == (pytest.approx(1 / 25e4), (pytest.approx(0.95), 0.99))
    with pytest.raises(tg.ArgumentError, match="n is 11, and total_steps are 10"):
        schedule.step()
    assert (optimizer.lr, schedule.count) == (last, 10)


def test_a_state_brings_rate_and_momentum_back():
    first, second = sgd(), sgd()
    schedule, twin = optim.OneCycleLR(first, 1.0, 9), optim.OneCycleLR(second, 4.0, 9)
    seen(schedule, 4)
    twin.load_state_dict(schedule.state_dict())
    assert seen(twin, 5) == seen(schedule, 5)


def test_what_is_refused():
    p = [tg.nn.Parameter(1.0)]
    for call, said in [
        (lambda: optim.OneCycleLR(optim.Adagrad(p), 1.0, 5), "Adagrad has no momentum to cycle"),
        (lambda: optim.OneCycleLR(optim.SGD(p), [1.0, 2.0], 5), "one for each of 1 groups, not 2"),
        (lambda: optim.OneCycleLR(optim.SGD(p), 1.0, 0), "total_steps must be at least 1"),
        (lambda: optim.OneCycleLR(optim.SGD(p), 1.0, 5, anneal_strategy="up"), "must be 'cos' or 'linear'"),
        (lambda: optim.OneCycleLR(optim.SGD(p), 1.0, 5, pct_start=1.5), "pct_start must be a probability"),
    ]:
        with pytest.raises(tg.ArgumentError, match=said):
            call()
    nesterov = optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True)
    with pytest.raises(tg.ArgumentError, match="nesterov needs a momentum"):
        optim.OneCycleLR(nesterov, 1.0, 1, pct_start=1.0, base_momentum=0.0, max_momentum=0.0)
    assert (nesterov.lr, nesterov.momentum) == (0.1, 0.9)
    optim.OneCycleLR(optim.Adagrad(p), 1.0, 5, cycle_momentum=False)
