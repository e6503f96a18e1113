"""The command ``check``: it passes here, on both backends, and finds what is planted; and its report is what
it says."""

from __future__ import annotations

import dataclasses
import json
import math
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests import strict_cupy
from tinygrad_rnn import backends, cli, random, selfcheck
from tinygrad_rnn.chain_rule import choices, rows
from tinygrad_rnn.selfcheck import cells, operands, report, rules, sequences, times, training


@pytest.fixture
def standin(monkeypatch):
    """The stand-in can be chosen."""
    strict_cupy.install(monkeypatch)


def measured(items, *names):
    """The named items, or all; by name."""
    section = report.run_items(
        "chosen", [(name, measure) for name, measure in items if not names or name in names], math.inf
    )
    assert not section["left_out"]
    assert not names or len(section["items"]) == len(names)
    return {item["name"]: item for item in section["items"]}


def failed(items):
    return [name for name, item in items.items() if not item["passed"]]


# -- nothing is wrong here -----------------------------------------------------------------------------------


@pytest.mark.measured
@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize("backend", ["numpy", pytest.param("cupy", marks=pytest.mark.slow)])
@pytest.mark.parametrize("section", [name for name, _, _ in selfcheck.SECTIONS])
def test_everything_passes(section, backend, monkeypatch):
    """Of the cells the built-in ones, since all of them go the same ways in other tests; of the sizes those
    that take no time."""
    monkeypatch.setattr(times, "SIZES", [(4, 2, 3, 5)])
    (items,) = [items for name, items, _ in selfcheck.SECTIONS if name == section]
    results = measured(items(backend, True))
    assert {name: results[name] for name in failed(results)} == {}
    for item in results.values():
        assert "tolerance" not in item or 0 <= item["error"] <= item["tolerance"] <= 2e-5


@pytest.mark.cupy
@pytest.mark.slow
def test_everything_passes_on_a_device():
    pytest.importorskip("cupy", reason="CuPy is not installed", exc_type=ImportError)
    try:
        backends.get("cupy")
    except tg.BackendError as missing:
        pytest.skip(f"there is no device: {missing}")
    result = selfcheck.run("cupy")
    assert [item for section in result["sections"] for item in section["items"] if not item["passed"]] == []


def test_all_rows_and_choices_have_operands():
    assert set(operands.SAMPLES) == set(rows)
    assert set(operands.CHOICES) == set(choices)
    assert set(operands.LARGE) < set(rows)


def test_every_row_cell_and_kind_of_layer_is_looked_at():
    names = {backend: {name for name, _ in rules.items(backend, False)} for backend in ("numpy", "cupy")}
    for name in (*rows, *choices):
        assert f"{name} float32" in names["numpy"] & names["cupy"]
        assert f"{name} float64" in names["cupy"]
    assert {f"{name} proof" for name in rows} <= names["numpy"]
    assert {
        f"{name} at special values float64" for name in ("exp", "power", "maximum", "clip", "raise_to")
    } <= names["cupy"]
    looked_at = {name.split()[0] for name, _ in sequences.items("cupy", False)}
    assert looked_at == {make.__name__ for make in (*cells.ALL, *cells.FORMULAS)}


# -- what is planted is found --------------------------------------------------------------------------------


def off(function, by=1 + 1e-4):
    return lambda *arguments, **options: function(*arguments, **options) * by


@pytest.mark.parametrize("name", ["tanh", "multiply", "broadcast_to", "take"])
def test_a_rule_that_is_off_is_found_on_numpy(name, monkeypatch):
    row = rows[name]
    wrong = dataclasses.replace(
        row, into=None, pull=lambda *rest: [g if g is None else g * (1 + 1e-4) for g in row.pull(*rest)]
    )
    monkeypatch.setitem(rows, name, wrong)
    proved = measured(rules.items("numpy", True), f"{name} proof", "exp proof")
    assert failed(proved) == [f"{name} proof"]
    assert "GradientCheckError" in proved[f"{name} proof"]["traceback"]


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize(
    ("function", "names"),
    [
        ("exp", ["exp float32", "exp float64"]),
        ("matmul", ["matmul float32"]),
        ("sum", ["sum float64", "sum_to float64"]),
        ("floor", ["floor float32"]),
        ("solve", ["solve float64", "det float64"]),
    ],
)
def test_a_function_of_the_device_that_is_off_is_found(function, names, monkeypatch):
    device = backends.get("cupy")
    monkeypatch.setattr(device, function, off(getattr(device, function)), raising=False)
    results = measured(rules.items("cupy", False), *names, "flip float32")
    assert failed(results) == names
    assert all(1e-5 < results[name]["error"] < 1e-2 for name in names)


@pytest.mark.usefixtures("standin")
def test_other_dtypes_than_numpys_are_found(monkeypatch):
    device = backends.get("cupy")
    tanh = device.tanh
    monkeypatch.setattr(device, "tanh", lambda x: tanh(x).astype("float64"))
    results = measured(rules.items("cupy", True), "tanh float32")
    assert "DtypeError: the results have dtypes ['float64'" in results["tanh float32"]["traceback"]


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize(
    ("name", "special"), [("exp", -np.inf), ("tanh", np.nan), ("maximum", np.nan), ("arctan2", 88.0)]
)
def test_a_device_that_is_wrong_at_one_special_value_is_found(name, special, monkeypatch):
    device = backends.get("cupy")
    right = getattr(device, name)

    def wrong(x, *rest):
        y = right(x, *rest)
        y._host[np.isnan(x._host) if np.isnan(special) else x._host == np.float32(special)] = 0.125
        return y

    item = f"{name} at special values float32"
    assert measured(rules.items("cupy", True), item)[item]["passed"]
    monkeypatch.setattr(device, name, wrong)
    assert not measured(rules.items("cupy", True), item)[item]["passed"]


@pytest.mark.usefixtures("standin")
def test_a_wrong_kernel_is_found(monkeypatch):
    """Sigmoid's exponential ends where it is not yet 0; an RNN has none."""
    begin = strict_cupy.RawKernel.__init__

    def spoiled(kernel, text, name):
        begin(kernel, text.replace("(-104.0f)", "(-0.01f)"), name)

    monkeypatch.setattr(strict_cupy.RawKernel, "__init__", spoiled)
    results = measured(sequences.items("cupy", True), "lstm float32", "rnn_tanh float32")
    assert failed(results) == ["lstm float32"]
    assert results["rnn_tanh float32"]["explain"].endswith(": CUDA kernels")
    trained = measured(training.items("cupy", True), "LSTM, Adam, float32", "RNN, Adam, float32")
    assert failed(trained) == ["LSTM, Adam, float32"]


@pytest.mark.usefixtures("standin")
def test_a_wrong_optimiser_is_found(monkeypatch):
    device = backends.get("cupy")
    monkeypatch.setattr(device, "sqrt", off(device.sqrt, 1.01))
    assert failed(measured(training.items("cupy", True), "LSTM, Adam, float32")) == ["LSTM, Adam, float32"]


def test_training_learns():
    """Else equal losses would say little."""
    for name in training.OPTIMISERS:
        history = training.losses("LSTM", name, "numpy", "float64", True)
        assert history[-1] < history[0] - 0.1


# -- numbers -------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(*[st.floats(width=32)] * 2), max_size=5))
def test_deviation(pairs):
    found, expected = (
        (np.array(values, "float32") for values in zip(*pairs, strict=True))
        if pairs
        else (np.empty(0), np.empty(0))
    )
    with np.errstate(all="ignore"):
        error = report.deviation(found, expected)
    ends = [(a, b) for a, b in pairs if not math.isfinite(b)]
    finite = [(a, b) for a, b in pairs if math.isfinite(b)]
    if any(a != b and not (math.isnan(a) and math.isnan(b)) for a, b in ends):
        assert error == math.inf
    elif all(math.isfinite(a) for a, _ in finite):
        assert error == pytest.approx(
            max((abs(a - b) for a, b in finite), default=0) / max([1, *(abs(b) for _, b in finite)])
        )
    else:
        assert not error <= 1e300  # infinite, or NaN


def test_nothing_that_is_no_number_passes():
    good = np.ones(3)
    for bad in (np.nan, np.inf, -np.inf):
        for found, expected in ((np.array([1, bad, 1]), good), (good, np.array([1, bad, 1]))):
            facts = report.compared([good, found], [good, expected], 1e300)
            assert not facts["error"] <= facts["tolerance"]
    with pytest.raises(ValueError, match="zip"):
        report.compared([good], [good, good], 1.0)


# -- the report ----------------------------------------------------------------------------------------------


def test_no_item_stops_the_others():
    def breaks():
        raise RuntimeError("the device fell off the bus")

    def nan():
        return {"error": math.nan, "tolerance": 1.0}

    section = report.run_items(
        "all", [("a", breaks), ("b", dict), ("c", nan), ("d", lambda: {"error": 2.0, "tolerance": 1.0})], 60
    )
    assert [(item["name"], item["passed"]) for item in section["items"]] == [
        ("a", False),
        ("b", True),
        ("c", False),
        ("d", False),
    ]
    assert "the device fell off the bus" in section["items"][0]["traceback"]
    assert section["items"][2]["error"] is None
    json.dumps(section, allow_nan=False)
    with pytest.raises(KeyboardInterrupt):
        report.run_items("all", [("a", lambda: (_ for _ in ()).throw(KeyboardInterrupt))], 60)


def test_what_there_was_no_time_for_is_named():
    section = report.run_items("all", [("a", dict), ("b", dict)], 0)
    assert (section["items"], section["left_out"]) == ([], ["a", "b"])


def few(monkeypatch, **sections):
    """Only these sections, of these items."""
    chosen = [
        (name, lambda backend, quick, items=items: items, {"numpy": 60, "cupy": 60})
        for name, items in sections.items()
    ]
    monkeypatch.setattr(selfcheck, "SECTIONS", chosen)


@pytest.mark.usefixtures("standin")
@pytest.mark.parametrize("backend", ["numpy", "cupy"])
def test_the_report(backend, monkeypatch):
    few(
        monkeypatch,
        rules=[("a", lambda: {"error": 0.0, "tolerance": 1e-6})],
        times=[("b", lambda: {"milliseconds": 1.0})],
    )
    state = random.get_state()
    result = json.loads(json.dumps(selfcheck.run(backend), allow_nan=False))
    assert random.get_state() == state
    assert list(result) == [
        "schema",
        "tinygrad_rnn",
        "backend",
        "quick",
        "started",
        "seconds",
        "passed",
        "machine",
        "sections",
    ]
    assert (result["schema"], result["tinygrad_rnn"], result["backend"], result["passed"]) == (
        1,
        tg.__version__,
        backend,
        True,
    )
    assert [list(section) for section in result["sections"]] == [
        ["name", "limit", "seconds", "items", "left_out"]
    ] * 2
    assert result["sections"][0]["items"][0].keys() == {"name", "passed", "seconds", "error", "tolerance"}
    machine = result["machine"]
    assert machine["numpy"] == np.__version__
    device = {
        "device",
        "compute_capability",
        "cupy",
        "cupy_packages",
        "cuda_driver",
        "cuda_runtime",
        "nvrtc",
        "device_memory",
    }
    assert device <= machine.keys() if backend == "cupy" else not device & machine.keys()


def test_time_limits_add_up():
    for backend, most in (("numpy", 60), ("cupy", 300)):
        assert sum(limits[backend] for _, _, limits in selfcheck.SECTIONS) < most


# -- the command ---------------------------------------------------------------------------------------------


def test_the_command(monkeypatch, tmp_path, capsys):
    few(monkeypatch, rules=[("a", dict), ("b", dict)])
    assert cli.main(["check", "--quick"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["quick"] is True
    assert output.err == "rules: 2 passed, 0 failed, 0 s\n"
    path = tmp_path / "report.json"
    assert cli.main(["check", "--backend", "numpy", "--out", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert json.loads(path.read_text())["passed"] is True


def test_the_command_says_what_failed(monkeypatch, tmp_path, capsys):
    few(
        monkeypatch,
        rules=[("a", lambda: 1 / 0), ("b", lambda: {"error": 0.5, "tolerance": 0.1}), ("c", dict)],
    )
    path = tmp_path / "report.json"
    assert cli.main(["check", "--out", str(path)]) == 1
    assert json.loads(path.read_text())["passed"] is False
    assert capsys.readouterr().err.splitlines() == [
        "rules: 1 passed, 2 failed, 0 s",
        "  a: ZeroDivisionError: division by zero",
        "  b: error 0.5, tolerance 0.1",
    ]


@pytest.mark.numpy_only
def test_the_command_without_a_device(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert cli.main(["check", "--backend", "cupy"]) == 2
    assert "needs the package CuPy" in capsys.readouterr().err


def test_a_report_that_cannot_be_written(monkeypatch, tmp_path, capsys):
    few(monkeypatch, rules=[("a", dict)])
    assert cli.main(["check", "--out", str(tmp_path / "no" / "report.json")]) == 2
    assert "make the folder" in capsys.readouterr().err


@pytest.mark.usefixtures("standin")
def test_pytorch_is_measured_beside_where_it_sees_the_device(monkeypatch):
    """Here it sees none, or is not installed; then nothing is said of it."""
    monkeypatch.setattr(times, "SIZES", [(3, 2, 2, 4)])
    (item,) = measured(times.items("cupy", True), "LSTM T, B, I, H = 3, 2, 2, 4").values()
    assert item["milliseconds"] > 0
    assert "torch_milliseconds" not in item
    monkeypatch.setattr(times, "_theirs", lambda kind, size: lambda: 1.0)
    (item,) = measured(times.items("cupy", True), "LSTM T, B, I, H = 3, 2, 2, 4").values()
    assert item["torch_milliseconds"] >= 0
