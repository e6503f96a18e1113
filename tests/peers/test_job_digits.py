"""The digits of examples/jobs/digits.py read by PyTorch: a twin of the model, trained on the same batches.

Exactly: from the same weights and without dropout, losses and norms of an epoch; and the scores of a trained
twin's weights.

By chance: both are trained from twenty seeds of weights and dropout, on one split of the images: Adam,
clipping, patience and the best model as the example has them, the same batches in the same order for the
same seed. The accuracies and the mean losses on the cut test images do not differ in a two-sided test of
ranks (Mann & Whitney) at a level of 1 % each.

A first rule, that the mean of our seeds 0 to 4 lies between the least and the most of PyTorch's, failed for
the accuracy: 0.922 beside 0.903 to 0.916. Where nothing differs, and values are normal, it fails in one of
seven cases for each measure. So the test of ranks, its level and the seeds 5 to 24 were fixed, before any of
these was trained.
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
pytest.importorskip("sklearn")
stats = pytest.importorskip("scipy.stats")
torch.set_num_threads(1)

SEEDS = range(5, 25)
EXAMPLE = Path(__file__).parents[2] / "examples" / "jobs" / "digits.py"


class Twin(torch.nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.rnn = torch.nn.GRU(8, hidden, num_layers=2, dropout=0.5)
        self.readout = torch.nn.Linear(hidden, 10)

    def forward(self, padded):
        x, lengths = (torch.from_numpy(part) for part in padded)
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return self.readout(self.rnn(packed)[1][-1])


def twin_trained(job, train, validation, seed):
    """As ``trained`` of the example."""
    torch.manual_seed(seed)
    twin = Twin(job["HIDDEN"])
    optimiser = torch.optim.Adam(twin.parameters(), lr=0.01)
    data = tg.data.bucket(train[:2], 32, seed=seed)
    held_out = tg.data.pad_sequences(validation[0])
    least, best, since = np.inf, None, 0
    for _ in range(100):
        twin.train()
        for padded, classes in data:
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(twin(padded), torch.from_numpy(classes)).backward()
            torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
            optimiser.step()
        _, loss = told(scores_of(twin, held_out), validation[1])
        since += 1
        if loss < least:
            least, best, since = loss, copy.deepcopy(twin.state_dict()), 0
        if since >= job["PATIENCE"]:
            break
    twin.load_state_dict(best)
    return twin


def scores_of(model, padded):
    model.eval()
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            return model(padded).numpy()
    with tg.no_grad():
        return model(padded).numpy()


def told(scores, classes):
    """Accuracy and mean cross entropy."""
    scores = torch.from_numpy(scores.astype("float64"))
    loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(classes)).item()
    return (scores.argmax(1).numpy() == classes).mean(), loss


@pytest.fixture(scope="module")
def job():
    return runpy.run_path(str(EXAMPLE), run_name="job")


@pytest.fixture(scope="module")
def parts(job):
    return job["digits"](seed=0)


@pytest.fixture(scope="module")
def models(job, parts):
    """Ours and the twins, one of each for each seed."""
    train, validation, _ = parts
    start = time.perf_counter()
    ours = [job["trained"](train, validation, seed)[0] for seed in SEEDS]
    middle = time.perf_counter()
    twins = [twin_trained(job, train, validation, seed) for seed in SEEDS]
    print(f"\nours {middle - start:.0f} s, PyTorch {time.perf_counter() - middle:.0f} s")
    return ours, twins


def test_accuracy_and_loss_do_not_differ_from_pytorchs(models, parts):
    padded, classes = tg.data.pad_sequences(parts[2][0]), parts[2][1]
    found = [np.array([told(scores_of(model, padded), classes) for model in several]).T for several in models]
    for name, ours, theirs in zip(("accuracy", "loss"), *found, strict=True):
        print(
            f"{name}: ours {ours.mean():.3f} {ours.round(3)}, PyTorch {theirs.mean():.3f} {theirs.round(3)}"
        )
        assert stats.mannwhitneyu(ours, theirs).pvalue > 0.01


def test_the_weights_of_a_twin_give_its_scores(job, models, parts):
    padded = tg.data.pad_sequences(parts[2][0])
    for twin in models[1]:
        model = job["Reader"]()
        model.load_state_dict({name: value.numpy() for name, value in twin.state_dict().items()})
        np.testing.assert_allclose(scores_of(model, padded), scores_of(twin, padded), rtol=1e-4, atol=1e-4)


def test_an_epoch_without_dropout_is_pytorchs(job, parts):
    twin, model = Twin(job["HIDDEN"]).double(), job["Reader"]().astype("float64")
    model.load_state_dict({name: value.numpy().copy() for name, value in twin.state_dict().items()})
    model.rnn.dropout.p = twin.rnn.dropout = 0.0
    ours, theirs = tg.optim.Adam(model.parameters(), lr=0.01), torch.optim.Adam(twin.parameters(), lr=0.01)
    for (x, lengths), classes in tg.data.bucket(parts[0][:2], 32, seed=0):
        padded = x.astype("float64"), lengths
        loss = tg.cross_entropy(model(padded), classes)
        expected = torch.nn.functional.cross_entropy(twin(padded), torch.from_numpy(classes))
        for optimiser, value in ((ours, loss), (theirs, expected)):
            optimiser.zero_grad()
            value.backward()
        norm = tg.optim.clip_grad_norm(model.parameters(), 1.0)
        expected_norm = torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        np.testing.assert_allclose([loss.item(), norm], [expected.item(), expected_norm.item()], rtol=1e-8)
        ours.step()
        theirs.step()
