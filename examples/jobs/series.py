"""Forecasts with intervals, drawn path by path from a network that sees one step ahead: two years of carbon
dioxide, week by week with missing weeks, and eleven years of sunspots; beside naive forecasts."""

import sys
from pathlib import Path

import numpy as np
from statsmodels.datasets import co2, sunspots

import tinygrad_rnn as tg

YEAR, CYCLE = 52, 11


class Forecaster(tg.nn.Module):
    def __init__(self, features, units=32):
        self.cell = tg.nn.GRUCell(features, units)
        self.layer = tg.nn.Recurrent(self.cell)
        self.head = tg.nn.Linear(units, 2)  # a mean, and the logarithm of a width

    def __call__(self, x, state=None):
        h, state = self.layer(x, state)
        return self.head(h), state


def likelihood(outputs, y):
    mean, width, value, seen = outputs[..., 0], outputs[..., 1], y[..., 0], y[..., 1]
    surprise = 0.5 * ((value - mean) * tg.exp(-width)) ** 2 + width
    return tg.sum(seen * surprise) / tg.sum(seen), float(tg.sum(seen))


def prepared(series, train, *season):
    """Rows (T, features): value, mask, time since the last one, season; and the scale of the values."""
    scaler = tg.data.Standard().fit(series[:train])
    values, mask, since = tg.data.missing(scaler.transform(series))
    return np.stack([values, mask, np.log1p(since), *season], axis=1).astype("float32"), scaler


def learned(rows, first, second, length):
    tg.random.seed(0)
    model = Forecaster(rows.shape[1])
    history = tg.train.fit(
        model,
        likelihood,
        tg.data.windows(rows[:first], length, batch=4),
        epochs=150,
        optimizer=tg.optim.Adam(model.parameters(), lr=0.003),
        clip=1.0,
        carry=True,
        validation=tg.data.windows(rows[first:second], length),
        patience=30,
        progress=False,
    )
    print(f"best of {len(history)} epochs: {history.best['epoch']}")
    return model


def sampled(model, rows, origins, steps, paths=200):
    """Values (steps, origins, paths): what is drawn goes back in as if it had been observed."""

    def dream(x, state):
        noise, known = x
        mean, width = tg.split(model.head(state), 2, axis=-1)
        value = mean + tg.exp(width) * noise
        return value, model.cell(tg.concatenate([value, known], axis=-1), state)[1]

    known = np.repeat(rows[origins + np.arange(steps)[:, None], 1:], paths, axis=1)
    known[..., 0], known[1:, :, 1] = 1, np.log1p(1)
    noise = np.random.default_rng(0).normal(size=(*known.shape[:2], 1)).astype("float32")
    with tg.no_grad():
        states = model.layer(rows[:, None])[0].numpy()
        values, _ = tg.scan(dream, (noise, known), np.repeat(states[origins - 1, 0], paths, axis=0))
    return values.numpy().reshape(steps, len(origins), paths)


def measured(name, quantiles, truth, naive):
    """Print errors, and how many values lie in the interval of 90 %; the errors by name."""
    low, middle, high = quantiles
    errors = {key: np.nanmean(np.abs(found - truth)) for key, found in {"GRU": middle, **naive}.items()}
    print(f"{name}, mean absolute error:", ", ".join(f"{key} {error:.2f}" for key, error in errors.items()))
    inside = ((low <= truth) & (truth <= high)).sum() / (~np.isnan(truth)).sum()
    print(f"  {inside:.0%} in the interval of 90 %")
    return errors


# The season and most of the growth go with the difference to a year before; 52 weeks are no whole year.
frame = co2.load_pandas().data["co2"]
ppm, phase = frame.to_numpy(), 2 * np.pi * frame.index.day_of_year.to_numpy()[YEAR:] / 365.25
rise = ppm[YEAR:] - ppm[:-YEAR]
first, second = ((frame.index[YEAR:] < day).sum() for day in ("1985", "1991"))
rows, scaler = prepared(rise, first, np.sin(phase), np.cos(phase))
model = learned(rows, first, second, YEAR)
print(tg.summary(model, (YEAR, 4, 5)))
x, y = next(iter(tg.data.windows(rows[:first], 2 * YEAR, batch=4)))
print("two years back:", tg.flow(likelihood(model(x)[0], y)[0]).verdict())

origins, week = np.arange(second, len(rows) - 2 * YEAR + 1, 4), np.arange(2 * YEAR)[:, None]
paths = sampled(model, rows, origins, 2 * YEAR) * scaler.scale + scaler.shift
for k in range(2 * YEAR):
    paths[k] += ppm[origins + k][:, None] if k < YEAR else paths[k - YEAR]
quantiles, season = np.quantile(paths, [0.05, 0.5, 0.95], axis=2), ppm[origins + week % YEAR]
growth = season + (1 + week // YEAR) * np.array([np.nanmean(rise[:origin]) for origin in origins])
naive = {"last value": ppm[YEAR + origins - 1], "last season": season, "season and growth": growth}
errors = measured("carbon dioxide, ppm", quantiles, ppm[YEAR + origins + week], naive)
assert errors["GRU"] < errors["last season"] / 2 < errors["last value"] / 2

spots, year = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy(), np.arange(CYCLE)[:, None]
rows, scaler = prepared(np.sqrt(spots), 220)
after, model = np.arange(250, len(spots) - CYCLE + 1), learned(rows, 220, 250, 2 * CYCLE)
drawn = sampled(model, rows, after, CYCLE) * scaler.scale + scaler.shift
spot_quantiles = np.quantile(np.maximum(drawn, 0) ** 2, [0.05, 0.5, 0.95], axis=2)
naive = {"last value": spots[after - 1], "eleven years ago": spots[after + year - CYCLE]}
errors = measured("sunspots", spot_quantiles, spots[after + year], naive)
assert errors["GRU"] < 0.7 * errors["last value"]

if sys.argv[1:]:
    import matplotlib.pyplot as plt

    plt.style.use(Path(__file__).parent.parent / "figures.mplstyle")
    figure, (left, right) = plt.subplots(1, 2)
    dates = (frame.index.year + frame.index.day_of_year / 366).to_numpy()[YEAR:]
    for axes, time, truth, (low, middle, high) in (
        (left, dates[-4 * YEAR :], ppm[-4 * YEAR :], quantiles[:, :, -1]),
        (right, np.arange(1955, 2009), spots[255:], spot_quantiles[:, :, -1]),
    ):
        start = origins[-1] - len(dates) + len(time) if axes is left else len(time) - CYCLE
        ahead = time[start : start + len(middle)]
        axes.fill_between(ahead, low, high, color="#56B4E9", alpha=0.35, lw=0, label="interval of 90 %")
        axes.plot(time, truth, lw=1.2, label="observed")
        axes.plot(ahead, middle, label="forecast")
        axes.axvline(time[start], color="#999999", lw=1, ls="-")
    left.plot(dates[origins[-1] :][: 2 * YEAR], season[:, -1], lw=1.2, label="last season")
    left.set(title="carbon dioxide on Mauna Loa, ppm", xticks=range(1998, 2003))
    right.set(title="sunspots in a year")
    left.legend(fontsize="small")
    plt.savefig(sys.argv[1])
