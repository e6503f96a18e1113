"""Schedules of the learning rate."""

from __future__ import annotations

import json

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import optim


def rates(schedule, n):
    seen = []
    for _ in range(n):
        seen.append(schedule.optimizer.lr)
        schedule.step()
    return seen


def test_schedules():
    def optimizer():
        return optim.SGD([tg.nn.Parameter(1.0)], lr=2.0)

    assert rates(optim.StepLR(optimizer(), 2, 0.5), 5) == [2, 2, 1, 1, 0.5]
    assert rates(optim.CosineLR(optimizer(), 2, least=0.5), 4) == pytest.approx([2, 1.5, 1, 1])
    assert rates(optim.WarmupLR(optimizer(), 4), 6) == [0.5, 1, 1.5, 2, 2, 2]
    sgd = optimizer()
    assert rates(optim.WarmupLR(sgd, 2, then=optim.StepLR(sgd, 1, 0.5)), 5) == [1, 2, 2, 1, 0.5]


def test_schedule_state():
    sgd, other = (optim.SGD([tg.nn.Parameter(1.0)], lr=2.0) for _ in range(2))
    schedule, twin = optim.CosineLR(sgd, 10), optim.CosineLR(other, 10)
    rates(schedule, 4)
    twin.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
    assert other.lr == sgd.lr
    assert rates(twin, 3) == rates(schedule, 3)
    with pytest.raises(tg.CheckpointError):
        twin.load_state_dict({"lr": 1})


class Halved(optim.Schedule):
    """Its first factor is not 1."""

    def factor(self, n):
        return 0.5 / (n + 1)


SCHEDULES = {
    "StepLR": lambda o: optim.StepLR(o, 2, 0.3),
    "CosineLR": lambda o: optim.CosineLR(o, 5, 0.1),
    "WarmupLR": lambda o: optim.WarmupLR(o, 3),
    "WarmupLR then": lambda o: optim.WarmupLR(o, 2, then=Halved(o)),
    "Halved": Halved,
}


def test_all_schedules_are_tried():
    assert {name for name in dir(optim) if name.endswith("LR")} <= SCHEDULES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_after_the_warm_up_a_schedule_goes_as_it_would_alone(name, steps):
    def optimizer():
        return optim.SGD([tg.nn.Parameter(1.0)], lr=0.7)

    alone, o = rates(SCHEDULES[name](optimizer()), 8), optimizer()
    found = rates(optim.WarmupLR(o, steps, then=SCHEDULES[name](o)), steps + 8)
    assert found == pytest.approx([0.7 * (n + 1) / steps for n in range(steps)] + alone)


def test_a_warm_up_to_a_schedule_of_another_optimiser_has_its_own_rate():
    first, second = (optim.SGD([tg.nn.Parameter(1.0)], lr=lr) for lr in (0.1, 2.0))
    assert rates(optim.WarmupLR(second, 2, then=optim.StepLR(first, 1, 0.5)), 4) == [1.0, 2.0, 2.0, 1.0]


@pytest.mark.peer
def test_schedules_equal_torch():
    torch = pytest.importorskip("torch")
    for ours, theirs in [
        (lambda o: optim.StepLR(o, 3, 0.3), lambda o: torch.optim.lr_scheduler.StepLR(o, 3, 0.3)),
        (lambda o: optim.CosineLR(o, 12), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)),
        (lambda o: optim.WarmupLR(o, 4), lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, 3)),
    ]:
        schedule = ours(optim.SGD([tg.nn.Parameter(1.0)], lr=0.7))
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.7)
        their_schedule, expected = theirs(optimizer), []
        for _ in range(12):
            expected.append(their_schedule.get_last_lr()[0])
            optimizer.step()
            their_schedule.step()
        assert rates(schedule, 12) == pytest.approx(expected)


def test_a_schedule_that_leaves_the_numbers_stops_where_it_is():
    class Rising(optim.Schedule):
        def factor(self, n):
            return 1.0 - n

    optimizer = optim.SGD([tg.nn.Parameter(1.0)], lr=2.0)
    schedule = Rising(optimizer)
    schedule.step()
    with pytest.raises(tg.ArgumentError, match=r"factor\(2\) must be at least 0, not -1"):
        schedule.step()
    assert (schedule.count, optimizer.lr) == (1, 0.0)
    growing = optim.StepLR(optim.SGD([tg.nn.Parameter(1.0)], lr=1.0), 1, 10.0)
    for _ in range(308):
        growing.step()
    with pytest.raises(tg.ArgumentError, match="finite"):
        growing.step()
    assert growing.optimizer.lr == 1e308
