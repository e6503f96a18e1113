"""A step as a C file: compiled under sanitisers, beside the library's own stepper and a straight loop."""

from __future__ import annotations

import functools
import re
import subprocess
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.by_hand import CELLS, LAYERS, Example, layers
from tests.interop.compiled_c import (
    STRICT,
    as_exact_as,
    difference,
    exported,
    needs_gcc,
    run,
    steps_of,
    strictly,
)
from tinygrad_rnn import data, nn, tree
from tinygrad_rnn.interop import c

pytestmark = needs_gcc
STEPS, CLOSE = 100, 1e-6


def made(make: Any, inputs: int, hidden: int) -> Any:
    tg.random.seed(7)
    return make(inputs, hidden)


def weights_of(layer: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in layer.state_dict().items()}


def rounded(layer: nn.Module) -> None:
    """By the formula of the book, not the library's: rows of whole numbers from −127 to 127."""
    new = {}
    for name, w in weights_of(layer).items():
        if sum(n > 1 for n in w.shape) >= 2:
            scale = np.abs(w).max(axis=1, keepdims=True) / np.float32(127)
            w = (np.rint(w / scale) * scale).astype(np.float32)
        new[name] = w
    layer.load_state_dict(new)


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, weights, tmp_path, rng):
    make, step = LAYERS[name]
    layer = made(make, 3, 5 if "layers" in name else 21)
    xs = tg.tensor(rng.normal(size=(STEPS, 1, 3)), "float32")
    found = exported(tmp_path, layer, xs, weights=weights)
    if weights == "int8":
        rounded(layer)
    assert difference(found, steps_of(layer, xs)) < CLOSE
    assert difference(found[:1], [layers(step, weights_of(layer), xs.numpy())]) < CLOSE


@pytest.mark.parametrize(
    ("inputs", "hidden", "batch"), [(1, 1, 1), (1, 7, 1), (13, 1, 2), (5, 33, 3), (40, 64, 1)]
)
@pytest.mark.parametrize("kind", ["rnn", "peephole", "gru", "gru, reset before"])
def test_odd_sizes(kind, inputs, hidden, batch, tmp_path, rng):
    make, step = LAYERS[kind]
    layer = made(make, inputs, hidden)
    xs = tg.tensor(rng.normal(size=(STEPS, batch, inputs)), "float32")
    found = exported(tmp_path, layer, xs)
    assert difference(found, steps_of(layer, xs)) < CLOSE
    assert difference(found[:1], [layers(step, weights_of(layer), xs.numpy())]) < CLOSE


def tensors(example: Example, rng: Any, batch: int) -> tuple[Any, Any, Any]:
    """Weights, inputs and a state."""
    w = {
        name: (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)
        for name, shape in example.weights.items()
    }

    def state(shape: Any) -> Any:
        if isinstance(shape, dict):
            return {name: state(one) for name, one in shape.items()}
        if shape is None:
            return np.array(0)
        if shape is int:
            return np.zeros(batch, np.int64)
        if not isinstance(shape[0], int):
            return tuple(map(state, shape))
        return rng.normal(size=(batch, *shape)).astype(np.float32)

    if isinstance(example.x, int):
        xs: Any = rng.integers(0, example.x, (STEPS, batch))
    else:
        shapes = example.x if isinstance(example.x, dict) else {"x": example.x}
        xs = {n: rng.normal(size=(STEPS, batch, *s)).astype(np.float32) for n, s in shapes.items()}
        xs = xs if isinstance(example.x, dict) else xs["x"]
    return w, xs, state(example.state)


def looped(example: Example, w: Any, xs: Any, state: Any) -> list[np.ndarray]:
    """The outputs of a straight loop in float64."""
    wide = functools.partial(tree.map_leaves, lambda x: x.astype(np.float64) if x.dtype.kind == "f" else x)
    step, state, ys = example.step({name: wide(x) for name, x in w.items()}), wide(state), []
    for t in range(STEPS):
        y, state = step(tree.map_leaves(lambda x: wide(x[t]), xs), state)  # noqa: B023
        ys.append(tree.leaves(y))
    return [np.stack(one) for one in zip(*ys, strict=True)]


@pytest.mark.parametrize("weights", ["float32", "int8"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_cells_of_users(name, batch, weights, tmp_path, rng):
    example = CELLS[name]
    w, xs, state = tensors(example, rng, batch)
    as_tensors = functools.partial(tree.map_leaves, tg.tensor)
    cell = example.cell(as_tensors(w))
    found = exported(tmp_path, cell, as_tensors(xs), as_tensors(state), weights=weights)
    if weights == "int8":
        w = {name: c.dequantised(x) for name, x in w.items()}
        cell = example.cell(as_tensors(w))
    assert difference(found, steps_of(cell, as_tensors(xs), as_tensors(state))) < CLOSE
    by_hand = looped(example, w, xs, state)
    assert difference(found[: len(by_hand)], by_hand) < CLOSE


@pytest.mark.parametrize("cell", [nn.MGUCell, nn.LayerNormLSTMCell, nn.LayerNormGRUCell])
def test_layers_of_any_cell(cell, tmp_path, rng):
    """Of one's own, too; a layer in evaluation draws no dropout, and mixes where it drew zoneout."""

    def own(inputs: int) -> nn.Module:
        return cell(inputs, 7)

    layer = nn.Recurrent(own, input_size=3, num_layers=2, dropout=0.5, zoneout=0.2).eval()
    xs = tg.tensor(rng.normal(size=(STEPS, 1, 3)), "float32")
    found, expected = exported(tmp_path, layer, xs), steps_of(layer, xs)
    c.export(layer, tmp_path / "model.c")  # which says its input_size
    layer.astype("float64")  # units of unit variance are all but chaotic
    as_exact_as(found, expected, steps_of(layer, xs.astype("float64")))


def test_whole_numbers_take_a_quarter(tmp_path):
    layer = made(nn.LSTM, 32, 64)
    exact, whole = (c.export(layer, tmp_path / f"{w}.c", weights=w) for w in ("float32", "int8"))
    assert exact.weights == 4 * (256 * (32 + 64) + 256)  # both bias vectors are one
    assert whole.weights == 256 * (32 + 64) + 4 * (2 * 256 + 256)
    assert exact.state == whole.state == 4 * 2 * 64


def test_a_row_of_zeros_and_weights_without_rows_stay():
    w = np.array([[0, 0], [1, -2], [3e38, 1]], np.float32)
    found = c.dequantised(w)
    assert found.dtype == np.float32
    assert np.abs(found - w).max(axis=1) == pytest.approx([0, 1 / 127, 1])  # half a step at most
    for same in (w[:1, :1], w[0], w[:, :1], np.ones((2, 2)), np.array(1.5, np.float32)):
        assert c.dequantised(same) is same


@pytest.mark.numpy_only  # a device is not waited for
@pytest.mark.parametrize("number", [-11, -1, 0, 10, 11, -12, 2**31])
def test_numbers_that_name_no_element(number, tmp_path, rng):
    example = CELLS["token numbers"]
    w, _, state = tensors(example, rng, 1)
    cell = example.cell(tree.map_leaves(tg.tensor, w))
    xs, state = tg.tensor(np.array([[3], [number], [3]])), tg.tensor(state)
    good = -11 <= number < 11
    c.export(cell, tmp_path / "model.c", xs[0], state)
    (found,) = run(tmp_path, [xs.numpy()], [np.zeros((1, 11), np.float32)], status=0 if good else 3)
    stepper = nn.Recurrent(cell).stepper(state)
    expected = [stepper(xs[0]).numpy()]
    if good:
        expected.append(stepper(xs[1]).numpy())
    else:
        with pytest.raises(tg.IndexRangeError):
            stepper(xs[1])
        expected.append(expected[0])  # y is as it was
    expected.append(stepper(xs[2]).numpy())
    assert difference([found], [np.stack(expected)]) < CLOSE


def test_it_is_c_and_cpp_and_needs_only_mathematics(tmp_path):
    file = tmp_path / "model.c"

    def everything(x, h):
        y = tg.gelu(x) + tg.logaddexp(x, h) + tg.floor(x) + tg.sqrt(h * h)
        return y, tg.mod(x, h) + tg.erf(h)

    c.export(everything, file, tg.ones((2, 3)), tg.ones((2, 3)))
    for optimised in ("-O0", "-O3"):
        strictly(file, optimised)
    for standard in ("c11", "gnu17"):
        strictly(file, standard=standard)
    for standard in ("c++11", "c++20"):
        strictly(file, "-x", "c++", compiler="g++", standard=standard)
    command = ["gcc", "-std=c99", "-O0", "-c", "model.c", "-o", "model.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    names = subprocess.run(["nm", "model.o"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r" U (\w+)", names))
    assert needed <= {
        f"{f}{e}" for f in ("fabs", "floor", "sqrt", "copysign", "trunc", "rint", "ceil") for e in ("", "f")
    }
    assert set(re.findall(r" [TDBC] (\w+)", names)) == {"model_reset", "model_step"}


def test_fast_mathematics_is_refused(tmp_path):
    c.export(nn.RNN(2, 3), tmp_path / "model.c")
    command = ["gcc", "-ffast-math", "-c", "model.c", "-o", "/dev/null"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode
    assert "leave it out" in done.stderr


def test_an_output_may_lie_where_the_input_does(tmp_path, rng):
    layer, x = made(nn.GRU, 6, 6), tg.tensor(rng.normal(size=(1, 6)), "float32")
    c.export(layer, tmp_path / "model.c")
    (tmp_path / "main.c").write_text(
        """
        #include <stdio.h>
        #include "model.c"
        int main(void) {
          static model_state state, other;
          float x[6], z[6];
          model_reset(&state);
          if (fread(x, sizeof x, 1, stdin) != 1) return 1;
          for (int t = 0; t < 100; t++) {
            model_step(&state, x, x);
            model_reset(&other); /* another sequence, in between */
            model_step(&other, x, z);
            fwrite(x, sizeof x, 1, stdout);
          }
          return 0;
        }
        """
    )
    subprocess.run(["gcc", "-std=c99", *STRICT, "main.c", "-lm", "-o", "run"], cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "run")], input=x.numpy().tobytes(), capture_output=True, check=True)
    stepper, expected = layer.stepper(), []
    for _ in range(STEPS):
        x = stepper(x)
        expected.append(x.numpy())
    assert (
        difference([np.frombuffer(done.stdout, np.float32).reshape(STEPS, 1, 6)], [np.stack(expected)])
        < CLOSE
    )


def test_two_networks_in_one_program(tmp_path):
    c.export(nn.RNN(2, 3), tmp_path / "a.c", name="wake")
    c.export(nn.GRU(2, 3), tmp_path / "b.c", name="Sleep2", weights="int8")
    main = """
        #include "a.c"
        #include "b.c"
        int main(void) {
          wake_state a;
          Sleep2_state b;
          float x[WAKE_INPUT_SIZE] = {0}, y[SLEEP2_OUTPUT_SIZE];
          wake_reset(&a);
          Sleep2_reset(&b);
          return wake_step(&a, x, y) + Sleep2_step(&b, x, y);
        }
        """
    (tmp_path / "main.c").write_text(main)
    subprocess.run(["gcc", "-std=c99", *STRICT, "main.c", "-lm", "-o", "run"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "run")], check=True)


def test_hostile_names_and_characters_stay_out(tmp_path):
    layer = made(nn.RNN, 3, 3)
    for name, parameter in layer.named_parameters():
        parameter.name = f'*/ #error "{name}" ??/\n'
    file = tmp_path / "a*??/\\\n'\"é.c"
    file.parent.mkdir(parents=True, exist_ok=True)
    c.export(layer, file, vocabulary=data.Vocabulary("*/\\"))
    text = file.read_text(encoding="ascii")
    assert text.count("*/") == text.count("/*")
    (tmp_path / "model.c").write_text(text)
    strictly(tmp_path / "model.c")


def test_characters_and_their_numbers(tmp_path):
    characters = "\n *é🙂"
    c.export(made(nn.RNN, 5, 5), tmp_path / "model.c", vocabulary=data.Vocabulary(characters))
    checks = [
        f"model_character({i}) == {ord(x)} && model_number({ord(x)}) == {i}" for i, x in enumerate(characters)
    ]
    checks += [
        "!model_character(-1) && !model_character(5) && model_number(98) == -1 && MODEL_CHARACTERS == 5"
    ]
    (tmp_path / "main.c").write_text(
        f'#include "model.c"\nint main(void) {{ return !({" && ".join(checks)}); }}\n'
    )
    subprocess.run(["gcc", "-std=c99", *STRICT, "main.c", "-lm", "-o", "run"], cwd=tmp_path, check=True)
    subprocess.run([str(tmp_path / "run")], check=True)


@pytest.mark.both_backends
def test_weights_and_states_that_are_no_numbers(tmp_path):
    w = tg.tensor(np.array([np.inf, -np.inf, np.nan, 1e-45, -0.0], np.float32))
    xs, state = (
        tg.tensor(np.zeros((3, 5), np.float32)),
        tg.tensor(np.array([0, 1, 2, -0.0, np.inf], np.float32)),
    )

    def cell(x, h):
        return x + w, h + w

    for found, expected in zip(exported(tmp_path, cell, xs, state), steps_of(cell, xs, state), strict=True):
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


# -- what cannot be written ----------------------------------------------------------------------------------


def _branch(x, h):
    return (x, h) if x.sum().item() > 0 else (h, x)


def _drawn(x, h):
    return x + tg.random.normal(x.shape), h


DROPOUT = nn.Dropout(0.5)
REFUSED = {
    "looks at a value": (_branch, {}, tg.TraceError, "look at its values"),
    "draws": (_drawn, {}, tg.TraceError, "random"),
    "dropout in a cell": (lambda x, h: (DROPOUT(x), h), {}, tg.TraceError, "random"),
    "sorts": (lambda x, h: (tg.sort(x), h), {}, tg.TraceError, "written in C: the operation 'sort'"),
    "solves": (lambda x, h: (tg.linalg.solve(x, h), h), {}, tg.TraceError, "the operation 'solve'"),
    "float64": (lambda x, h: (x, h), {"x": tg.zeros((3, 3), dtype="float64")}, tg.DtypeError, "float64"),
    "float16": (
        lambda x, h: (x, h),
        {"x": tg.tensor(np.zeros((3, 3), np.float16))},
        tg.DtypeError,
        "float16",
    ),
    "float16 inside": (lambda x, h: (x.astype("float16").astype("float32"), h), {}, tg.TraceError, "float16"),
    "small integers": (
        lambda x, h: (x, h),
        {"x": tg.tensor(np.zeros((3, 3), np.uint8))},
        tg.TraceError,
        "uint8",
    ),
    "no input": (lambda x, h: (x, h), {"x": None}, tg.ArgumentError, "give an input of one step"),
    "no state": (lambda x, h: (x, h), {"state": None}, tg.ShapeError, "state_size"),
    "both directions": (
        nn.LSTM(3, 3, bidirectional=True),
        {"x": None, "state": None},
        tg.ArgumentError,
        "from the end",
    ),
    "zoneout": (nn.GRU(3, 3, zoneout=0.5), {"x": None, "state": None}, tg.ArgumentError, "eval"),
    "dropout": (nn.LSTM(3, 3, 2, dropout=0.5), {"x": None, "state": None}, tg.ArgumentError, "eval"),
    "no cell": (3, {}, tg.ArgumentError, "export: model"),
    "weights": (lambda x, h: (x, h), {"weights": "float16"}, tg.ArgumentError, "float32"),
    "name": (lambda x, h: (x, h), {"name": "a b"}, tg.ArgumentError, "a name in C"),
    "name that is none": (lambda x, h: (x, h), {"name": "é"}, tg.ArgumentError, "a name in C"),
    "vocabulary": (lambda x, h: (x, h), {"vocabulary": "abc"}, tg.ArgumentError, "vocabulary"),
    "an empty input": (lambda x, h: (x, h), {"x": tg.zeros((0, 3))}, tg.TraceError, "shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_written_is_named_and_the_file_stays(name, tmp_path):
    model, options, error, words = REFUSED[name]
    given = {"x": tg.zeros((3, 3)), "state": tg.zeros((3, 3)), **options}
    if name == "an empty input":
        given["state"] = given["x"]
    path = tmp_path / "model.c"
    path.write_text("as it was")
    with pytest.raises(error, match=re.escape(words)):
        c.export(model, path, **given)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["as it was"]


def test_only_tensors_become_whole_numbers(tmp_path, rng):
    """What a cell makes of arrays stays; weights that are worked on before all steps are rounded before."""
    array, w = rng.normal(size=(2, 4, 4)).astype(np.float32)
    weight, xs, h = tg.tensor(w), tg.tensor(rng.normal(size=(STEPS, 1, 4)), "float32"), tg.zeros((1, 4))

    def cell(x, h):
        h = tg.tanh(x @ tg.tensor(array) + h @ tg.softmax(weight, axis=0) + h @ (weight * 0.5))
        return h, h

    found = exported(tmp_path, cell, xs, h, weights="int8")
    weight.data = c.dequantised(w)
    assert difference(found, steps_of(cell, xs, h)) < CLOSE


def test_weights_that_are_looked_at_do_not_become_others(tmp_path):
    weight = tg.tensor(np.ones((3, 3), np.float32))

    def cell(x, h):
        return (x @ weight if weight.data[0, 0] > 0.5 else x), h

    c.export(cell, tmp_path / "model.c", tg.zeros((1, 3)), tg.zeros((1, 3)))
    with pytest.raises(tg.TraceError, match="looks at its weights"):
        c.export(cell, tmp_path / "model.c", tg.zeros((1, 3)), tg.zeros((1, 3)), weights="int8")


def test_whole_numbers_stand_for_no_infinity(tmp_path):
    layer = nn.RNN(3, 3)
    layer.weight_hh_l0.data[1, 2] = np.inf
    with pytest.raises(tg.DataError, match="NaN or an infinity"):
        c.export(layer, tmp_path / "model.c", weights="int8")
    with pytest.raises(tg.CheckpointError, match="cannot write"):
        c.export(layer, tmp_path / "no" / "model.c")


class Around(nn.Module):
    """A model with a layer of its own, which takes a whole sequence."""

    def __init__(self) -> None:
        self.layer = nn.LSTM(3, 4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.layer(x)[0])


class AroundWithState(Around):
    def forward(self, x: Any, state: Any = None) -> Any:
        y, state = self.layer(x, state)
        return self.head(y), state


@pytest.mark.parametrize(
    "make", [Around, AroundWithState, lambda: nn.Sequential(nn.LSTM(3, 4)), lambda: nn.Linear(3, 4)]
)
def test_a_model_that_is_no_cell_is_told_what_to_write(make, tmp_path):
    h = tg.zeros((1, 4))
    for given in ((), (tg.zeros((1, 3)),), (tg.zeros((1, 3)), (h, h))):
        with pytest.raises(tg.TinygradRNNError, match="A layer and what stands around it"):
            c.export(make(), tmp_path / "model.c", *given)
    assert not list(tmp_path.iterdir())
