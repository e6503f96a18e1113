"""Gradients of every prediction by every input, against ``tg.gradients`` one by one and closed forms."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.diagnosis import input_gradients, memory_page

T, IN, H = 23, 3, 4


class Model(tg.nn.Module):
    """A layer and a readout, which hands its state on."""

    def __init__(self, layer: Any, size: int, outputs: int = 1) -> None:
        super().__init__()
        self.rnn = layer
        self.readout = tg.nn.Linear(size, outputs, dtype="float64")

    def __call__(self, x: tg.Tensor, state: Any = None) -> Any:
        ys, state = self.rnn(x, state)
        return self.readout(ys), state


class Matrix(tg.nn.Module):
    """A matrix for a state, and a count that has no gradient."""

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__()
        self.state_size = {"S": tg.nn.Shape(hidden, hidden), "n": tg.nn.Shape(1)}
        self.W = tg.nn.Parameter(np.random.default_rng(5).normal(0, 0.6, (inputs, hidden)))

    def __call__(self, x: tg.Tensor, state: Any) -> Any:
        v = tg.tanh(x @ self.W)
        S = 0.8 * state["S"] + tg.tanh(state["S"]) @ tg.expand_dims(v, -1) * tg.expand_dims(v, -2)
        S = S + tg.expand_dims(v, -1) * tg.expand_dims(v, -2)
        return tg.sum(S, axis=-1), {"S": S, "n": state["n"] + 1}


def _layers() -> dict[str, tuple[Any, int]]:
    options: dict[str, Any] = {"dtype": "float64"}
    return {
        "RNN": (tg.nn.RNN(IN, H, **options), H),
        "LSTM": (tg.nn.LSTM(IN, H, **options), H),
        "GRU": (tg.nn.GRU(IN, H, **options), H),
        "LSTM of two layers": (tg.nn.LSTM(IN, H, num_layers=2, **options), H),
        "own cell": (tg.nn.Recurrent(Matrix(IN, H)), H),
    }


def _one_by_one(model: Any, x: np.ndarray, score: Any) -> np.ndarray:
    sizes = np.zeros((len(x), len(x)))
    inputs = tg.tensor(x[:, None], requires_grad=True)
    result = model(inputs)
    outputs = result[0] if isinstance(result, tuple) else result
    for t in range(len(x)):
        gradient = tg.gradients(tg.sum(score(outputs[t : t + 1, 0], np.array([t]))), inputs).numpy()
        sizes[t] = np.linalg.norm(gradient.reshape(len(x), -1), axis=-1)
    return sizes


def _same(found: np.ndarray, expected: np.ndarray) -> None:
    largest = expected.max(axis=1, keepdims=True)
    assert (largest > 0).all()
    assert (np.abs(found - expected) / largest).max() < 1e-9
    assert not np.triu(found, 1).any()


@pytest.mark.both_backends
@pytest.mark.parametrize(
    ("name", "window"),
    [("RNN", 5), ("LSTM", 5), ("LSTM", 64), ("GRU", 5), ("LSTM of two layers", 5), ("own cell", 5)],
)
def test_all_at_once_is_one_by_one(
    name: str, window: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In windows of 5 there are more scores than the state has numbers, and fewer; in one of 64 all are its
    own."""
    monkeypatch.setattr(input_gradients, "WINDOW", window)
    tg.random.seed(1)
    layer, size = _layers()[name]
    model, x, classes = Model(layer, size, 5), rng.standard_normal((T, IN)), rng.integers(0, 5, T)

    def score(outputs: tg.Tensor, steps: np.ndarray) -> tg.Tensor:
        return tg.log_softmax(outputs, axis=-1)[np.arange(len(steps)), classes[steps]]

    memory = tg.memory(model, x, score)
    _same(memory.array, _one_by_one(model, x, score))
    np.testing.assert_allclose(np.linalg.norm(memory.by_feature, axis=-1), memory.array, atol=1e-12)
    assert memory.outputs.shape == (T, 5)


def test_a_model_without_a_state(rng: np.random.Generator) -> None:
    tg.random.seed(2)
    whole = Model(tg.nn.GRU(IN, H, dtype="float64"), H)
    x = rng.standard_normal((T, IN))
    with tg.no_grad():  # of the caller, who does not want a tape
        memory = tg.memory(lambda x: whole(x)[0], x)
    _same(memory.array, _one_by_one(whole, x, lambda outputs, steps: outputs))
    # one that tells its state, and takes none
    _same(tg.memory(lambda x: whole(x), x).array, memory.array)


def test_what_dies_and_comes_again_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """×1e-6 for a while, then ×1e6: far below what is seen, but not below what is followed."""
    monkeypatch.setattr(input_gradients, "WINDOW", 4)
    factors = np.where(np.arange(T) % 8 == 0, 1e6, np.where(np.arange(T) % 8 == 4, 1e-6, 1.0))[:, None]
    x = np.concatenate([np.ones((T, 1)), factors], axis=1)

    def model(x: tg.Tensor, h: Any = None) -> Any:
        h = tg.zeros((x.shape[1], 1), dtype="float64") if h is None else h
        return tg.scan(lambda x, h: ((h := h * x[:, 1:] + x[:, :1]), h), x, h)

    _same(tg.memory(model, x).array, _one_by_one(model, x, lambda outputs, steps: outputs))


def _halving(x: tg.Tensor, h: Any = None) -> Any:
    h = tg.zeros(x.shape[1:], dtype="float64") if h is None else h
    return tg.scan(lambda x, h: (0.5 * h + x, 0.5 * h + x), x, h)


def test_the_horizon_of_a_half() -> None:
    memory = tg.memory(_halving, np.ones((200, 1)))
    back = np.arange(200)[:, None] - np.arange(200)
    np.testing.assert_allclose(memory.array, np.where(back >= 0, 0.5 ** np.maximum(back, 0.0), 0), atol=1e-12)
    assert memory.horizon.tolist() == [min(t, 6) for t in range(200)]  # ½⁶ is more than 1 %, ½⁷ is not
    np.testing.assert_allclose(memory.remaining[:9], 0.5 ** np.arange(9.0))
    assert "1 % of the largest gradient reaches 5.9 steps back on average, 6 at most" in str(memory)


def test_states_and_gates_by_name(rng: np.random.Generator) -> None:
    layer, x = tg.nn.LSTM(IN, H, dtype="float64"), rng.standard_normal((T, IN))
    values = tg.memory(layer, x, lambda y, steps: y[:, 0]).values
    assert list(values) == ["c", "h", "i", "f", "g", "o"] or list(values) == ["h", "c", "i", "f", "g", "o"]
    ys, (_, c) = layer(tg.tensor(x[:, None]))
    np.testing.assert_allclose(values["h"], ys.numpy()[:, 0], atol=1e-12)
    np.testing.assert_allclose(values["c"][-1], c.numpy().reshape(-1), atol=1e-12)
    # c[t] = f c[t−1] + i g
    np.testing.assert_allclose(
        values["c"][1:], values["f"][1:] * values["c"][:-1] + values["i"][1:] * values["g"][1:], atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "error", "complaint"),
    [
        ({"inputs": np.arange(4)}, tg.ArgumentError, "vectors of an embedding"),
        ({"inputs": np.ones(4)}, tg.ShapeError, r"x\[:, None\]"),
        ({"inputs": np.ones((0, 1))}, tg.ShapeError, "at least one step"),
        ({"inputs": np.ones((5001, 1))}, tg.DataError, "5,001 steps are more than 5,000"),
        ({"tokens": "abc"}, tg.DataError, "3 tokens for 4 inputs"),
        ({"model": lambda x: x[-1]}, tg.ShapeError, "must return outputs"),
        ({"score": lambda y, steps: tg.sum(y)}, tg.ShapeError, "one number for each time step"),
        ({"model": lambda x: tg.concatenate([x, x], axis=-1)}, tg.ShapeError, "choose one of several"),
    ],
)
def test_refusals(arguments: dict[str, Any], error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        tg.memory(**{"model": _halving, "inputs": np.ones((4, 1)), **arguments})


def _layer(**options: Any) -> Any:
    tg.random.seed(3)
    return tg.nn.GRU(IN, H, dtype="float64", num_layers=2, **options)


class Forgetful(tg.nn.Module):
    """Returns a state and does not go on from it."""

    def __call__(self, x: tg.Tensor, state: Any = None) -> Any:
        ys, h = _halving(x)
        return ys, h


@pytest.mark.parametrize("length", [1, 2, 3, 70])
@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (_layer(bidirectional=True), "changes with the steps after it"),
        (tg.nn.RNN(IN, H, dtype="float64", reverse=True), "changes with the steps after it"),
        (_layer(batch_first=True), "different outputs for equal samples"),
        (_layer(dropout=0.5), "different outputs for equal samples"),
        (tg.nn.RNN(IN, H, dtype="float64", zoneout=0.5), "different outputs for equal samples"),
        (_layer(stateful=True), "stateful"),
        (Forgetful(), "does not go on from the state"),
    ],
)
def test_models_whose_memory_would_be_wrong(
    model: Any, complaint: str, length: int, rng: np.random.Generator
) -> None:
    x, first = rng.standard_normal((length, IN)), lambda y, steps: y[:, 0]
    if length == 1 and "equal samples" not in complaint and complaint != "stateful":
        _same(tg.memory(model, x, first).array, _one_by_one(model, x, first))
        return
    with pytest.raises(tg.ArgumentError, match=complaint):
        tg.memory(model, x, first)
    assert getattr(model, "_kept", None) is None


def test_scores_that_say_nothing_of_their_step(rng: np.random.Generator) -> None:
    layer, x = _layer(), rng.standard_normal((5, IN))
    with pytest.raises(tg.ArgumentError, match="changes with the outputs of others"):
        tg.memory(layer, x, lambda y, steps: tg.log_softmax(y, axis=0)[:, 0])
    with pytest.raises(tg.ArgumentError, match="does not depend on the inputs"):
        tg.memory(layer, x, lambda y, steps: tg.argmax(y, axis=-1))


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_sizes_whose_squares_have_no_room(size: float) -> None:
    def times(x: tg.Tensor) -> tg.Tensor:
        return tg.sum(x * np.float32(size), axis=-1)

    array = tg.memory(times, np.ones((3, 4), np.float32)).array
    np.testing.assert_allclose(array, 2 * size * np.eye(3), rtol=1e-6)


def test_parameters_are_as_before(rng: np.random.Generator) -> None:
    """Their residuals are not worked out meanwhile."""
    layer, x = _layer(), rng.standard_normal((5, IN))
    first, *others = layer.parameters()
    first.requires_grad_(False)

    def score(outputs: tg.Tensor, steps: np.ndarray) -> tg.Tensor:
        assert not any(p.requires_grad for p in layer.parameters())
        return outputs[:, len(steps) - 1]  # which goes wrong

    with pytest.raises(IndexError):
        tg.memory(layer, x, score)
    assert not first.requires_grad
    assert all(p.requires_grad for p in others)
    assert all(p.grad is None for p in others)


def test_what_is_not_finite_is_told(rng: np.random.Generator) -> None:
    """Of what overflows the largest are the infinite ones; of NaN nothing is known."""

    def exploding(x: tg.Tensor, h: Any = None) -> Any:
        h = tg.zeros(x.shape[1:], dtype="float64") if h is None else h
        return tg.scan(lambda x, h: (1e30 * h + x, 1e30 * h + x), x, h)

    memory = tg.memory(exploding, np.ones((15, 1)) * 1e-200)
    assert np.isinf(memory.array[14]).tolist() == [True] * 4 + [False] * 11
    np.testing.assert_array_equal(memory.relative[14], [1] * 4 + [0] * 11)
    assert memory.horizon[14] == 14
    assert str(memory).endswith("; the gradients of 4 are not finite")
    x = np.ones((9, 1))
    x[4] = np.nan
    memory = tg.memory(lambda x: tg.cumsum(x * x, axis=0), x)
    assert not np.triu(np.nan_to_num(memory.array, nan=1), 1).any()
    assert np.isfinite(memory.relative).all()
    memory.html()


# -- the page ------------------------------------------------------------------------------------------------


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_page_has_the_sizes(tmp_path: Any) -> None:
    memory = tg.memory(_halving, np.ones((40, 1)))
    data = data_of(memory.html())
    sizes, place = base64.b64decode(data["sizes"]), 0
    for t, start in enumerate(data["starts"]):
        levels = np.frombuffer(sizes[place : (place := place + t + 1 - start)], np.uint8)
        assert start == max(0, t - 9)  # ½¹⁰ is less than a thousandth
        parts = 10 ** ((levels.astype(float) - 255) / 254 * data["decades"])
        np.testing.assert_allclose(parts, memory.relative[t, start : t + 1], rtol=0.015)  # half a level
    assert place == len(sizes)
    assert data["horizon"] == memory.horizon.tolist()
    memory.save(tmp_path / "memory.html")
    assert (tmp_path / "memory.html").read_text(encoding="utf-8") == memory.html()
    with pytest.raises(tg.DrawError, match=r"does not end in \.html"):
        memory.save(tmp_path / "memory.png")
    shown = memory._repr_mimebundle_()
    assert shown == {"text/html": memory._repr_html_(), "text/plain": str(memory)}
    assert html.unescape(memory._repr_html_().split('"')[5]) == memory.html()  # in the frame's srcdoc


def test_what_is_too_large_for_a_page_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {name: np.full((500, 8), -0.5) for name in "abc"}
    units, left_out = memory_page._units(values, 12_000)
    assert [one["name"] for one in units] == ["a", "b"]
    assert left_out == ["c"]


def test_nothing_finite_is_lost() -> None:
    """What explodes is told as it is, and the page is still a page."""
    x = np.array([[1.0], [1e200], [1e200], [1.0]])

    def model(x: tg.Tensor) -> tg.Tensor:
        return tg.cumprod(x, axis=0) * tg.cumprod(x, axis=0)

    memory = tg.memory(model, x)
    assert not np.isfinite(memory.array).all()
    assert memory.array[0].tolist() == [2.0, 0.0, 0.0, 0.0]
    assert data_of(memory.html())["series"][1]["values"][-1] is None


@pytest.mark.parametrize(
    ("token", "seen", "said"),
    [
        ("a", "a", "a"), (" ", " ", "space"), ("\n", "↵\n", "new line"), ("\t", "⇥", "tab"),
        ("\u0301", "◌\u0301", "combining acute accent"), ("\u202e", "\ufffd", "right-to-left override"),
        ("権", "権", "権"), (" the", " the", " the"), ("   ", "   ", "3 spaces"),
        ("\ud800", "\ufffd", "u+d800"),
    ],
)  # fmt: skip
def test_every_token_can_be_seen(token: str, seen: str, said: str) -> None:
    assert memory_page.visible(token) == seen
    assert memory_page.spoken(token) == said
