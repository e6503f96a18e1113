"""Whole numbers in the step: tokens that come in, are chosen, are fed back."""

from __future__ import annotations

import math

import tinygrad_rnn as tg

from .cell import lstm_step, published

WORDS = 7


@published
def lstm_on_tokens(m):
    """A language model: an LSTM (Gers, Schmidhuber & Cummins 2000) on tokens that it embeds. Mikolov et al.
    2010, equations 2 to 4."""
    n = m.width
    weights = {"E": m.p(WORDS, 6), "W": m.p(6, 4 * n), "U": m.p(n, 4 * n), "b": m.p(4 * n)}
    return m.ids(WORDS, m.steps, m.batch), (m.h(), m.h()), weights


@lstm_on_tokens.spelling
def lstm_on_tokens_by_take(scan, tokens, state, E, W, U, b):
    def cell(i, state):
        h, c = state
        h, c = lstm_step(tg.take(E, i, axis=0) @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, tokens, state)


@lstm_on_tokens.spelling
def lstm_on_tokens_by_an_index(scan, tokens, state, E, W, U, b):
    def cell(i, state):
        h, c = state
        h, c = lstm_step(E[i] @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, tokens, state)


@lstm_on_tokens.spelling
def lstm_on_tokens_by_one_hot(scan, tokens, state, E, W, U, b):
    def cell(i, state):
        h, c = state
        h, c = lstm_step(tg.one_hot(i, WORDS, dtype=h.dtype) @ E @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, tokens, state)


@lstm_on_tokens.spelling
def lstm_on_tokens_by_an_embedding(scan, tokens, state, E, W, U, b):
    embedding = tg.nn.Embedding(WORDS, 6, dtype=E.dtype)
    embedding.weight = E

    def cell(i, state):
        h, c = state
        h, c = lstm_step(embedding(i) @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, tokens, state)


@lstm_on_tokens.spelling
def lstm_on_tokens_embedded_before(scan, tokens, state, E, W, U, b):
    def cell(x, state):
        h, c = state
        h, c = lstm_step(x @ W + h @ U + b, c)
        return h, (h, c)

    return scan(cell, E[tokens], state)


@published
def greedy_decoding(m):
    """A GRU-like decoder is fed what it said: the most likely word. Sutskever, Vinyals & Le 2014, section
    3.2, with a beam of one."""
    n = m.width
    weights = {"E": m.p(WORDS, n), "U": m.p(n, n), "Z": m.p(n, n), "Wo": m.p(n, WORDS)}
    return tg.arange(m.steps), (m.h(), m.ids(WORDS, m.batch)), weights


@greedy_decoding.spelling
def greedy_decoding_by_take(scan, times, state, E, U, Z, Wo):
    def cell(t, state):
        h, word = state
        z = tg.sigmoid(h @ Z)
        h = z * h + (1 - z) * tg.tanh(tg.take(E, word, axis=0) + h @ U)
        scores = h @ Wo
        word = tg.argmax(scores, axis=1)
        return (scores, word), (h, word)

    return scan(cell, times, state)


@greedy_decoding.spelling
def greedy_decoding_by_an_index(scan, times, state, E, U, Z, Wo):
    def cell(t, state):
        h, word = state["h"], state["word"]
        gate, new = tg.split(h @ tg.concatenate([Z, U], axis=1), 2, axis=1)
        new = tg.tanh(E[word] + new)
        h = new + tg.sigmoid(gate) * (h - new)
        scores = tg.log_softmax(h @ Wo)
        word = tg.argmax(scores, axis=-1)
        return (h @ Wo, word), {"h": h, "word": word}

    return scan(cell, times, {"h": state[0], "word": state[1]})


@greedy_decoding.spelling
def greedy_decoding_by_one_hot(scan, times, state, E, U, Z, Wo):
    """The word goes on as a one-hot row."""

    def cell(t, state):
        h, word = state
        z = tg.sigmoid(tg.einsum("bi,ij->bj", h, Z))
        h = z * h + (1 - z) * tg.tanh(word @ E + tg.einsum("bi,ij->bj", h, U))
        scores = h @ Wo
        best = tg.argmax(scores, axis=1, keepdims=True)
        return (scores, best[:, 0]), (h, (best == tg.arange(WORDS)).astype(h.dtype))

    (scores, words), (h, _) = scan(cell, times, (state[0], tg.one_hot(state[1], WORDS, dtype="float64")))
    return (scores, words), (h, words[-1])


@published
def scheduled_sampling(m):
    """A decoder sees now the right word, now its own. Bengio et al. 2015, section 2.4; the coins come with
    the words."""
    n = m.width
    xs = {"target": m.ids(WORDS, m.steps, m.batch), "right": m.coins(m.steps, m.batch)}
    return xs, (m.h(), m.ids(WORDS, m.batch)), {"E": m.p(WORDS, n), "U": m.p(n, n), "Wo": m.p(n, WORDS)}


@scheduled_sampling.spelling
def scheduled_sampling_by_where(scan, xs, state, E, U, Wo):
    def cell(x, state):
        h, said = state
        word = tg.where(x["right"], x["target"], said)
        h = tg.tanh(tg.take(E, word, axis=0) + h @ U)
        scores = h @ Wo
        return scores, (h, tg.argmax(scores, axis=-1))

    return scan(cell, xs, state)


@scheduled_sampling.spelling
def scheduled_sampling_by_whole_numbers(scan, xs, state, E, U, Wo):
    def cell(xs, state):
        (target, right), (h, said) = xs, state
        h = tg.tanh(E[said + right * (target - said)] + tg.dot(h, U))
        scores = tg.inner(h, Wo.T)
        return scores, (h, scores.argmax(axis=1))

    return scan(cell, (xs["target"], xs["right"].astype("int64")), state)


@scheduled_sampling.spelling
def scheduled_sampling_of_embeddings(scan, xs, state, E, U, Wo):
    """Both words are embedded, the right one before the loop; a mask of numbers chooses."""

    def cell(xs, state):
        (target, right), (h, said) = xs, state
        own = tg.einsum("bw,wn->bn", tg.one_hot(said, WORDS, dtype=h.dtype), E)
        h = tg.tanh(right * target + (1 - right) * own + h @ U)
        scores = h @ Wo
        return scores, (h, tg.argmax(scores, axis=1))

    return scan(cell, (E[xs["target"]], xs["right"][..., None].astype("float64")), state)


BEAMS = 2


@published
def beam_search(m):
    """Beam search: the two best sentences of each sample go on. Graves 2012, algorithm 1, without blanks."""
    n = m.width
    state = m.data(m.batch, BEAMS), m.data(m.batch, BEAMS, n), m.ids(WORDS, m.batch, BEAMS)
    return tg.arange(m.steps), state, {"E": m.p(WORDS, n), "U": m.p(n, n), "Wo": m.p(n, WORDS)}


@beam_search.spelling
def beam_search_by_argsort(scan, times, state, E, U, Wo):
    def cell(t, state):
        scores, h, word = state
        h = tg.tanh(tg.take(E, word, axis=0) + h @ U)
        every = (scores[:, :, None] + tg.log_softmax(h @ Wo)).reshape(-1, BEAMS * WORDS)
        best = tg.argsort(-every, axis=1)[:, :BEAMS]
        scores = tg.take_along_axis(every, best, axis=1)
        beam, word = best // WORDS, best % WORDS
        h = tg.take_along_axis(h, beam[:, :, None], axis=1)
        return (word, beam), (scores, h, word)

    return scan(cell, times, state)


@beam_search.spelling
def beam_search_by_the_largest_twice(scan, times, state, E, U, Wo):
    place = tg.arange(BEAMS * WORDS)

    def cell(t, state):
        scores, h, word = state
        h = tg.tanh(E[word] + tg.einsum("bkn,nm->bkm", h, U))
        every = (scores[..., None] + tg.log_softmax(tg.einsum("bkn,nw->bkw", h, Wo), axis=2)).reshape(
            -1, BEAMS * WORDS
        )
        first = tg.argmax(every, axis=1)
        second = tg.argmax(tg.where(place == first[:, None], -math.inf, every), axis=1)
        best = tg.stack([first, second], axis=1)
        chosen = tg.one_hot(best, BEAMS * WORDS, dtype=h.dtype)
        scores = tg.sum(chosen * every[:, None, :], axis=2)
        h = tg.one_hot(best // WORDS, BEAMS, dtype=h.dtype) @ h
        return (best % WORDS, best // WORDS), (scores, h, best % WORDS)

    return scan(cell, times, state)


@beam_search.spelling
def beam_search_by_rows(scan, times, state, E, U, Wo):
    rows = tg.arange(state[0].shape[0])[:, None]

    def cell(t, state):
        scores, h, word = state
        h = tg.tanh(tg.one_hot(word, WORDS, dtype=h.dtype) @ E + h @ U)
        logits = h @ Wo
        every = tg.reshape(
            tg.expand_dims(scores, 2) + logits - tg.logsumexp(logits, axis=2, keepdims=True),
            (-1, BEAMS * WORDS),
        )
        best = tg.flip(tg.argsort(every), 1)[:, :BEAMS]
        word = tg.mod(best, WORDS)
        beam = (best - word) // WORDS
        return (word, beam), (every[rows, best], h[rows, beam], word)

    return scan(cell, times, state)
