"""Cells that read and write a memory: by content, by a softmax over places, by a stack, by a computed
index."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import lstm_step, published

SLOTS = 6


@published
def ntm(m):
    """Neural Turing machine, addressed by content: read, erase, add. Graves, Wayne & Danihelka 2014,
    equations 2 to 6."""
    n = m.width
    state = m.h(), m.data(m.batch, SLOTS, 2)
    weights = {
        "W": m.p(4, n),
        "U": m.p(n, n),
        "R": m.p(2, n),
        "K": m.p(n, 2),
        "E": m.p(n, 2),
        "A": m.p(n, 2),
        "beta": m.p(n),
    }
    return m.x(4), state, weights


@ntm.spelling
def ntm_by_norm(scan, x, state, W, U, R, K, E, A, beta):
    def address(h, M):
        k = h @ K
        alike = tg.sum(M * k[:, None], axis=-1) / (tg.norm(M, axis=-1) * tg.norm(k, axis=-1, keepdims=True))
        return tg.softmax(tg.softplus(h @ beta)[:, None] * alike, axis=-1)

    def cell(x, state):
        h, M = state
        w = address(h, M)
        read = tg.sum(w[:, :, None] * M, axis=1)
        h = tg.tanh(x @ W + h @ U + read @ R)
        M = M * (1 - w[:, :, None] * tg.sigmoid(h @ E)[:, None]) + w[:, :, None] * tg.tanh(h @ A)[:, None]
        return (h, read), (h, M)

    return scan(cell, x, state)


@ntm.spelling
def ntm_by_einsum(scan, x, state, W, U, R, K, E, A, beta):
    def cell(x, state):
        h, M = state
        k = h @ K
        lengths = tg.sqrt(tg.einsum("bsd,bsd->bs", M, M) * tg.einsum("bd,bd->b", k, k)[:, None])
        strength = tg.log(1 + tg.exp(h @ beta))
        scores = tg.einsum("bsd,bd,b->bs", M, k, strength) / lengths
        w = tg.exp(scores - tg.logsumexp(scores, axis=1, keepdims=True))
        read = tg.einsum("bs,bsd->bd", w, M)
        h = tg.tanh(tg.concatenate([x, h, read], -1) @ tg.concatenate([W, U, R]))
        M = (
            M
            - tg.einsum("bs,bsd,bd->bsd", w, M, tg.sigmoid(h @ E))
            + tg.einsum("bs,bd->bsd", w, tg.tanh(h @ A))
        )
        return (h, read), (h, M)

    return scan(cell, x, state)


@ntm.spelling
def ntm_by_matmul(scan, x, state, W, U, R, K, E, A, beta):
    """The memory is (B, 2, slots), products are batched."""

    def cell(x, state):
        h, M = state
        k = (h @ K)[:, None, :]
        unit_m, unit_k = (
            M / tg.linalg.norm(M, axis=1, keepdims=True),
            k * tg.sum(k**2, axis=-1, keepdims=True) ** -0.5,
        )
        w = tg.softmax(tg.logaddexp(0.0, h @ beta)[:, None, None] * (unit_k @ unit_m))
        read = (M @ w.mT)[:, :, 0]
        h = tg.tanh(x @ W + h @ U + read @ R)
        M = M * (1 - tg.sigmoid(h @ E)[:, :, None] @ w) + tg.tanh(h @ A)[:, :, None] @ w
        return (h, read), (h, M)

    ys, (h, M) = scan(cell, x, (state[0], state[1].mT))
    return ys, (h, M.mT)


@published
def attention_lstm(m):
    """An LSTM that looks at fixed annotations by additive attention. Bahdanau, Cho & Bengio 2015, equations 5
    and 6."""
    n = m.width
    weights = {"seen": m.p(m.batch, SLOTS, 2), "A": m.p(2, 7), "B": m.p(n, 7), "v": m.p(7)}
    return m.x(4), (m.h(), m.h()), weights | {"W": m.p(4, 4 * n), "U": m.p(n, 4 * n), "C": m.p(2, 4 * n)}


@attention_lstm.spelling
def attention_lstm_by_broadcasting(scan, x, state, seen, A, B, v, W, U, C):
    keys = seen @ A

    def cell(x, state):
        h, c = state
        w = tg.softmax(tg.tanh(keys + (h @ B)[:, None, :]) @ v, axis=1)
        context = tg.sum(w[:, :, None] * seen, axis=1)
        h, c = lstm_step(x @ W + h @ U + context @ C, c)
        return (h, w), (h, c)

    return scan(cell, x, state)


@attention_lstm.spelling
def attention_lstm_by_einsum(scan, x, state, seen, A, B, v, W, U, C):
    def cell(x, state):
        h, c = state
        scores = tg.einsum(
            "bsk,k->bs", tg.tanh(tg.einsum("bse,ek->bsk", seen, A) + tg.einsum("bh,hk->bk", h, B)[:, None]), v
        )
        w = tg.exp(tg.log_softmax(scores))
        h, c = lstm_step(x @ W + h @ U + tg.einsum("bs,bse,eg->bg", w, seen, C), c)
        return (h, w), (h, c)

    return scan(cell, x, state)


@attention_lstm.spelling
def attention_lstm_place_by_place(scan, x, state, seen, A, B, v, W, U, C):
    places = [seen[:, s] for s in range(SLOTS)]

    def cell(x, state):
        h, c = state
        scores = tg.stack([tg.tanh(place @ A + h @ B) @ v for place in places], axis=-1)
        e = tg.exp(scores - tg.max(scores, axis=-1, keepdims=True))
        w = e / e.sum(axis=-1, keepdims=True)
        context = sum(w[:, s : s + 1] * place for s, place in enumerate(places))
        h, c = lstm_step(x @ W + h @ U + context @ C, c)
        return (h, w), (h, c)

    return scan(cell, x, state)


@published
def stack_rnn(m):
    """An RNN with a stack: push, pop, or neither. Joulin & Mikolov 2015, equations 3 to 5."""
    n = m.width
    weights = {"W": m.p(4, n), "R": m.p(n, n), "P": m.p(1, n), "A": m.p(n, 3), "D": m.p(n, 1)}
    return m.x(4), (m.h(), m.h(SLOTS)), weights


@stack_rnn.spelling
def stack_rnn_by_pad(scan, x, state, W, R, P, A, D):
    def cell(x, state):
        h, s = state
        h = tg.sigmoid(x @ W + h @ R + s[:, :1] @ P)
        push, pop, keep = tg.split(tg.softmax(h @ A), 3, axis=1)
        below = tg.pad(s[:, 1:], [(0, 0), (0, 1)])
        above = tg.concatenate([tg.sigmoid(h @ D), s[:, :-1]], axis=1)
        return h, (h, push * above + pop * below + keep * s)

    return scan(cell, x, state)


@stack_rnn.spelling
def stack_rnn_by_roll(scan, x, state, W, R, P, A, D):
    place = tg.arange(SLOTS)

    def cell(x, state):
        h, s = state
        h = tg.sigmoid(x @ W + h @ R + s[:, 0][:, None] * P[0])
        a = tg.softmax(h @ A, axis=-1)
        above = tg.where(place == 0, tg.sigmoid(h @ D), tg.roll(s, 1, axis=1))
        below = tg.where(place == SLOTS - 1, 0, tg.roll(s, -1, axis=1))
        return h, (h, tg.einsum("ba,bas->bs", a, tg.stack([above, below, s], axis=1)))

    return scan(cell, x, state)


@stack_rnn.spelling
def stack_rnn_by_shift_matrices(scan, x, state, W, R, P, A, D):
    down, up = (tg.eye(SLOTS, k=k, dtype="float64") for k in (1, -1))
    top = tg.eye(1, SLOTS, dtype="float64")

    def cell(x, state):
        h, s = state
        h = tg.sigmoid(x @ W + h @ R + tg.outer(s[:, 0], P[0]))
        actions = tg.exp(h @ A)
        push, pop, keep = tg.unstack((actions / actions.sum(axis=1)[:, None])[:, :, None], axis=1)
        return h, (h, push * (tg.sigmoid(h @ D) @ top + s @ down) + pop * (s @ up) + keep * s)

    return scan(cell, x, state)


@published
def read_by_index(m):
    """Hard attention: the one slot with the largest score is read. Xu et al. 2015, section 4.1, by argmax
    instead of a draw."""
    n = m.width
    weights = {"mem": m.p(m.batch, SLOTS, n), "W": m.p(4, n), "U": m.p(n, n), "A": m.p(n, SLOTS)}
    return m.x(4), m.h(), weights


@read_by_index.spelling
def read_by_index_by_rows(scan, x, h, mem, W, U, A):
    rows = tg.arange(x.shape[1])

    def cell(x, h):
        i = tg.argmax(h @ A, axis=1)
        h = tg.tanh(x @ W + h @ U + mem[rows, i])
        return (h, i), h

    return scan(cell, x, h)


@read_by_index.spelling
def read_by_index_along_an_axis(scan, x, h, mem, W, U, A):
    def cell(x, h):
        i = tg.argmax(h @ A, axis=1)
        read = tg.take_along_axis(mem, i[:, None, None], axis=1)[:, 0]
        h = tg.tanh(x @ W + h @ U + read)
        return (h, i), h

    return scan(cell, x, h)


@read_by_index.spelling
def read_by_index_by_one_hot(scan, x, h, mem, W, U, A):
    def cell(x, h):
        i = tg.argmax(h @ A, axis=1)
        h = tg.tanh(x @ W + h @ U + tg.einsum("bs,bsn->bn", tg.one_hot(i, SLOTS, dtype=h.dtype), mem))
        return (h, i), h

    return scan(cell, x, h)


@read_by_index.spelling
def read_by_index_flat(scan, x, h, mem, W, U, A):
    """All slots of all samples in one table."""
    table, first = mem.reshape(-1, mem.shape[2]), tg.arange(x.shape[1]) * SLOTS

    def cell(x, h):
        i = tg.argmax(h @ A, axis=1)
        h = tg.tanh(x @ W + h @ U + tg.take(table, first + i, axis=0))
        return (h, i), h

    return scan(cell, x, h)


@published
def write_by_index(m):
    """The one slot with the largest score is overwritten, and the mean of all is read. After Gulcehre,
    Chandar & Bengio 2017, equations 5 and 11, by argmax instead of a draw."""
    n = m.width
    return (
        m.x(4),
        (m.h(), m.data(m.batch, SLOTS, n)),
        {"W": m.p(4, n), "U": m.p(n, n), "R": m.p(n, n), "A": m.p(n, SLOTS)},
    )


@write_by_index.spelling
def write_by_index_by_one_hot(scan, x, state, W, U, R, A):
    def cell(x, state):
        h, M = state
        h = tg.tanh(x @ W + h @ U + tg.mean(M, axis=1) @ R)
        at = tg.one_hot(tg.argmax(h @ A, axis=1), SLOTS, dtype=h.dtype)[:, :, None]
        return h, (h, M * (1 - at) + at * h[:, None, :])

    return scan(cell, x, state)


@write_by_index.spelling
def write_by_index_by_where(scan, x, state, W, U, R, A):
    place = tg.arange(SLOTS)

    def cell(x, state):
        h, M = state
        h = tg.tanh(x @ W + h @ U + M.mean(axis=1) @ R)
        i = tg.argmax(tg.einsum("bh,hs->bs", h, A), axis=1, keepdims=True)
        return h, (h, tg.where((i == place)[..., None], h[:, None], M))

    return scan(cell, x, state)


@write_by_index.spelling
def write_by_index_slot_by_slot(scan, x, state, W, U, R, A):
    def cell(x, state):
        h, slots = state
        h = tg.tanh(x @ W + h @ U + sum(slots) / SLOTS @ R)
        scores = h @ A
        largest = tg.max(scores, axis=1, keepdims=True)
        return h, (h, [tg.where(scores[:, s : s + 1] == largest, h, slot) for s, slot in enumerate(slots)])

    ys, (h, slots) = scan(cell, x, (state[0], [state[1][:, s] for s in range(SLOTS)]))
    return ys, (h, tg.stack(slots, axis=1))
