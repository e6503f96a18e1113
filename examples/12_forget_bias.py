"""How far back does a residual reach? A plain RNN against an LSTM, by the bias of its forget gate."""

import sys
from pathlib import Path

import numpy as np

import tinygrad_rnn as tg

T, HIDDEN = 100, 16
x = np.random.default_rng(0).normal(size=(T, 8, 1))
tg.random.seed(0)
rnn, lstm = tg.nn.RNN(1, HIDDEN, dtype="float64"), tg.nn.LSTM(1, HIDDEN, dtype="float64")


def with_forget_bias(bias):
    b_ih, b_hh = lstm.bias_ih_l0.numpy().copy(), lstm.bias_hh_l0.numpy().copy()
    b_ih[HIDDEN : 2 * HIDDEN], b_hh[HIDDEN : 2 * HIDDEN] = bias, 0  # gate order i, f, g, o
    lstm.load_state_dict(lstm.state_dict() | {"bias_ih_l0": b_ih, "bias_hh_l0": b_hh})
    return lstm


def measured(name, layer):
    """What becomes of a residual that comes in at the last output only, on its way back through the
    states."""
    report = tg.flow(layer(x)[0][-1].sum())
    print(f"{name:25} {report.verdict()}")
    return report


plain, default = measured("RNN", rnn), measured("LSTM, bias as drawn", lstm)  # PyTorch's initialisation
reports = {bias: measured(f"LSTM, bias {bias}", with_forget_bias(bias)) for bias in (-2, 0, 1, 2, 4)}
horizons = [report.horizon for report in reports.values()]
rates = np.array([report.verdict().rate for report in reports.values()])
f = 1 / (1 + np.exp(-np.array([*reports])))
assert horizons == sorted(horizons)
assert reports[4].track().remaining.min() > 0.1
# the cell state alone is multiplied by about σ(bias); what goes through h adds a little
assert all((f < rates) & (rates < f + 0.15))
assert default.horizon < 2 * plain.horizon  # being an LSTM is not enough
assert reports[-2].horizon < plain.horizon

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).with_name("figures.mplstyle"))
    _, (left, right) = plt.subplots(1, 2, width_ratios=(3, 2))
    for name, report in {
        "RNN": plain,
        "LSTM as drawn": default,
        **{f"LSTM, bias {bias}": r for bias, r in reports.items()},
    }.items():
        left.semilogy(report.track().remaining, label=name)
    left.set(
        title="a residual on its way back",
        xlabel="steps back",
        ylabel="size ÷ size at first",
        ylim=(1e-12, 1e2),
    )
    left.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    right.plot([*reports], rates, marker="o", linestyle="", label="LSTM, measured")
    bias = np.linspace(-2, 4)
    right.plot(bias, 1 / (1 + np.exp(-bias)), label="σ(bias)")
    right.axhline(plain.verdict().rate, label="RNN, measured", color="0.5", linestyle=":")
    right.set(title="gain of one step", xlabel="bias of the forget gate", ylim=(0, 1.1))
    right.legend(loc="lower right")
    plt.savefig(sys.argv[1])
