"""Clipping against explosion: the same training diverges without it and learns with it. A step becomes
shorter and keeps its direction."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, BATCH, HIDDEN, STEPS = 30, 32, 32, 600


def trained(max_norm, lr=0.03):
    """The loss and the norm of the gradient at each step; it ends where the loss is beyond all bounds."""
    tg.random.seed(2)
    rng, losses, norms = np.random.default_rng(2), [], []
    layer = tg.nn.RNN(1, HIDDEN, nonlinearity="relu", bias=False, dtype="float64")
    layer.load_state_dict(
        layer.state_dict() | {"weight_hh_l0": tg.nn.init.orthogonal((HIDDEN, HIDDEN), 1.6, "float64")}
    )
    readout = tg.nn.Linear(HIDDEN, 1, dtype="float64")
    parameters = [*layer.parameters(), *readout.parameters()]
    optimiser = tg.optim.SGD(parameters, lr=lr)
    for _ in range(STEPS):
        x = rng.normal(size=(T, BATCH, 1))
        # their sum; a constant guess has a loss of 1
        loss = tg.mse_loss(readout(layer(x)[0][-1]), x.sum(axis=0) / np.sqrt(T))
        losses.append(loss.item())
        if losses[-1] > 1e6:
            break
        optimiser.zero_grad()
        loss.backward()
        before = [p.grad.numpy().copy() for p in parameters]
        norms.append(tg.optim.clip_grad_norm(parameters, max_norm))
        for p, g in zip(parameters, before, strict=True):
            # one factor for all, never above 1
            assert np.allclose(p.grad.numpy(), g * min(1, max_norm / norms[-1]), rtol=2e-6)
        optimiser.step()
    return losses, norms


runs = {
    "not clipped": trained(np.inf),
    "clipped to 1": trained(1.0),
    "not clipped, a tenth of the rate": trained(np.inf, lr=0.003),
}
for name, (losses, norms) in runs.items():
    print(
        f"{name:33} {len(losses):3} steps, loss {losses[0]:.2f} → {np.mean(losses[-20:]):.2g}, largest "
        f"norm {max(norms):.3g}"
    )
assert runs["not clipped"][0][-1] > 1e6  # diverged
assert np.mean(runs["clipped to 1"][0][-50:]) < 0.5

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (left, right) = plt.subplots(1, 2)
    for name, (losses, norms) in runs.items():
        left.semilogy(losses, label=name, linewidth=1)
        right.semilogy(norms, label=name, linewidth=1)
    left.set(title="loss", xlabel="training step", ylim=(0.05, 1e4))
    right.set(title="norm of the gradient before clipping", xlabel="training step", ylim=(0.05, 1e4))
    left.legend()
    plt.savefig(sys.argv[1])
