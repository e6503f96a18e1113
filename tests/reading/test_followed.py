"""One instrumented pass: what every view says of a residual is the same number, and from a device it comes in
one piece."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends import current
from tinygrad_rnn.reading import norms
from tinygrad_rnn.reading.followed import Followed, ones
from tinygrad_rnn.reading.recording import Recording
from tinygrad_rnn.reading.words import formatted

T, B, IN, H = 6, 2, 3, 4


def _loss(kind: str, read: str, rng: numpy.random.Generator) -> Any:
    layer = getattr(tg.nn, kind)(IN, H, dtype="float64")
    y, _ = layer(tg.tensor(rng.standard_normal((T, B, IN))))
    return {
        "every step": lambda: tg.mean(y**2),
        "last step": lambda: tg.sum(y[-1]),
        "some": lambda: tg.sum(y[2:5:2]),
    }[read]()


@pytest.mark.parametrize("read", ["every step", "last step", "some"])
@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM", "PeepholeLSTM"])
def test_all_views_say_the_same_of_what_is_left(kind: str, read: str, rng: numpy.random.Generator) -> None:
    loss = _loss(kind, read, rng)
    recording = Recording([loss], [], sys._getframe())
    (trail,) = Followed(recording.tape, recording.chains, ones(recording.results)).trails
    states = trail.chain.states
    ops, steps = (tg.draw(loss, view=view, gains=True, max_nodes=1000).dot for view in ("ops", "steps"))
    in_ops = dict(re.findall(r'label="t = (\d)   residual left: ([^"]*)"', ops))
    in_steps = dict(re.findall(r"<B>t = (\d)</B>(.*?)</TABLE>", steps))
    for step in range(T):
        lefts = [formatted(trail.left(i, step), 2) for i in range(len(states))]
        assert [f" {name}  {left} " for name, left in zip(states, lefts, strict=True)] == re.findall(
            r">( \w+  [^<]*)<", in_steps[str(step)]
        )
        told = (
            lefts[0]
            if len(lefts) == 1
            else ", ".join(f"{name} {left}" for name, left in zip(states, lefts, strict=True))
        )
        assert in_ops.get(str(step), told) == told
    assert len(in_ops) == (0 if read == "some" else T)
    if len(states) == 1:  # the one state is all that goes from step to step
        track = tg.flow(loss).track()
        assert [trail.left(0, step) for step in range(track.last, -1, -1)] == pytest.approx(
            track.remaining.tolist(), rel=1e-12
        )


def test_captions_say_what_is_followed(rng: numpy.random.Generator) -> None:
    everywhere, last = (_loss("LSTM", read, rng) for read in ("every step", "last step"))
    only, all_of_it = "followed: only what comes into the last step", "followed: what comes into every step"
    for view in ("ops", "steps"):
        assert only in tg.draw(everywhere, view=view, gains=True, max_nodes=1000).dot
        assert all_of_it in tg.draw(everywhere, view=view, gains=True, start=everywhere, max_nodes=1000).dot
        assert "followed" not in tg.draw(last, view=view, gains=True, max_nodes=1000).dot
        assert "followed" not in tg.draw(everywhere, view=view, gains=False, max_nodes=1000).dot
    assert all_of_it in tg.draw(everywhere, view="cells").dot


@pytest.mark.numpy_only
def test_a_readout_inside_of_the_cell_is_none_of_the_state(rng: numpy.random.Generator) -> None:
    """What comes to the state of the last step counts as 1, however small the readout makes it: hₜ = w hₜ₋₁ +
    x, yₜ = v hₜ."""
    w, v = (tg.tensor(value, dtype=tg.float64, requires_grad=True) for value in (0.5, 1e-4))

    def cell(x: Any, h: Any) -> Any:
        h = w * h + x
        return v * h, h

    y, _ = tg.scan(cell, rng.standard_normal((T, B)), numpy.zeros(B))
    for loss in (tg.sum(y[-1]), tg.sum(y)):
        track = tg.flow(loss).track()
        numpy.testing.assert_allclose(track.remaining, 0.5 ** numpy.arange(T), rtol=1e-12)
        assert track.received[-1] == pytest.approx(numpy.sqrt(B))
        assert " h  1 " in tg.draw(loss, view="steps").dot


@pytest.mark.numpy_only
def test_a_scan_inside_of_a_step_is_followed_with_it(rng: numpy.random.Generator) -> None:
    """Each step squares its weight by an inner loop of two: hₜ = w² hₜ₋₁ + x."""
    w = tg.tensor(0.7, dtype=tg.float64, requires_grad=True)

    def inner(x: Any, h: Any) -> Any:
        return x, w * h

    def outer(x: Any, h: Any) -> Any:
        _, h = tg.scan(inner, numpy.zeros((3, B)), h)
        return h + x, h + x

    y, _ = tg.scan(outer, tg.tensor(rng.standard_normal((T, B))), tg.tensor(numpy.zeros(B)))
    report = tg.flow(tg.sum(y))
    outermost = max(report.tracks, key=lambda track: len(track.chain))
    numpy.testing.assert_allclose(outermost.remaining, 0.7 ** (3 * numpy.arange(T)), rtol=1e-9)
    inside = [track for track in report.tracks if track is not outermost]
    assert len(inside) == T
    for track in inside:
        numpy.testing.assert_allclose(track.remaining, 0.7 ** numpy.arange(len(track.remaining)), rtol=1e-9)
    starts = sorted(float(track.received[track.last]) for track in inside)
    numpy.testing.assert_allclose(starts, numpy.sqrt(B) * 0.7 ** (3 * numpy.arange(T)[::-1]), rtol=1e-9)


# -- norms and ranges ----------------------------------------------------------------------------------------


@pytest.mark.both_backends
def test_norms_are_numpys_whatever_the_shapes(rng: numpy.random.Generator) -> None:
    shapes = [(), (1,), (3, 4), (0, 2), (3, 4), (40_000,), (2, 3, 4), (), (12,)]
    scales = [1.0, 1e-200, 1e200, 1.0, 0.0, 1e-3, numpy.inf, 1e-308, 1.0]
    arrays = [
        numpy.asarray(rng.standard_normal(shape) * (scale if numpy.isfinite(scale) else 1))
        for shape, scale in zip(shapes, scales, strict=True)
    ]
    arrays[6] = numpy.where(arrays[6] > 0, numpy.inf, 1.0)
    backend = current()
    found = norms.sizes([backend.from_host(array) for array in arrays], backend)
    largest = [float(numpy.abs(array).max(initial=0.0)) or 1.0 for array in arrays]
    with numpy.errstate(all="ignore"):
        expected = [
            m * float(numpy.linalg.norm(a / m)) if numpy.isfinite(m) else m
            for a, m in zip(arrays, largest, strict=True)
        ]
    assert found == pytest.approx(expected, rel=1e-14)
    assert norms.overall([backend.from_host(array) for array in arrays[2:5]], backend) == pytest.approx(
        numpy.hypot(expected[2], expected[4]), rel=1e-14
    )


@pytest.mark.both_backends
def test_single_precision_is_measured_in_double(rng: numpy.random.Generator) -> None:
    values = rng.standard_normal(5000).astype("float32")
    backend = current()
    (one, other) = norms.sizes([backend.from_host(values), backend.from_host(values[::-1].copy())], backend)
    assert one == pytest.approx(float(numpy.linalg.norm(values.astype("float64"))), rel=1e-14)
    assert abs(one / other - 1) < 1e-14  # a residual that is only rearranged keeps its size


@pytest.mark.both_backends
def test_ranges_are_numpys(rng: numpy.random.Generator) -> None:
    backend = current()
    host = [
        rng.standard_normal((3, 4)),
        numpy.arange(5),
        numpy.array(True),
        rng.standard_normal(7).astype("float32"),
        numpy.array([numpy.nan, 1.0]),
    ]
    arrays = [backend.from_host(array) for array in host]
    ranges = norms.Ranges([*arrays, backend.from_host(numpy.zeros((0, 3)))], backend)
    for array, values in zip(arrays, host, strict=True):
        assert ranges.of(array) == pytest.approx((float(values.min()), float(values.max())), nan_ok=True)
    assert ranges.of(backend.from_host(numpy.zeros(0))) is None


@pytest.mark.both_backends
@pytest.mark.parametrize("view", ["ops", "steps", "cells"])
def test_drawing_waits_for_the_device_a_few_times_however_much_is_drawn(
    view: str, backend: str, device: Any
) -> None:
    waits = []
    for steps in (3, 12):
        cell = tg.nn.LSTMCell(IN, H)
        y, _ = tg.scan(cell, tg.tensor(numpy.ones((steps, B, IN), "float32")), cell_state(), compiled=False)
        loss = tg.sum(y**2)
        device.reset()
        tg.draw(loss, view=view, gains=True, max_nodes=5000)
        waits.append(device.synchronisations)
    assert waits[0] == waits[1] <= 12
    assert (waits[0] > 0) == (backend == "cupy")


def cell_state() -> Any:
    return tuple(tg.tensor(numpy.ones((B, H), "float32"), requires_grad=True) for _ in range(2))
