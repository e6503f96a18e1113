"""Cells whose state is a matrix: linear attention, fast weights, a memory that learns."""

from __future__ import annotations

import tinygrad_rnn as tg

from .cell import published


@published
def mlstm(m):
    """mLSTM: a matrix memory with exponential gates. Beck et al. 2024, "xLSTM", equations 19 to 27;
    stabilised as in their appendix."""
    n = m.width
    state = m.data(m.batch, n, 6), m.h(6), m.data(m.batch)
    weights = {"Q": m.p(4, 6), "K": m.p(4, 6), "V": m.p(4, n), "Wo": m.p(4, n), "wi": m.p(4), "wf": m.p(4)}
    return m.x(4), state, weights | {"bo": m.p(n), "bi": m.p(), "bf": m.p()}


@mlstm.spelling
def mlstm_by_broadcasting(scan, x, state, Q, K, V, Wo, wi, wf, bo, bi, bf):
    def cell(x, state):
        C, n, m = state
        q, k, v = x @ Q, x @ K / 6**0.5, x @ V
        i, f = x @ wi + bi, tg.log_sigmoid(x @ wf + bf)
        top = tg.maximum(f + m, i)
        i, f = tg.exp(i - top), tg.exp(f + m - top)
        C = f[:, None, None] * C + i[:, None, None] * v[:, :, None] * k[:, None, :]
        n = f[:, None] * n + i[:, None] * k
        size = tg.maximum(tg.abs(tg.sum(n * q, axis=1)), tg.exp(-top))
        h = tg.sigmoid(x @ Wo + bo) * (C @ q[:, :, None])[:, :, 0] / size[:, None]
        return h, (C, n, top)

    return scan(cell, x, state)


@mlstm.spelling
def mlstm_by_einsum(scan, x, state, Q, K, V, Wo, wi, wf, bo, bi, bf):
    def cell(x, state):
        C, n, m = state
        q, k, v = (tg.einsum("bi,id->bd", x, W) for W in (Q, K, V))
        i, f = tg.einsum("bi,i->b", x, wi) + bi, tg.einsum("bi,i->b", x, wf) + bf
        kept = m - tg.softplus(-f)
        top = tg.where(kept > i, kept, i)
        i, f = tg.exp(i - top), tg.exp(kept - top)
        C = tg.einsum("b,bvk->bvk", f, C) + tg.einsum("b,bv,bk->bvk", i, v, k / 6**0.5)
        n = tg.einsum("b,bk->bk", f, n) + tg.einsum("b,bk->bk", i, k / 6**0.5)
        size = tg.maximum(tg.abs(tg.einsum("bk,bk->b", n, q)), tg.exp(-top))
        h = tg.sigmoid(x @ Wo + bo) * tg.einsum("bvk,bk->bv", C, q) / size[:, None]
        return h, (C, n, top)

    return scan(cell, x, state)


@mlstm.spelling
def mlstm_normaliser_as_a_row(scan, x, state, Q, K, V, Wo, wi, wf, bo, bi, bf):
    """v gets a last element of 1, so that the memory's last row is the normaliser; m is (B, 1)."""
    gates = tg.stack([wi, wf], axis=1)

    def cell(x, state):
        C, m = state
        q, k, v = x @ Q, x @ K * 6**-0.5, tg.concatenate([x @ V, tg.ones((x.shape[0], 1), x.dtype)], axis=1)
        i, f = tg.split(x @ gates + tg.stack([bi, bf]), 2, axis=1)
        f = tg.log(tg.sigmoid(f)) + m
        m = tg.max(tg.concatenate([i, f], axis=1), axis=1, keepdims=True)
        C = tg.exp(f - m)[..., None] * C + tg.matmul((tg.exp(i - m) * v)[:, :, None], k[:, None, :])
        read = tg.squeeze(C @ tg.expand_dims(q, -1), -1)
        size = tg.maximum(tg.abs(read[:, -1:]), tg.exp(-m))
        return tg.sigmoid(x @ Wo + bo) * read[:, :-1] / size, (C, m)

    C, n, top = state
    ys, (C, m) = scan(cell, x, (tg.concatenate([C, n[:, None]], axis=1), top[:, None]))
    return ys, (C[:, :-1], C[:, -1], m[:, 0])


@published
def retnet(m):
    """Retention in its recurrent form, one head. Sun et al. 2023, equation 6."""
    n = m.width
    return m.x(4), m.data(m.batch, 6, n), {"Q": m.p(4, 6), "K": m.p(4, 6), "V": m.p(4, n)}


GAMMA = 0.9


@retnet.spelling
def retnet_by_matmul(scan, x, S, Q, K, V):
    def cell(x, S):
        q, k, v = x @ Q, x @ K, x @ V
        S = GAMMA * S + k[:, :, None] @ v[:, None, :]
        return (q[:, None] @ S)[:, 0], S

    return scan(cell, x, S)


@retnet.spelling
def retnet_by_einsum(scan, x, S, Q, K, V):
    def cell(x, S):
        S = GAMMA * S + tg.einsum("bi,ik,bj,jv->bkv", x, K, x, V)
        return tg.einsum("bk,bkv->bv", x @ Q, S), S

    return scan(cell, x, S)


@retnet.spelling
def retnet_flat(scan, x, S, Q, K, V):
    """The state (B, K · V)."""
    n = V.shape[1]

    def cell(x, S):
        k, v = x @ K, x @ V
        S = S * GAMMA + tg.repeat(k, n, axis=1) * tg.tile(v, (1, 6))
        return tg.sum(S.reshape(-1, 6, n) * (x @ Q)[:, :, None], axis=1), S

    ys, S = scan(cell, x, S.reshape(S.shape[0], -1))
    return ys, S.reshape(-1, 6, n)


@published
def delta_net(m):
    """DeltaNet: the old value under a key is replaced. Schlag, Irie & Schmidhuber 2021, equations 21 to 25;
    keys and queries normalised as by Yang et al. 2024."""
    n = m.width
    return m.x(4), m.data(m.batch, n, 6), {"Q": m.p(4, 6), "K": m.p(4, 6), "V": m.p(4, n), "w": m.p(4, 1)}


@delta_net.spelling
def delta_net_by_norm(scan, x, S, Q, K, V, w):
    def unit(a):
        return a / tg.linalg.norm(a, axis=-1, keepdims=True)

    def cell(x, S):
        q, k, v, rate = unit(tg.silu(x @ Q)), unit(tg.silu(x @ K)), x @ V, tg.sigmoid(x @ w)
        old = tg.sum(S * k[:, None, :], axis=-1)
        S = S + (rate * (v - old))[:, :, None] * k[:, None, :]
        return tg.sum(S * q[:, None, :], axis=-1), S

    return scan(cell, x, S)


@delta_net.spelling
def delta_net_by_einsum(scan, x, S, Q, K, V, w):
    def cell(x, S):
        q, k = (a * tg.sigmoid(a) for a in (x @ Q, x @ K))
        q, k = (a * tg.sum(a * a, axis=1, keepdims=True) ** -0.5 for a in (q, k))
        error = x @ V - tg.einsum("bvk,bk->bv", S, k)
        S = S + tg.einsum("b,bv,bk->bvk", tg.sigmoid(x @ w[:, 0]), error, k)
        return tg.einsum("bvk,bk->bv", S, q), S

    return scan(cell, x, S)


@delta_net.spelling
def delta_net_transposed(scan, x, S, Q, K, V, w):
    """The state is the transpose, multiplied by I − β k kᵀ."""

    def unit(a):
        a = tg.silu(a)
        return (a / tg.sqrt(tg.vecdot(a, a))[:, None])[:, :, None]

    def cell(x, S):
        q, k, v, rate = unit(x @ Q), unit(x @ K), (x @ V)[:, None, :], tg.sigmoid(x @ w)[:, :, None]
        S = (tg.eye(6, dtype=x.dtype) - rate * (k @ k.mT)) @ S + rate * k @ v
        return tg.squeeze(q.mT @ S, 1), S

    ys, S = scan(cell, x, S.mT)
    return ys, S.mT


@published
def gated_linear_attention(m):
    """Two heads of gated linear attention, the gate of low rank. Yang et al. 2024, equations 3 and 4."""
    n = m.width
    weights = {
        "Q": m.p(4, 6),
        "K": m.p(4, 6),
        "V": m.p(4, 2 * n),
        "A1": m.p(4, 1),
        "A2": m.p(1, 6),
        "b": m.p(6),
    }
    return m.x(4), m.data(m.batch, 2, 3, n), weights


@gated_linear_attention.spelling
def gated_linear_attention_by_broadcasting(scan, x, S, Q, K, V, A1, A2, b):
    n = V.shape[1] // 2

    def cell(x, S):
        q, k, v = (x @ Q).reshape(-1, 2, 3), (x @ K).reshape(-1, 2, 3), (x @ V).reshape(-1, 2, n)
        alpha = (tg.sigmoid(x @ A1 @ A2 + b) ** (1 / 16)).reshape(-1, 2, 3)
        S = alpha[..., None] * S + k[..., None] * v[..., None, :]
        return tg.sum(q[..., None] * S, axis=2).reshape(-1, 2 * n), S

    return scan(cell, x, S)


@gated_linear_attention.spelling
def gated_linear_attention_by_einsum(scan, x, S, Q, K, V, A1, A2, b):
    Q, K, V, b = Q.reshape(4, 2, 3), K.reshape(4, 2, 3), V.reshape(4, 2, -1), b.reshape(2, 3)
    A2 = A2.reshape(1, 2, 3)

    def cell(x, S):
        alpha = tg.exp(tg.log_sigmoid(tg.einsum("bi,ir,rhk->bhk", x, A1, A2) + b) / 16)
        S = tg.einsum("bhk,bhkv->bhkv", alpha, S) + tg.einsum("bi,ihk,bj,jhv->bhkv", x, K, x, V)
        y = tg.einsum("bi,ihk,bhkv->bhv", x, Q, S)
        return tg.concatenate([y[:, 0], y[:, 1]], axis=1), S

    return scan(cell, x, S)


@gated_linear_attention.spelling
def gated_linear_attention_head_by_head(scan, x, S, Q, K, V, A1, A2, b):
    def cell(x, states):
        heads = zip(
            *(tg.split(x @ W, 2, axis=1) for W in (Q, K, V)),
            tg.split(x @ (A1 @ A2) + b, 2, axis=1),
            states,
            strict=True,
        )
        ys, new = [], []
        for q, k, v, a, S in heads:
            S = tg.power(tg.sigmoid(a), 0.0625)[:, :, None] * S + k[:, :, None] @ v[:, None, :]
            ys.append((q[:, None, :] @ S).reshape(v.shape))
            new.append(S)
        return tg.hstack(ys), new

    ys, last = scan(cell, x, [S[:, 0], S[:, 1]])
    return ys, tg.stack(last, axis=1)


@published
def ttt(m):
    """TTT-Linear: the state is a linear model that takes a step of gradient descent on each x. Sun et al.
    2024, equations 1 to 6."""
    n = m.width
    return (
        m.x(4),
        m.data(m.batch, 6, n),
        {"Q": m.p(4, 6), "K": m.p(4, 6), "V": m.p(4, n), "rate": m.between(0.1, 0.5)},
    )


@ttt.spelling
def ttt_by_grad(scan, x, W, Q, K, V, rate):
    def cell(x, W):
        k, v = (x @ K)[:, None, :], (x @ V)[:, None, :]
        W = W - rate * tg.grad(lambda W: tg.sum((k @ W - v) ** 2))(W)
        return ((x @ Q)[:, None, :] @ W)[:, 0], W

    return scan(cell, x, W)


@ttt.spelling
def ttt_by_its_gradient(scan, x, W, Q, K, V, rate):
    def cell(x, W):
        k = x @ K
        error = tg.einsum("bk,bkv->bv", k, W) - x @ V
        W = W - 2 * rate * k[:, :, None] * error[:, None, :]
        return tg.einsum("bk,bkv->bv", x @ Q, W), W

    return scan(cell, x, W)


@ttt.spelling
def ttt_sample_by_sample(scan, x, W, Q, K, V, rate):
    def cell(x, W):
        q, k, v = x @ Q, x @ K, x @ V
        new = [w - 2 * rate * tg.outer(k[i], k[i] @ w - v[i]) for i, w in enumerate(W)]
        return tg.stack([q[i] @ w for i, w in enumerate(new)]), tg.stack(new)

    return scan(cell, x, W)
