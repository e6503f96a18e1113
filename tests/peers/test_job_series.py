"""The job *Forecast a series* beside the same model in PyTorch: the same rows, windows, loss, optimiser and
early stopping. Ours is the code of the page, docs/jobs/series.md, as it stands there."""

from __future__ import annotations

import copy
import time
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.side_by_side import Page

pytestmark = [pytest.mark.peer, pytest.mark.slow]
torch = pytest.importorskip("torch")
pytest.importorskip("statsmodels")
pytest.importorskip("matplotlib")

SEEDS = range(5)
EPOCHS, PATIENCE, RATE, CLIP, UNITS = 150, 30, 0.003, 1.0, 32


@pytest.fixture(scope="module")
def page():
    """The names of the page after its cell that defines how it learns."""
    names: dict[str, object] = {}
    for _, code in Page("jobs/series").blocks():
        exec(code, names)
        if "def learn(" in code:
            break
    return SimpleNamespace(**names)


class Twin(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.layer, self.head = torch.nn.GRU(features, UNITS), torch.nn.Linear(UNITS, 2)

    def forward(self, x, state=None):
        h, state = self.layer(x, state)
        return self.head(h), state


def surprise(outputs, y):
    """The mean of the negative log-likelihood over what was observed, and how much that is."""
    mean, width, value, seen = outputs[..., 0], outputs[..., 1], y[..., 0], y[..., 1]
    each = 0.5 * ((value - mean) * torch.exp(-width)) ** 2 + width
    return torch.sum(seen * each) / torch.sum(seen), float(seen.sum())


def passed(model, rows, length, batch=1, optimiser=None):
    """The mean loss of a pass over windows, the state carried; with an optimiser it learns on its way."""
    state, total, weight = None, 0.0, 0.0
    with torch.set_grad_enabled(optimiser is not None):
        for x, y in tg.data.windows(rows, length, batch):
            outputs, state = model(torch.from_numpy(x), state)
            loss, count = surprise(outputs, torch.from_numpy(y))
            if optimiser is not None:
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
                optimiser.step()
            state = state.detach()
            total, weight = total + loss.item() * count, weight + count
    return total / weight


def twin_learned(page, seed):
    """The best one on the years of validation."""
    torch.manual_seed(seed)
    model = Twin(page.rows.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    least, best, since = np.inf, None, 0
    for _ in range(EPOCHS):
        passed(model, page.rows[: page.first], page.YEAR, 4, optimiser)
        found = passed(model, page.rows[page.first : page.second], page.YEAR)
        least, best, since = (
            (found, copy.deepcopy(model.state_dict()), 0) if found < least else (least, best, since + 1)
        )
        if since == PATIENCE:
            break
    model.load_state_dict(best)
    return model


def test_ours_is_as_good_as_the_twin(page, capsys):
    """Compared: the negative log-likelihood one week ahead on the years of the test, of the model that was
    best on those of validation, for five seeds each. The mean of ours lies between the least and the most of
    the twin's."""
    ours, theirs, start = [], [], time.perf_counter()
    rows = page.rows[page.second :]
    for seed in SEEDS:
        model, _ = page.learn(page.rows, page.first, page.second, page.YEAR, seed)
        test = tg.data.windows(rows, page.YEAR)
        ours.append(tg.train.evaluate(model, page.likelihood, test, carry=True)["loss"])
    middle = time.perf_counter()
    theirs = [passed(twin_learned(page, seed), rows, page.YEAR) for seed in SEEDS]
    end = time.perf_counter()
    with capsys.disabled():
        for name, found, took in (("ours", ours, middle - start), ("twin", theirs, end - middle)):
            print(f"\n{name}: {np.round(found, 3)}, mean {np.mean(found):.3f}, {took:.1f} s", end="")
    assert min(theirs) <= np.mean(ours) <= max(theirs)


def test_from_the_same_weights_it_learns_the_same(page):
    """Compared: the training and the validation loss of each of five epochs in float64, which differ by
    rounding alone: by less than 1e-9 of themselves."""
    torch.manual_seed(0)
    twin = Twin(page.rows.shape[1]).double()
    optimiser = torch.optim.Adam(twin.parameters(), lr=RATE)
    before = tg.default_dtype
    tg.set_default_dtype("float64")
    try:
        model = page.Forecaster(page.rows.shape[1])
    finally:
        tg.set_default_dtype(before)
    for name, parameter in twin.named_parameters():
        room, _, part = name.partition(".")
        ours = model.cell if room == "layer" else model.head
        ours.load_state_dict(
            ours.state_dict() | {part.removesuffix("_l0"): parameter.detach().numpy().copy()}
        )
    rows = page.rows.astype("float64")
    learning, choosing = rows[: page.first], rows[page.first : page.second]
    history = tg.train.fit(
        model,
        page.likelihood,
        tg.data.windows(learning, page.YEAR, batch=4),
        epochs=5,
        optimizer=tg.optim.Adam(model.parameters(), lr=RATE),
        clip=CLIP,
        carry=True,
        validation=tg.data.windows(choosing, page.YEAR),
        progress=False,
    )
    expected = [
        (passed(twin, learning, page.YEAR, 4, optimiser), passed(twin, choosing, page.YEAR)) for _ in range(5)
    ]
    np.testing.assert_allclose(
        np.stack([history["loss"], history["validation_loss"]], axis=1), expected, rtol=1e-9
    )
