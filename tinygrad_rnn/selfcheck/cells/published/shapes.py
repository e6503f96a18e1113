"""States that are no rows of a batch: one sequence alone, images, weights for each sample."""

from __future__ import annotations

from collections.abc import Sequence

import tinygrad_rnn as tg

from .cell import lstm_step, published


@published
def lstm_of_one_sequence(m):
    """An LSTM (Gers, Schmidhuber & Cummins 2000, equations 2.1 to 2.8) without a batch: x (T, 4), h and c
    (hidden,)."""
    n = m.width
    state = m.data(n), m.data(n)
    return m.data(m.steps, 4), state, {"W": m.p(4 * n, 4), "U": m.p(4 * n, n), "b": m.p(4 * n)}


@lstm_of_one_sequence.spelling
def lstm_of_one_sequence_by_vectors(scan, x, state, W, U, b):
    def cell(x, state):
        h, c = state
        h, c = lstm_step(W @ x + U @ h + b, c)
        return h, (h, c)

    return scan(cell, x, state)


@lstm_of_one_sequence.spelling
def lstm_of_one_sequence_as_a_batch_of_one(scan, x, state, W, U, b):
    def cell(x, state):
        h, c = state
        h, c = lstm_step(x @ W.T + h @ U.T + b, c)
        return h, (h, c)

    ys, (h, c) = scan(cell, x[:, None], (state[0][None], state[1][None]))
    return ys[:, 0], (h[0], c[0])


@lstm_of_one_sequence.spelling
def lstm_of_one_sequence_by_einsum_and_dot(scan, x, state, W, U, b):
    n = U.shape[1]

    def cell(x, state):
        h, c = state
        a = tg.reshape(tg.einsum("ij,j->i", W, x) + tg.dot(h, U.T) + b, (4, n))
        h, c = lstm_step(a, c[None], axis=0)
        return h[0], (h[0], c[0])

    return scan(cell, x, state)


@published
def conv_lstm(m):
    """Convolutional LSTM with peepholes: a filter of 3 × 3 on x and on h. Shi et al. 2015, equation 3."""
    n = m.width
    weights = {"K": m.p(3, 3, 2 + n, 4 * n), "b": m.p(4 * n), "peep": m.p(3, 2, 6, n)}
    state = m.data(m.batch, 2, 6, n), m.data(m.batch, 2, 6, n)
    return m.data(m.steps, m.batch, 2, 6, 2), state, weights


def peephole_step(a: tg.Tensor, c: tg.Tensor, peep: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """The new h and c, of images."""
    i, f, g, o = tg.split(a, 4, axis=-1)
    new = tg.sigmoid(f + peep[1] * c) * c + tg.sigmoid(i + peep[0] * c) * tg.tanh(g)
    return tg.sigmoid(o + peep[2] * new) * tg.tanh(new), new


@conv_lstm.spelling
def conv_lstm_by_shifts(scan, x, state, K, b, peep):
    def cell(x, state):
        h, c = state
        wide = tg.pad(tg.concatenate([x, h], axis=-1), [(0, 0), (1, 1), (1, 1), (0, 0)])
        a = sum(wide[:, i : i + 2, j : j + 6] @ K[i, j] for i in range(3) for j in range(3)) + b
        h, c = peephole_step(a, c, peep)
        return h, (h, c)

    return scan(cell, x, state)


@conv_lstm.spelling
def conv_lstm_by_windows(scan, x, state, K, b, peep):
    """All windows as rows of one matrix (im2col), taken by fixed indices."""
    rows, columns = tg.arange(2)[:, None] + tg.arange(3), tg.arange(6)[:, None] + tg.arange(3)
    rows, columns = rows.numpy()[:, None, :, None], columns.numpy()[None, :, None, :]
    flat = K.reshape(-1, K.shape[3])

    def cell(x, state):
        h, c = state
        wide = tg.pad(tg.concatenate([x, h], axis=-1), [(0, 0), (1, 1), (1, 1), (0, 0)])
        a = wide[:, rows, columns].reshape(-1, flat.shape[0]) @ flat
        h, c = peephole_step(a.reshape(*c.shape[:3], -1) + b, c, peep)
        return h, (h, c)

    return scan(cell, x, state)


@conv_lstm.spelling
def conv_lstm_by_one_einsum(scan, x, state, K, b, peep):
    """A fixed tensor says which pixel a window sees where."""
    up, along = (tg.stack([tg.eye(n, k=k, dtype="float64") for k in (-1, 0, 1)]) for n in (2, 6))

    def convolved(x, K):
        return tg.einsum("iyr,jxs,brsc,ijcd->byxd", up, along, x, K)

    def cell(x, state):
        h, c = tg.unstack(state, axis=-1)
        a = convolved(x, K[:, :, :2]) + convolved(h, K[:, :, 2:]) + b
        state = tg.stack(peephole_step(a, c, peep), axis=-1)
        return state[..., 0], state

    ys, last = scan(cell, x, tg.stack(state, axis=-1))
    return ys, (last[..., 0], last[..., 1])


@published
def per_sample(m):
    """The gradient of each sample's own loss, as private training clips it: every sample has a copy of the
    weights. Goodfellow 2015, "Efficient per-example gradient computations"; Abadi et al. 2016, algorithm 1.
    The network is Elman's."""
    n = m.width
    return m.x(4), m.h(), {"W": m.p(4, n), "U": m.p(n, n)}


def clipped(gradients: Sequence[tg.Tensor]) -> list[tg.Tensor]:
    """The mean over samples of gradients (B, …), each sample's no longer than 1."""
    lengths = tg.sqrt(sum(tg.sum(g * g, axis=(1, 2)) for g in gradients))
    return [tg.mean(g / tg.maximum(lengths, 1.0)[:, None, None], axis=0) for g in gradients]


@per_sample.spelling
def per_sample_by_stacked_products(scan, x, h, W, U):
    W, U = (tg.broadcast_to(w, (x.shape[1], *w.shape)) for w in (W, U))

    def cell(x, h):
        h = tg.tanh((x[:, None] @ W + h[:, None] @ U)[:, 0])
        return h, h

    ys, last = scan(cell, x, h)
    return ys, [last, *clipped(tg.gradients(tg.sum(ys * ys), [W, U]))]


@per_sample.spelling
def per_sample_by_einsum(scan, x, h, W, U):
    both = tg.broadcast_to(tg.concatenate([W, U]), (x.shape[1], W.shape[0] + U.shape[0], U.shape[1]))

    def cell(x, h):
        h = tg.tanh(tg.einsum("bi,bij->bj", tg.concatenate([x, h], axis=1), both))
        return h, h

    ys, last = scan(cell, x, h)
    (gradient,) = tg.gradients(tg.sum(ys**2), [both])
    return ys, [last, *tg.split(clipped([gradient])[0], [4])]


@per_sample.spelling
def per_sample_one_after_the_other(scan, x, h, W, U):
    def cell(x, h):
        h = tg.tanh(x @ W + h @ U)
        return h, h

    ys, last = scan(cell, x, h)
    each = [tg.gradients(tg.sum(ys[:, i] ** 2), [W, U]) for i in range(x.shape[1])]
    return ys, [last, *clipped([tg.stack(g) for g in zip(*each, strict=True)])]
