"""Sums over all paths through a graph, in logarithms: hidden Markov models, random fields, CTC."""

from __future__ import annotations

import math
from typing import Any

import tinygrad_rnn as tg

from .cell import published


@published
def hmm_forward(m):
    """The forward algorithm of a hidden Markov model, in logarithms. Rabiner 1989, equations 19 to 21."""
    n = m.width
    return m.x(n), m.h(), {"A": m.p(n, n)}


@hmm_forward.spelling
def hmm_forward_by_logsumexp(scan, x, alpha, A):
    def cell(x, alpha):
        alpha = tg.logsumexp(alpha[:, :, None] + A, axis=1) + x
        return alpha, alpha

    ys, alpha = scan(cell, x, alpha)
    return ys, tg.logsumexp(alpha, axis=1)


@hmm_forward.spelling
def hmm_forward_by_a_product_of_exponentials(scan, x, alpha, A):
    def cell(x, alpha):
        top = tg.max(alpha, axis=1, keepdims=True)
        alpha = tg.log(tg.exp(alpha - top) @ tg.exp(A)) + top + x
        return alpha, alpha

    ys, alpha = scan(cell, x, alpha)
    return ys, tg.log(tg.sum(tg.exp(alpha), axis=1))


@hmm_forward.spelling
def hmm_forward_by_logaddexp(scan, x, alpha, A):
    """The batch is the last axis; one state after the other is added."""

    def cell(x, alpha):
        total = alpha[0] + A[0][:, None]
        for i in range(1, A.shape[0]):
            total = tg.logaddexp(total, alpha[i] + A[i, :, None])
        alpha = total + x.T
        return alpha.T, alpha

    ys, alpha = scan(cell, x, alpha.T)
    return ys, tg.logsumexp(alpha, axis=0)


@published
def hmm_left_to_right(m):
    """A hidden Markov model that only stays or goes on by one state, from the first: other ways have the
    logarithm −∞. Rabiner 1989, section IV A; what comes out is the likelihood so far."""
    n = m.width
    return m.x(n), (), {"stay": m.p(n), "go": m.p(n)}


def likelihood(ys: Any, alpha: tg.Tensor) -> tuple[Any, tg.Tensor]:
    """The likelihood at each step; of the last α what is possible."""
    return ys, tg.where(tg.isfinite(alpha), alpha, 0)


@hmm_left_to_right.spelling
def hmm_left_to_right_by_logsumexp(scan, x, state, stay, go):
    n = stay.shape[0]
    there, next_one = tg.eye(n, dtype=bool), tg.eye(n, k=1, dtype=bool)
    A = tg.where(there, tg.log_sigmoid(stay), tg.where(next_one, tg.log_sigmoid(go)[:, None], -math.inf))

    def cell(x, alpha):
        alpha = tg.logsumexp(alpha[:, :, None] + A, axis=1) + x
        return tg.logsumexp(alpha, axis=1), alpha

    first = tg.full((x.shape[1], n), -math.inf, "float64")
    return likelihood(*scan(cell, x, tg.where(tg.arange(n) == 0, 0.0, first)))


@hmm_left_to_right.spelling
def hmm_left_to_right_by_a_shift(scan, x, state, stay, go):
    n = stay.shape[0]
    back = (tg.arange(n) + n - 1) % n

    def cell(x, alpha):
        from_before = tg.pad(alpha[:, :-1], [(0, 0), (1, 0)], constant_values=-math.inf)
        alpha = (
            tg.logaddexp(alpha - tg.softplus(-stay), from_before - tg.softplus(-tg.take(go, back, axis=0)))
            + x
        )
        top = tg.max(alpha, axis=1, keepdims=True)
        return tg.log(tg.sum(tg.exp(alpha - top), axis=1)) + top[:, 0], alpha

    first = tg.where(tg.arange(n) == 0, 0.0, -math.inf)
    return likelihood(*scan(cell, x, tg.broadcast_to(first, (x.shape[1], n)).astype("float64")))


@hmm_left_to_right.spelling
def hmm_left_to_right_in_probabilities(scan, x, state, stay, go):
    """Without logarithms inside: 0 is what −∞ was."""
    n = stay.shape[0]
    A = tg.diag(tg.sigmoid(stay)) + tg.eye(n, k=1, dtype="float64") * tg.sigmoid(go)[:, None]

    def cell(x, p):
        p = (p @ A) * tg.exp(x)
        return tg.log(tg.sum(p, axis=1)), p

    ys, p = scan(cell, x, tg.eye(1, n, dtype="float64") * tg.ones((x.shape[1], 1), "float64"))
    return ys, tg.where(p > 0, tg.log(tg.where(p > 0, p, 1)), 0)


@published
def crf(m):
    """A linear-chain random field over sentences of several lengths: minus the log-likelihood of the right
    tags. Lafferty, McCallum & Pereira 2001, equations 1 to 3; Lample et al. 2016, section 2.2."""
    n = m.width
    weights = {"W": m.p(4, n), "A": m.p(n, n), "start": m.p(n)}
    weights |= {
        "tags": m.ids(n, m.steps, m.batch),
        "lengths": tg.tensor([m.steps, 1, m.steps - 1][: m.batch]),
    }
    return m.x(4), (), weights


@crf.spelling
def crf_by_logsumexp_and_lengths(scan, x, state, W, A, start, tags, lengths):
    def cell(e, alpha):
        alpha = tg.logsumexp(alpha[:, :, None] + A, axis=1) + e
        return (), alpha

    def path(xs, state):
        e, tag = xs
        score, before = state
        score = score + A[before, tag] + tg.take_along_axis(e, tag[:, None], axis=1)[:, 0]
        return (), (score, tag)

    scores = x @ W
    first = start + scores[0]
    steps = lengths.numpy() - 1
    _, alpha = scan(cell, scores[1:], first, lengths=steps)
    begin = tg.take_along_axis(first, tags[0][:, None], axis=1)[:, 0]
    _, (gold, _) = scan(path, (scores[1:], tags[1:]), (begin, tags[0]), lengths=steps)
    return tg.logsumexp(alpha, axis=1) - gold, ()


@crf.spelling
def crf_by_one_hot_and_a_mask(scan, x, state, W, A, start, tags, lengths):
    n = A.shape[0]
    right = tg.one_hot(tags, n, dtype="float64")
    there = (tg.arange(1, x.shape[0])[:, None] < lengths).numpy()

    def cell(xs, state):
        (x, tag), (alpha, before, gold) = xs, state
        e = x @ W
        top = tg.max(alpha, axis=1, keepdims=True)
        alpha = tg.log(tg.exp(alpha - top) @ tg.exp(A)) + top + e
        gold = gold + tg.einsum("bi,ij,bj->b", before, A, tag) + tg.sum(e * tag, axis=1)
        return alpha[:, 0], (alpha, tag, gold)

    first = start + x[0] @ W
    _, (alpha, _, gold) = scan(
        cell, (x[1:], right[1:]), (first, right[0], tg.vecdot(first, right[0])), mask=there
    )
    return tg.log(tg.sum(tg.exp(alpha), axis=1)) - gold, ()


@crf.spelling
def crf_by_where(scan, x, state, W, A, start, tags, lengths):
    """Lengths are looked at in the cell, by a counter; the right path is summed after the loop."""

    def cell(x, state):
        alpha, t = state
        new = tg.logsumexp(alpha[:, None, :] + A.T, axis=2) + tg.einsum("bi,ij->bj", x, W)
        return alpha, (tg.where((t < lengths)[:, None], new, alpha), t + 1)

    _, (alpha, _) = scan(cell, x[1:], (start + x[0] @ W, 1))
    steps = tg.arange(x.shape[0])[:, None]
    rows = tg.arange(x.shape[1])
    emitted = (x @ W)[steps, rows, tags]
    moved = A[tags[:-1], tags[1:]]
    gold = start[tags[0]] + tg.sum(tg.where(steps < lengths, emitted, 0), axis=0)
    gold = gold + tg.sum(tg.where(steps[1:] < lengths, moved, 0), axis=0)
    return tg.logsumexp(alpha, axis=1) - gold, ()


@published
def ctc(m):
    """Connectionist temporal classification: minus the log-likelihood of a label sequence, blanks between.
    Graves et al. 2006, equations 6 to 8; labels (B, 2), one of them twice, blank 0."""
    weights = {"W": m.p(4, m.width + 1), "labels": tg.tensor([[1, 1], [1, m.width], [m.width, 1]][: m.batch])}
    return m.data(m.steps + 2, m.batch, 4), (), weights


def with_blanks(labels: tg.Tensor) -> tuple[tg.Tensor, tg.Tensor]:
    """0 l₁ 0 l₂ 0, and where a label may follow the one before at once."""
    blank = tg.zeros_like(labels[:, 0])
    extended = tg.stack([blank, labels[:, 0], blank, labels[:, 1], blank], axis=1)
    jumps = tg.pad(extended[:, 2:] != extended[:, :-2], [(0, 0), (2, 0)]) & (extended != 0)
    return extended, jumps


@ctc.spelling
def ctc_by_infinities(scan, x, state, W, labels):
    extended, jumps = with_blanks(labels)

    def cell(x, alpha):
        e = tg.take_along_axis(tg.log_softmax(x @ W), extended, axis=1)
        one = tg.pad(alpha[:, :-1], [(0, 0), (1, 0)], constant_values=-math.inf)
        two = tg.pad(alpha[:, :-2], [(0, 0), (2, 0)], constant_values=-math.inf)
        alpha = tg.logaddexp(tg.logaddexp(alpha, one), tg.where(jumps, two, -math.inf)) + e
        return (), alpha

    first = tg.full(extended.shape, -math.inf, "float64")
    first = tg.where(tg.arange(5) == 0, 0.0, first)
    _, alpha = scan(cell, x, first)
    return -tg.logaddexp(alpha[:, -1], alpha[:, -2]), ()


@ctc.spelling
def ctc_by_a_large_number(scan, x, state, W, labels):
    """−1e30 for what is impossible; scores of words by one-hot rows, before the loop."""
    extended, jumps = with_blanks(labels)
    e = tg.einsum(
        "tbw,bsw->tbs", tg.log_softmax(x @ W, axis=2), tg.one_hot(extended, W.shape[1], dtype=W.dtype)
    )

    def cell(e, alpha):
        low = tg.full((e.shape[0], 2), -1e30, e.dtype)
        ways = [
            alpha,
            tg.concatenate([low[:, :1], alpha[:, :-1]], axis=1),
            tg.concatenate([low, alpha[:, :-2]], axis=1),
        ]
        alpha = tg.logsumexp(tg.stack([*ways[:2], tg.where(jumps, ways[2], -1e30)]), axis=0) + e
        return alpha, alpha

    ys, _ = scan(cell, e, tg.where(tg.arange(5) == 0, 0.0, tg.full(extended.shape, -1e30, "float64")))
    return -tg.logsumexp(ys[-1, :, 3:], axis=1), ()


@ctc.spelling
def ctc_by_roll_and_rows(scan, x, state, W, labels):
    extended, jumps = with_blanks(labels)
    rows, place = tg.arange(x.shape[1])[:, None], tg.arange(5)

    def cell(x, alpha):
        logits = x @ W
        e = logits[rows, extended] - tg.logsumexp(logits, axis=1, keepdims=True)
        one = tg.where(place >= 1, tg.roll(alpha, 1, axis=1), -math.inf)
        two = tg.where(jumps, tg.roll(alpha, 2, axis=1), -math.inf)
        top = tg.stop_gradient(tg.maximum(tg.maximum(alpha, one), two))
        top = tg.where(tg.isfinite(top), top, 0)
        total = tg.exp(alpha - top) + tg.exp(one - top) + tg.exp(two - top)
        return (), tg.where(total > 0, tg.log(tg.where(total > 0, total, 1)) + top, -math.inf) + e

    first = tg.where(place == 0, 0.0, tg.full(extended.shape, -math.inf, "float64"))
    _, alpha = scan(cell, x, first)
    return -tg.logsumexp(alpha[:, 3:], axis=1), ()
