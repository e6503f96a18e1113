"""The table of a tape: the numbers of an RNN and an LSTM worked out by hand, names, units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tables.test_html import Read
from tests.tables.test_latex import HOSTILE
from tests.tables.typeset import check_structure

B, H, T = 2, 3, 3


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _drawn(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=shape) for shape in shapes]


def _compared(
    table: Any, unit: tuple[int, int], values: dict[str, np.ndarray], residuals: dict[str, Any]
) -> None:
    """Every tensor of a table by its name with arrays worked out by hand."""
    lines = {line.name: line for line in table}
    assert len(lines) == len(table)  # no two have one name
    for name, array in values.items():
        assert lines[name].shape == array.shape
        np.testing.assert_allclose(lines[name].value, array[lines[name].unit], rtol=0, atol=1e-12)
    for name, array in residuals.items():
        np.testing.assert_allclose(lines[name].residual, array[lines[name].unit], rtol=0, atol=1e-12)
        if array.shape == (B, H):
            assert lines[name].unit == unit


@pytest.mark.parametrize("compiled", ["auto", False])
@pytest.mark.parametrize("unit", [(0, 0), (1, 2)])
def test_an_rnn_by_hand(compiled: Any, unit: tuple[int, int]) -> None:
    x, w, u, b, h0 = _drawn((T, B, 2), (2, H), (H, H), (H,), (B, H))
    W, U, bias, start = (tg.tensor(array, requires_grad=True) for array in (w, u, b, h0))

    def cell(x: Any, h: Any) -> Any:
        a = x @ W + h @ U + bias
        h = tg.tanh(a)
        return h, h

    ys, _ = tg.scan(cell, tg.tensor(x), start, compiled=compiled)
    loss = tg.sum(ys * ys)
    table = tg.table(loss, units=unit)

    h = [h0]
    for t in range(T):
        h.append(np.tanh(x[t] @ w + h[-1] @ u + b))
    values: dict[str, np.ndarray] = {"W": w, "U": u, "bias": b}
    residuals: dict[str, Any] = {"W": np.zeros_like(w), "U": np.zeros_like(u), "bias": np.zeros_like(b)}
    back = np.zeros((B, H))
    for t in reversed(range(T)):
        dh = back + 2 * h[t + 1]
        da = dh * (1 - h[t + 1] ** 2)
        residuals["W"] = residuals["W"] + x[t].T @ da
        residuals["U"] = residuals["U"] + h[t].T @ da
        residuals["bias"] = residuals["bias"] + da.sum(axis=0)
        back = da @ u.T
        values |= {f"h[{t}]": h[t + 1], f"a[{t}]": x[t] @ w + h[t] @ u + b}
        residuals |= {f"h[{t}]": dh, f"a[{t}]": da}
    residuals["h[−1]"], values["h[−1]"] = back, h0
    _compared(table, unit, values, residuals)
    by_library = tg.gradients(loss, [W, U, bias, start])
    lines = {line.name: line for line in table}
    for name, gradient in zip(("W", "U", "bias", "h[−1]"), by_library, strict=True):
        assert abs(lines[name].residual - gradient.numpy()[lines[name].unit]) <= 1e-12
    assert all(tensor.grad is None for tensor in (W, U, bias, start))


def test_an_lstm_by_hand() -> None:
    x, w, u, b, h, c = _drawn((2, B, 2), (2, 4 * H), (H, 4 * H), (4 * H,), (B, H), (B, H))
    W, U, bias = (tg.tensor(array, requires_grad=True) for array in (w, u, b))

    def cell(x: Any, state: Any) -> Any:
        h, c = state
        i, f, g, o = tg.split(x @ W + h @ U + bias, 4, axis=-1)
        i, f, g, o = tg.sigmoid(i), tg.sigmoid(f), tg.tanh(g), tg.sigmoid(o)
        c = f * c + i * g
        h = o * tg.tanh(c)
        return h, (h, c)

    _, (h_last, _) = tg.scan(cell, tg.tensor(x), (tg.tensor(h), tg.tensor(c)))
    loss = tg.sum(h_last)
    states, values = [(h, c)], {}
    for t in range(2):
        parts = np.split(x[t] @ w + states[-1][0] @ u + b, 4, axis=-1)
        gates = [
            function(part)
            for function, part in zip((_sigmoid, _sigmoid, np.tanh, _sigmoid), parts, strict=True)
        ]
        values |= {f"a_{gate}[{t}]": part for gate, part in zip("ifgo", parts, strict=True)}
        values |= {f"{gate}[{t}]": value for gate, value in zip("ifgo", gates, strict=True)}
        i, f, g, o = gates
        c = f * states[-1][1] + i * g
        states.append((o * np.tanh(c), c))
        values |= {f"h[{t}]": states[-1][0], f"c[{t}]": c}
    dh, dc, dw, residuals = np.ones((B, H)), np.zeros((B, H)), np.zeros_like(w), {}
    for t in reversed(range(2)):
        i, f, g, o = (values[f"{gate}[{t}]"] for gate in "ifgo")
        h, c = states[t + 1]
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        of = {"i": dc * g, "f": dc * states[t][1], "g": dc * i, "o": dh * np.tanh(c)}
        slopes = {"i": i * (1 - i), "f": f * (1 - f), "g": 1 - g**2, "o": o * (1 - o)}
        residuals |= {f"h[{t}]": dh, f"c[{t}]": dc, **{f"{gate}[{t}]": of[gate] for gate in of}}
        residuals |= {f"a_{gate}[{t}]": of[gate] * slopes[gate] for gate in of}
        da = np.concatenate([of[gate] * slopes[gate] for gate in "ifgo"], axis=-1)
        dw = dw + x[t].T @ da
        dh, dc = da @ u.T, dc * f
    residuals["W"] = dw
    for unit in ((0, 0), (1, 2), (0, -1)):
        inside = (unit[0], unit[1] % H)
        _compared(tg.table(loss, units=unit), inside, values, residuals)
    assert "f[0] = σ(a_f[0])" in [f"{line.name} = {line.formula}" for line in tg.table(loss)]


def test_units() -> None:
    w = tg.tensor(np.arange(6.0).reshape(2, 3), requires_grad=True, name="w")
    v = tg.tensor([[1.0, 2.0, 3.0]], dtype="float64", name="v")
    total = tg.sum(w * v, axis=-1)
    total.name = "total"

    def units(**options: Any) -> dict[str, Any]:
        return {line.name: line.unit for line in tg.table(total, **options)}

    assert units() == {"w": (0, 0), "v": (0, 0), "#0": (0, 0), "total": (0,)}
    assert units(units=(1, 2)) == {"w": (1, 2), "v": (0, 2), "#0": (1, 2), "total": None}
    assert units(units=1) == {"w": (0, 1), "v": (0, 1), "#0": (0, 1), "total": (1,)}
    assert units(units={"w": (-1, -1), "total": 1}) == {"w": (1, 2), "v": (0, 0), "#0": (0, 0), "total": (1,)}
    with pytest.raises(tg.ArgumentError, match="no tensor on the tape is called 'x'; there are w, v, total"):
        tg.table(total, units={"x": 0})
    with pytest.raises(tg.IndexRangeError, match=r"w of shape \(2, 3\) has no element \(2, 0\)"):
        tg.table(total, units={"w": (2, 0)})
    with pytest.raises(tg.TapeError, match="nothing was recorded"):
        tg.table(tg.ones(2))
    (line,) = [line for line in tg.table(total, units=(1, 2)) if line.name == "total"]
    assert (line.value, line.residual) == (None, None)
    assert [line.value for line in tg.table(tg.sum(w[:0])) if line.operation == "getitem"] == [None]


def test_numbers_are_written_with_so_many_digits() -> None:
    x = tg.tensor([1 / 3, -1e-9, np.inf, np.nan], dtype="float64", requires_grad=True)
    y = x * 1.0
    shown = [str(tg.table(y, units=i)).splitlines()[1].split()[2] for i in range(4)]
    assert shown == ["0.3333", "−1e−09", "inf", "NaN"]
    for digits, text in ((1, "0.3"), (17, "0.33333333333333331"), (1000, "0.33333333333333331")):
        assert text in str(tg.table(y, digits=digits)).split()


def test_what_has_one_name_twice_is_told_apart() -> None:
    x = tg.tensor(0.5, requires_grad=True)
    y = tg.sin(x)
    y = y * x
    z = tg.cos(y).reshape(1)
    z.name = "y"
    lines = list(tg.table(z))
    assert len({line.name for line in lines}) == len(lines)
    for names in (["σ", "sigma"], ["a_f", "a[f]"], ["leaf#2", "leaf#2", ""], ["x", "x#2", "x"]):
        parts = [tg.tensor(1.0, requires_grad=True, name=name) for name in names]
        table = tg.table(tg.stack(parts))
        assert len({line.name for line in table}) == len(table)
        left = [line.split(" &")[0] for line in table.equations().split(r"\end{align}")[1].splitlines()[2:]]
        assert len(set(left)) == len(table)
    assert [line.name for line in tg.table(tg.tanh(tg.tensor(1.0, requires_grad=True)))] == ["leaf#1", "#0"]


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_tensors_are_called(name: str) -> None:
    x = tg.tensor([0.5], requires_grad=True)
    y = tg.sigmoid(x) * x
    y.name = x.name = name
    table = tg.table(tg.sum(y / (x + 1)))
    assert len(str(table).splitlines()) == 1 + len(table)
    assert len(Read(table._repr_html_()).cells) == 1 + len(table)
    for text in (table.latex(), table.equations()):
        check_structure(text)


def test_of_a_long_tape_both_ends_are_shown() -> None:
    x = tg.tensor(0.5, requires_grad=True)
    for _ in range(500):
        x = tg.sin(x)
    table = tg.table(x)
    assert len(table) == 501
    for shown in (str(table).splitlines(), Read(table._repr_html_()).cells):
        assert len(shown) == 122
        assert "… 381 more …" in str(shown[61])
    assert table.latex().count("composition") == 500


@pytest.mark.both_backends
def test_every_backend_has_the_numbers() -> None:
    x = tg.tensor([[0.5, -1.0]], requires_grad=True, dtype="float64")
    line = tg.table(tg.sum(tg.tanh(x)), units=(0, 1))[0]
    assert line.value == -1.0
    assert abs(line.residual - (1 - np.tanh(1) ** 2)) <= 1e-12
