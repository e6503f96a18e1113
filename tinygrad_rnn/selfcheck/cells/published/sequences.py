"""Attention over what was there before: an encoder's outputs, or the past of the sequence itself."""

from __future__ import annotations

import math

import tinygrad_rnn as tg

from .cell import published


@published
def attention_decoder(m):
    """Sequence to sequence: both directions of an RNN over sources of several lengths, and a GRU that looks
    at their outputs. Luong, Pham & Manning 2015, equations 5, 7 and 8; the GRU's gates as PyTorch has
    them."""
    n, source = m.width, m.data(6, m.batch, 4)
    weights = {"Wf": m.p(4, n), "Uf": m.p(n, n), "Wb": m.p(4, n), "Ub": m.p(n, n), "J": m.p(2 * n, n)}
    weights |= {"W": m.p(4, 3 * n), "U": m.p(n, 3 * n), "A": m.p(n, 2 * n), "C": m.p(3 * n, n)}
    lengths = tg.tensor([6, 2, 5][: m.batch])
    return {"target": m.x(4), "source": source}, (), weights | {"lengths": lengths}


def encoded(scan, source, lengths, Wf, Uf, Wb, Ub, J):
    """Annotations (S, B, 2 H) and the decoder's first state."""

    def forward(x, h):
        h = tg.tanh(x @ Wf + h @ Uf)
        return h, h

    def backward(x, h):
        h = tg.tanh(x @ Wb + h @ Ub)
        return h, h

    zero = tg.zeros((source.shape[1], Uf.shape[0]), source.dtype)
    lengths = lengths.numpy()
    one, last = scan(forward, source, zero, lengths=lengths)
    other, first = scan(backward, source, zero, lengths=lengths, reverse=True)
    return tg.concatenate([one, other], axis=-1), tg.tanh(tg.concatenate([last, first], axis=-1) @ J)


@attention_decoder.spelling
def attention_decoder_by_where(scan, xs, state, lengths, Wf, Uf, Wb, Ub, J, W, U, A, C):
    seen, h = encoded(scan, xs["source"], lengths, Wf, Uf, Wb, Ub, J)
    seen = seen.swapaxes(0, 1)
    there = tg.arange(6) < lengths[:, None]

    def cell(x, h):
        (xr, xz, xn), (hr, hz, hn) = tg.split(x @ W, 3, axis=-1), tg.split(h @ U, 3, axis=-1)
        z = tg.sigmoid(xz + hz)
        h = (1 - z) * tg.tanh(xn + tg.sigmoid(xr + hr) * hn) + z * h
        scores = (seen @ (h @ A)[:, :, None])[:, :, 0]
        w = tg.softmax(tg.where(there, scores, -math.inf), axis=1)
        context = (w[:, None, :] @ seen)[:, 0]
        return (tg.tanh(tg.concatenate([context, h], axis=-1) @ C), w), h

    return scan(cell, xs["target"], h)


@attention_decoder.spelling
def attention_decoder_by_einsum(scan, xs, state, lengths, Wf, Uf, Wb, Ub, J, W, U, A, C):
    """Annotations stay time first; padding gets a large negative score."""
    seen, h = encoded(scan, xs["source"], lengths, Wf, Uf, Wb, Ub, J)
    absent = tg.where(tg.arange(6)[:, None] < lengths, 0.0, -1e30)
    n = U.shape[0]

    def cell(x, h):
        a, b = tg.einsum("bi,ij->bj", x, W), tg.einsum("bi,ij->bj", h, U)
        r, z = tg.sigmoid(a[:, :n] + b[:, :n]), tg.sigmoid(a[:, n : 2 * n] + b[:, n : 2 * n])
        new = tg.tanh(a[:, 2 * n :] + r * b[:, 2 * n :])
        h = new + z * (h - new)
        w = tg.softmax(tg.einsum("sbk,hk,bh->sb", seen, A, h) + absent, axis=0)
        context = tg.einsum("sb,sbk->bk", w, seen)
        return (tg.tanh(context @ C[: 2 * n] + h @ C[2 * n :]), w.T), h

    return scan(cell, xs["target"], h)


@attention_decoder.spelling
def attention_decoder_by_a_module(scan, xs, state, lengths, Wf, Uf, Wb, Ub, J, W, U, A, C):
    """A cell of the library, and keys that are made before the loop."""
    seen, h = encoded(scan, xs["source"], lengths, Wf, Uf, Wb, Ub, J)
    gru = tg.nn.GRUCell(4, U.shape[0], bias=False, dtype=U.dtype)
    gru.weight_ih, gru.weight_hh = W.T, U.T
    keys, there = seen @ A.T, (tg.arange(6)[:, None] < lengths).astype(U.dtype)

    def cell(x, h):
        h, _ = gru(x, h)
        scores = tg.vecdot(keys, h)
        e = tg.exp(scores - tg.max(scores, axis=0)) * there
        w = e / tg.sum(e, axis=0)
        return (tg.tanh(tg.hstack([tg.sum(w[..., None] * seen, axis=0), h]) @ C), tg.swapaxes(w, 0, 1)), h

    return scan(cell, xs["target"], h)


@published
def self_attention(m):
    """Each step looks at itself and at all hidden states before it, kept in a buffer. After Cheng, Dong &
    Lapata 2016, equations 2 to 5."""
    n = m.width
    return m.x(4), (), {"W": m.p(4, n), "U": m.p(n, n), "Q": m.p(4, n), "h": m.h()}


@self_attention.spelling
def self_attention_by_a_counter(scan, x, state, W, U, Q, h):
    steps, batch, _ = x.shape
    place = tg.arange(steps + 1)

    def cell(x, state):
        past, t = state
        scores = tg.where(place < t, tg.einsum("bi,ij,btj->bt", x, Q, past), -math.inf)
        seen = tg.einsum("bt,btj->bj", tg.softmax(scores), past)
        h = tg.tanh(x @ W + seen @ U)
        past = tg.where((place == t)[:, None], h[:, None], past)
        return h, (past, t + 1)

    first = tg.concatenate([h[:, None], tg.zeros((batch, steps, h.shape[1]), h.dtype)], axis=1)
    ys, (past, _) = scan(cell, x, (first, 1))
    return ys, past


@self_attention.spelling
def self_attention_by_one_hot(scan, x, state, W, U, Q, h):
    """The time comes with x, and the write is a product with a one-hot vector."""
    steps = x.shape[0]

    def cell(xs, past):
        x, t = xs
        there = (tg.arange(steps + 1) < t).astype(x.dtype)
        scores = tg.sum(past * (x @ Q)[:, None, :], axis=-1)
        e = tg.exp(scores - tg.max(scores, axis=1, keepdims=True)) * there
        seen = tg.sum((e / tg.sum(e, axis=1, keepdims=True))[:, :, None] * past, axis=1)
        h = tg.tanh(x @ W + seen @ U)
        return h, past + tg.one_hot(t, steps + 1, dtype=x.dtype)[:, None] * h[:, None, :]

    first = tg.pad(h[:, None], [(0, 0), (0, steps), (0, 0)])
    return scan(cell, (x, tg.arange(1, steps + 1)), first)


@self_attention.spelling
def self_attention_newest_first(scan, x, state, W, U, Q, h):
    """The buffer moves by one place at each step, the newest in front; how many are there is counted in
    floats."""
    steps, batch, _ = x.shape

    def cell(x, state):
        past, count = state
        scores = tg.where(tg.arange(steps + 1) < count[:, None], (past @ (x @ Q)[:, :, None])[:, :, 0], -1e30)
        h = tg.tanh(x @ W + (tg.softmax(scores, axis=-1)[:, None] @ past)[:, 0] @ U)
        return h, (tg.concatenate([h[:, None], past[:, :-1]], axis=1), count + 1.0)

    first = tg.concatenate([h[:, None], tg.zeros((batch, steps, h.shape[1]), h.dtype)], axis=1)
    ys, (past, _) = scan(cell, x, (first, tg.ones(batch, x.dtype)))
    return ys, tg.flip(past, 1)
