"""The figure of a training: what stands in it is what was logged, and others drew by other formulas."""

import collections
import csv
import dataclasses
import itertools
import math
import re
import shutil

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.train.conftest import SENTENCE
from tinygrad_rnn import cli
from tinygrad_rnn.interop import safetensors
from tinygrad_rnn.train import run as runs
from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.course import Series, course_of
from tinygrad_rnn.train.panels import spread
from tinygrad_rnn.train.run import Run
from tinygrad_rnn.train.steps import Step, read_log, table

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run, and one that reads words."""
    folder = tmp_path_factory.mktemp("runs")
    text = folder / "text.txt"
    text.write_text(SENTENCE * 30, encoding="utf-8")
    for name, words in (("letters", False), ("words", True)):
        config = Config(
            hidden=6, embed=4, batch=3, length=5, steps=12, every=5, words=words, text=str(text), clip=0.05
        )
        assert Run.new(config, str(folder / name)).train(lambda step: None, lambda: False)
    return folder


def columns(run):
    with open(run / "log.csv", encoding="utf-8", newline="") as log:
        rows = list(csv.DictReader(log))
    told = {name: [(int(row["step"]), float(row[name])) for row in rows if row[name]] for name in rows[0]}
    return {name: tuple(map(np.array, zip(*pairs, strict=True))) for name, pairs in told.items()}


def panels(figure):
    """The panels by what their title begins with."""
    return {re.split("[,:]", axes.get_title(loc="left"))[0]: axes for axes in figure.axes}


def lines(axes):
    """All that is drawn over steps, with more than one point."""
    found = [np.array(line.get_data()) for line in axes.lines if len(line.get_xdata()) > 1]
    return [line for line in found if not np.array_equal(line[0], [0, 1])]  # which go across


def levels(axes):
    return [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]


def names(axes):
    return [text.get_text() for text in axes.texts]


def test_what_is_drawn_is_what_was_logged(folder):
    drawn, log = panels(tg.train.dashboard(folder / "letters")), columns(folder / "letters")
    assert list(drawn) == ["loss", "gradient norm", "learning rate", "horizon", "saturated gates"]
    for title, what in {
        "loss": ["bits_per_character", "held_out_bits_per_character"],
        "gradient norm": ["gradient_norm"],
        "learning rate": ["learning_rate"],
        "horizon": ["horizon"],
    }.items():
        shown = [line for line in lines(drawn[title]) if len(line[0]) > 2 and line[0][0] != line[0][-1]]
        assert len(shown) == len(what)
        for line, name in zip(shown, what, strict=True):
            np.testing.assert_allclose(line, log[name], rtol=1e-12)
    steps, held_out = log["held_out_bits_per_character"]
    best = held_out.argmin()
    kept = next(line.get_data() for line in drawn["loss"].lines if len(line.get_xdata()) == 1)
    assert (kept[0][0], kept[1][0]) == (steps[best], held_out[best])
    assert f"held out, kept {held_out[best]:.4g} at step {steps[best]}" in names(drawn["loss"])
    assert levels(drawn["gradient norm"]) == [0.05]
    clipped = np.mean(log["gradient_norm"][1] > 0.05)
    assert f"{100 * clipped:.0f} %" in drawn["gradient norm"].get_title(loc="right")
    assert levels(drawn["horizon"]) == [4]
    assert sorted(names(drawn["saturated gates"])) == sorted(["i", "f", "g", "o", "tanh(c)"])


@pytest.mark.parametrize("run", ["letters", "words"])
def test_the_blind_guess_is_the_entropy_of_the_text(folder, run):
    text = SENTENCE * 30
    tokens = re.findall(r" ?\w+| ?[^\w\s]+|\n|[^\S\n]+", text) if run == "words" else list(text)
    counts = collections.Counter(tokens[: len(tokens) - round(len(tokens) * 0.1)])
    total = sum(counts.values())
    bits = sum(n / total * math.log(total / n, 2) for n in counts.values())
    drawn = panels(tg.train.dashboard(folder / run))["loss"]
    np.testing.assert_allclose(levels(drawn), [bits], rtol=1e-12)
    assert f"blind guess {bits:.3g}" in names(drawn)


def test_saturated_gates_are_those_of_an_lstm_by_hand(config, tmp_path):
    """After a first step that drives the gates to their ends."""
    config = dataclasses.replace(config, layers=1, dropout=0.0, lr=2.0, steps=1, every=1, schedule="constant")
    run = Run.new(config, str(tmp_path / "run"))
    run.train(lambda step: None, lambda: False)
    weights = {name: p.numpy().astype(float) for name, p in run.model.named_parameters()}
    numbers, _ = run.corpus.streams.window(0, config.length)
    h = c = np.zeros(config.hidden)
    flat = collections.defaultdict(list)
    for number in numbers[:, 0]:
        x = weights["embedding.weight"][number]
        sums = (
            weights["recurrent.weight_ih_l0"] @ x
            + weights["recurrent.bias_ih_l0"]
            + weights["recurrent.weight_hh_l0"] @ h
            + weights["recurrent.bias_hh_l0"]
        )
        i, f, g, o = np.split(sums, 4)
        i, f, o = (1 / (1 + np.exp(-a)) for a in (i, f, o))
        g = np.tanh(g)
        c = f * c + i * g
        h = o * np.tanh(c)
        for name, slopes in {
            "i": i * (1 - i), "f": f * (1 - f), "o": o * (1 - o), "g": 1 - g * g,
            "tanh(c)": 1 - np.tanh(c) ** 2,
        }.items():  # fmt: skip
            flat[name].append(np.mean(slopes < 0.01))
    told = read_log(run.path)[0].saturated
    assert told == pytest.approx({name: np.mean(shares) for name, shares in flat.items()}, abs=1e-6)
    assert any(0 < share < 1 for share in told.values())


def test_looks_at_gates_go_on_as_if_there_had_been_no_stop(config, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "LOOKS", 2)
    monkeypatch.setattr(runs, "GATES", 4)
    Run.new(config, str(tmp_path / "whole")).train(lambda step: None, lambda: False)
    asked = iter([False] * 5 + [True])
    assert not Run.new(config, str(tmp_path / "parts")).train(lambda step: None, lambda: next(asked))
    Run.resume(str(tmp_path / "parts"), {}).train(lambda step: None, lambda: False)
    whole, parts = (
        [dataclasses.replace(step, seconds=None) for step in read_log(tmp_path / name)]
        for name in ("whole", "parts")
    )
    assert whole == parts
    assert [step.number for step in whole if step.saturated] == [1, 5, 9]
    assert any(name.startswith("layer 2 ") for name in whole[0].saturated)


def test_an_old_log_is_drawn_without_what_it_does_not_tell(folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder / "letters", old)
    rows = [row.split(",")[:7] for row in (old / "log.csv").read_text().splitlines()]
    (old / "log.csv").write_text("\n".join(map(",".join, rows)) + "\n")
    saved = safetensors.load(old / "last.safetensors")
    kept = {name: word for name, word in saved.metadata.items() if name not in ("blind", safetensors.STATE)}
    tg.save(old / "last.safetensors", {"fit": saved.part("fit")}, kept)
    drawn = panels(tg.train.dashboard(old))
    assert list(drawn) == ["loss", "gradient norm", "learning rate", "horizon"]
    assert levels(drawn["loss"]) == []
    assert len(Run.resume(str(old), {}).steps) == 12


def test_gates_of_any_name_come_back_from_a_log(tmp_path):
    told = [
        Step(1, 2.0, 1.0, 0.1, None, 3, 0.5, {'a,"b"': 0.25, "权重; $x$": 0.5}),
        Step(2, 1.0, 1.0, 0.1),
        Step(3, 1.0, 1.0, 0.1, 1.5, 3, 1.5, {"later": 0.0}),
    ]
    (tmp_path / "log.csv").write_text(table(told, "word"), encoding="utf-8", newline="")
    assert read_log(tmp_path) == told


def test_thinning_keeps_the_least_and_the_largest_and_what_is_no_number():
    values = np.random.default_rng(0).normal(size=100_003)
    values[[77, 50_000]] = 9, -9
    values[60_000] = np.nan
    series = Series(np.arange(1, len(values) + 1.0), values)
    thin = series.thinned(500)
    assert len(thin) <= 500 + 2 + 1  # the ends, and what is no number
    assert (np.diff(thin.steps) > 0).all()
    np.testing.assert_array_equal(thin.values, values[thin.steps.astype(int) - 1])
    assert (np.nanmin(thin.values), np.nanmax(thin.values)) == (-9, 9)
    assert np.isnan(thin.values).sum() == 1
    places = np.linspace(0, len(values), 251).astype(int)
    for first, end in itertools.pairwise(places):
        inside = thin.values[(thin.steps > first) & (thin.steps <= end)]
        assert np.nanmin(inside) == np.nanmin(values[first:end])
        assert np.nanmax(inside) == np.nanmax(values[first:end])
    assert series.thinned(len(values)) is series


def test_a_smoothed_line_is_the_mean_of_what_is_around():
    values = np.random.default_rng(1).normal(size=40)
    values[[7, 30]] = np.nan, np.inf
    smooth = Series(np.arange(40.0), values).smoothed(5).values
    for i in range(40):
        around = values[max(0, i - 2) : i + 3]
        mean = around[np.isfinite(around)].mean() if np.isfinite(values[i]) else np.nan
        np.testing.assert_allclose(smooth[i], mean, rtol=1e-9, equal_nan=True)


@pytest.mark.parametrize("places", [[0.5] * 4, [0.0, 0.01, 0.9], [0.99, 0.98, 0.1, 0.12, 0.11], [0.2, 0.7]])
def test_names_do_not_lie_over_each_other(places):
    found = spread(places, 0.1)
    in_order = [found[i] for i in sorted(range(len(places)), key=lambda i: places[i])]
    assert (np.diff(in_order) >= 0.1 - 1e-12).all()
    assert in_order[0] >= 0.05 - 1e-12
    assert in_order[-1] <= 0.95 + 1e-12
    if places == [0.2, 0.7]:
        assert found == places


def history(rows=60, broken=()):
    told = [
        {"step": 10 * i, "epoch": i, "loss": 5.0 / i, "norm": 2.0 / i, "rate": 0.1,
         "validation_loss": 6.0 / i, "accuracy": 1 - 1 / i, "$f_1$": 0.5}
        for i in range(1, rows + 1)
    ]  # fmt: skip
    for i in broken:
        told[i]["loss"] = math.nan
    return tg.train.History(told, best=rows - 1)


def test_numbers_that_are_not_finite_are_marked():
    axes = panels(tg.train.dashboard(history(broken=(3, 5))))["loss"]
    marks = [line for line in axes.lines if line.get_marker() == "x"]
    assert [list(line.get_xdata()) for line in marks] == [[40.0, 60.0]] * len(marks)
    assert marks
    assert "× not finite" in names(axes)
    assert np.isnan(lines(axes)[0][1][[3, 5]]).all()


def test_a_training_by_fit_has_its_clip_and_its_metrics(tmp_path):
    x = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
    model = tg.nn.Linear(2, 1)
    told = tg.train.fit(
        model, tg.mse_loss, [(x, x.sum(1, keepdims=True))], epochs=3, clip=0.25, folder=tmp_path / "fit",
        progress=False,
    )  # fmt: skip
    for training in (told, tmp_path / "fit"):
        drawn = panels(tg.train.dashboard(training))
        assert list(drawn) == ["loss", "gradient norm", "learning rate"]
        np.testing.assert_allclose(lines(drawn["loss"])[0], [told["step"], told["loss"]])
        assert levels(drawn["gradient norm"]) == [0.25]
    drawn = panels(tg.train.dashboard(history()))
    assert list(drawn)[3:] == ["accuracy", "$f_1$"]
    np.testing.assert_allclose(lines(drawn["accuracy"])[0][1], history()["accuracy"])


def test_one_update_is_enough():
    axes = panels(tg.train.dashboard(tg.train.History([{"step": 1, "loss": 2.0}])))["loss"]
    assert axes.lines[0].get_marker() == "o"


def test_where_it_explodes_the_axis_is_logarithmic():
    rows = [{"step": i, "loss": 2.0 * 10**i} for i in range(6)]
    assert panels(tg.train.dashboard(tg.train.History(rows)))["loss"].get_yscale() == "log"
    assert panels(tg.train.dashboard(tg.train.History(rows[:2])))["loss"].get_yscale() == "linear"


def test_runs_over_each_other_are_in_bits_per_character(folder):
    axes = panels(tg.train.dashboard([folder / "letters", folder / "words"]))["loss"]
    letters, words = columns(folder / "letters"), columns(folder / "words")
    text = SENTENCE * 30
    tokens = re.findall(r" ?\w+| ?[^\w\s]+|\n|[^\S\n]+", text)
    kept = tokens[len(tokens) - round(len(tokens) * 0.1) :]
    size = len("".join(kept)) / len(kept)
    shown = lines(axes)
    np.testing.assert_allclose(shown[1][1], letters["held_out_bits_per_character"][1])
    np.testing.assert_allclose(shown[3][1], words["held_out_bits_per_word"][1] / size)
    assert len({line.get_color() for line in axes.lines if line.get_linestyle() == "-"}) == 2
    best = letters["held_out_bits_per_character"][1].min()
    assert f"{best:.4g}  letters" in names(axes)


def test_what_is_smoothed_over_each_other_is_said():
    rng = np.random.default_rng(0)
    for count, means in ((60, False), (600, True)):
        rows = [{"step": i, "loss": rng.random(), "norm": rng.random()} for i in range(1, count + 1)]
        drawn = panels(tg.train.dashboard({name: tg.train.History(rows) for name in "ab"}))
        for title in ("loss", "gradient norm"):
            assert drawn[title].get_title(loc="right") == ("smoothed" if means else "")
    axes = panels(tg.train.dashboard([tg.train.History([*rows, {"step": 601, "validation_loss": 0.5}])] * 2))
    assert axes["loss"].get_title(loc="right").startswith("fine: training, smoothed; strong: held out")


def test_names_of_runs_are_shown_as_they_are(folder, tmp_path):
    given = ["$x_1$\\alpha", "_hidden <b>", "权重" + "x" * 100]
    for name in given:
        shutil.copytree(folder / "letters", tmp_path / "one" / name)
    shutil.copytree(folder / "letters", tmp_path / "other" / given[0])
    figure = tg.train.dashboard([*(tmp_path / "one" / name for name in given), tmp_path / "other" / given[0]])
    axes = panels(figure)["gradient norm"]
    shown = names(axes)
    assert {"one/$x_1$\\alpha", "_hidden <b>", "other/$x_1$\\alpha"} <= {*shown}
    assert max(map(len, shown)) <= 36
    assert not any(text.get_parse_math() for one in figure.axes for text in one.texts)


def test_what_does_not_compare_is_refused_or_said(folder, tmp_path, config, text):
    with pytest.raises(tg.ArgumentError, match="different units: bits per character and loss"):
        tg.train.dashboard({"a": folder / "letters", "b": history()})
    with pytest.raises(tg.ArgumentError, match="there is none"):
        tg.train.dashboard([])
    with pytest.raises(tg.DataError, match="told nothing yet"):
        tg.train.dashboard(tg.train.History())
    with pytest.raises(tg.CheckpointError):
        tg.train.dashboard(tmp_path)
    text.write_text("another text altogether, " * 60)
    Run.new(config, str(tmp_path / "other")).train(lambda step: None, lambda: False)
    figure = tg.train.dashboard([folder / "letters", tmp_path / "other"])
    assert "different texts" in figure.get_supxlabel()
    assert tg.train.dashboard([folder / "letters"] * 2).get_supxlabel() == ""


def test_the_command_draws_runs_over_each_other(folder, tmp_path, capsys):
    given = ["compare", str(folder / "letters"), str(folder / "words"), "--out"]
    for kind, begin in {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}.items():
        assert cli.main([*given, str(tmp_path / f"runs.{kind}")]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / f"runs.{kind}")
        assert (tmp_path / f"runs.{kind}").read_bytes().startswith(begin)
    assert cli.main([*given, str(tmp_path / "runs.gif")]) == 2
    assert "none of the endings" in capsys.readouterr().err
    assert not (tmp_path / "runs.gif").exists()


def test_what_no_float_reaches_and_steps_that_are_none() -> None:
    nan = float("nan")
    rows = [{"step": 1, "loss": 10**400}, {"step": 2, "loss": 1.0}, {"step": nan, "loss": 2.0}]
    loss = course_of(tg.train.History(rows)).series["loss"]
    assert loss.steps.tolist() == [1, 2]
    assert loss.values.tolist() == [float("inf"), 1.0]
    with pytest.raises(tg.DataError, match="tells of no loss"):
        tg.train.dashboard(tg.train.History(rows[2:]))
