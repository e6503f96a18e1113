"""Saturated and dead units, the origin of NaN, anomaly mode, tables and files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import tape

T, B, IN, H = 30, 2, 3, 4


def _report(name: str = "LSTM", of: Any = None, **options: Any) -> Any:
    xs = numpy.random.default_rng(0).standard_normal((T, B, IN))
    y, _ = getattr(tg.nn, name)(IN, H, dtype=tg.float64, **options)(tg.tensor(xs))
    return tg.flow(tg.sum(y * y), start=of)


@pytest.mark.both_backends
def test_saturated_gates(rng: numpy.random.Generator) -> None:
    a = tg.tensor(numpy.array([0.0, 20.0, -20.0, 1.0]), requires_grad=True)
    (found,) = tg.flow(tg.sum(tg.sigmoid(a))).activations()
    assert (found.operation, found.saturated, found.dead) == ("sigmoid", 0.5, [])
    report = _report()
    assert [found.name for found in report.activations()] == ["i", "f", "g", "o", "tanh(c)"]
    assert all(len(found.flat) == T for found in report.activations())


@pytest.mark.parametrize("relu", [tg.relu, lambda a: tg.maximum(a, 0.0)])
def test_dead_units_are_dead_in_every_step_and_sample(relu: Any, rng: numpy.random.Generator) -> None:
    shift = tg.tensor(numpy.array([-100.0, 0.0, 100.0]), requires_grad=True)

    def cell(x: Any, h: Any) -> Any:
        h = relu(0.5 * h + x + shift)
        return h, h

    xs = rng.standard_normal((8, B, 3))
    xs[0, 0, 1] = 5.0  # once, in one sample, the second unit is alive
    y, _ = tg.scan(cell, tg.tensor(xs), tg.tensor(numpy.zeros((B, 3))))
    (found,) = tg.flow(tg.sum(y)).activations()
    assert (found.dead, found.units) == ([0], 3)
    assert "1 of 3 units dead" in str(found)


# -- not finite ----------------------------------------------------------------------------------------------


def _exploding(x: Any, h: Any) -> Any:
    h = tg.exp(3 * h + x)
    return h, h


def _sinking(x: Any, h: Any) -> Any:
    h = tg.sqrt(h * x)
    return h, h


def _line_of(function: Any) -> str:
    return f"in line {function.__code__.co_firstlineno + 1} of test_health.py"


@pytest.mark.both_backends
@pytest.mark.parametrize("compiled", [False, "auto"])
def test_anomaly_mode_names_step_operation_and_line(compiled: bool | str) -> None:
    h = tg.tensor(numpy.ones((B, IN)), requires_grad=True)
    with numpy.errstate(all="ignore"):
        with (
            pytest.raises(
                tg.NonFiniteError, match=f"forward, step 2, exp {_line_of(_exploding)}: h = tg.exp"
            ),
            tg.detect_anomaly(),
        ):
            tg.scan(_exploding, tg.tensor(numpy.ones((5, B, IN))), h, compiled=compiled)
        y, _ = tg.scan(_sinking, tg.tensor(numpy.zeros((5, B, IN))), h, compiled=compiled)
        with pytest.raises(tg.NonFiniteError, match="backward, step 4, √"), tg.detect_anomaly():
            tg.sum(y).backward()
    assert tape.thread.observer is None
    assert not tape.mode.observing


def test_anomaly_mode_lets_pass_what_was_infinite_before() -> None:
    mask = tg.tensor(numpy.array([0.0, -numpy.inf]))
    x = tg.tensor(numpy.zeros(2), requires_grad=True)
    with tg.detect_anomaly():
        tg.sum(tg.softmax(x + mask) ** 2).backward()
    with pytest.raises(tg.NonFiniteError, match="add"), tg.detect_anomaly():
        x + tg.tensor(numpy.array([0.0, numpy.nan]))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (0, 3)])
def test_units_of_any_shape(shape: tuple[int, ...]) -> None:
    (tanh,) = tg.flow(tg.sum(tg.tanh(tg.tensor(numpy.zeros(shape), requires_grad=True)))).activations()
    assert (tanh.units, tanh.saturated) == (shape[-1] if shape else 1, 0.0)


def test_anomaly_mode_does_not_look_at_what_the_compiler_tries_out() -> None:
    """The cell's derivative is fine where it runs, and NaN at the small numbers that it is compiled with."""
    h = tg.tensor(numpy.full((B, IN), 10.0), requires_grad=True)
    with tg.detect_anomaly():
        y, _ = tg.scan(
            lambda x, h: (h, tg.sqrt(h - 5) + 8 + x), tg.tensor(numpy.ones((5, B, IN))), h, compiled=True
        )
        tg.sum(y).backward()


@pytest.mark.both_backends
def test_the_origin_of_what_is_not_finite() -> None:
    h = tg.tensor(numpy.ones((B, IN)), requires_grad=True)
    with numpy.errstate(all="ignore"):
        y, _ = tg.scan(_exploding, tg.tensor(numpy.ones((5, B, IN))), h)
        found = tg.flow(tg.sum(y)).not_finite()
        assert (
            found
            == f"first non-finite value: forward, step 2, exp {_line_of(_exploding)}: h = tg.exp(3 * h + x)"
        )
        y, _ = tg.scan(_sinking, tg.tensor(numpy.zeros((5, B, IN))), h)
        report = tg.flow(tg.sum(y))
    assert str(report.not_finite()).startswith("first non-finite value: backward, step 4, √ (sqrt)")
    assert report.verdict().kind == "exploding"
    assert "first non-finite value: backward, step 4" in str(report)
    assert _report().not_finite() is None


def test_a_nan_that_the_loss_sends_into_an_earlier_step_is_found_too() -> None:
    """The residual that is followed, of the last step, has none in it."""

    def cell(x, h):
        h = tg.tanh(x + h)
        return tg.sqrt(h * h), h

    h = tg.tensor(numpy.zeros((B, IN)), requires_grad=True)
    xs = numpy.ones((5, B, IN))
    xs[0] = 0.0
    report = tg.flow(tg.sum(tg.scan(cell, tg.tensor(xs), h)[0]))
    assert report.verdict().kind != "exploding"
    assert str(report.not_finite()).startswith("first non-finite value: backward, step 0, √ (sqrt)")


# -- words and files -----------------------------------------------------------------------------------------


def test_worst_statements() -> None:
    report = _report()
    statements = report.worst(3)
    gains = report.track().gains[1:]
    assert [statement.gain for statement in statements] == sorted(gains)[:3]
    text = str(statements[0])
    assert text.startswith(f"step {statements[0].step} → {statements[0].step - 1}, ")
    assert statements[0].path is statements[0].paths.paths[0]
    assert "f (weighting) ×" in text
    assert text.endswith(" % of the residual")


def test_each_chain_is_told_of(rng: numpy.random.Generator) -> None:
    """Of a layer whose gate is shut that gate is named, though another layer has all of the worst steps."""

    class Both(tg.nn.Module):
        def __init__(self) -> None:
            self.first = tg.nn.RNN(1, 4, dtype="float64")
            self.second = tg.nn.LSTM(4, 4, dtype="float64")
            self.first.weight_hh_l0.data *= 0.05
            self.second.weight_hh_l0.data *= 0.1
            self.second.bias_hh_l0.data[4:8] = -3

        def __call__(self, x: tg.Tensor) -> tg.Tensor:
            return self.second(self.first(x)[0])[0][-1]

    report = tg.flow(tg.sum(Both()(tg.tensor(rng.normal(size=(12, 2, 1))))))
    lines = str(report).splitlines()
    assert {line.partition(",")[0] for line in lines[2:]} == {"first", "second"}
    (line,) = (line for line in lines[2:] if line.startswith("second"))
    assert "f (weighting)" in line


def test_the_table_is_abridged_and_aligned() -> None:
    lines = _report().table().split("\n")
    assert lines[1].split()[:7] == ["step", "at", "h", "at", "c", "left", "gain"]
    assert lines[2].split()[0] == "29"
    assert lines[-1].split()[0] == "0"
    assert lines[12] == "  … 10 more …"
    assert len({line.index("×") for line in lines[2:12]}) <= 6


def test_files(tmp_path: Path) -> None:
    report = _report()
    report.save(tmp_path / "flow.csv")
    rows = list(csv.DictReader((tmp_path / "flow.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["chain", "step", "received", "passed", "gain", "h", "c"]
    numpy.testing.assert_array_equal([float(row["gain"]) for row in rows], report.track().gains)
    report.to_csv(tmp_path / "operations.csv", rows="operations")
    operations = list(csv.DictReader((tmp_path / "operations.csv").read_text(encoding="utf-8").splitlines()))
    assert len(operations) == sum(len(op.sent) for op in report.operations())
    report.save(tmp_path / "flow.txt")
    assert (tmp_path / "flow.txt").read_text(encoding="utf-8") == report.table() + "\n"
    with pytest.raises(tg.DrawError, match=r"none of the endings"):
        report.save(tmp_path / "flow.gif")
    with pytest.raises(tg.FlowError, match="'steps' or 'operations'"):
        report.to_csv(tmp_path / "no.csv", rows="cells")
    with pytest.raises(tg.DrawError, match="cannot write"):
        report.save(tmp_path / "missing" / "flow.csv")


def test_figures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    report = _report(num_layers=2)
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        report.save(tmp_path / f"flow.{kind}")
        assert (tmp_path / f"flow.{kind}").read_bytes().startswith(start)
    bundle = report._repr_mimebundle_()
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    assert bundle["image/png"] in bundle["text/html"]


@pytest.mark.parametrize("name", ["a\nb", "\ud800", "$\\x$", "<b>&", "a" * 500])
def test_whatever_tensors_are_called_a_row_is_a_row(name: str, tmp_path: Path) -> None:
    def cell(x: Any, h: Any) -> Any:
        h = tg.tanh(x + h)
        h.name = name
        return h, h

    y, _ = tg.scan(cell, tg.tensor(numpy.ones((3, 2))), tg.tensor(numpy.ones(2), requires_grad=True))
    report = tg.flow(tg.sum(y))
    assert len(report.table().splitlines()) == 5  # the verdict, a head, and the three steps
    assert len(report.worst(1)[0].path.start) <= 60
    for kind in ("txt", "csv", "svg"):
        report.save(tmp_path / f"flow.{kind}")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = _report()
    with pytest.raises(tg.DrawError, match=r"pip install 'tinygrad_rnn\[plot\]'"):
        report.heatmap()
    assert set(report._repr_mimebundle_()) == {"text/html", "text/plain"}
    assert "<img" not in report._repr_html_()
