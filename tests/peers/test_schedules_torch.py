"""Schedules against PyTorch, with two groups over fifty steps, their state saved and loaded in the middle."""

from __future__ import annotations

import json

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import optim

pytestmark = pytest.mark.peer
torch = pytest.importorskip("torch")
lr_scheduler = torch.optim.lr_scheduler

STEPS = 50


def tenth(n):
    return 1 / (1 + n / 10)


def chained(o):
    return lr_scheduler.ChainedScheduler(
        [
            lr_scheduler.StepLR(o, 5, 0.5),
            lr_scheduler.ExponentialLR(o, 0.95),
            lr_scheduler.LinearLR(o, 0.25, 1.0, 3),
        ]
    )


def in_sequence(o):
    return lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.LinearLR(o, 0.25, 1.0, 3),
            lr_scheduler.StepLR(o, 5, 0.5),
            lr_scheduler.ExponentialLR(o, 0.9),
        ],
        [6, 20],
    )


CYCLE = {"max_lr": [0.5, 0.2], "total_steps": 60}
CASES = {
    "StepLR": (lambda o: optim.StepLR(o, 7, 0.3), lambda o: lr_scheduler.StepLR(o, 7, 0.3)),
    "ExponentialLR": (lambda o: optim.ExponentialLR(o, 0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
    "CosineLR": (lambda o: optim.CosineLR(o, 60), lambda o: lr_scheduler.CosineAnnealingLR(o, 60)),
    "WarmupLR": (lambda o: optim.WarmupLR(o, 8), lambda o: lr_scheduler.LinearLR(o, 1 / 8, 1.0, 7)),
    "LambdaLR": (lambda o: optim.LambdaLR(o, tenth), lambda o: lr_scheduler.LambdaLR(o, tenth)),
    "LambdaLR of groups": (
        lambda o: optim.LambdaLR(o, [tenth, lambda n: 0.9**n]),
        lambda o: lr_scheduler.LambdaLR(o, [tenth, lambda n: 0.9**n]),
    ),
    "SequentialLR": (
        lambda o: optim.SequentialLR(
            o, [optim.WarmupLR(o, 4), optim.StepLR(o, 5, 0.5), optim.ExponentialLR(o, 0.9)], [6, 20]
        ),
        in_sequence,
    ),
    "ChainedLR": (
        lambda o: optim.ChainedLR(
            o, [optim.StepLR(o, 5, 0.5), optim.ExponentialLR(o, 0.95), optim.WarmupLR(o, 4)]
        ),
        chained,
    ),
    **{
        f"OneCycleLR {options}": (
            lambda o, options=options: optim.OneCycleLR(o, **CYCLE | options),
            lambda o, options=options: lr_scheduler.OneCycleLR(o, **CYCLE | options),
        )
        for options in [
            {},
            {"three_phase": True},
            {"anneal_strategy": "linear", "pct_start": 0.4},
            {"pct_start": 0.0, "total_steps": 50},
            {"base_momentum": 0.3, "max_momentum": 0.8, "div_factor": 3.0, "final_div_factor": 7.0},
            {"cycle_momentum": False, "max_lr": 0.3},
        ]
    },
}
OPTIMIZERS = {
    "SGD": {"momentum": 0.9},
    "Adam": {"betas": (0.8, 0.95)},
}


def made(name, on_torch=False):
    """Two groups with one parameter each."""
    zeros = torch.zeros if on_torch else tg.zeros
    groups = [{"params": [zeros(1).requires_grad_()]}, {"params": [zeros(1).requires_grad_()], "lr": 0.3}]
    return getattr(torch.optim if on_torch else optim, name)(groups, lr=0.7, **OPTIMIZERS[name])


def options_of(groups):
    return [[group[name] for name in ("lr", "momentum", "betas") if name in group] for group in groups]


@pytest.mark.parametrize("method", OPTIMIZERS)
@pytest.mark.parametrize("case", CASES)
def test_rates_and_momenta_are_torchs(case, method):
    ours, theirs = CASES[case]
    optimizer, their_optimizer = made(method), made(method, on_torch=True)
    schedule, their_schedule = ours(optimizer), theirs(their_optimizer)
    for number in range(STEPS):
        if number == STEPS // 2:
            state = json.loads(json.dumps(schedule.state_dict()))
            optimizer = made(method)
            schedule = ours(optimizer)
            schedule.load_state_dict(state)
        found = options_of([group.options() for group in optimizer.groups])
        for group, their_group in zip(found, options_of(their_optimizer.param_groups), strict=True):
            for value, their_value in zip(group, their_group, strict=True):
                np.testing.assert_allclose(value, their_value, rtol=1e-10, atol=1e-15)
        their_optimizer.step()
        schedule.step()
        their_schedule.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("seed", range(8))
def test_plateaus_are_torchs(mode, threshold_mode, seed):
    chance = np.random.default_rng(seed)
    options = {
        "mode": mode,
        "factor": float(chance.uniform(0.1, 0.9)),
        "patience": int(chance.integers(0, 4)),
        "threshold": float(chance.choice([0.0, 1e-4, 0.1])),
        "threshold_mode": threshold_mode,
        "cooldown": int(chance.integers(0, 3)),
        "min_lr": [1e-3, 1e-2],
        "eps": float(chance.choice([1e-8, 1e-2])),
    }
    optimizer, their_optimizer = made("SGD"), made("SGD", on_torch=True)
    schedule = optim.PlateauLR(optimizer, **options)
    their_schedule = lr_scheduler.ReduceLROnPlateau(their_optimizer, **options)
    losses = np.exp(-np.arange(STEPS) / 20) + chance.normal(size=STEPS) / 10
    for number, loss in enumerate(losses):
        if number == STEPS // 2:
            state = json.loads(json.dumps(schedule.state_dict()))
            optimizer = made("SGD")
            schedule = optim.PlateauLR(optimizer, **options)
            schedule.load_state_dict(state)
        schedule.step(loss)
        their_schedule.step(loss)
        rates = [group["lr"] for group in their_optimizer.param_groups]
        assert [group.lr for group in optimizer.groups] == pytest.approx(rates, rel=1e-12)
