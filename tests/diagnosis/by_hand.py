"""One step of each cell and its Jacobian in plain NumPy, for a single sample: the oracle of the residuals."""

from __future__ import annotations

from typing import Any

import numpy

Array = Any


def sigmoid(x: Array) -> Array:
    return 1 / (1 + numpy.exp(-x))


def lstm_states(cell: Any, xs: Array, h: Array, c: Array) -> list[dict[str, Array]]:
    """All intermediate values of an LSTM, with peepholes if the cell has them, over the steps of xs (T,
    input)."""
    w, u = cell.weight_ih.numpy(), cell.weight_hh.numpy()
    b = cell.bias_ih.numpy() + cell.bias_hh.numpy()
    p = (
        [cell.p_i.numpy(), cell.p_f.numpy(), cell.p_o.numpy()]
        if hasattr(cell, "p_i")
        else [numpy.zeros(len(c))] * 3
    )
    steps = []
    for x in xs:
        ai, af, ag, ao = numpy.split(w @ x + u @ h + b, 4)
        i, f, g = sigmoid(ai + p[0] * c), sigmoid(af + p[1] * c), numpy.tanh(ag)
        new = f * c + i * g
        o = sigmoid(ao + p[2] * new)
        steps.append({"i": i, "f": f, "g": g, "o": o, "c": new, "c_before": c, "h_before": h})
        h, c = o * numpy.tanh(new), new
    return steps


def lstm_jacobian(cell: Any, s: dict[str, Array]) -> Array:
    """∂(h, c) / ∂(h before, c before), (2H, 2H)."""
    size = len(s["c"])
    ui, uf, ug, uo = numpy.split(cell.weight_hh.numpy(), 4)
    p = (
        [cell.p_i.numpy(), cell.p_f.numpy(), cell.p_o.numpy()]
        if hasattr(cell, "p_i")
        else [numpy.zeros(size)] * 3
    )
    slope = {gate: s[gate] * (1 - s[gate]) for gate in "ifo"}
    di, df, dg = s["g"] * slope["i"], s["c_before"] * slope["f"], s["i"] * (1 - s["g"] ** 2)
    c_h = di[:, None] * ui + df[:, None] * uf + dg[:, None] * ug
    c_c = numpy.diag(s["f"] + di * p[0] + df * p[1])
    tanh_c = numpy.tanh(s["c"])
    through_c = s["o"] * (1 - tanh_c**2) + tanh_c * slope["o"] * p[2]
    h_h = through_c[:, None] * c_h + (tanh_c * slope["o"])[:, None] * uo
    h_c = through_c[:, None] * c_c
    return numpy.block([[h_h, h_c], [c_h, c_c]])


def gru_jacobians(cell: Any, xs: Array, h: Array) -> list[Array]:
    """∂h / ∂h before at each step, with the reset after the product."""
    w, u, bi, bh = (getattr(cell, name).numpy() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    ur, uz, un = numpy.split(u, 3)
    found = []
    for x in xs:
        xr, xz, xn = numpy.split(w @ x + bi, 3)
        hr, hz, hn = numpy.split(u @ h + bh, 3)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = numpy.tanh(xn + r * hn)
        dn = (1 - n**2)[:, None] * (r[:, None] * un + (hn * r * (1 - r))[:, None] * ur)
        found.append((1 - z)[:, None] * dn + numpy.diag(z) + ((h - n) * z * (1 - z))[:, None] * uz)
        h = (1 - z) * n + z * h
    return found


def rnn_jacobians(cell: Any, xs: Array, h: Array) -> list[Array]:
    """∂h / ∂h before at each step."""
    w, u, b = cell.weight_ih.numpy(), cell.weight_hh.numpy(), cell.bias_ih.numpy() + cell.bias_hh.numpy()
    found = []
    for x in xs:
        h = numpy.tanh(w @ x + u @ h + b)
        found.append((1 - h**2)[:, None] * u)
    return found


def jacobians(layer: Any, xs: Array) -> list[Array]:
    """Of every step of a layer that begins with zeros, for a single sample xs (T, input)."""
    cell = layer.layers[0][0].cell
    zeros = numpy.zeros(cell.hidden_size)
    name = type(layer).__name__
    if name == "GRU":
        return gru_jacobians(cell, xs, zeros)
    if name == "RNN":
        return rnn_jacobians(cell, xs, zeros)
    return [lstm_jacobian(cell, s) for s in lstm_states(cell, xs, zeros, zeros)]
