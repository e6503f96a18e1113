"""Cells whose gates see x alone, or whose units see themselves alone: their products leave the loop."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import published


@published
def indrnn(m):
    """IndRNN: each unit sees itself alone. Li et al. 2018, equation 4."""
    n = m.width
    return m.x(4), m.h(), {"W": m.p(4, n), "u": m.p(n), "b": m.p(n)}


@indrnn.spelling
def indrnn_plain(scan, x, h, W, u, b):
    def cell(x, h):
        h = tg.relu(x @ W + u * h + b)
        return h, h

    return scan(cell, x, h)


@indrnn.spelling
def indrnn_by_a_diagonal_matrix(scan, x, h, W, u, b):
    def cell(x, h):
        h = tg.maximum(tg.einsum("bi,ij->bj", x, W) + h @ tg.diag(u) + b, 0)
        return h, h

    return scan(cell, x, h)


@indrnn.spelling
def indrnn_transposed(scan, x, h, W, u, b):
    def cell(x, h):
        a = tg.inner(x, W.T) + tg.einsum("bj,j->bj", h, u) + b[None, :]
        h = tg.where(a > 0, a, 0.0)
        return h, h

    return scan(cell, x, h)


@published
def min_gru(m):
    """minGRU. Feng et al. 2024, "Were RNNs all we needed?", section 3.1."""
    n = m.width
    return m.x(4), m.h(), {"Wz": m.p(4, n), "bz": m.p(n), "W": m.p(4, n), "b": m.p(n)}


@min_gru.spelling
def min_gru_plain(scan, x, h, Wz, bz, W, b):
    def cell(x, h):
        z = tg.sigmoid(x @ Wz + bz)
        h = (1 - z) * h + z * (x @ W + b)
        return h, h

    return scan(cell, x, h)


@min_gru.spelling
def min_gru_one_product(scan, x, h, Wz, bz, W, b):
    def cell(x, h):
        z, new = tg.split(x @ tg.concatenate([Wz, W], axis=1) + tg.concatenate([bz, b]), 2, axis=-1)
        h = h + tg.sigmoid(z) * (new - h)
        return h, h

    return scan(cell, x, h)


@min_gru.spelling
def min_gru_in_logarithms(scan, x, h, Wz, bz, W, b):
    """Gates through their logarithms, as the paper's appendix B computes them."""

    def cell(x, h):
        k = tg.tensordot(x, Wz, axes=1) + bz
        h = tg.exp(-tg.softplus(k)) * h + tg.exp(tg.log_sigmoid(k)) * (
            tg.tensordot(x, W, axes=([1], [0])) + b
        )
        return h, h

    return scan(cell, x, h)


@published
def min_lstm(m):
    """minLSTM with normalised gates. Feng et al. 2024, section 3.2."""
    n = m.width
    return m.x(4), m.h(), {"Wf": m.p(4, n), "Wi": m.p(4, n), "W": m.p(4, n), "b": m.p(3, n)}


@min_lstm.spelling
def min_lstm_plain(scan, x, h, Wf, Wi, W, b):
    def cell(x, h):
        f, i = tg.sigmoid(x @ Wf + b[0]), tg.sigmoid(x @ Wi + b[1])
        h = f / (f + i) * h + i / (f + i) * (x @ W + b[2])
        return h, h

    return scan(cell, x, h)


@min_lstm.spelling
def min_lstm_by_a_difference_of_softplus(scan, x, h, Wf, Wi, W, b):
    """f / (f + i) is σ(softplus(−i) − softplus(−f)) by what comes into the gates."""

    def cell(x, h):
        f, i, new = tg.unstack(tg.stack([x @ Wf, x @ Wi, x @ W], axis=1) + b, axis=1)
        keep = tg.sigmoid(tg.softplus(-i) - tg.softplus(-f))
        h = keep * h + (1 - keep) * new
        return h, h

    return scan(cell, x, h)


@min_lstm.spelling
def min_lstm_by_softmax(scan, x, h, Wf, Wi, W, b):
    def cell(x, h):
        f, i, new = tg.einsum("bi,gij->gbj", x, tg.stack([Wf, Wi, W])) + b[:, None]
        keep, write = tg.softmax(tg.stack([tg.log_sigmoid(f), tg.log_sigmoid(i)]), axis=0)
        h = keep * h + write * new
        return h, h

    return scan(cell, x, h)


@published
def sru(m):
    """SRU. Lei et al. 2018, equations 1 to 4: gates see each unit of c; a highway goes from x to h."""
    n = m.width
    return m.x(n), m.h(), {"W": m.p(n, n), "Wf": m.p(n, n), "Wr": m.p(n, n), "v": m.p(2, n), "b": m.p(2, n)}


@sru.spelling
def sru_plain(scan, x, c, W, Wf, Wr, v, b):
    def cell(x, c):
        f = tg.sigmoid(x @ Wf + v[0] * c + b[0])
        r = tg.sigmoid(x @ Wr + v[1] * c + b[1])
        c = f * c + (1 - f) * (x @ W)
        return r * c + (1 - r) * x, c

    return scan(cell, x, c)


@sru.spelling
def sru_one_product(scan, x, c, W, Wf, Wr, v, b):
    U = tg.concatenate([Wf, Wr, W], axis=1)

    def cell(x, c):
        n = x.shape[-1]
        u = x @ U
        f, r = tg.split(
            tg.sigmoid(u[:, : 2 * n] + tg.concatenate([c, c], axis=1) * v.reshape(-1) + b.reshape(-1)),
            2,
            axis=1,
        )
        c = f * (c - u[:, 2 * n :]) + u[:, 2 * n :]
        return x + r * (c - x), c

    return scan(cell, x, c)


@sru.spelling
def sru_with_an_axis_of_gates(scan, x, c, W, Wf, Wr, v, b):
    weights = tg.stack([Wf, Wr])

    def cell(x, c):
        gates = tg.sigmoid(tg.swapaxes(x @ weights, 0, 1) + tg.expand_dims(c, 1) * v + b)
        c = gates[:, 0] * c + (1 - gates[:, 0]) * tg.dot(x, W)
        return gates[:, 1] * c + (1 - gates[:, 1]) * x, c

    return scan(cell, x, c)


@published
def qrnn(m):
    """QRNN with filters of two steps and fo-pooling. Bradbury et al. 2017, equations 1 to 4; the x before
    goes through the state."""
    n = m.width
    return m.x(4), (m.h(), m.h(4)), {"W": m.p(2, 4, 3 * n)}


@qrnn.spelling
def qrnn_two_products(scan, x, state, W):
    def cell(x, state):
        c, before = state
        z, f, o = tg.split(before @ W[0] + x @ W[1], 3, axis=-1)
        f = tg.sigmoid(f)
        c = f * c + (1 - f) * tg.tanh(z)
        return tg.sigmoid(o) * c, (c, x)

    return scan(cell, x, state)


@qrnn.spelling
def qrnn_a_window_in_the_state(scan, x, state, W):
    def cell(x, state):
        c, before = state
        window = tg.stack([before, x], axis=1)
        z, f, o = tg.moveaxis(tg.einsum("bki,kij->bj", window, W).reshape(x.shape[0], 3, -1), 1, 0)
        c = tg.sigmoid(f) * c + tg.sigmoid(-f) * tg.tanh(z)
        return tg.sigmoid(o) * c, (c, window[:, 1])

    return scan(cell, x, state)


@qrnn.spelling
def qrnn_filters_before_the_loop(scan, x, state, W):
    def pool(u, c):
        z, f, o = tg.split(u, 3, axis=-1)
        c = tg.sigmoid(f) * c + (1 - tg.sigmoid(f)) * tg.tanh(z)
        return tg.sigmoid(o) * c, c

    shifted = tg.concatenate([state[1][None], x[:-1]])
    ys, c = scan(pool, tg.concatenate([shifted, x], axis=-1) @ W.reshape(-1, W.shape[2]), state[0])
    return ys, (c, x[-1])


@published
def gilr(m):
    """Gated impulse linear recurrent layer. Martin & Cundy 2018, equation 6."""
    n = m.width
    return m.x(4), m.h(), {"U": m.p(4, n), "bg": m.p(n), "V": m.p(4, n), "bz": m.p(n)}


@gilr.spelling
def gilr_plain(scan, x, h, U, bg, V, bz):
    def cell(x, h):
        g = tg.sigmoid(x @ U + bg)
        h = g * h + (1 - g) * tg.tanh(x @ V + bz)
        return h, h

    return scan(cell, x, h)


@gilr.spelling
def gilr_gates_before_the_loop(scan, x, h, U, bg, V, bz):
    def cell(xs, h):
        h = xs["g"] * h + xs["u"]
        return h, h

    g = tg.sigmoid(x @ U + bg)
    return scan(cell, {"g": g, "u": (1 - g) * tg.tanh(x @ V + bz)}, h)


@gilr.spelling
def gilr_by_tanh_alone(scan, x, h, U, bg, V, bz):
    """σ(a) is (1 + tanh(a / 2)) / 2; x gets a column of ones for the biases."""

    def cell(x, h):
        x = tg.pad(x, [(0, 0), (0, 1)], constant_values=1)
        g = 0.5 + 0.5 * tg.tanh(0.5 * (x @ tg.vstack([U, bg])))
        h = tg.add(tg.multiply(g, h), tg.multiply(1 - g, tg.tanh(x @ tg.vstack([V, bz]))))
        return h, h

    return scan(cell, x, h)


@published
def rwkv(m):
    """Time-mixing of RWKV-4 in its stable form. Peng et al. 2023, equations 11 to 16 and appendix D; the x
    before is a state."""
    n = m.width
    state = m.h(n), m.h(), m.between(0.5, 2, m.batch, n), m.h()
    weights = {"mix": m.between(0, 1, 3, n), "R": m.p(n, n), "K": m.p(n, n), "V": m.p(n, n), "Wo": m.p(n, n)}
    return m.x(n), state, weights | {"decay": m.p(n), "bonus": m.p(n)}


@rwkv.spelling
def rwkv_as_published(scan, x, state, mix, R, K, V, Wo, decay, bonus):
    def cell(x, state):
        before, a, b, p = state
        r = tg.sigmoid((mix[0] * x + (1 - mix[0]) * before) @ R)
        k = (mix[1] * x + (1 - mix[1]) * before) @ K
        v = (mix[2] * x + (1 - mix[2]) * before) @ V
        top = tg.maximum(p, k + bonus)
        e1, e2 = tg.exp(p - top), tg.exp(k + bonus - top)
        y = (r * (e1 * a + e2 * v) / (e1 * b + e2)) @ Wo
        w = p - tg.exp(decay)
        top = tg.maximum(w, k)
        e1, e2 = tg.exp(w - top), tg.exp(k - top)
        return y, (x, e1 * a + e2 * v, e1 * b + e2, top)

    return scan(cell, x, state)


@rwkv.spelling
def rwkv_by_a_function_and_softmax(scan, x, state, mix, R, K, V, Wo, decay, bonus):
    def together(a, b, p, k, v):
        top = tg.max(tg.stack([p, k]), axis=0)
        old, new = tg.exp(tg.stack([p, k]) - top)
        return old * a + new * v, old * b + new, top

    def cell(x, state):
        before, a, b, p = state
        r, k, v = (
            mixed @ W for mixed, W in zip(before + mix[:, None] * (x - before), (R, K, V), strict=True)
        )
        upper, lower, _ = together(a, b, p, k + bonus, v)
        return tg.sigmoid(r) * upper / lower @ Wo, (x, *together(a, b, p - tg.exp(decay), k, v))

    return scan(cell, x, state)


@rwkv.spelling
def rwkv_mixed_before_the_loop(scan, x, state, mix, R, K, V, Wo, decay, bonus):
    weights = tg.stack([R, K, V])

    def cell(u, state):
        r, k, v = tg.unstack(u)
        a, b, p = state
        top = tg.where(p > k + bonus, p, k + bonus)
        share = tg.exp(tg.stack([p, k + bonus], axis=-1) - top[..., None])
        y = (
            tg.sigmoid(r)
            * tg.sum(share * tg.stack([a, v], axis=-1), axis=-1)
            / tg.vecdot(share, tg.stack([b, tg.ones_like(b)], axis=-1))
        )
        p = p - tg.exp(decay)
        top = tg.where(p > k, p, k)
        a, b = a * tg.exp(p - top) + v * tg.exp(k - top), b * tg.exp(p - top) + tg.exp(k - top)
        return tg.einsum("bi,ij->bj", y, Wo), (a, b, top)

    before = tg.concatenate([state[0][None], x[:-1]])[:, None]
    mixed = mix[:, None] * x[:, None] + (1 - mix[:, None]) * before
    ys, last = scan(cell, mixed @ weights, state[1:])
    return ys, (x[-1], *last)
