"""Cells that are made of cells: one that makes the weights of another, one above another, one inside
another."""

from __future__ import annotations

from collections.abc import Iterable

import tinygrad_rnn as tg

from .cell import published


@published
def hyper_rnn(m):
    """HyperRNN: a small RNN makes the whole weight matrices of the main one. Ha, Dai & Le 2017, equations 3
    to 5."""
    n = m.width
    weights = {
        "V": m.p(4, 2),
        "Vh": m.p(n, 2),
        "Vz": m.p(2, 2),
        "W": m.p(2, 4, n),
        "U": m.p(2, n, n),
        "b": m.p(2, n),
    }
    return m.x(4), (m.h(), m.h(2)), weights


@hyper_rnn.spelling
def hyper_rnn_by_einsum(scan, x, state, V, Vh, Vz, W, U, b):
    def cell(x, state):
        h, z = state
        z = tg.tanh(x @ V + h @ Vh + z @ Vz)
        h = tg.tanh(tg.einsum("bk,kij,bi->bj", z, W, x) + tg.einsum("bk,kij,bi->bj", z, U, h) + z @ b)
        return h, (h, z)

    return scan(cell, x, state)


@hyper_rnn.spelling
def hyper_rnn_by_a_matrix_for_each_sample(scan, x, state, V, Vh, Vz, W, U, b):
    def cell(x, state):
        h, z = state
        z = tg.tanh(x @ V + h @ Vh + z @ Vz)
        w, u = tg.tensordot(z, W, 1), tg.reshape(z @ U.reshape(2, -1), (x.shape[0], *U.shape[1:]))
        h = tg.tanh(tg.squeeze(x[:, None, :] @ w, 1) + (h[:, None] @ u)[:, 0] + z @ b)
        return h, (h, z)

    return scan(cell, x, state)


@hyper_rnn.spelling
def hyper_rnn_as_a_sum_over_parts(scan, x, state, V, Vh, Vz, W, U, b):
    def cell(x, state):
        h, z = state
        z = tg.tanh(tg.concatenate([x, h, z], axis=1) @ tg.concatenate([V, Vh, Vz]))
        h = tg.tanh(sum(z[:, k : k + 1] * (x @ W[k] + h @ U[k] + b[k]) for k in range(2)))
        return h, (h, z)

    return scan(cell, x, state)


@published
def hyper_lstm(m):
    """HyperLSTM: a small LSTM makes factors for the rows of the main one's weights. Ha, Dai & Le 2017,
    equations 10 to 13."""
    n = m.width
    weights = {"Wz": m.p(4 + n, 4 * 3), "Uz": m.p(3, 4 * 3), "W": m.p(4, 4 * n), "U": m.p(n, 4 * n)}
    weights |= {"to_x": m.p(3, 4 * 2), "to_h": m.p(3, 4 * 2), "to_b": m.p(3, 4 * 2)}
    weights |= {"Dx": m.p(4, 2, n), "Dh": m.p(4, 2, n), "Db": m.p(4, 2, n), "b": m.p(4, n)}
    return m.x(4), (m.h(), m.h(), m.h(3), m.h(3)), weights


def gated(a: Iterable[tg.Tensor], c: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """h and c by what comes into the gates i, g, f, o."""
    i, g, f, o = a
    c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
    return tg.sigmoid(o) * tg.tanh(c), c


@hyper_lstm.spelling
def hyper_lstm_gate_by_gate(scan, x, state, Wz, Uz, W, U, to_x, to_h, to_b, Dx, Dh, Db, b):
    def cell(x, state):
        h, c, h_hat, c_hat = state
        h_hat, c_hat = gated(tg.split(tg.concatenate([x, h], -1) @ Wz + h_hat @ Uz, 4, -1), c_hat)
        zx, zh, zb = (tg.split(h_hat @ to, 4, axis=-1) for to in (to_x, to_h, to_b))
        wx, uh = tg.split(x @ W, 4, axis=-1), tg.split(h @ U, 4, axis=-1)
        h, c = gated(
            [(zx[k] @ Dx[k]) * wx[k] + (zh[k] @ Dh[k]) * uh[k] + zb[k] @ Db[k] + b[k] for k in range(4)], c
        )
        return h, (h, c, h_hat, c_hat)

    return scan(cell, x, state)


@hyper_lstm.spelling
def hyper_lstm_with_an_axis_of_gates(scan, x, state, Wz, Uz, W, U, to_x, to_h, to_b, Dx, Dh, Db, b):
    n = U.shape[0]

    def factors(h_hat, to, D):
        return tg.einsum("bge,gen->bgn", (h_hat @ to).reshape(-1, 4, 2), D)

    def cell(x, state):
        (h, c), (h_hat, c_hat) = state
        h_hat, c_hat = gated(tg.split(x @ Wz[:4] + h @ Wz[4:] + h_hat @ Uz, 4, -1), c_hat)
        y = factors(h_hat, to_h, Dh) * (h @ U).reshape(-1, 4, n) + factors(h_hat, to_x, Dx) * (x @ W).reshape(
            -1, 4, n
        )
        h, c = gated(tg.unstack(y + factors(h_hat, to_b, Db) + b, axis=1), c)
        return h, ((h, c), (h_hat, c_hat))

    return scan(cell, x, (state[:2], state[2:]))


class Small(tg.nn.Module):
    """The LSTM that makes factors: three times (B, 4, 2)."""

    def __init__(self, W, U, *to):
        self.W, self.U, self.factors = W, U, to

    def __call__(self, x, state):
        h, c = state
        h, c = gated(tg.moveaxis((x @ self.W + h @ self.U).reshape(x.shape[0], 4, 3), 1, 0), c)
        return [(h @ to).reshape(-1, 4, 1, 2) for to in self.factors], (h, c)


@hyper_lstm.spelling
def hyper_lstm_as_a_module_inside(scan, x, state, Wz, Uz, W, U, to_x, to_h, to_b, Dx, Dh, Db, b):
    small = Small(Wz, Uz, to_x, to_h, to_b)

    def cell(x, state):
        h, c, *inner = state
        z, inner = small(tg.hstack([x, h]), inner)
        dx, dh, db = ((part @ D)[:, :, 0] for part, D in zip(z, (Dx, Dh, Db), strict=True))
        wx, uh = (tg.stack(tg.split(product, 4, axis=1), axis=1) for product in (x @ W, h @ U))
        h, c = gated((dx * wx + dh * uh + db + b).swapaxes(0, 1), c)
        return h, (h, c, *inner)

    return scan(cell, x, state)


@published
def deep(m):
    """An LSTM below a GRU, as one cell. Graves, Mohamed & Hinton 2013, equation 11; weights and gates as
    PyTorch has them."""
    n = m.width
    weights = {
        "W": m.p(4 * n, 4),
        "U": m.p(4 * n, n),
        "b": m.p(4 * n),
        "V": m.p(3 * n, n),
        "R": m.p(3 * n, n),
        "d": m.p(3 * n),
    }
    return m.x(4), ((m.h(), m.h()), m.h()), weights


class Deep(tg.nn.Module):
    def __init__(self, W, U, b, V, R, d):
        n = U.shape[1]
        self.lower, self.upper = tg.nn.LSTMCell(4, n, dtype=W.dtype), tg.nn.GRUCell(n, n, dtype=W.dtype)
        self.lower.weight_ih, self.lower.weight_hh, self.lower.bias_ih = W, U, b
        self.upper.weight_ih, self.upper.weight_hh, self.upper.bias_ih = V, R, d
        self.lower.bias_hh, self.upper.bias_hh = tg.zeros_like(b), tg.zeros_like(d)
        self.state_size = self.lower.state_size, self.upper.state_size

    def __call__(self, x, state):
        below, above = state
        x, below = self.lower(x, below)
        y, above = self.upper(x, above)
        return y, (below, above)


@deep.spelling
def deep_of_modules(scan, x, state, **weights):
    return scan(Deep(**weights), x, state)


@deep.spelling
def deep_by_hand(scan, x, state, W, U, b, V, R, d):
    def cell(x, state):
        (h, c), s = state
        i, f, g, o = tg.split(x @ W.T + h @ U.T + b, 4, axis=-1)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(c)
        (xr, xz, xn), (hr, hz, hn) = tg.split(h @ V.T + d, 3, axis=-1), tg.split(s @ R.T, 3, axis=-1)
        z = tg.sigmoid(xz + hz)
        s = (1 - z) * tg.tanh(xn + tg.sigmoid(xr + hr) * hn) + z * s
        return s, ((h, c), s)

    return scan(cell, x, state)


@deep.spelling
def deep_scan_above_scan(scan, x, state, W, U, b, V, R, d):
    n = U.shape[1]

    def lower(x, state):
        h, c = state
        a = tg.inner(x, W) + tg.inner(h, U) + b
        i, f, o = (tg.sigmoid(a[:, k * n : (k + 1) * n]) for k in (0, 1, 3))
        c = f * c + i * tg.tanh(a[:, 2 * n : 3 * n])
        return o * tg.tanh(c), (o * tg.tanh(c), c)

    def upper(x, h):
        (xr, xz, xn), (hr, hz, hn) = (
            tg.einsum("bi,gji->gbj", x, V.reshape(3, n, n)) + d.reshape(3, 1, n),
            R.reshape(3, n, n) @ h.T,
        )
        n_, z = tg.tanh(xn + tg.sigmoid(xr + hr.T) * hn.T), tg.sigmoid(xz + hz.T)
        h = n_ + z * (h - n_)
        return h, h

    below, (h, c) = scan(lower, x, state[0])
    ys, s = scan(upper, below, state[1])
    return ys, ((h, c), s)


@published
def hierarchical(m):
    """A fast RNN reads the letters of each word, a slow one the words. El Hihi & Bengio 1995; section 3."""
    n = m.width
    x = m.data(m.steps, 6, m.batch, 4)
    return x, m.h(), {"W": m.p(4, 2), "U": m.p(2, 2), "V": m.p(2, n), "R": m.p(n, n)}


@hierarchical.spelling
def hierarchical_scan_in_the_cell(scan, x, h, W, U, V, R):
    def letters(x, s):
        s = tg.tanh(x @ W + s @ U)
        return s, s

    def words(x, h):
        _, word = tg.scan(letters, x, tg.zeros((x.shape[1], 2), x.dtype))
        h = tg.tanh(word @ V + h @ R)
        return h, h

    return scan(words, x, h)


@hierarchical.spelling
def hierarchical_loop_in_the_cell(scan, x, h, W, U, V, R):
    def words(x, h):
        s = tg.zeros((x.shape[1], 2), x.dtype)
        for letter in x:
            s = tg.tanh(letter @ W + s @ U)
        h = tg.tanh(s @ V + h @ R)
        return h, h

    return scan(words, x, h)


@hierarchical.spelling
def hierarchical_letters_first(scan, x, h, W, U, V, R):
    """All words at once: their letters do not wait for the words before."""

    def letters(x, s):
        s = tg.tanh(tg.einsum("wbi,ij->wbj", x, W) + s @ U)
        return s, s

    def words(x, h):
        h = tg.tanh(tg.einsum("bi,ij->bj", x, V) + h @ R)
        return h, h

    steps, _, batch, _ = x.shape
    _, word = scan(letters, tg.moveaxis(x, 1, 0), tg.zeros((steps, batch, 2), x.dtype))
    return scan(words, word, h)
