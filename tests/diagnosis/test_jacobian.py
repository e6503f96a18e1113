"""Jacobians of states over many steps, against products of matrices in NumPy."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.diagnosis import by_hand

T, IN, H = 8, 3, 4


def _track(name: str, xs: numpy.ndarray, compiled: bool | str = "auto", hidden: int = H) -> tuple[Any, Any]:
    layer = getattr(tg.nn, name)(IN, hidden, dtype=tg.float64, compiled=compiled)
    y, state = layer(tg.tensor(xs))
    total = sum((tg.sum(part) for part in (state if isinstance(state, tuple) else (state,))), tg.sum(y))
    return layer, tg.flow(total).track()


def _products(jacobians: list[numpy.ndarray]) -> numpy.ndarray:
    found = [numpy.eye(len(jacobians[0]))]
    for jacobian in jacobians[:0:-1]:
        found.append(found[-1] @ jacobian)
    return numpy.array(found)


@pytest.mark.both_backends
@pytest.mark.parametrize("name", ["LSTM", "PeepholeLSTM", "GRU", "RNN"])
@pytest.mark.parametrize("compiled", [False, "auto"])
def test_all_states_together(name: str, compiled: bool | str, rng: numpy.random.Generator) -> None:
    xs = rng.standard_normal((T, 1, IN))
    layer, track = _track(name, xs, compiled)
    expected = _products(by_hand.jacobians(layer, xs[:, 0]))
    numpy.testing.assert_allclose(track.jacobians(), expected, rtol=1e-9, atol=1e-15)
    norms = [numpy.linalg.svd(matrix)[1][0] for matrix in expected]
    numpy.testing.assert_allclose(track.jacobian_norms(), norms, rtol=1e-9)
    numpy.testing.assert_allclose(track.jacobian_norms(exact=False), norms, rtol=1e-9)


def test_the_cell_state_with_the_gates_paths_cut_is_the_product_of_forget_gates(
    rng: numpy.random.Generator,
) -> None:
    xs = rng.standard_normal((T, 1, IN))
    layer, track = _track("PeepholeLSTM", xs)
    cell = layer.layers[0][0].cell
    steps = by_hand.lstm_states(cell, xs[:, 0], numpy.zeros(H), numpy.zeros(H))
    forgets = numpy.cumprod([numpy.ones(H), *(s["f"] for s in steps[:0:-1])], axis=0)
    numpy.testing.assert_allclose(
        track.jacobians(of="c", direct=True), [numpy.diag(f) for f in forgets], rtol=1e-12, atol=0
    )
    numpy.testing.assert_allclose(track.jacobian_norms(of="c", direct=True), forgets.max(axis=1), rtol=1e-12)
    opened = _products([by_hand.lstm_jacobian(cell, s) for s in steps])[:, H:, H:]
    numpy.testing.assert_allclose(track.jacobians(of="c"), opened, rtol=1e-9, atol=1e-15)
    assert (abs(opened[3:] - track.jacobians(of="c", direct=True)[3:]).max(axis=(1, 2)) > 1e-6).all()


def test_a_large_state_by_products_with_vectors(rng: numpy.random.Generator) -> None:
    xs = rng.standard_normal((T, 1, IN))
    layer, track = _track("RNN", xs, hidden=150)
    expected = [numpy.linalg.norm(m, 2) for m in _products(by_hand.jacobians(layer, xs[:, 0]))]
    numpy.testing.assert_allclose(track.jacobian_norms(), expected, rtol=1e-9)


def test_the_largest_block_is_found_though_another_was_largest_until_then(
    rng: numpy.random.Generator,
) -> None:
    factors = rng.uniform(0.5, 1.5, (20, 3, 4))
    _, h = tg.scan(
        lambda x, h: (x * h, x * h), tg.tensor(factors), tg.tensor(numpy.ones((3, 4)), requires_grad=True)
    )
    products = numpy.cumprod(factors[:0:-1].reshape(19, -1), axis=0).max(axis=1)
    numpy.testing.assert_allclose(
        tg.flow(tg.sum(h)).track().jacobian_norms(exact=False), [1.0, *products], rtol=1e-9
    )


@pytest.mark.parametrize("exact", [True, False])
def test_a_state_of_one_number(exact: bool) -> None:
    w = tg.tensor(0.7, dtype=tg.float64)
    _, h = tg.scan(
        lambda x, h: (w * h, w * h), tg.zeros((4,)), tg.tensor(1.0, dtype=tg.float64, requires_grad=True)
    )
    numpy.testing.assert_allclose(
        tg.flow(h).track().jacobian_norms(exact=exact), 0.7 ** numpy.arange(4), rtol=1e-12
    )


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("factor", "expected"), [(1e-60, [1.0, 1e-60, 1e-120, 1e-180]), (numpy.inf, [1.0, *3 * [numpy.inf]])]
)
def test_norms_that_are_tiny_or_not_finite(exact: bool, factor: float, expected: list[float]) -> None:
    w = tg.tensor(factor, dtype=tg.float64)
    _, h = tg.scan(
        lambda x, h: (w * h, w * h), tg.zeros((4, 2, 3)), tg.tensor(numpy.ones((2, 3)), requires_grad=True)
    )
    numpy.testing.assert_allclose(tg.flow(tg.sum(h)).track().jacobian_norms(exact=exact), expected, rtol=1e-9)


def test_no_such_state(rng: numpy.random.Generator) -> None:
    _, track = _track("GRU", rng.standard_normal((T, 1, IN)))
    with pytest.raises(tg.FlowError, match="no state 'c': there are 'h'"):
        track.jacobians(of="c")
