"""The view of time steps: what is left of a residual at each state."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaky_run, looped, residuals


@pytest.mark.parametrize("masked", [False, True])
def test_residual_left_at_states_is_the_product_of_jacobians(rng, masked):
    """h[t] = tanh(x[t] + h[t−1] U) by hand: δ[t−1] = (δ[t] · (1 − h[t]²)) Uᵀ, and the residual itself where a
    sample is masked."""
    steps = 12
    U, x, h = (
        rng.standard_normal((HIDDEN, HIDDEN)),
        rng.standard_normal((steps, BATCH, HIDDEN)),
        np.zeros((BATCH, HIDDEN)),
    )
    live = np.ones((steps, BATCH), bool)
    live[[3, 4, 11], 0] = not masked
    weight, start, states = tg.tensor(U, requires_grad=True), tg.tensor(h, requires_grad=True), []

    def cell(x, h):
        h = tg.tanh(x + h @ weight)
        return h, h

    _, last = tg.scan(cell, tg.tensor(x), start, mask=live)
    for t in range(steps):
        h = np.where(live[t][:, None], np.tanh(x[t] + h @ U), h)
        states.append(h)
    delta, wanted = np.ones_like(h), {}
    for t in reversed(range(steps)):
        wanted[t] = np.linalg.norm(delta)
        delta = np.where(live[t][:, None], (delta * (1 - states[t] ** 2)) @ U.T, delta)
    wanted[-1] = np.linalg.norm(delta)
    (found,) = residuals(tg.sum(last))
    assert found == pytest.approx(wanted, rel=1e-9)


def test_of_several_losses_the_last_is_followed_through_steps():
    """Every step has a loss: what the last one sends into c[t] is o ½^(T−t), and p of that into h[t−1],
    whatever the others send."""
    one = np.sqrt(BATCH * HIDDEN)
    c, h = residuals(leaky_run(6, tg.sum))
    assert c == pytest.approx({t: one * 2 * 0.5 ** (5 - t) for t in range(6)}, rel=1e-12)
    assert h == pytest.approx(
        {t: one * (1 if t == 5 else 0.25 * 0.5 ** (4 - t)) for t in range(6)}, rel=1e-12
    )
    whole, _ = residuals(leaky_run(6, tg.sum), start="all")
    assert whole[0] == pytest.approx(one * 2 * sum(0.5**k for k in range(6)), rel=1e-12)


def test_steps_say_what_is_left_and_what_the_hidden_ones_do():
    drawn = tg.draw(leaky_run(), view="steps")
    assert "… 93 steps …" in drawn.dot
    assert f" c  ×{0.5**94:.0e} in all " in drawn.dot
    assert drawn.dot.count('label="×0.5"') == 9  # five of c, four of h, which the loss comes into
    assert str(drawn).endswith(f"100 steps; c ×{0.5**99:.0e}, h ×{0.125 * 2 * 0.5**98:.0e}")
    assert tg.draw(leaky_run(8), view="steps").dot.count("<B>t = ") == 8
    assert "×0.5" not in tg.draw(leaky_run(), view="steps", gains=False).dot


@pytest.mark.parametrize(("steps", "stride"), [(999, 1), (2500, 3)])
def test_a_slider_that_leaves_steps_out_says_so(steps, stride):
    start = tg.ones((1,)).requires_grad_()
    _, h = tg.scan(lambda x, h: (0.5 * h + x, 0.5 * h + x), tg.zeros((steps, 1)), start)
    scene = tg.draw(tg.sum(h), view="steps", gains=False)._scene
    assert len(scene.moments) == len({0, 1, 2, *range(0, steps, stride), *range(steps - 4, steps)})
    (gap,) = [box for box in scene.boxes if box.label.startswith("…")]
    assert dict(gap.facts).get("on the slider") == (None if stride == 1 else f"one step in {stride}")


def test_a_state_without_slope_and_matrix_is_told_from_others():
    layers = [kind(INPUT, HIDDEN) for kind in (tg.nn.RNN, tg.nn.LSTM, tg.nn.PeepholeLSTM, tg.nn.GRU)]
    dots = [
        tg.draw(tg.sum(layer(tg.tensor(np.ones((9, BATCH, INPUT), "float32")))[0][-1]), view="steps").dot
        for layer in layers
    ]
    assert ["grey = state" in dot for dot in dots] == [True, True, True, False]
    assert ["yellow = state" in dot for dot in dots] == [False, True, True, True]


def test_residual_left_in_a_loop_of_the_users_own_is_the_product_of_jacobians(rng):
    cell = tg.nn.RNNCell(INPUT, HIDDEN, dtype="float64")
    x, h = rng.standard_normal((6, BATCH, INPUT)), np.zeros((BATCH, HIDDEN))
    loss = tg.sum(looped(cell, map(tg.tensor, x), tg.tensor(h)))
    W_ih, W_hh, b_ih, b_hh = (p.numpy() for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
    hs = []
    for x_t in x:
        h = np.tanh(x_t @ W_ih.T + b_ih + h @ W_hh.T + b_hh)
        hs.append(h)
    residual, wanted = np.ones((BATCH, HIDDEN)), {}
    for t in reversed(range(6)):
        wanted[t] = np.linalg.norm(residual)
        residual = (residual * (1 - hs[t] ** 2)) @ W_hh
    (found,) = residuals(loss)
    assert found == pytest.approx(wanted, rel=1e-12)


def test_what_passes_unchanged_has_no_number():
    """h[t] = h[t−1] + x[t]: every gain is 1, which the legend says of arrows without a label."""

    def cell(x, h):
        h = h + x
        return h, h

    start = tg.tensor(np.ones((BATCH, HIDDEN)), requires_grad=True)
    _, last = tg.scan(cell, tg.tensor(np.ones((6, BATCH, HIDDEN))), start)
    dot = tg.draw(tg.sum(last), view="steps").dot
    assert "no label = ×1" in dot
    assert 'label="×' not in dot
    assert "gain ×1," in dot
