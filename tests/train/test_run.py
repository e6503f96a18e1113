"""A run: it learns, stops, goes on bit for bit, and never leaves a file half written."""

import csv
import dataclasses
import errno
import itertools
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import atomic
from tinygrad_rnn.train import pictures, training
from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.folder import LAST
from tinygrad_rnn.train.lock import alone_in
from tinygrad_rnn.train.model import LAYERS
from tinygrad_rnn.train.run import Run
from tinygrad_rnn.train.stop import Stop


def stop_after(number):
    """Hears a stop after that many steps."""
    asked = itertools.count(1)
    return (lambda step: None), lambda: next(asked) == number


def trained(config, folder):
    run = Run.new(config, str(folder))
    assert run.train(lambda step: None, lambda: False)
    return run


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def contents(folder):
    """Everything that a run comes to: its log as it is, its checkpoint without the settings."""
    saved = tg.load(folder / LAST)
    with open(folder / "log.csv", encoding="utf-8", newline="") as log:
        rows = [
            {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(log)
        ]
    return (
        rows,
        saved.metadata,
        {name: value.numpy() for name, value in saved.items()},
    )


def assert_equal(ours, theirs):
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2].keys() == theirs[2].keys()
    for name, array in ours[2].items():
        np.testing.assert_array_equal(array, theirs[2][name], err_msg=name)


@pytest.mark.both_backends
@pytest.mark.parametrize("stops", [[5], [7, 4]])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(stops, config, tmp_path):
    trained(config, tmp_path / "whole")
    run = Run.new(config, str(tmp_path / "parts"))
    for number in stops:
        assert not run.train(*stop_after(number))
        tg.random.seed(99)
        run = Run.resume(str(tmp_path / "parts"), {})
    assert run.saved == sum(stops)
    assert run.train(lambda step: None, lambda: False)
    assert_equal(contents(tmp_path / "parts"), contents(tmp_path / "whole"))


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(config, tmp_path):
    """The log may then be ahead of the checkpoint."""
    trained(config, tmp_path / "whole")
    run = Run.new(config, str(tmp_path / "killed"))
    run.train(*stop_after(7))
    checkpoint = (run.path / LAST).read_bytes()
    Run.resume(str(run.path), {}).train(*stop_after(2))
    (run.path / LAST).write_bytes(checkpoint)
    run = Run.resume(str(run.path), {})
    assert [step.number for step in run.steps] == [1, 2, 3, 4, 5, 6, 7]
    run.train(lambda step: None, lambda: False)
    assert_equal(contents(tmp_path / "killed"), contents(tmp_path / "whole"))


@pytest.mark.parametrize("cell", LAYERS)
def test_every_cell_learns(cell, text, backend, tmp_path):
    config = Config(
        cell=cell, hidden=12, embed=6, batch=3, length=6, steps=30, every=15, lr=0.05, text=str(text),
        backend=backend,
    )  # fmt: skip
    steps = trained(config, tmp_path / "run").steps
    assert steps[0].bits > 3
    assert steps[-1].bits < 0.8 * steps[0].bits
    assert steps[-1].held_out < 0.8 * steps[0].bits
    assert steps[0].rate == config.lr
    assert steps[-1].rate < 0.01 * config.lr


def test_evaluating_changes_nothing(config, tmp_path):
    often = trained(config, tmp_path / "often").steps
    seldom = trained(dataclasses.replace(config, every=12), tmp_path / "seldom").steps
    assert [step.bits for step in often] == [step.bits for step in seldom]


@pytest.mark.both_backends
def test_what_a_finished_run_leaves(config, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    run = trained(config, tmp_path / "run")
    text, _ = run.finish()
    assert (run.path / "sample.txt").read_text() == text + "\n"
    assert json.loads((run.path / "config.json").read_text())["hidden"] == config.hidden
    rows = (run.path / "log.csv").read_text().splitlines()
    assert len(rows) == 1 + config.steps
    assert [row.split(",")[0] for row in rows[1:] if row.split(",")[4]] == ["5", "10", "12"]
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("draw", "file"),
    [(pictures.course, "dashboard.png"), (pictures.residuals, "flow.png")],
    ids=["dashboard", "flow"],
)
def test_what_is_drawn(config, tmp_path, draw, file):
    pytest.importorskip("matplotlib")
    run = trained(config, tmp_path / "run")
    draw(run)
    assert (run.path / file).read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_run_says_so_and_draws_the_graph(config, tmp_path, monkeypatch):
    run = trained(config, tmp_path / "run")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr("tinygrad_rnn.graph.engine.found", lambda: None)
    _, notes = run.finish()
    assert len(notes) == 2
    assert "pip install 'tinygrad_rnn[plot]'" in notes[0]
    assert "heat map" in notes[1]
    assert "<svg" in (run.path / "graph.svg").read_text(encoding="utf-8")


def test_looking_at_residuals_changes_nothing(config, tmp_path):
    class Looks:
        def __init__(self, run):
            self.run = run

        def __call__(self, step):
            report = self.run.flow(readers=1, states_only=True)
            assert [track.name for track in report.tracks] == ["layer 1", "layer 2"]

    looked_at = Run.new(config, str(tmp_path / "looked at"))
    looked_at.train(Looks(looked_at), lambda: False)
    other = trained(config, tmp_path / "other")
    for one, same in zip(looked_at.model.parameters(), other.model.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), same.numpy())


@pytest.mark.parametrize("where", ["loss", "held out", "gradient's norm", "parameter readout"])
def test_numbers_that_are_not_finite_stop_the_run_and_keep_the_last_good_checkpoint(
    where, config, tmp_path, monkeypatch
):
    run = Run.new(config, str(tmp_path / "run"))
    run.train(*stop_after(5))
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    run, number = Run.resume(str(run.path), {}), 8

    def spoil(name):
        """From the seventh step on a parameter is not finite."""
        parameter = dict(run.model.named_parameters())[name]

        def tell(step):
            if step.number == 7:
                parameter.data = np.full(parameter.shape, np.inf, np.float32)

        return tell

    show = spoil("readout.bias") if where == "loss" else lambda step: None
    if where == "gradient's norm":
        norms = iter([1.0, 1.0, float("nan")])  # of the steps after the fifth
        monkeypatch.setattr("tinygrad_rnn.optim.clip_grad_norm", lambda *rest: next(norms))
    place = f"at step {number}"
    if where == "held out":
        place = "after step 10"
        monkeypatch.setattr(training, "evaluate", lambda *_: fail("the loss became nan"))
    if where == "parameter readout":
        place = "after step 10"
        monkeypatch.setattr(training, "evaluate", lambda *_: spoiled(run.model) or {"loss": 1.0})
    said = {"held out": "in validation the loss", "parameter readout": "the parameter readout.bias"}.get(
        where, f"the {where}"
    )
    with pytest.raises(tg.TrainingError, match=rf"{place} {said} (became|is not).*kept last is in"):
        run.train(show, lambda: False)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


def fail(said):
    raise tg.TrainingError(said)


def spoiled(model):
    model.readout.bias.data = np.full(model.readout.bias.shape, np.inf, np.float32)


def test_a_rate_that_is_far_too_large_ends_in_a_training_error(config, tmp_path):
    run = Run.new(Config(**{**vars(config), "lr": 1e37, "steps": 300}), str(tmp_path / "run"))
    with pytest.raises(tg.TrainingError, match=r"at step \d+ the .*: try a smaller learning rate"):
        run.train(lambda step: None, lambda: False)


def test_a_disk_that_fills_up_costs_no_checkpoint(config, tmp_path, monkeypatch):
    run = Run.new(config, str(tmp_path / "run"))
    run.train(*stop_after(5))
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(tg.CheckpointError, match="No space left on device"):
        run.train(lambda step: None, lambda: False)
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize("written", range(2))
def test_a_run_that_cannot_be_begun_leaves_no_folder(written, config, tmp_path, monkeypatch):
    fsync, calls = os.fsync, []
    monkeypatch.setattr(
        atomic.os,
        "fsync",
        lambda file: fsync(file) if len(calls) < written and not calls.append(file) else full(),
    )
    with pytest.raises(tg.CheckpointError, match="No space left on device"):
        Run.new(config, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_used_folder_is_left_alone(config, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(tg.CheckpointError, match="not empty"):
        Run.new(config, str(tmp_path / "mine"))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_folder_that_cannot_be_made(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(tg.CheckpointError, match="cannot make the run folder"):
        Run.new(config, str(tmp_path / "file" / "run"))


def test_folders_are_numbered(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [str(Run.new(config).path) for _ in range(2)] == [
        os.path.join("runs", "lstm-1"),
        os.path.join("runs", "lstm-2"),
    ]


def test_a_run_that_is_done_can_be_made_longer(config, tmp_path):
    trained(config, tmp_path / "run")
    with pytest.raises(tg.TrainingError, match="12 steps already"):
        Run.resume(str(tmp_path / "run"), {}).check_open()
    run = Run.resume(str(tmp_path / "run"), {"steps": 15})
    assert run.train(lambda step: None, lambda: False)
    assert run.steps[-1].number == 15


def test_a_text_that_changed_is_noticed(config, text, tmp_path):
    trained(config, tmp_path / "run")
    text.write_text("another text, " * 100)
    with pytest.raises(tg.DataError, match="has changed"):
        Run.resume(str(tmp_path / "run"), {})


@pytest.mark.parametrize("spoil", ["cut", "foreign", "missing", "settings", "state", "log"])
def test_checkpoints_that_cannot_be_resumed(spoil, config, tmp_path):
    path = trained(config, tmp_path / "run").path / LAST
    saved = tg.load(path)
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    elif spoil == "missing":
        path.unlink()
    elif spoil == "foreign":
        tg.save(path, {"weight": np.ones(3)})
    elif spoil == "settings":
        path.with_name("config.json").write_text('{"colour": "red"}')
    elif spoil == "state":
        kept = {"kind": saved.metadata["kind"], "text": saved.metadata["text"]}
        tg.save(path, {"fit": {"model": dict(saved)}}, kept)
    else:
        path.with_name("log.csv").write_text("step\nnonsense\n")
    with pytest.raises(tg.TinygradRNNError):
        Run.resume(str(tmp_path / "run"), {"steps": 20})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_heard_once_and_the_handlers_come_back(number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with Stop() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.signal == number
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_folder_that_is_somebody_elses_stays(config, tmp_path):
    """A start that is refused removes nothing that it has not made."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    with alone_in(folder), pytest.raises(tg.CheckpointError, match="another process"):
        Run.new(config, str(folder))
    assert folder.is_dir()
    own = dataclasses.replace(config, cell="no_such_module:Cell")
    with pytest.raises(tg.ArgumentError):
        Run.new(own, str(folder), "no_such_module:Cell")
    assert folder.is_dir()
    assert not list(folder.iterdir())


def test_two_processes_that_begin_at_once_have_folders_of_their_own(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun, mkdir = [], os.mkdir

    def with_another(path, *rest, **more):
        if Path(path).name == "lstm-1" and not begun:
            begun.append(True)
            mkdir(path)  # the other process
        return mkdir(path, *rest, **more)

    monkeypatch.setattr(os, "mkdir", with_another)
    assert Run.new(config).path.name == "lstm-2"
    assert not list((tmp_path / "runs/lstm-1").iterdir())


def test_who_comes_too_late_is_told(config, tmp_path):
    Run.new(config, str(tmp_path / "run")).train(*stop_after(2))
    first, second = (Run.resume(str(tmp_path / "run"), {}) for _ in range(2))
    second.train(*stop_after(3))
    with pytest.raises(tg.CheckpointError, match="meanwhile"):
        first.train(lambda step: None, lambda: False)
    run = Run.resume(str(tmp_path / "run"), {})
    assert run.saved == 5
    assert run.train(lambda step: None, lambda: False)


def test_a_training_that_failed_can_be_tried_again(config, tmp_path):
    run = Run.new(config, str(tmp_path / "run"))

    def fails(step):
        if step.number == 8:
            raise OSError("the terminal is gone")

    with pytest.raises(tg.TrainingError, match="terminal is gone"):
        run.train(fails, lambda: False)
    assert run.train(lambda step: None, lambda: False)
    trained(config, tmp_path / "whole")
    assert_equal(contents(tmp_path / "run"), contents(tmp_path / "whole"))


def test_the_best_model_is_found_without_its_file(config, tmp_path):
    run = trained(config, tmp_path / "run")
    expected = [p.numpy() for p in tg.train.load_run(run.path).model.parameters()]
    (run.path / "best.safetensors").unlink()
    for p, weights in zip(tg.train.load_run(run.path).model.parameters(), expected, strict=True):
        np.testing.assert_array_equal(p.numpy(), weights)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of POSIX")
def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop()
    finally:
        signal.signal(signal.SIGHUP, before)
