"""∂c[T]/∂c[t] along the cell state alone is the product of the forget gates, exactly. By way of h and the
gates something else is added."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, HIDDEN = 40, 6
rng = np.random.default_rng(0)
x = rng.normal(size=(T, 1))
W, U = rng.normal(0, 0.5, (1, 4 * HIDDEN)), rng.normal(0, 0.7, (HIDDEN, 4 * HIDDEN))


def jacobians(bias, cut):
    """∂c[T]/∂c[t] for t = 0 … T, (T + 1, HIDDEN, HIDDEN), and the product of the forget gates f[t + 1] …
    f[T], (T + 1, HIDDEN)."""
    h, c = (tg.tensor(np.zeros(HIDDEN), requires_grad=True) for _ in range(2))
    cells, gates = [c], []
    for t in range(T):
        seen = h.detach() if cut else h  # cut: no residual goes through h into the gates
        i, f, g, o = tg.split(x[t] @ W + seen @ U + np.repeat([0, bias, 0, 0], HIDDEN), 4)
        c = tg.sigmoid(f) * c + tg.sigmoid(i) * tg.tanh(g)
        h = tg.sigmoid(o) * tg.tanh(c)
        cells.append(c)
        gates.append(tg.sigmoid(f).numpy())
    rows = [[residual.numpy() for residual in tg.gradients(c, cells, unit)] for unit in np.eye(HIDDEN)]
    return np.stack(rows, axis=1), np.cumprod([np.ones(HIDDEN), *gates[::-1]], axis=0)[::-1]


norms = {}
for bias in (0, 2, 50):  # σ(50) = 1 in double precision: an LSTM without a forget gate, as it was in 1997
    alone, product = jacobians(bias, cut=True)
    whole, _ = jacobians(bias, cut=False)
    assert np.allclose(alone, [np.diag(f) for f in product], rtol=1e-12, atol=0)
    norms[bias] = [np.linalg.norm(found, 2, axis=(1, 2))[::-1] for found in (alone, whole)]
    told = "no forget gate" if bias == 50 else f"forget bias {bias}"
    print(
        f"{told:14} {T} steps back: ‖∂c[T]/∂c[0]‖ along c alone {norms[bias][0][-1]:.3g}, with the gates' "
        f"paths {norms[bias][1][-1]:.3g}"
    )
assert all(np.diff(norms[2][0]) < 0)  # the cell state does decay as soon as it can forget, …
# … without a forget gate and with the paths cut it does not, …
assert np.allclose(norms[50][0], 1, rtol=1e-12)
assert norms[50][1].max() > 2  # … and with the paths open the residual is not kept but changed

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, panels = plt.subplots(1, 3, sharey=True)
    for axes, (bias, (alone, whole)) in zip(panels, norms.items(), strict=True):
        axes.semilogy(alone, label="along c alone: ∏ f")
        axes.semilogy(whole, label="with the gates' paths")
        axes.set(
            title="no forget gate (1997)" if bias == 50 else f"forget bias {bias}", xlabel="steps back, T − t"
        )
    panels[0].set(ylabel="‖∂c[T]/∂c[t]‖")
    panels[0].legend(loc="lower left")
    plt.savefig(sys.argv[1])
