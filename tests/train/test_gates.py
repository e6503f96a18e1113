"""How open gates are over a training."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tests.diagnosis.by_hand import sigmoid


class _Last(tg.nn.Module):
    def __init__(self, layer: Any) -> None:
        self.rnn = layer

    def forward(self, x: Any) -> Any:
        return self.rnn(x)[0][-1]


def _model() -> _Last:
    tg.random.seed(1)
    return _Last(tg.nn.LSTM(2, 3, dtype=tg.float64))


def _fit(model: _Last, callbacks: list[Any]) -> None:
    x = numpy.random.default_rng(0).standard_normal((5, 4, 2))
    optimizer = tg.optim.SGD(model.parameters(), lr=5.0)
    tg.train.fit(
        model, tg.mse_loss, [(x, x[0, :, :1] + numpy.zeros(3))], epochs=5, optimizer=optimizer,
        callbacks=callbacks, progress=False,
    )  # fmt: skip


def test_histograms_are_those_of_the_gates(rng: numpy.random.Generator) -> None:
    x = rng.standard_normal((6, 2, 2)) * 3
    gates, model = tg.train.GateHistograms(x, every=2, bins=8), _model()
    seen: list[dict[str, numpy.ndarray]] = []

    class Beside:
        """The gates by NumPy, after each second update."""

        def on_update(self, training: tg.train.Training) -> None:
            if training.step % 2:
                seen.append(_gates(training.model, x))

    _fit(model, [gates, Beside()])
    assert gates.steps == [1, 3, 5]
    assert set(gates.shares) == set(gates.saturated) == {"i", "f", "o"}
    for name, shares in gates.shares.items():
        expected = [numpy.histogram(look[name], 8, (0, 1))[0] / look[name].size for look in seen]
        numpy.testing.assert_allclose(shares, expected, rtol=1e-12)
        flat = [(look[name] * (1 - look[name]) < 0.01).mean() for look in seen]
        numpy.testing.assert_allclose(gates.saturated[name], flat, rtol=1e-12)


def _gates(model: Any, xs: numpy.ndarray) -> dict[str, numpy.ndarray]:
    cell = model.rnn.layers[0][0].cell
    w, u = cell.weight_ih.numpy(), cell.weight_hh.numpy()
    b = cell.bias_ih.numpy() + cell.bias_hh.numpy()
    h = c = numpy.zeros((xs.shape[1], 3))
    found: dict[str, list[numpy.ndarray]] = {"i": [], "f": [], "o": []}
    for x in xs:
        i, f, g, o = numpy.split(x @ w.T + h @ u.T + b, 4, axis=-1)
        i, f, o = sigmoid(i), sigmoid(f), sigmoid(o)
        c = f * c + i * numpy.tanh(g)
        h = o * numpy.tanh(c)
        for name, gate in (("i", i), ("f", f), ("o", o)):
            found[name].append(gate)
    return {name: numpy.array(gate) for name, gate in found.items()}


def test_training_goes_on_as_if_nothing_had_been_looked_at() -> None:
    looked, alone = _model(), _model()
    _fit(looked, [tg.train.GateHistograms(numpy.ones((3, 1, 2)), every=1)])
    _fit(alone, [])
    for one, other in zip(looked.parameters(), alone.parameters(), strict=True):
        numpy.testing.assert_array_equal(one.numpy(), other.numpy())


def test_the_figure_has_a_panel_for_each_gate() -> None:
    pytest.importorskip("matplotlib")
    gates = tg.train.GateHistograms(numpy.ones((3, 1, 2)), every=2, bins=10)
    with pytest.raises(tg.FlowError, match="no gates were looked at"):
        gates.figure()
    _fit(_model(), [gates])
    *panels, _bar = gates.figure().axes
    assert [axes.get_title(loc="left").split("\n")[0] for axes in panels] == ["i", "f", "o"]
    for axes, shares in zip(panels, gates.shares.values(), strict=True):
        (mesh,) = axes.collections
        numpy.testing.assert_array_equal(mesh.get_array().filled(0), shares.T)
        assert axes.get_xlim() == (0, 6)


def test_what_has_no_gates_is_said_so() -> None:
    plain = tg.flow(tg.sum(tg.nn.RNN(2, 3, compiled=False)(tg.ones((4, 1, 2)))[0]))
    gates = tg.train.GateHistograms(numpy.ones((3, 1, 2)))
    with pytest.raises(tg.FlowError, match="no sigmoid"):
        gates.add(1, plain)
    gates.add(1, tg.flow(tg.sum(tg.nn.GRU(2, 3, compiled=False)(tg.ones((4, 1, 2)))[0])))
    with pytest.raises(tg.FlowError, match="'i', 'f', 'o', not those"):
        gates.add(2, tg.flow(tg.sum(tg.nn.LSTM(2, 3, compiled=False)(tg.ones((4, 1, 2)))[0])))
    assert gates.steps == [1]
