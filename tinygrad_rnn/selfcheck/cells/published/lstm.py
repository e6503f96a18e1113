"""The LSTM and what was made of it."""

from __future__ import annotations

import collections

import tinygrad_rnn as tg

from .cell import lstm_step, published


@published
def lstm(m):
    """LSTM with a forget gate. Gers, Schmidhuber & Cummins 2000, "Learning to forget", equations 2.1 to
    2.8."""
    n = m.width
    return m.x(4), (m.h(), m.h()), {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}


@lstm.spelling
def lstm_with_a_dict(scan, x, state, W, U, b):
    def cell(x, state):
        i, f, g, o = tg.split(x @ W + state["h"] @ U + b, 4, axis=-1)
        c = tg.sigmoid(f) * state["c"] + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(c)
        return {"h": h, "gates": (i, f)}, {"h": h, "c": c}

    return scan(cell, x, {"h": state[0], "c": state[1]})


Gates = collections.namedtuple("Gates", "i f")
Output = collections.namedtuple("Output", "h gates")


@lstm.spelling
def lstm_with_tuples_of_names(scan, x, state, W, U, b):
    n = U.shape[0]

    def cell(x, state):
        h, c = state
        a = tg.concatenate([x, h], axis=1) @ tg.concatenate([W, U]) + b
        i, f, g, o = (a[:, k * n : (k + 1) * n] for k in range(4))
        new = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        return Output(tg.tanh(new) * tg.sigmoid(o), Gates(i, f)), [tg.tanh(new) * tg.sigmoid(o), new]

    return scan(cell, x, list(state))


@lstm.spelling
def lstm_with_an_axis_of_gates(scan, x, state, W, U, b):
    n = U.shape[0]

    def cell(x, state):
        h, c = tg.unstack(state)
        a = tg.reshape(x @ W + h @ U + b, (-1, 4, n))
        i, f, o = tg.unstack(tg.sigmoid(a[:, [0, 1, 3]]), axis=1)
        c = f * c + i * tg.tanh(a[:, 2])
        state = tg.stack([o * tg.tanh(c), c])
        return (state[0], a[:, 0], a[:, 1]), state

    ys, last = scan(cell, x, tg.stack(state))
    return ys, tg.unstack(last)


@published
def slstm(m):
    """sLSTM: exponential input gate, normaliser and stabiliser. Beck et al. 2024, "xLSTM", equations 8 to
    17."""
    n = m.width
    state = m.h(), m.h(), m.between(0.5, 2, m.batch, n), m.h()
    return m.x(4), state, {"W": m.p(4, 4 * n), "R": m.p(n, 4 * n), "b": m.p(4 * n)}


@slstm.spelling
def slstm_by_log_sigmoid(scan, x, state, W, R, b):
    def cell(x, state):
        h, c, n, m = state
        z, i, f, o = tg.split(x @ W + h @ R + b, 4, axis=-1)
        f = tg.log_sigmoid(f)
        top = tg.maximum(f + m, i)
        i, f = tg.exp(i - top), tg.exp(f + m - top)
        c, n = f * c + i * tg.tanh(z), f * n + i
        h = tg.sigmoid(o) * (c / n)
        return h, (h, c, n, top)

    return scan(cell, x, state)


@slstm.spelling
def slstm_by_softplus_in_one_state(scan, x, state, W, R, b):
    width = R.shape[0]

    def cell(x, state):
        h, c, n, m = tg.unstack(state, axis=1)
        a = x @ W + h @ R + b
        z, i, f, o = a[:, :width], a[:, width : 2 * width], a[:, 2 * width : 3 * width], a[:, 3 * width :]
        kept = m - tg.softplus(-f)
        top = tg.where(kept > i, kept, i)
        keep, write = tg.exp(kept - top), tg.exp(i - top)
        c = keep * c + write * tg.tanh(z)
        n = keep * n + write
        h = c / (n * (1 + tg.exp(-o)))
        return h, tg.stack([h, c, n, top], axis=1)

    ys, last = scan(cell, x, tg.stack(state, axis=1))
    return ys, tuple(tg.moveaxis(last, 1, 0))


@slstm.spelling
def slstm_gate_by_gate(scan, x, state, W, R, b):
    gates = "zifo"
    W, R, b = (dict(zip(gates, tg.split(w, 4, axis=-1), strict=True)) for w in (W, R, b))

    def cell(x, state):
        h, c, n, m = state
        z, i, f, o = (tg.einsum("bi,ij->bj", x, W[g]) + tg.einsum("bi,ij->bj", h, R[g]) + b[g] for g in gates)
        f = tg.log(tg.sigmoid(f)) + m
        m = tg.max(tg.stack([f, i]), axis=0)
        c = tg.exp(f - m) * c + tg.exp(i - m) * tg.tanh(z)
        n = tg.exp(f - m) * n + tg.exp(i - m)
        h = tg.sigmoid(o) * c * n**-1
        return h, (h, c, n, m)

    return scan(cell, x, state)


@published
def multiplicative_lstm(m):
    """Multiplicative LSTM. Krause et al. 2016, equations 18 to 22: the intermediate state is (W x) ⊙ (U
    h)."""
    n = m.width
    weights = {"Wm": m.p(4, n), "Um": m.p(n, n), "W": m.p(4, 4 * n), "U": m.p(n, 4 * n)}
    return m.x(4), (m.h(), m.h()), weights


@multiplicative_lstm.spelling
def multiplicative_lstm_plain(scan, x, state, Wm, Um, W, U):
    def cell(x, state):
        h, c = state
        between = (x @ Wm) * (h @ Um)
        h_hat, i, f, o = tg.split(x @ W + between @ U, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * h_hat
        h = tg.tanh(c) * tg.sigmoid(o)
        return h, (h, c)

    return scan(cell, x, state)


@multiplicative_lstm.spelling
def multiplicative_lstm_by_one_einsum(scan, x, state, Wm, Um, W, U):
    def cell(x, state):
        h, c = state
        a = x @ W + tg.einsum("bi,im,bh,hm,mg->bg", x, Wm, h, Um, U)
        h_hat, i, f, o = tg.moveaxis(a.reshape(x.shape[0], 4, -1), 1, 0)
        c = c / (1 + tg.exp(-f)) + h_hat / (1 + tg.exp(-i))
        h = tg.tanh(c) / (1 + tg.exp(-o))
        return h, (h, c)

    return scan(cell, x, state)


@multiplicative_lstm.spelling
def multiplicative_lstm_with_columns(scan, x, state, Wm, Um, W, U):
    """States are columns, (hidden, batch), as in many papers."""

    def cell(x, state):
        h, c = state
        a = W.T @ x + U.T @ ((Wm.T @ x) * (Um.T @ h))
        h_hat, gates = tg.split(a, [h.shape[0]])
        i, f, o = tg.split(tg.sigmoid(gates), 3)
        c = tg.multiply(f, c) + tg.multiply(i, h_hat)
        h = tg.multiply(o, tg.tanh(c))
        return h.T, (h, c)

    ys, last = scan(cell, tg.swapaxes(x, 1, 2), tuple(s.T for s in state))
    return ys, tuple(s.T for s in last)


@published
def nas(m):
    """The cell that architecture search put together. Zoph & Le 2017, appendix; the order of its eight parts
    as in TensorFlow."""
    n = m.width
    return m.x(4), (m.h(), m.h()), {"W": m.p(4, 8 * n), "U": m.p(n, 8 * n)}


@nas.spelling
def nas_line_by_line(scan, x, state, W, U):
    def cell(x, state):
        h, c = state
        x, r = tg.split(x @ W, 8, axis=-1), tg.split(h @ U, 8, axis=-1)
        a = tg.tanh(tg.sigmoid(x[0] + r[0]) * tg.relu(x[1] + r[1]))
        b = tg.tanh(tg.sigmoid(x[2] + r[2]) + tg.relu(x[3] * r[3]))
        d = tg.tanh(tg.tanh(x[4] + r[4]) * tg.sigmoid(x[5] + r[5]))
        e = tg.sigmoid(tg.tanh(x[6] + r[6]) + tg.sigmoid(x[7] + r[7]))
        c = tg.tanh(a + c) * b
        h = tg.tanh(c * tg.tanh(d + e))
        return h, (h, c)

    return scan(cell, x, state)


@nas.spelling
def nas_by_a_table(scan, x, state, W, U):
    layer = [tg.sigmoid, tg.relu, tg.sigmoid, tg.relu, tg.tanh, tg.sigmoid, tg.tanh, tg.sigmoid]
    joins = [tg.multiply, tg.add, tg.multiply, tg.add]
    ends = [tg.tanh, tg.tanh, tg.tanh, tg.sigmoid]

    def cell(x, state):
        h, c = state
        pairs = zip(tg.split(x @ W, 8, axis=1), tg.split(h @ U, 8, axis=1), strict=True)
        parts = [
            f(tg.multiply(a, b) if k == 3 else a + b)
            for k, (f, (a, b)) in enumerate(zip(layer, pairs, strict=True))
        ]
        a, b, d, e = (
            end(join(parts[2 * k], parts[2 * k + 1]))
            for k, (join, end) in enumerate(zip(joins, ends, strict=True))
        )
        c = tg.tanh(a + c) * b
        h = tg.tanh(c * tg.tanh(d + e))
        return h, (h, c)

    return scan(cell, x, state)


@nas.spelling
def nas_with_an_axis_of_parts(scan, x, state, W, U):
    n = U.shape[0]

    def cell(x, state):
        h, c = state
        x, r = tg.reshape(x @ W, (-1, 8, n)), tg.reshape(h @ U, (-1, 8, n))
        gates = tg.sigmoid(x[:, [0, 2, 5, 7]] + r[:, [0, 2, 5, 7]])
        inner = tg.tanh(x[:, 4::2] + r[:, 4::2])
        a = tg.tanh(gates[:, 0] * tg.maximum(x[:, 1] + r[:, 1], 0))
        b = tg.tanh(gates[:, 1] + tg.maximum(x[:, 3] * r[:, 3], 0))
        late = tg.tanh(inner[:, 0] * gates[:, 2]) + tg.sigmoid(inner[:, 1] + gates[:, 3])
        c = tg.tanh(a + c) * b
        h = tg.tanh(c * tg.tanh(late))
        return h, (h, c)

    return scan(cell, x, state)


@published
def zoneout_lstm(m):
    """Zoneout: a unit of h or c may keep its old value. Krueger et al. 2017, equations 3 to 5; the masks come
    with x."""
    n = m.width
    xs = {"x": m.x(4), "keep_c": m.coins(m.steps, m.batch, n), "keep_h": m.coins(m.steps, m.batch, n)}
    return xs, (m.h(), m.h()), {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}


@zoneout_lstm.spelling
def zoneout_lstm_by_where(scan, xs, state, W, U, b):
    def cell(x, state):
        h, c = state
        new_h, new_c = lstm_step(x["x"] @ W + h @ U + b, c)
        h, c = tg.where(x["keep_h"], h, new_h), tg.where(x["keep_c"], c, new_c)
        return h, (h, c)

    return scan(cell, xs, state)


@zoneout_lstm.spelling
def zoneout_lstm_by_numbers_cast_in_the_cell(scan, xs, state, W, U, b):
    def cell(xs, state):
        (x, keep_c, keep_h), (h, c) = xs, state
        keep_h, keep_c = keep_h.astype(h.dtype), keep_c.astype(c.dtype)
        new_h, new_c = lstm_step(x @ W + h @ U + b, c)
        h = keep_h * h + (1 - keep_h) * new_h
        c = keep_c * c + (1 - keep_c) * new_c
        return h, (h, c)

    return scan(cell, tuple(xs.values()), state)


@zoneout_lstm.spelling
def zoneout_lstm_by_one_mask(scan, xs, state, W, U, b):
    def cell(xs, state):
        x, keep = xs
        h, c = state[:, 0], state[:, 1]
        state = tg.where(keep > 0.5, state, tg.stack(lstm_step(x @ W + h @ U + b, c), axis=1))
        return state[:, 0, :], state

    keep = tg.stack([xs["keep_h"], xs["keep_c"]], axis=2).astype("float64")
    ys, last = scan(cell, (xs["x"], keep), tg.stack(state, axis=1))
    return ys, tg.unstack(last, axis=1)


@published
def variational_lstm(m):
    """Dropout with one mask for all steps on x and h (Gal & Ghahramani 2016, equation 7), and with one for
    each step on the candidate (Semeniuta et al. 2016, equation 11)."""
    n = m.width
    xs = {"x": m.x(4), "keep": m.coins(m.steps, m.batch, n)}
    weights = {
        "W": m.p(4, 4 * n),
        "U": m.p(n, 4 * n),
        "keep_x": m.coins(m.batch, 4),
        "keep_h": m.coins(m.batch, n),
    }
    return xs, (m.h(), m.h()), weights


@variational_lstm.spelling
def variational_lstm_by_masks_of_numbers(scan, xs, state, W, U, keep_x, keep_h):
    keep_x, keep_h = keep_x / 0.5, keep_h / 0.5

    def cell(xs, state):
        x, keep = xs
        h, c = state
        i, f, g, o = tg.split((x * keep_x) @ W + (h * keep_h) @ U, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g) * keep
        h = tg.sigmoid(o) * tg.tanh(c)
        return h, (h, c)

    return scan(cell, (xs["x"], xs["keep"] / 0.5), state)


@variational_lstm.spelling
def variational_lstm_by_where(scan, xs, state, W, U, keep_x, keep_h):
    def cell(xs, state):
        h, c = state
        x, h = tg.where(keep_x, 2 * xs["x"], 0), tg.where(keep_h, 2 * h, 0)
        i, f, g, o = tg.split(x @ W + h @ U, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.where(xs["keep"], tg.sigmoid(i) * tg.tanh(g) / 0.5, 0.0)
        h = tg.sigmoid(o) * tg.tanh(c)
        return h, (h, c)

    return scan(cell, xs, state)


class Dropout(tg.nn.Module):
    """Keeps what a mask says, in proportion."""

    def __init__(self, keep):
        self.keep = keep

    def __call__(self, x):
        return x * self.keep.astype(x.dtype) / 0.5


class VariationalLSTM(tg.nn.Module):
    def __init__(self, W, U, keep_x, keep_h):
        self.W, self.U = W, U
        self.on_x, self.on_h = Dropout(keep_x), Dropout(keep_h)

    def __call__(self, xs, state):
        h, c = state
        a = tg.tensordot(self.on_x(xs["x"]), self.W, 1) + tg.tensordot(self.on_h(h), self.U, 1)
        i, f, g, o = a[..., ::4], a[..., 1::4], a[..., 2::4], a[..., 3::4]
        c = tg.sigmoid(f) * c + Dropout(xs["keep"])(tg.sigmoid(i) * tg.tanh(g))
        h = tg.sigmoid(o) * tg.tanh(c)
        return h, (h, c)


@variational_lstm.spelling
def variational_lstm_with_interleaved_gates(scan, xs, state, W, U, keep_x, keep_h):
    W, U = (tg.swapaxes(w.reshape(w.shape[0], 4, -1), 1, 2).reshape(w.shape) for w in (W, U))
    return scan(VariationalLSTM(W, U, keep_x, keep_h), xs, state)
