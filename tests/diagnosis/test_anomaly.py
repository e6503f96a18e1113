"""Anomaly mode blames the operation that made a NaN, whether it is recorded, compiled, needed, or none of
these."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.numpy_only

T, B, H = 5, 2, 3


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with numpy.errstate(all="ignore"):
        yield


def _weight() -> Any:
    return tg.tensor(numpy.ones(H), requires_grad=True)


def _of_constants() -> None:
    w = _weight()
    a = tg.log(tg.tensor(-numpy.ones(H)))  # here
    w * a


def _without_recording() -> None:
    w = _weight()
    with tg.no_grad():
        a = tg.sqrt(-w)  # here
    w * a


def _of_a_detached_tensor() -> None:
    w = _weight()
    tg.log(w.detach() - 2)  # here


def _in_a_readout_of_no_gradient() -> None:
    with tg.no_grad():
        tg.scan(lambda x, h: (tg.log(h), h - x), numpy.ones((T, B, H)), tg.tensor(numpy.ones((B, H))))  # here


def _never_used() -> None:
    w = _weight()
    tg.log(w - 2)  # here
    w * 2


WHERE = [_of_constants, _without_recording, _of_a_detached_tensor, _in_a_readout_of_no_gradient, _never_used]


@pytest.mark.parametrize("program", WHERE)
def test_the_line_that_made_it_is_named(program: Callable[[], None]) -> None:
    lines, first = inspect.getsourcelines(program)
    line = first + next(i for i, text in enumerate(lines) if "# here" in text)
    with (
        pytest.raises(tg.NonFiniteError, match=f"forward, .*in line {line} of test_anomaly.py"),
        tg.detect_anomaly(),
    ):
        program()
    program()  # outside of the block nothing is looked at


# -- what came in --------------------------------------------------------------------------------------------


def test_a_nan_from_outside_is_told_as_such() -> None:
    w, made = _weight(), tg.log(tg.tensor(-numpy.ones(H)))
    data = tg.tensor(numpy.array([1.0, numpy.nan, 1.0]))
    data.name = "data"
    recorded = tg.log(w - 2)
    for x, told in (
        (made, "its operand already held NaN"),
        (data, "its operand 'data' already"),
        (recorded, "its operand already held NaN"),
    ):
        with pytest.raises(tg.NonFiniteError, match=f"multiply.*w \\* x; {told}"), tg.detect_anomaly():
            w * x


def test_a_nan_that_an_optimiser_wrote_is_told_as_such() -> None:
    w = tg.nn.Parameter(numpy.ones(H))
    w.grad = tg.tensor(numpy.full(H, numpy.nan))
    with tg.detect_anomaly():
        tg.optim.SGD([w], lr=0.1).step()
        with pytest.raises(tg.NonFiniteError, match="its operand already held NaN"):
            w * 2


def test_a_residual_that_holds_nan_is_told_as_such() -> None:
    y = _weight() * 2
    with (
        pytest.raises(tg.NonFiniteError, match="the residual that came in already held NaN"),
        tg.detect_anomaly(),
    ):
        y.backward(numpy.full(H, numpy.nan))


def test_nothing_is_blamed_twice() -> None:
    with pytest.raises(tg.NonFiniteError) as error, tg.detect_anomaly():
        tg.exp(1000.0 * _weight()) * 2
    assert "already" not in str(error.value)


@pytest.mark.parametrize("mask", [-numpy.inf, numpy.array(-numpy.inf)])
def test_a_mask_of_infinity_is_no_anomaly(mask: Any) -> None:
    w = _weight()
    with tg.detect_anomaly():
        scores = tg.where(tg.tensor(numpy.array([True, False, True])), w, mask)
        hidden = tg.where(tg.tensor(numpy.array([True, False, True])), 0.0, mask)
        tg.sum(tg.softmax(scores) * tg.softmax(w + hidden)).backward()
    assert numpy.isfinite(w.grad.numpy()).all()


# -- alike step by step and compiled -------------------------------------------------------------------------


def _chosen(x: Any, h: Any) -> Any:
    z = tg.where(h > 0, tg.log(h), 0.0)
    return z, 0.9 * h + x


def _unused(x: Any, h: Any) -> Any:
    tg.log(h * 0.0)
    return h, 0.9 * h + x


def _growing(x: Any, h: Any) -> Any:
    h = tg.exp(3 * h - x)
    return h, h


def _sinking(x: Any, h: Any) -> Any:
    h = tg.sqrt(h * (1 + x))
    return h, h


CELLS = [_chosen, _unused, _growing, _sinking]


def _loss(cell: Any, compiled: bool | str) -> Any:
    ys, _ = tg.scan(
        cell, -numpy.ones((T, B, H)), tg.tensor(numpy.ones((B, H)), requires_grad=True), compiled=compiled
    )
    return tg.sum(ys)


@pytest.mark.parametrize("cell", CELLS)
def test_anomaly_mode_says_the_same_compiled_or_not(cell: Any) -> None:
    said = []
    for compiled in (False, "auto", True):
        with pytest.raises(tg.NonFiniteError) as error, tg.detect_anomaly():
            _loss(cell, compiled).backward()
        said.append(str(error.value))
    assert said[0] == said[1] == said[2]
    assert f"of test_anomaly.py: {'h = ' if cell in (_growing, _sinking) else ''}" in said[0]


@pytest.mark.parametrize("cell", [_growing, _sinking])
def test_a_report_names_the_line_compiled_or_not(cell: Any) -> None:
    said = [tg.flow(_loss(cell, compiled)).not_finite() for compiled in (False, "auto", True)]
    assert said[0] == said[1] == said[2]
    assert f"in line {cell.__code__.co_firstlineno + 1} of test_anomaly.py: h = tg." in str(said[0])


def test_what_is_infinite_is_told_in_words() -> None:
    report = tg.flow(_loss(_growing, False))
    for text in (
        str(report),
        report.table(),
        str(report.track().paths(2)),
        *map(str, report.track().paths(2)),
    ):
        assert "nan" not in text
    assert "carries an unknown part of the residual" in str(report)
