"""Cells with a clock or a leak: units that move at some times only, or spike."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import lstm_step, published


@published
def phased_lstm(m):
    """Phased LSTM: each unit is open in a part of its period. Neil, Pfeiffer & Liu 2016, equations 6 to 10;
    times come with x."""
    n = m.width
    xs = {"x": m.x(4), "t": m.between(0, 9, m.steps, m.batch, 1, grad=False)}
    weights = {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}
    return (
        xs,
        (m.h(), m.h()),
        weights | {"tau": m.between(1, 4, n), "s": m.p(n), "r_on": m.between(0.2, 0.6, n)},
    )


LEAK = 0.01


@phased_lstm.spelling
def phased_lstm_by_mod(scan, xs, state, W, U, b, tau, s, r_on):
    def cell(xs, state):
        h, c = state
        phase = tg.mod(xs["t"] - s, tau) / tau
        late = tg.where(phase < r_on, 2 - 2 * phase / r_on, LEAK * phase)
        k = tg.where(phase < r_on / 2, 2 * phase / r_on, late)
        new_h, new_c = lstm_step(xs["x"] @ W + h @ U + b, c)
        h, c = k * new_h + (1 - k) * h, k * new_c + (1 - k) * c
        return h, (h, c)

    return scan(cell, xs, state)


@phased_lstm.spelling
def phased_lstm_by_floor_and_select(scan, xs, state, W, U, b, tau, s, r_on):
    def cell(xs, state):
        (x, t), (h, c) = xs, state
        phase = (t[:, None] - s) / tau
        phase = phase - tg.floor(phase)
        k = tg.select(
            [phase < 0.5 * r_on, phase < r_on], [2 * phase / r_on, 2 - 2 * phase / r_on], LEAK * phase
        )
        new_h, new_c = lstm_step(x @ W + h @ U + b, c)
        h, c = h + k * (new_h - h), c + k * (new_c - c)
        return h, (h, c)

    return scan(cell, (xs["x"], xs["t"][..., 0]), state)


@phased_lstm.spelling
def phased_lstm_by_masks(scan, xs, state, W, U, b, tau, s, r_on):
    """Open, closing and closed are masks of numbers; t is a column of x, and both states move together."""

    def cell(x, state):
        x, t = x[:, :4], x[:, 4:]
        phase = ((t - s) % tau) / tau
        opening, opened = (phase < r_on / 2).astype(x.dtype), (phase < r_on).astype(x.dtype)
        k = (
            2 * phase / r_on * opening
            + (2 - 2 * phase / r_on) * (opened - opening)
            + LEAK * phase * (1 - opened)
        )
        state = state + k * (tg.stack(lstm_step(x @ W + state[0] @ U + b, state[1])) - state)
        return state[0], state

    ys, last = scan(cell, tg.concatenate([xs["x"], xs["t"]], axis=-1), tg.stack(state))
    return ys, tuple(last)


PERIODS = (1, 2, 4)


@published
def clockwork_rnn(m):
    """Clockwork RNN: the units of a module move where the time is a multiple of its period, and see slower
    modules only. Koutník et al. 2014, equations 1 to 3."""
    n = m.width
    period = [PERIODS[3 * i // n] for i in range(n)]
    weights = {"W": m.p(4, n), "U": m.p(n, n), "b": m.p(n), "period": tg.tensor(period)}
    return m.x(4), m.h(), weights


@clockwork_rnn.spelling
def clockwork_rnn_counting_in_the_state(scan, x, h, W, U, b, period):
    U = tg.where(period[:, None] >= period, U, 0)

    def cell(x, state):
        h, t = state
        h = tg.where(t % period == 0, tg.tanh(x @ W + h @ U + b), h)
        return h, (h, t + 1)

    ys, (h, _) = scan(cell, x, (h, 0))
    return ys, h


@clockwork_rnn.spelling
def clockwork_rnn_with_times_in_xs(scan, x, h, W, U, b, period):
    slower = (period[:, None] >= period).astype(x.dtype)

    def cell(xs, h):
        x, t = xs
        moving = tg.equal(tg.mod(t, period), 0).astype(x.dtype)
        h = moving * tg.tanh(x @ W + h @ (slower * U) + b) + (1 - moving) * h
        return h, h

    return scan(cell, (x, tg.arange(x.shape[0])), h)


@clockwork_rnn.spelling
def clockwork_rnn_module_by_module(scan, x, h, W, U, b, period):
    """One state for each module that has units, and a counter of floats for each sample."""
    bounds = [period.tolist().index(p) for p in PERIODS if p in period.tolist()]
    modules = [p for p in PERIODS if p in period.tolist()]
    W, U, b = tg.split(W, bounds[1:], axis=1), tg.split(U, bounds[1:], axis=1), tg.split(b, bounds[1:])

    def cell(x, state):
        parts, t = state
        new = []
        for k, (p, old) in enumerate(zip(modules, parts, strict=True)):
            seen = tg.concatenate(parts[k:], axis=1)
            moved = tg.tanh(x @ W[k] + seen @ U[k][bounds[k] :] + b[k])
            new.append(tg.where((t - p * tg.floor(t / p) == 0)[:, None], moved, old))
        return tg.hstack(new), (new, t + 1)

    ys, (parts, _) = scan(cell, x, (list(tg.split(h, bounds[1:], axis=1)), tg.zeros(x.shape[1], x.dtype)))
    return ys, tg.concatenate(parts, axis=1)


@published
def echo_state(m):
    """Echo state network with leaky units: only what reads it is trained. Jaeger 2001; Lukoševičius 2012,
    equations 2, 3 and 7."""
    n = m.width
    weights = {"W": m.data(4, n, grad=False), "U": m.data(n, n, grad=False), "C": m.p(n + 4, 2)}
    return m.x(4), m.h(), weights


@echo_state.spelling
def echo_state_readout_in_the_cell(scan, x, h, W, U, C):
    def cell(x, h):
        h = 0.7 * h + 0.3 * tg.tanh(x @ W + h @ U)
        return tg.concatenate([h, x], axis=-1) @ C, h

    return scan(cell, x, h)


@echo_state.spelling
def echo_state_readout_after(scan, x, h, W, U, C):
    def cell(x, h):
        h = h + 0.3 * (tg.tanh(tg.einsum("bi,ij->bj", x, W) + tg.einsum("bi,ij->bj", h, U)) - h)
        return h, h

    hs, h = scan(cell, x, h)
    return tg.concatenate([hs, x], axis=-1) @ C, h


@echo_state.spelling
def echo_state_from_arrays(scan, x, h, W, U, C):
    """The frozen weights are arrays."""
    W, U = W.data, U.data

    def cell(x, h):
        h = tg.average(
            tg.stack([h, tg.tanh(tg.tensordot(x, W, 1) + tg.dot(h, U))]),
            axis=0,
            weights=tg.tensor([0.7, 0.3], x.dtype),
        )
        return h @ C[:-4] + x @ C[-4:], h

    return scan(cell, x, h)


@published
def lif(m):
    """Leaky integrate-and-fire neurons with a reset, and a surrogate slope for the spike. Neftci, Mostafa &
    Zenke 2019, equations 4 to 6; the surrogate is that of Zenke & Ganguli 2018: 1 / (1 + |v|)²."""
    n = m.width
    return m.x(4), (m.h(), m.h()), {"W": m.p(4, n), "U": m.p(n, n), "C": m.p(n, 2)}


@lif.spelling
def lif_by_stop_gradient(scan, x, state, W, U, C):
    def spike(v):
        soft = v / (1 + tg.abs(v))
        return soft + tg.stop_gradient((v > 0).astype(v.dtype) - soft)

    def cell(x, state):
        v, s = state
        v = 0.9 * v * (1 - s) + x @ W + s @ U
        s = spike(v - 1)
        return s @ C, (v, s)

    return scan(cell, x, state)


@lif.spelling
def lif_by_detach_and_softsign(scan, x, state, W, U, C):
    def cell(x, state):
        v, s = state[0], state[1]
        v = 0.9 * (v - v * s) + tg.concatenate([x, s], axis=1) @ tg.concatenate([W, U])
        soft = tg.softsign(v - 1.0)
        s = tg.where(v > 1, 1.0, 0.0) + (soft - soft.detach())
        return tg.einsum("bn,no->bo", s, C), tg.stack([v, s])

    ys, last = scan(cell, x, tg.stack(state))
    return ys, tg.unstack(last)


@lif.spelling
def lif_by_no_grad(scan, x, state, W, U, C):
    def cell(x, state):
        v, s = state
        v = tg.einsum("bn,bn->bn", 0.9 * v, 1 - s) + tg.inner(x, W.T) + tg.inner(s, U.T)
        soft = (v - 1) / (1 + tg.maximum(v - 1, 1 - v))
        with tg.no_grad():
            jump = (tg.sign(v - 1) + 1) / 2 - soft
        s = soft + jump
        return (s[:, None] @ C)[:, 0], (v, s)

    return scan(cell, x, state)
