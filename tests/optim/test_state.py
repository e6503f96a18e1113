"""An optimiser's state is taken up where it was left, or refused whole."""

from __future__ import annotations

import contextlib
import json
import random
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.optim.parameters import SHAPES, all_options, parameters, random_grads, set_grads
from tinygrad_rnn import optim
from tinygrad_rnn.optim import machine_code

SWITCHES = {
    "momentum": [0.0, 0.9],
    "dampening": [0.0, 0.3],
    "nesterov": [False, True],
    "amsgrad": [False, True],
    "centered": [False, True],
}


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "Adagrad", "RMSProp"])
@pytest.mark.parametrize("seed", range(8))
def test_a_state_is_taken_whenever_it_was_saved(name, seed, monkeypatch):
    """Also right after an option was switched, on or off: the twin makes the same steps to the last bit, in
    machine code too."""
    monkeypatch.setattr(machine_code, "LOOP_MIN_ELEMENTS", 1)
    rng, chance = np.random.default_rng(seed), random.Random(seed)
    ours = parameters(rng)
    optimizer = getattr(optim, name)(ours, lr=0.1)
    for step in range(8):
        set_grads(ours, random_grads(rng, step))
        optimizer.step()
        for option in optimizer.state_dict()["options"].keys() & SWITCHES.keys():
            with contextlib.suppress(tg.ArgumentError):  # nesterov without a momentum
                setattr(optimizer, option, chance.choice(SWITCHES[option]))
        twins = [tg.nn.Parameter(p) for p in ours]
        twin = getattr(optim, name)(twins)
        twin.load_state_dict(optimizer.state_dict())
        before, grads = optimizer.state_dict(), random_grads(rng, step)
        for tensors, one in ((twins, twin), (ours, optimizer)):
            set_grads(tensors, grads)
            one.step()
        for p, q in zip(ours, twins, strict=True):
            assert p.numpy().tobytes() == q.numpy().tobytes()
        if chance.random() < 0.5:
            optimizer.load_state_dict(before)


@pytest.mark.both_backends
@all_options
def test_state_dict_goes_on_where_it_stood(rng, name, options):
    make = getattr(optim, name)
    ours = parameters(rng)
    optimizer = make(ours, **options)
    grads = [random_grads(rng, step) for step in range(6)]
    for g in grads[:3]:
        set_grads(ours, g)
        optimizer.step()
    twins = [tg.nn.Parameter(p) for p in ours]
    other = make(twins, lr=1.0)
    state = optimizer.state_dict()
    # what a file would keep
    numbers = json.loads(json.dumps({"options": state["options"], "steps": state["steps"]}))
    for g in grads[3:]:
        set_grads(ours, g)
        optimizer.step()
    other.load_state_dict({**numbers, "buffers": {name: b.numpy() for name, b in state["buffers"].items()}})
    for g in grads[3:]:
        set_grads(twins, g)
        other.step()
    assert other.state_dict()["options"] == optimizer.state_dict()["options"]
    for p, q in zip(ours, twins, strict=True):
        assert np.array_equal(p.numpy(), q.numpy())


@pytest.mark.parametrize(
    "change",
    [
        {"steps": [1]},
        {"steps": [1, 1, 1], "buffers": {}},
        {"steps": [0, 0, 0]},
        {"steps": [10**400, 1, 1]},
        {"steps": [2**62, 1, 1]},
        {"steps": [-1, 1, 1]},
        {"steps": [1.0, 1, 1]},
        {"options": {"lr": 1.0}},
        *[
            {"buffers": {key: np.zeros((3, 2))}}
            for key in ("9.mean", "mean", "0.foo", "0.", "00.mean", "٠.mean", "+0.mean", "0.mean.")
        ],
        {"buffers": {"0.mean": np.zeros(5)}},
        {"more": 1},
    ],
    ids=lambda change: f"{change!r:.60}",
)
def test_a_foreign_state_changes_nothing(rng, change):
    """Buffers are put beside those that are there: each by itself is one too many."""
    ps = parameters(rng)
    optimizer = optim.Adam(ps, lr=0.5)
    set_grads(ps, [np.ones(shape) for shape in SHAPES])
    optimizer.step()
    before = optimizer.state_dict()
    change = {
        part: {**before[part], **new} if part == "buffers" and new else new for part, new in change.items()
    }
    with pytest.raises(tg.CheckpointError, match="Adam"):
        optimizer.load_state_dict(before | change)
    after = optimizer.state_dict()
    assert (after["options"], after["steps"]) == (before["options"], before["steps"])
    assert {key: b.numpy().tobytes() for key, b in after["buffers"].items()} == {
        key: b.numpy().tobytes() for key, b in before["buffers"].items()
    }


@all_options
def test_each_buffer_is_missed(rng, name, options):
    ps = parameters(rng)
    optimizer = getattr(optim, name)(ps, **options)
    set_grads(ps, [np.ones(shape) for shape in SHAPES])
    optimizer.step()
    state = optimizer.state_dict()
    for key in state["buffers"]:
        rest = {other: buffer for other, buffer in state["buffers"].items() if other != key}
        with pytest.raises(tg.CheckpointError, match=re.escape(f"lacks the buffers {key} after 1 steps")):
            optimizer.load_state_dict(state | {"buffers": rest})
    optimizer.load_state_dict(state)


def test_a_float16_state_goes_on_where_it_stood(rng):
    values, grads = rng.normal(size=5), rng.normal(size=(6, 5))
    p, q = (tg.nn.Parameter(values, "float16") for _ in range(2))
    first, second = optim.Adam([p], lr=0.1), optim.Adam([q], lr=0.1)
    for step, g in enumerate(grads):
        p.grad = tg.tensor(g, "float16")
        first.step()
        if step == 2:
            second.load_state_dict(first.state_dict())
            q.data = p.data
        if step > 2:
            q.grad = tg.tensor(g, "float16")
            second.step()
    assert {buffer.dtype.name for buffer in first.state_dict()["buffers"].values()} == {"float32"}
    assert np.array_equal(p.numpy(), q.numpy())
