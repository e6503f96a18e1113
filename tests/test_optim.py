"""Optimisers, clipping and schedules."""

from __future__ import annotations

import contextlib
import json
import math
import random
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import arguments, optim
from tinygrad_rnn.backends.native import compiler, threads, thresholds
from tinygrad_rnn.optim import machine_code

OPTIONS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.05, "amsgrad": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.2, "amsgrad": True}),
    ("RMSProp", {}),
    ("RMSProp", {"lr": 0.02, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("RMSProp", {"momentum": 0.9, "centered": True}),
]
all_options = pytest.mark.parametrize(("name", "options"), OPTIONS)
SHAPES = [(3, 2), (4,), ()]


def parameters(rng, dtype="float64"):
    return [tg.nn.Parameter(rng.normal(size=shape), dtype) for shape in SHAPES]


def set_grads(ps, grads):
    for p, g in zip(ps, grads, strict=True):
        p.grad = None if g is None else tg.tensor(g, p.dtype)


def random_grads(rng, step):
    """One residual is missing now and then."""
    return [None if i == step % 5 else rng.normal(size=shape) for i, shape in enumerate(SHAPES)]


@pytest.mark.peer
@all_options
def test_twenty_steps_equal_torch(rng, name, options):
    torch = pytest.importorskip("torch")
    ours = parameters(rng)
    theirs = [torch.tensor(p.numpy().copy(), requires_grad=True) for p in ours]
    optimizer = getattr(optim, name)(ours, **options)
    their_optimizer = getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))(theirs, **options)
    for step in range(20):
        grads = random_grads(rng, step)
        set_grads(ours, grads)
        for p, g in zip(theirs, grads, strict=True):
            p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        their_optimizer.step()
        for p, q in zip(ours, theirs, strict=True):
            assert abs(p.numpy() - q.detach().numpy()).max() < 1e-12


def stepped(name, options, dtype, seed):
    """Parameters of several sizes and the optimiser's buffers after some steps, with a residual missing now
    and then."""
    rng = np.random.default_rng(seed)
    ps = [tg.nn.Parameter(rng.normal(size=shape), dtype) for shape in ((5, 7), (3,), (), (40, 30), (0, 2))]
    optimizer = getattr(optim, name)(ps, **options)
    for step in range(6):
        set_grads(ps, [None if i == step % 7 else rng.normal(size=p.shape) for i, p in enumerate(ps)])
        optimizer.lr *= 0.9
        optimizer.step()
    return [p.numpy() for p in ps], {
        key: buffer.numpy() for key, buffer in optimizer.state_dict()["buffers"].items()
    }


@pytest.mark.one_backend
@pytest.mark.skipif(not compiler.available(), reason="llvmlite is not installed")
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@all_options
def test_machine_code_gives_the_same_bits_as_numpy(monkeypatch, name, options, dtype, count):
    monkeypatch.setattr(threads, "threads", lambda: count)
    monkeypatch.setattr(thresholds, "PARALLEL_MIN_ELEMENTS", 0)
    machine_code.loops.clear()
    found = []
    for many in (1 << 60, 1):
        monkeypatch.setattr(machine_code, "LOOP_MIN_ELEMENTS", many)
        found.append(stepped(name, options, dtype, seed=4))
    assert all(not isinstance(loop, str) for loop in machine_code.loops.values())
    assert len(machine_code.loops) >= 1
    (ours, buffers), (theirs, other_buffers) = found
    assert buffers.keys() == other_buffers.keys()
    for a, b in zip([*ours, *buffers.values()], [*theirs, *other_buffers.values()], strict=True):
        np.testing.assert_array_equal(a, b)


SWITCHES = {
    "momentum": [0.0, 0.9],
    "dampening": [0.0, 0.3],
    "nesterov": [False, True],
    "amsgrad": [False, True],
    "centered": [False, True],
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSProp"])
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


def test_nesterovs_rule_holds_for_changes_and_states(rng):
    ps = parameters(rng)
    plain, nesterov = optim.SGD(ps), optim.SGD(ps, momentum=0.9, nesterov=True)
    for optimizer, option, value in (
        (plain, "nesterov", True),
        (nesterov, "momentum", 0.0),
        (nesterov, "dampening", 0.1),
    ):
        before = optimizer.state_dict()["options"]
        with pytest.raises(tg.ArgumentError, match="nesterov needs a momentum"):
            setattr(optimizer, option, value)
        with pytest.raises(tg.CheckpointError, match="nesterov needs a momentum"):
            optimizer.load_state_dict({**optimizer.state_dict(), "options": {**before, option: value}})
        assert optimizer.state_dict()["options"] == before
    plain.load_state_dict(nesterov.state_dict())
    assert (plain.momentum, plain.nesterov) == (0.9, True)


@all_options
def test_dtype_stays_and_parameters_without_residuals_too(rng, name, options):
    ps = parameters(rng, "float32")
    optimizer = getattr(optim, name)(ps, **options)
    optimizer.lr = np.float64(0.1)
    before = [p.numpy().copy() for p in ps]
    set_grads(ps, [np.ones((3, 2)), None, 1.0])
    optimizer.step()
    assert [(p.dtype, p.shape) for p in ps] == [(np.float32, shape) for shape in SHAPES]
    assert [np.array_equal(p.numpy(), b) for p, b in zip(ps, before, strict=True)] == [False, True, False]
    optimizer.zero_grad()
    assert all(p.grad is None for p in ps)


def test_a_step_leaves_a_live_tape_right():
    """The first-order pass reads what was recorded; passes that would read the parameter itself are
    refused."""
    w = tg.nn.Parameter([2.0, 3.0])
    optimizer = optim.SGD([w], lr=0.1)
    loss, kept = tg.sum(w**3), tg.sum(tg.checkpoint(lambda x: tg.tanh(x * w))(tg.tensor([1.0, 2.0])))
    loss.backward()
    first = w.grad.numpy().copy()
    optimizer.step()
    optimizer.zero_grad()
    loss.backward()
    assert np.array_equal(w.grad.numpy(), first)
    with pytest.raises(tg.TapeError, match="optimiser's step"):
        loss.backward(create_graph=True)
    with pytest.raises(tg.TapeError, match="optimiser's step"):
        kept.backward()


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


def test_an_optimiser_of_the_users_says_what_its_options_are():
    class Halving(optim.Optimizer):
        def __init__(self, parameters, rate, way):
            super().__init__(parameters, rate=rate, way=way)

        checks = {"way": lambda what, value: arguments.choice(what, value, ("up", "down"))}  # noqa: RUF012

        def _numbers(self, n):
            return (self.rate,)

        def _updated(self, np, p, g, averages, numbers):
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

        def _numbers(self, n):
            return (0.5,)

        def _updated(self, np, p, g, averages, numbers):
            return p + g * numbers[0] * {"up": 1, "down": -1, 1: 2, 2: 4}[self.way]

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


# -- narrow numbers ------------------------------------------------------------------------------------------


@all_options
def test_float16_stays_where_no_residual_arrives(name, options):
    """The usual eps is 0 in float16, and 0 / 0 was NaN."""
    layer = tg.nn.Embedding(4, 2, dtype="float16")
    before = layer.weight.numpy().copy()
    optimizer = getattr(optim, name)(layer.parameters(), **{**options, "weight_decay": 0.0})
    for _ in range(3):
        layer.zero_grad()
        tg.sum(layer(tg.tensor([1, 2]))).backward()
        optimizer.step()
    assert layer.weight.dtype == np.float16
    moved = (layer.weight.numpy() != before).any(axis=1)
    assert moved.tolist() == [False, True, True, False]
    assert np.isfinite(layer.weight.numpy()).all()


@pytest.mark.peer
@all_options
def test_float16_is_a_float32_step_that_is_rounded(rng, name, options):
    """As a step of PyTorch's in float32 from the rounded parameter, for twenty steps."""
    torch = pytest.importorskip("torch")
    values = rng.normal(size=(3, 4)).astype(np.float16)
    p, q = tg.nn.Parameter(values), torch.tensor(values.astype(np.float32), requires_grad=True)
    ours = getattr(optim, name)([p], **options)
    theirs = getattr(torch.optim, {"RMSProp": "RMSprop"}.get(name, name))([q], **options)
    for _ in range(20):
        g = (rng.normal(size=(3, 4)) * 10.0 ** rng.integers(-6, 2, (3, 4))).astype(np.float16)
        p.grad, q.grad = tg.tensor(g), torch.tensor(g.astype(np.float32))
        ours.step()
        theirs.step()
        with torch.no_grad():
            q.copy_(q.half().float())
        np.testing.assert_allclose(p.numpy().astype(float), q.detach().numpy(), rtol=2**-10, atol=2**-24)


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


def test_float16_is_clipped_by_a_norm_that_it_cannot_hold():
    p = tg.nn.Parameter([0.0, 0.0], "float16")
    p.grad = tg.tensor([30000.0, 40000.0], "float16")
    assert optim.clip_grad_norm([p], 1.0) == 50000.0
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-3)
    many = tg.nn.Parameter(np.zeros(10_000), "float16")
    many.grad = tg.tensor(np.full(10_000, 60_000.0), "float16")
    assert optim.clip_grad_norm([many], 0.1) == pytest.approx(6e6, rel=1e-3)
    np.testing.assert_allclose(many.grad.numpy(), 0.001, rtol=1e-3)  # the scale, 1.7e-8, is 0 in float16
    assert many.grad.dtype == np.float16


# -- clipping ------------------------------------------------------------------------------------------------


def test_clip_grad_norm_returns_the_norm_and_scales_all(rng):
    ps, grads = parameters(rng), [rng.normal(size=shape) for shape in SHAPES]
    set_grads(ps, grads)
    norm = math.sqrt(sum((g**2).sum() for g in map(np.asarray, grads)))
    assert optim.clip_grad_norm(ps, 100.0) == pytest.approx(norm)
    assert all(np.array_equal(p.grad.numpy(), g) for p, g in zip(ps, grads, strict=True))
    assert optim.clip_grad_norm(ps, 0.5) == pytest.approx(norm)
    for p, g in zip(ps, grads, strict=True):
        assert np.allclose(p.grad.numpy(), 0.5 / (norm + 1e-6) * g, rtol=1e-12)
    assert optim.clip_grad_norm([tg.nn.Parameter(1.0)], 1.0) == 0


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e200])
def test_a_norm_that_is_not_finite_is_returned_and_changes_nothing(bad):
    p = tg.nn.Parameter([1.0, 2.0], "float64")
    set_grads([p], [np.array([bad, 1.0])])
    assert not math.isfinite(optim.clip_grad_norm([p], 1.0))
    assert p.grad.numpy()[1] == 1


def test_clipping_does_not_scale_a_shared_residual_twice():
    a, b = tg.nn.Parameter([3.0]), tg.nn.Parameter([4.0])
    tg.sum(a + b).backward()
    optim.clip_grad_norm([a, b], 1.0)
    assert a.grad.item() == b.grad.item() == pytest.approx(1 / math.sqrt(2))


def test_clipping_of_a_single_tensor_and_of_what_is_named_twice():
    w = tg.nn.Parameter([0.0, 0.0], "float64")
    for given in (w, [w], [w, w], (p for p in [w])):
        w.grad = tg.tensor(np.array([3.0, 4.0]))
        assert optim.clip_grad_norm(given, 1.0) == 5.0
        np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    w.grad = tg.tensor(np.array([3.0, 4.0]))
    assert optim.clip_grad_norm(w, math.inf) == 5.0
    assert w.grad.numpy().tolist() == [3, 4]
    optim.clip_grad_value(w, 3.5)
    assert w.grad.numpy().tolist() == [3, 3.5]


def test_clip_grad_value():
    p = tg.nn.Parameter([1.0, 2.0, 3.0])
    set_grads([p], [np.array([-5.0, 0.5, 5.0])])
    optim.clip_grad_value([p, tg.nn.Parameter(1.0)], 1.0)
    assert p.grad.numpy().tolist() == [-1, 0.5, 1]


# -- schedules -----------------------------------------------------------------------------------------------


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


@pytest.mark.one_backend
@pytest.mark.parametrize("size", [3, 10_000])
def test_a_parameter_that_is_given_twice_is_stepped_twice(size):
    """Each time from where the time before left it: p ← (1 − lr · decay) p, as the residual is 0."""
    p = tg.tensor(np.ones(size), requires_grad=True)
    with pytest.warns(tg.ArgumentWarning, match="stands twice"):
        optimizer = optim.SGD([p, p], lr=0.1, weight_decay=1.0)
    for n in (1, 2, 3):
        p.grad = tg.tensor(np.zeros(size))
        optimizer.step()
        np.testing.assert_allclose(p.numpy(), 0.9 ** (2 * n), rtol=1e-14)


@pytest.mark.one_backend
@pytest.mark.parametrize("size", [10, 10_000])
def test_which_of_several_decays_are_zero_may_choose_the_update(size):
    """As a subclass may: with few numbers, where arrays take it, and with many, where machine code does."""

    class Steps(optim.Adam):
        def _updated(self, np, p, g, averages, numbers):
            super()._updated(np, p, g, averages, numbers)
            return p - (0.1 if self.betas[0] else 0.2)

    for first, expected in ((0.9, 0.9), (0.0, 0.8), (0.9, 0.9)):
        w = tg.tensor(np.ones(size), "float64", requires_grad=True)
        w.grad = tg.ones(size, dtype="float64")
        Steps([w], betas=(first, 0.99)).step()
        np.testing.assert_allclose(w.numpy(), expected, rtol=1e-15)
