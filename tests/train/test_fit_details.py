"""What ``fit`` promises beside the loop, and what would go wrong without a word."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.train.test_fit import B, Classifier, N, Reader, T, averaged_by_hand, batches, fresh, quiet, same
from tinygrad_rnn import optim, train


@pytest.mark.parametrize("first", range(1, 12))
@pytest.mark.parametrize("kind", ["batches", "bucket", "windows", "list"])
def test_it_goes_on_from_any_update(kind, first, tmp_path):
    """Also from the last one of an epoch, where the data begin anew."""

    def data():
        rng = np.random.default_rng(0)
        stream = rng.normal(size=(64, N))
        if kind == "windows":
            return tg.data.windows(stream, 5, 3)
        x = rng.normal(size=(20, 6, N))
        made = getattr(tg.data, "batches" if kind == "list" else kind)(
            ([*x] if kind == "bucket" else x, x * 0.5), 5, seed=1, shuffle=kind != "list"
        )
        return list(made) if kind == "list" else made

    def run(folder, steps, resume):
        tg.random.seed(1)
        model = Reader()
        adam = optim.Adam(model.parameters())

        def loss(y, targets):
            return tg.mean(y * y) if y.shape != np.shape(targets) else tg.mse_loss(y, targets)

        class Rows(Reader):
            def __call__(self, x, *state):
                x = x[0] if isinstance(x, tuple) else x
                y, after = Reader.__call__(self, x, *(state or (None,)))
                return (y, after) if state else y

        model.__class__ = Rows
        history = train.fit(
            model, loss, data(), epochs=3 if steps is None else None, steps=steps, every=2,
            carry=kind == "windows",
            optimizer=adam, schedule=optim.ExponentialLR(adam, 0.9), folder=tmp_path / folder,
            resume=resume, progress=False,
        )  # fmt: skip
        return model, history.rows[-1]["step"], history.rows[-1]["epoch"]

    run("parts", first, False)
    model, steps, epoch = run("parts", None, True)
    whole, expected, epochs = run("whole", None, False)
    assert (steps, epoch) == (expected, epochs)
    same(model, whole)


def test_the_average_is_what_the_model_ends_as(rng):
    data, model = batches(4, rng), fresh()
    quiet(model, data, epochs=2, average=0.7)
    held = averaged_by_hand(fresh(), data, 0.7, 2)
    for a, p in zip(held, model.parameters(), strict=True):
        np.testing.assert_allclose(p.numpy(), a, rtol=1e-12)


def test_an_average_that_begins_later_begins_with_the_model(rng, tmp_path):
    data = batches(3, rng)
    quiet(fresh(), data, epochs=1, folder=tmp_path)
    model, other = fresh(), fresh()
    quiet(model, data, epochs=2, folder=tmp_path, resume=True, average=0.0)
    quiet(other, data, epochs=2)
    same(model, other)


def test_what_is_frozen_stays_itself_in_an_average(rng):
    model = fresh()
    before = model.rnn.weight_hh_l0.numpy().copy()
    model.rnn.weight_hh_l0.requires_grad_(False)
    quiet(model, batches(5, rng), epochs=3, average=0.3)
    np.testing.assert_array_equal(model.rnn.weight_hh_l0.numpy(), before)


def test_the_last_batches_of_an_epoch_are_a_mean_of_their_own(rng):
    data, model, other = batches(3, rng), fresh(), fresh()
    quiet(model, data, epochs=1, accumulate=2)
    adam = optim.Adam(other.parameters())
    for part in (data[:2], data[2:]):
        loss = sum(tg.cross_entropy(other(tg.tensor(x)), tg.tensor(t)) for x, t in part) / len(part)
        loss.backward()
        adam.step()
        adam.zero_grad()
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


def test_residuals_that_somebody_left_count_for_nothing(rng):
    data, model, other = batches(2, rng), fresh(), fresh()
    tg.sum(model(tg.tensor(data[0][0]))).backward()
    quiet(model, data, epochs=1)
    quiet(other, data, epochs=1)
    same(model, other)


def test_batches_count_by_their_targets(rng):
    model = fresh()
    x = rng.normal(size=(T, 11, N))
    t = rng.integers(0, 2, 11)
    whole = train.evaluate(model, tg.cross_entropy, [(x, t)], {"a": train.Accuracy()})
    parts = [(x[:, :3], t[:3].tolist()), (x[:, 3:], t[3:].tolist())]
    right = {"a": lambda y, t: (np.argmax(y, -1) == np.array(t)).mean()}
    found = train.evaluate(model, lambda y, t: tg.cross_entropy(y, np.array(t)), parts, right)
    assert found == pytest.approx(whole, rel=1e-12)
    padded = [(x, np.where(np.arange(11) < 9, t, -1)), (x[:, :2], t[:2])]

    def ignoring(y, targets):
        kept = np.flatnonzero(np.asarray(targets) >= 0)
        return tg.cross_entropy(y[kept], np.asarray(targets)[kept])

    joined = np.concatenate([x[:, :9], x[:, :2]], 1), np.concatenate([t[:9], t[:2]])
    assert train.evaluate(model, ignoring, padded)["loss"] == pytest.approx(
        train.evaluate(model, ignoring, [joined])["loss"], rel=1e-12
    )


def test_predicted_classes_are_classes():
    with pytest.raises(tg.ShapeError, match="below 0"):
        train.Accuracy().update([-1, 1], [1, 1])
    with pytest.raises(tg.ShapeError, match="scores"):
        train.Accuracy().update(np.ones((3, 1, 1)), [1, 0, 1])
    assert train.Perplexity().value() != train.Perplexity().value()  # NaN
    huge = train.Perplexity()
    huge.update(np.array([[0.0, 1e6]]), [0])
    assert huge.value() == np.inf


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": {"a": lambda y, t: 1.0}, "monitor": "a"}, "nothing says whether a greater a is better"),
        ({"metrics": {"rate": train.Accuracy()}}, "no name for one"),
        ({"metrics": {"m": train.ConfusionMatrix(2)}, "monitor": "m"}, "'m' is no number"),
    ],
)
def test_what_cannot_decide(options, said, rng):
    with pytest.raises(tg.ArgumentError, match=said):
        quiet(fresh(), batches(2, rng), epochs=1, validation=batches(1, rng), **options)


def test_a_schedule_of_another_optimiser_or_direction(rng):
    model = fresh()
    adam, other = optim.Adam(model.parameters()), optim.SGD(model.parameters())
    with pytest.raises(tg.ArgumentError, match="of another optimizer"):
        quiet(model, batches(1, rng), epochs=1, optimizer=adam, schedule=optim.CosineLR(other, 5))
    with pytest.raises(tg.ArgumentError, match="mode='max'"):
        quiet(
            model, batches(1, rng), epochs=1, optimizer=adam, schedule=optim.PlateauLR(adam),
            validation=batches(1, rng), metrics={"a": train.Accuracy()}, monitor="a",
        )  # fmt: skip


def test_patience_is_final(rng, tmp_path):
    data = [(x, rng.integers(0, 2, B)) for x, _ in batches(2, rng)]
    validation = [(x, rng.integers(0, 2, B)) for x, _ in batches(4, rng)]

    def run():
        model = fresh()
        return quiet(
            model, data, epochs=90, optimizer=optim.Adam(model.parameters(), lr=0.05), validation=validation,
            patience=3, folder=tmp_path, resume="auto",
        )  # fmt: skip

    first, again = run(), run()
    assert first.stopped == again.stopped == "patience"
    assert len(first) == len(again)


def test_it_goes_on_with_what_it_had(rng, tmp_path):
    data, validation = batches(2, rng), batches(1, rng)

    def run(resume, **options):
        model = fresh()
        adam = optim.Adam(model.parameters())
        scheduled = options.pop("scheduled", False)
        return quiet(
            model, data, epochs=2 if resume else 1, optimizer=adam, validation=validation, folder=tmp_path,
            resume=resume, schedule=optim.CosineLR(adam, 9) if scheduled else None,
            metrics={"a": train.Accuracy()}, **options,
        )  # fmt: skip

    run(False, scheduled=True)
    for other, said in (
        ({"scheduled": True, "monitor": "a"}, "go on with it"),
        ({}, "with a schedule so far"),
    ):
        with pytest.raises(tg.CheckpointError, match=said):
            run(True, **other)
    run(True, scheduled=True)


def test_validation_is_the_same_each_time(rng):
    x = rng.normal(size=(10, T, N))
    y = rng.integers(0, 2, 10)

    class Rows(Classifier):
        def __call__(self, x):
            return super().__call__(np.swapaxes(x, 0, 1))

    data = tg.data.batches((x, y), 4, drop_last=True)
    tg.random.seed(0)
    model = Rows()
    first = train.evaluate(model, tg.cross_entropy, data)
    next(iter(data))
    assert train.evaluate(model, tg.cross_entropy, data) == first
    assert data.position == 1
    history = quiet(model, data, steps=6, every=2, validation=data)
    assert history["step"].tolist() == [2, 4, 6]


def test_parts_that_are_out_of_training_stay_so(rng):
    model = fresh(0.5)
    model.drop.eval()
    seen = []
    quiet(model, batches(2, rng), epochs=1, validation=batches(1, rng),
          callbacks=[lambda training: seen.append((model.training, model.drop.training))])  # fmt: skip
    assert seen == [(True, False)]
    assert (model.training, model.drop.training) == (True, False)


def test_numbers_of_numpy_and_tables_that_grow(rng, tmp_path):
    data = batches(2, rng)
    metrics = {"n": lambda y, t: np.float32(0.5), "m": train.ConfusionMatrix()}
    for epochs, resume in ((1, False), (2, True)):
        history = quiet(
            fresh(), data, epochs=epochs, validation=data, metrics=metrics, folder=tmp_path, resume=resume
        )
    assert (tmp_path / "log.csv").read_text().splitlines()[1].split(",")[-1] == "0.5"
    assert [type(value) for value in history["n"]] == [np.float64, np.float64]
    grown = train.History([{"m": np.zeros((1, 1))}, {"m": np.zeros((2, 2))}])
    assert [table.shape for table in grown["m"]] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("name", ["last.safetensors"])
def test_a_checkpoint_that_is_no_whole_one(name, rng, tmp_path):
    quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path)
    whole = tg.load(tmp_path / name).part("fit")
    for key in whole:
        tg.save(tmp_path / name, {"fit": {k: v for k, v in whole.items() if k != key}})
        model = fresh()
        before = [p.numpy().copy() for p in model.parameters()]
        with pytest.raises(tg.CheckpointError):
            quiet(model, batches(1, rng), epochs=2, folder=tmp_path, resume=True)
        for p, value in zip(model.parameters(), before, strict=True):
            np.testing.assert_array_equal(p.numpy(), value)


def test_two_trainings_in_one_folder(rng, tmp_path):
    def second(training) -> None:
        with pytest.raises(tg.CheckpointError, match="another process trains"):
            quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path, resume="auto")

    quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path, callbacks=[second])


def test_a_parameter_may_be_called_anything(tmp_path):
    class One(tg.nn.Module):
        def __init__(self):
            self.tensor = tg.nn.Parameter([1.0, 2.0])

        def __call__(self, x):
            return x * self.tensor

    model = One()
    train.fit(model, tg.mse_loss, [(tg.ones(2), tg.zeros(2))], epochs=1, folder=tmp_path, progress=False)
    same(train.load_run(tmp_path, One()).model, model)


@pytest.mark.parametrize(
    "weight", [3, 3.0, np.int64(3), np.float32(3), np.array(3), tg.tensor(3.0)], ids=repr
)
def test_the_weight_of_a_batch_is_any_number(weight, rng):
    x, t = batches(1, rng)[0]

    def loss(y, targets):
        return tg.cross_entropy(y, targets), weight

    plain = train.evaluate(fresh(), tg.cross_entropy, [(x, t)])
    assert train.evaluate(fresh(), loss, [(x, t)])["loss"] == pytest.approx(plain["loss"], rel=1e-14)
    for wrong in (None, "3", np.ones(2)):
        weight = wrong
        with pytest.raises(tg.ArgumentError, match="weight of a batch"):
            train.evaluate(fresh(), loss, [(x, t)])


def test_what_cannot_train_is_told_before_the_first_update(rng, tmp_path):
    data = batches(3, rng)
    other = fresh()
    with pytest.raises(tg.ArgumentError, match="no parameter of this model"):
        quiet(fresh(), data, epochs=1, optimizer=optim.Adam(other.parameters()))
    frozen = fresh()
    for p in frozen.parameters():
        p.requires_grad_(False)
    with pytest.raises(tg.ArgumentError, match="nothing to train"):
        quiet(frozen, data, epochs=1)
    model = fresh()
    adam = optim.Adam(model.parameters())
    with pytest.raises(tg.ArgumentError, match="total_steps=5, and there will be 6 updates"):
        quiet(model, data, epochs=2, optimizer=adam, schedule=optim.OneCycleLR(adam, 0.1, 5))
    with pytest.raises(tg.DataError, match=r"fit: validation: .* write \[\(x, targets\)\]"):
        quiet(model, data, epochs=1, validation=data[0])
    with pytest.raises(tg.ArgumentError, match="read once only"):
        quiet(model, data, epochs=1, validation=iter(data))
    with pytest.raises(tg.ArgumentError, match="say the same to both"):
        quiet(model, data, epochs=1, validation=data, metrics={"a": train.Accuracy(batch_first=True)})
    with pytest.raises(tg.ArgumentError, match=r"carry=True calls model\(x, state\)"):
        quiet(model, data, epochs=1, carry=True)
    stream = tg.data.batches((np.ones((4, 2)), np.ones((4, 2))), 2)
    with pytest.raises(tg.ArgumentError, match="shuffled"):
        train.fit(Reader(), tg.mse_loss, stream, epochs=1, carry=True)

    class Pause:
        def on_update(self, training):
            training.pause()

    with pytest.raises(tg.ArgumentError, match="nowhere to save"):
        quiet(model, data, epochs=1, callbacks=[Pause()])
    with pytest.raises(tg.ArgumentError, match="neither a function nor an object"):
        quiet(model, data, epochs=1, folder=tmp_path / "new", callbacks=[3])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0])
def test_weights_that_are_none(weight, rng):
    with pytest.raises(tg.ArgumentError, match="must be a number from 0 on"):
        train.fit(
            fresh(), lambda y, t: (tg.cross_entropy(y, t), weight), batches(1, rng), epochs=1, progress=False
        )


def test_whole_numbers_below_0_count_where_they_are_no_classes():
    data = [(np.ones((4, 2)), np.full((4, 2), 3)), (np.ones((4, 2)), np.full((4, 2), -30))]
    found = train.evaluate(lambda x: tg.tensor(x), tg.mse_loss, data)
    assert found["loss"] == pytest.approx((2.0**2 + 31.0**2) / 2)
    found = train.evaluate(lambda x: tg.tensor(x), tg.mse_loss, data[1:])
    assert found["loss"] == pytest.approx(31.0**2)


def test_a_validation_that_counts_nothing_is_no_number(rng):
    nothing = [(x, np.full_like(t, -1)) for x, t in batches(1, rng)]

    def loss(y, t):
        return tg.sum(y) * 0.0, 0

    with pytest.raises(tg.DataError, match="counts"):
        train.evaluate(fresh(), loss, nothing)


def test_a_monitor_that_is_never_a_number_is_told_once(rng):
    with pytest.warns(tg.errors.ArgumentWarning, match="'odd' is NaN") as told:
        quiet(
            fresh(), batches(2, rng), epochs=3, validation=batches(1, rng), monitor="odd",
            metrics={"odd": Odd()},
        )  # fmt: skip
    assert len([w for w in told if "odd" in str(w.message)]) == 1


class Odd(train.Metric):
    greater_is_better = False

    def reset(self):
        pass

    def update(self, outputs, targets):
        pass

    def value(self):
        return float("nan")


def test_the_log_is_made_by_a_function_that_works(rng, tmp_path):
    for number, log in enumerate([lambda history: 1 / 0, lambda history: None]):
        with pytest.raises(tg.TrainingError, match="fit: log"):
            quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path / str(number), log=log)


def test_bars_in_a_terminal_know_how_long_it_takes(rng):
    data = batches(5, rng)
    for options, planned in [({"epochs": 3}, 15), ({"epochs": 3, "accumulate": 2}, 9), ({"steps": 7}, 7),
                             ({"epochs": 9, "steps": 4}, 4)]:  # fmt: skip
        seen = []
        quiet(fresh(), data, callbacks=[lambda t, seen=seen: seen.append(t.planned_updates())], **options)
        assert set(seen) == {planned}
