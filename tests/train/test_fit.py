"""``fit`` is the loop that one would write by hand."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import nn, optim, train

T, B, N, H = 6, 8, 3, 5
V = [(np.zeros((T, B, N)), np.zeros(B, int))]


class Classifier(nn.Module):
    def __init__(self, dropout: float = 0.0) -> None:
        self.rnn = nn.GRU(N, H, dtype="float64")
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(H, 2, dtype="float64")

    def __call__(self, x):
        return self.out(self.drop(self.rnn(x)[0][-1]))


class Reader(nn.Module):
    """Carries its state from window to window."""

    def __init__(self) -> None:
        self.rnn = nn.LSTM(N, H, dtype="float64")
        self.out = nn.Linear(H, N, dtype="float64")

    def __call__(self, x, state):
        ys, state = self.rnn(x, state)
        return self.out(ys), state


def batches(count, rng, batch=B):
    made = []
    for _ in range(count):
        x = rng.normal(size=(T, batch, N))
        made.append((x, (x.sum((0, 2)) > 0).astype("int64")))
    return made


def quiet(model, data, **options):
    return train.fit(model, tg.cross_entropy, data, progress=False, **options)


def same(a, b):
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


def fresh(dropout=0.0):
    tg.random.seed(3)
    return Classifier(dropout)


@pytest.mark.both_backends
@pytest.mark.parametrize("clip", [None, 0.1])
def test_it_is_the_loop_by_hand(clip, rng, backend):
    data, model, other = batches(5, rng), fresh(), fresh()
    history = quiet(model, data, epochs=3, clip=clip)
    adam, losses = optim.Adam(other.parameters()), []
    for _ in range(3):
        for x, targets in data:
            loss = tg.cross_entropy(other(tg.tensor(x)), tg.tensor(targets))
            losses.append(loss.item())
            loss.backward()
            optim.clip_grad_norm(adam.parameters, np.inf if clip is None else clip)
            adam.step()
            adam.zero_grad()
    same(model, other)
    np.testing.assert_allclose(history["loss"], np.reshape(losses, (3, 5)).mean(1), rtol=1e-12)
    assert history["step"].tolist() == [5, 10, 15]
    assert history.stopped == "epochs"


def test_several_batches_for_an_update_are_as_one_batch(rng):
    data, model, other = batches(6, rng), fresh(), fresh()
    quiet(model, data, epochs=2, accumulate=3)
    together = [
        (np.concatenate([x for x, _ in part], 1), np.concatenate([t for _, t in part]))
        for part in (data[:3], data[3:])
    ]
    quiet(other, together, epochs=2)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, atol=1e-12)


def test_what_is_left_of_an_epoch_is_learned_from(rng):
    history = quiet(fresh(), batches(5, rng), epochs=2, accumulate=3)
    assert history["step"].tolist() == [2, 4]


def test_a_state_is_carried_and_cut_off(rng):
    stream = rng.normal(size=(5 * T + 1, B, N))
    windows = [(stream[t : t + T], stream[t + 1 : t + T + 1]) for t in range(0, 5 * T, T)]
    tg.random.seed(1)
    model = Reader()
    tg.random.seed(1)
    other = Reader()
    train.fit(model, tg.mse_loss, windows, epochs=2, carry=True, progress=False)
    adam = optim.Adam(other.parameters())
    for _ in range(2):
        state = None
        for x, targets in windows:
            y, state = other(tg.tensor(x), state)
            state = nn.detach(state)
            tg.mse_loss(y, tg.tensor(targets)).backward()
            adam.step()
            adam.zero_grad()
    same(model, other)


def averaged_by_hand(model, data, decay, epochs):
    """The running averages of the parameters of a model that Adam trains, one update a batch."""
    adam, held = optim.Adam(model.parameters()), [p.numpy().copy() for p in model.parameters()]
    for x, targets in data * epochs:
        tg.cross_entropy(model(tg.tensor(x)), tg.tensor(targets)).backward()
        adam.step()
        adam.zero_grad()
        held = [decay * a + (1 - decay) * p.numpy() for a, p in zip(held, model.parameters(), strict=True)]
    return held


def test_the_average_is_what_is_kept(rng):
    data, model = batches(4, rng), fresh()
    quiet(model, data, epochs=1, average=0.5, validation=data)
    held = averaged_by_hand(fresh(), data, 0.5, 1)
    for a, p in zip(held, model.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), a, rtol=1e-14)


def test_frozen_parameters_stay(rng):
    model = fresh()
    before = model.rnn.weight_hh_l0.numpy().copy()
    for p in model.rnn.parameters():
        p.requires_grad_(False)
    quiet(model, batches(3, rng), epochs=1)
    np.testing.assert_array_equal(model.rnn.weight_hh_l0.numpy(), before)
    assert (model.out.bias.numpy() != fresh().out.bias.numpy()).any()


def test_a_model_that_overfits_ends_as_its_best(rng):
    """Targets are chance: the more is learned of them, the worse it gets."""
    data = [(x, rng.integers(0, 2, B)) for x, _ in batches(2, rng)]
    validation = [(x, rng.integers(0, 2, B)) for x, _ in batches(8, rng)]
    model = fresh()
    adam = optim.Adam(model.parameters(), lr=0.05)
    history = quiet(model, data, epochs=60, optimizer=adam, validation=validation, patience=10)
    assert history.stopped == "patience"
    assert (
        history.best["validation_loss"] == history["validation_loss"].min() < history["validation_loss"][-1]
    )
    assert history.rows[-11] == history.best
    told = train.evaluate(model, tg.cross_entropy, validation)
    assert told["loss"] == pytest.approx(history.best["validation_loss"], rel=1e-14)


def test_a_plateau_goes_by_evaluations(rng):
    data = [(x, rng.integers(0, 2, B)) for x, _ in batches(2, rng)]
    validation = [(x, rng.integers(0, 2, B)) for x, _ in batches(4, rng)]
    model = fresh()
    adam = optim.Adam(
        [{"params": list(model.rnn.parameters()), "lr": 0.2}, {"params": list(model.out.parameters())}],
        lr=0.1,
    )
    history = quiet(
        model,
        data,
        epochs=20,
        optimizer=adam,
        validation=validation,
        schedule=optim.PlateauLR(adam, patience=2),
    )
    by_hand = optim.PlateauLR(other := optim.SGD([tg.zeros(1).requires_grad_()], lr=0.2), patience=2)
    rates = []
    for loss in history["validation_loss"]:
        rates.append(other.lr)
        by_hand.step(loss)
    np.testing.assert_allclose(history["rate"], rates, rtol=1e-12)
    assert rates[-1] < 0.2


def test_metrics_are_measured_and_decide(rng):
    data, validation = batches(4, rng), batches(3, rng)
    metrics = {
        "accuracy": train.Accuracy(),
        "wrong": lambda y, t: (y.argmax(-1) != t).mean(),
        "matrix": train.ConfusionMatrix(2),
    }
    model = fresh()
    adam = optim.Adam(model.parameters(), lr=0.05)
    history = quiet(
        model,
        data,
        steps=12,
        every=4,
        optimizer=adam,
        validation=validation,
        metrics=metrics,
        monitor="accuracy",
    )
    x, t = np.concatenate([x for x, _ in validation], 1), np.concatenate([t for _, t in validation])
    right = (model(tg.tensor(x)).numpy().argmax(-1) == t).mean()
    assert history.best["accuracy"] == pytest.approx(right) == history["accuracy"].max()
    np.testing.assert_allclose(history["accuracy"] + history["wrong"], 1)
    assert history.rows[-1]["matrix"].sum() == 3 * B


# -- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x, t: (np.where(x > 2, np.nan, x), t), "the inputs of this batch hold NaN"),
        (lambda x, t: (x * np.inf, t), "the inputs of this batch hold"),
    ],
)
def test_numbers_that_are_not_finite(spoil, said, rng, tmp_path):
    data = batches(3, rng)
    data[2] = spoil(*data[2])
    model = fresh()
    with np.errstate(all="ignore"), pytest.raises(tg.TrainingError, match=rf"at step 3 .*{said}.*kept last"):
        quiet(model, data, steps=9, every=1, folder=tmp_path)
    kept = fresh()
    kept.load_state_dict(tg.load(tmp_path / "last.safetensors").part("fit")["model"])
    same(kept, model)
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ([], tg.DataError, "fit: data: there are no batches"),
        (iter([]), tg.DataError, "no batches"),
        ([np.zeros((T, B, N))], tg.DataError, "a batch is a tuple"),
        (3, tg.ArgumentError, "fit: data must be batches"),
        ({"x": 1}, tg.ArgumentError, "fit: data must be batches"),
    ],
)
def test_data_that_are_none(data, error, said):
    with pytest.raises(error, match=said):
        quiet(fresh(), data, epochs=2)


def test_data_that_can_be_read_once(rng):
    with pytest.raises(tg.DataError, match="a second time: give a list"):
        quiet(fresh(), iter(batches(2, rng)), epochs=2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "say how long"),
        ({"epochs": 0}, "epochs"),
        ({"epochs": 1, "metrics": {"a": train.Accuracy()}}, "give validation="),
        ({"epochs": 1, "validation": V, "metrics": {"a": 3}}, "metrics: 'a' is neither"),
        (
            {"epochs": 1, "validation": V, "metrics": {"a": train.Accuracy}},
            "metrics: 'a' is neither",
        ),
        (
            {"epochs": 1, "validation": V, "metrics": {"loss": train.Accuracy()}},
            "no name for one",
        ),
        ({"epochs": 1, "monitor": "accuracy"}, "monitor"),
        ({"epochs": 1, "resume": True}, "needs a folder="),
        ({"epochs": 1, "tensorboard": True}, "needs a folder="),
        ({"epochs": 1, "schedule": 3}, "schedule"),
        ({"epochs": 1, "callbacks": [3]}, "callbacks: 3 is neither"),
        ({"epochs": 1, "optimizer": 3}, "optimizer"),
    ],
)
def test_options_that_cannot_be(options, said, rng):
    model = fresh()
    with pytest.raises(tg.ArgumentError, match=said):
        quiet(model, batches(2, rng), **options)
    same(model, fresh())


def test_validation_of_no_batches_or_of_another_shape(rng):
    with pytest.raises(tg.DataError, match="validation: there are no batches"):
        quiet(fresh(), batches(2, rng), epochs=1, validation=[])
    wrong = [(np.zeros((T, B, N + 1)), np.zeros(B, int))]
    with pytest.raises(tg.ShapeError):
        quiet(fresh(), batches(2, rng), epochs=1, validation=wrong)


@pytest.mark.parametrize("answer", [3.0, None, tg.zeros(2), (1, 2)])
def test_a_loss_that_is_no_number(answer, rng):
    with pytest.raises(tg.ArgumentError, match="loss must return one number"):
        train.fit(fresh(), lambda y, t: answer, batches(2, rng), epochs=1, progress=False)


def test_a_disk_that_is_full_keeps_the_last_good_checkpoint(rng, tmp_path, monkeypatch):
    data = batches(2, rng)
    quiet(fresh(), data, epochs=1, folder=tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(tg.CheckpointError, match="No space left"):
        quiet(fresh(), data, epochs=3, folder=tmp_path, resume=True)
    assert (tmp_path / "last.safetensors").read_bytes() == before


# -- who is told ---------------------------------------------------------------------------------------------


class Listener:
    def __init__(self) -> None:
        self.told: list[object] = []

    def on_update(self, training) -> None:
        self.told.append((training.step, sorted(training.row)))

    def on_evaluation(self, training) -> None:
        self.told.append(len(training.history))

    def on_end(self, training) -> None:
        self.told.append(training.history.stopped)


def test_callbacks(rng):
    listener, lines = Listener(), []
    quiet(
        fresh(), batches(2, rng), epochs=2, callbacks=[listener, lambda t: lines.append(t.history.rows[-1])]
    )
    numbers = ["loss", "norm", "rate"]
    assert listener.told == [(1, numbers), (2, numbers), 1, (3, numbers), (4, numbers), 2, "epochs"]
    assert [line["step"] for line in lines] == [2, 4]


def test_a_callback_ends_it(rng):
    class Enough:
        def on_update(self, training) -> None:
            if training.step == 3:
                training.stop()

    history = quiet(fresh(), batches(2, rng), epochs=5, callbacks=[Enough()])
    assert (history.stopped, history.rows[-1]["step"]) == ("asked", 3)


def test_a_callback_that_fails(rng, tmp_path):
    def fails(training) -> None:
        if training.step == 4:
            raise RuntimeError("no more")

    with pytest.raises(
        tg.TrainingError, match="the callback fails failed after step 4: RuntimeError: no more"
    ):
        quiet(fresh(), batches(2, rng), epochs=5, callbacks=[fails], folder=tmp_path)
    assert tg.load(tmp_path / "last.safetensors").part("fit")["counts"][0] == 4


def test_the_mode_of_the_model_is_as_before(rng):
    modes = []

    class Watched(Classifier):
        def __call__(self, x):
            modes.append(self.training)
            return super().__call__(x)

    model = Watched().eval()
    quiet(model, batches(2, rng), epochs=1, validation=batches(1, rng))
    assert modes == [True, True, False]
    assert not model.training


def test_tensorboard_needs_its_package(rng, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(tg.ArgumentError, match="needs the package tensorboardX"):
        quiet(fresh(), batches(2, rng), epochs=1, folder=tmp_path, tensorboard=True)


def test_lines_and_bars(rng, capsys, monkeypatch):
    train.fit(fresh(), tg.cross_entropy, batches(2, rng), epochs=2, progress=True)
    assert "step 4" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    train.fit(fresh(), tg.cross_entropy, batches(2, rng), epochs=2, progress=True)
    assert capsys.readouterr().err.splitlines()[1].startswith("step 4")
