"""Files turned into those of other frameworks, from the command line."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.fixtures import FOLDER
from tests.interop.fixtures.keras_files import FILES, PATH
from tinygrad_rnn import commands, nn
from tinygrad_rnn.cli import main
from tinygrad_rnn.interop import keras, torch

READERS = {".safetensors": tg.load, ".pt": torch.load, ".pth": torch.load}
ENDINGS = [".safetensors", ".pt", ".pth", ".keras", ".weights.h5", ".h5", ".hdf5"]


def model():
    return nn.Sequential(
        {
            "embedding": nn.Embedding(5, 3),
            "lstm": nn.LSTM(3, 4, 2, bidirectional=True),
            "rnn": nn.RNN(8, 3, bias=False),
            "gru": nn.GRU(3, 4),
            "norm": nn.LayerNorm(4),
            "head": nn.Linear(4, 2),
        }
    )


KERAS = [ending for ending in ENDINGS if ending not in READERS]


def plain(state):
    return {name: value.numpy() for name, value in state.items()}


def merged(state):
    """Keras' layers have one bias, which is the sum of the two here, but in a GRU."""
    state = plain(state)
    for name in [name for name in state if "bias_hh" in name and not name.startswith("gru")]:
        first = name.replace("bias_hh", "bias_ih")
        state[first], state[name] = state[first] + state[name], 0 * state[name]
    return state


@pytest.mark.parametrize("between", ENDINGS)
@pytest.mark.parametrize("first", [".safetensors", ".pt"])
def test_there_and_back(first, between, tmp_path, capsys):
    source, through, back = (
        tmp_path / f"{name}{end}" for name, end in (("a", first), ("b", between), ("c", ".pt"))
    )
    made = model()
    {".safetensors": tg.save, ".pt": torch.save}[first](source, made)
    assert main(["convert", str(source), str(through)]) == 0
    assert main(["convert", str(through), str(back)]) == 0
    found, expected = torch.load(back), made.state_dict()
    assert set(found) == set(expected)
    for name, value in (merged if between in KERAS else plain)(expected).items():
        np.testing.assert_array_equal(found[name].numpy(), value)
    assert "27 tensors" in capsys.readouterr().out


@pytest.mark.parametrize("between", ENDINGS)
@pytest.mark.parametrize("make", [lambda: nn.LSTM(3, 4, 2), lambda: nn.GRU(3, 4, bidirectional=True)])
def test_one_layer_on_its_own(make, between, tmp_path):
    source, through, back = (
        tmp_path / f"{name}" for name in ("a.safetensors", f"b{between}", "c.safetensors")
    )
    made, other = make(), make()
    tg.save(source, made)
    main(["convert", str(source), str(through)])
    main(["convert", str(through), str(back)])
    other.load_state_dict(tg.load(back))
    x = tg.ones((5, 2, 3))
    np.testing.assert_allclose(other(x)[0].numpy(), made(x)[0].numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_keras_files_become_layers_here(name, tmp_path, capsys):
    path = tmp_path / "a.safetensors"
    assert main(["convert", str(FOLDER / name), str(path)]) == 0
    out, found = capsys.readouterr().out, tg.load(path)
    assert 'before: GRU; reset_after=False: make the layer with reset="before"' in out
    configured = "weights" not in name  # a file of weights alone does not say that it returns the last one
    assert json.loads(found.metadata["tinygrad_rnn.options"]) == {
        **({"a_last_one": {"outputs": "last"}} if configured else {}),
        "before": {"reset": "before"},
        "norm": {"eps": 1e-3},
        "words": {"kind": "Embedding"},
    }
    for key, make in {
        "words": lambda: nn.Embedding(11, 5),
        "norm": lambda: nn.LayerNorm(5),
        "both": lambda: nn.LSTM(5, 4, bidirectional=True),
        "simple": lambda: nn.RNN(8, 4, bias=False),
        "after": lambda: nn.GRU(4, 3),
        "before": lambda: nn.GRU(3, 3, reset="before"),
        "a_last_one": lambda: nn.LSTM(3, 4),
        "head": lambda: nn.Linear(4, 2),
    }.items():
        layer = make()
        layer.load_state_dict(
            {n.removeprefix(f"{key}."): v for n, v in found.items() if n.startswith(f"{key}.")}
        )
        with np.load(PATH) as arrays:
            for i, array in enumerate(keras.weights(layer)):
                np.testing.assert_array_equal(array, arrays[f"{name[:6]}/{key}/{i}"])
    back = tmp_path / "b.keras"
    assert main(["convert", str(path), str(back)]) == 0
    for key, arrays in keras.load(FOLDER / name).items():
        for mine, theirs in zip(keras.load(back)[key], arrays, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    capsys.readouterr()
    assert main(["convert", str(path), str(tmp_path / "c.pt")]) == 2
    assert "PyTorch has no layers with the options" in capsys.readouterr().err
    assert not (tmp_path / "c.pt").exists()


def test_a_part_of_a_checkpoint(tmp_path, capsys):
    source = FOLDER / "nested-old-2.pt"
    for target in ("a.safetensors", "a.pt"):  # these hold all of it
        main(["convert", str(source), str(tmp_path / target)])
        read = READERS["." + target.split(".")[1]](tmp_path / target)
        assert read.part("epoch") == 7
        assert read["optimizer.state.0.exp_avg"].shape == (3, 2)
    assert main(["convert", str(source), str(tmp_path / "a.h5")]) == 2
    assert "say which one to write, with --part NAME" in capsys.readouterr().err
    assert main(["convert", str(source), str(tmp_path / "a.h5"), "--part", "model"]) == 0
    assert keras.load(tmp_path / "a.h5")["unnamed"][0].shape == (2, 3)
    for part, said in (
        ("epoch", "no dict of tensors"),
        ("optimizer", "no dict of tensors"),
        ("x", "no part 'x'"),
    ):
        capsys.readouterr()
        assert main(["convert", str(source), str(tmp_path / "b.pt"), "--part", part]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "b.pt").exists()


REFUSED = {
    "conv.weight": np.ones((2, 3, 4)),
    "peephole.weight_ih_l0": np.ones((8, 3)),
    "peephole.weight_hh_l0": np.ones((8, 2)),
    **{f"peephole.p_{gate}_l0": np.ones(2) for gate in "ifo"},
    "projected.weight_ih_l0": np.ones((12, 3)),
    "projected.weight_hh_l0": np.ones((12, 2)),
    "projected.weight_hr_l0": np.ones((2, 3)),
    "five.weight_ih_l0": np.ones((10, 3)),
    "five.weight_hh_l0": np.ones((10, 2)),
    "half.weight_ih_l0": np.ones((8, 3)),
    "unequal.weight_ih_l0": np.ones((8, 3)),
    "unequal.weight_hh_l0": np.ones((8, 2)),
    "unequal.bias_ih_l0": np.ones(7),
    "numbers.count": np.arange(3),
}


def test_what_a_file_cannot_hold_is_all_named_and_nothing_written(tmp_path, capsys):
    source, target = tmp_path / "a.safetensors", tmp_path / "a.keras"
    tg.save(source, REFUSED)
    assert main(["convert", str(source), str(target)]) == 2
    err = capsys.readouterr().err
    for name in {name.partition(".")[0] for name in REFUSED}:
        assert f"{name} (" in err
    assert not target.exists()


def test_h5_holds_other_arrays_as_they_are(tmp_path):
    source, target, back = (tmp_path / name for name in ("a.safetensors", "a.h5", "b.safetensors"))
    arrays = {
        "conv.weight": np.ones((2, 3, 4)),
        "conv.bias": np.ones(2),
        "0.weight": np.ones((2, 3)),
        "n.count": np.arange(3),
    }
    tg.save(source, arrays)
    assert main(["convert", str(source), str(target)]) == 0
    assert main(["convert", str(target), str(back)]) == 0
    found = tg.load(back)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name].numpy(), array)


# -- ONNX ----------------------------------------------------------------------------------------------------

SINGLE = [
    lambda: nn.LSTM(3, 4, 2, bidirectional=True),
    lambda: nn.PeepholeLSTM(3, 4),
    lambda: nn.GRU(3, 4, 2),
    lambda: nn.GRU(3, 4, reset="before"),
    lambda: nn.RNN(3, 4, bias=False),
    lambda: nn.Linear(3, 4),
]


@pytest.mark.parametrize("make", SINGLE)
def test_one_layer_to_onnx_and_back(make, tmp_path):
    made = make()
    source, through, back = (tmp_path / name for name in ("a.onnx", "b.safetensors", "c.onnx"))
    tg.interop.onnx.export(made, source)
    main(["convert", str(source), str(through)])
    other = make()
    other.load_state_dict(tg.load(through))
    for name, value in made.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name].numpy(), value.numpy())
    main(["convert", str(through), str(back)])
    x = tg.ones((2, 3) if isinstance(made, nn.Linear) else (5, 2, 3))
    y = made(x)
    y = y[0] if isinstance(y, tuple) else y
    np.testing.assert_allclose(tg.interop.onnx.load(back)(x)[0].numpy(), y.numpy(), rtol=1e-6, atol=1e-6)


class Reader(nn.Module):
    def __init__(self):
        self.words, self.memory, self.head = nn.Embedding(5, 3), nn.GRU(3, 4, reset="before"), nn.Linear(4, 2)

    def __call__(self, x):
        y, _ = self.memory(self.words(x))
        return self.head(y)


def test_a_whole_model_from_onnx(tmp_path, capsys):
    made, source, target = Reader(), tmp_path / "a.onnx", tmp_path / "b.safetensors"
    tg.interop.onnx.export(made, source, tg.tensor(np.zeros((4, 2), int)))
    assert main(["convert", str(source), str(target)]) == 0
    out = capsys.readouterr().out
    assert 'memory: GRU; linear_before_reset=0: make the layer with reset="before"' in out
    other = Reader()
    other.load_state_dict(tg.load(target))
    x = tg.tensor(np.arange(4)[:, None])
    np.testing.assert_array_equal(other(x).numpy(), made(x).numpy())
    assert main(["convert", str(source), str(tmp_path / "c.pt")]) == 2
    assert main(["convert", str(target), str(tmp_path / "c.onnx")]) == 2
    assert "do not say how it computes" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"a.onnx", "b.safetensors"}


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("none.onnx", "b.h5", "no such file"),
        ("a.txt", "b.pt", "the ending must be one of .safetensors, .pt"),
        ("a.pt", "b", "the ending must be one of .safetensors, .pt"),
        ("none.pt", "b.h5", "no such file"),
        ("none.keras", "b.h5", "no such file"),
        ("none.safetensors", "b.h5", "no such file"),
    ],
)
def test_what_cannot_be_converted(source, target, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("")
    tg.interop.torch.save("a.pt", {"w": np.ones(2)})
    assert main(["convert", source, target]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / target).exists()


# -- options, which no weight tells --------------------------------------------------------------------------

KERAS_LACKS, TORCH_LACKS = {".keras", ".weights.h5", ".h5"}, {".pt"}
BOTH = KERAS_LACKS | TORCH_LACKS

OPTIONS = {
    "relu": (lambda: nn.LSTM(3, 4, activation="relu"), TORCH_LACKS),
    "gates": (lambda: nn.GRU(3, 4, recurrent_activation="hard_sigmoid"), TORCH_LACKS),
    "nonlinearity": (lambda: nn.RNN(3, 4, nonlinearity="relu"), set()),
    "numbers": (lambda: nn.LSTM(3, 4, recurrent_activation=nn.activations.hard_sigmoid(0.3)), BOTH),
    "output": (lambda: nn.LSTM(3, 4, output_activation="softsign"), BOTH),
    "coupled": (lambda: nn.LSTM(3, 4, activation="relu", coupled=True), BOTH),
    "clip": (lambda: nn.LSTM(3, 4, gate_clip=0.01), BOTH),
    "cell clip": (lambda: nn.LSTM(3, 4, cell_clip=0.01), BOTH),
    "before": (lambda: nn.GRU(3, 4, reset="before"), TORCH_LACKS),
    "sum": (lambda: nn.LSTM(3, 4, bidirectional=True, merge="sum"), TORCH_LACKS),
    "mean": (lambda: nn.GRU(3, 4, bidirectional=True, merge="mean"), TORCH_LACKS),
    "reverse": (lambda: nn.GRU(3, 4, reverse=True), BOTH),
    "reverse, the last": (lambda: nn.GRU(3, 4, reverse=True, outputs="last"), TORCH_LACKS),
    "last": (lambda: nn.RNN(3, 4, outputs="last"), set()),
    "zoneout": (lambda: nn.LSTM(3, 4, zoneout=(0.5, 0.25)).eval(), BOTH),
    "peepholes": (lambda: nn.PeepholeLSTM(3, 4, peepholes="if"), KERAS_LACKS),
    "one bias": (lambda: nn.LSTM(3, 4, biases=1), set()),
    "one bias of a GRU": (lambda: nn.GRU(3, 4, biases=1), KERAS_LACKS),
    "eleven": (lambda: nn.RNN(3, 3, num_layers=11, activation="relu"), set()),
    "epsilon": (lambda: nn.LayerNorm(3, eps=0.25), set()),
}
SOURCES = {".safetensors": tg.save, ".pt": torch.save, ".keras": keras.save, ".onnx": tg.interop.onnx.export}


def output(module, x):
    y = module(x)
    return (y[0] if isinstance(y, tuple) else y).numpy()


@pytest.mark.parametrize("through", [".safetensors", ".pt", ".keras", ".weights.h5", ".h5", ".onnx"])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_come_along_or_are_refused(name, through, tmp_path, capsys):
    """The file at the end of the way computes what the layer at its beginning computed."""
    make, lacking = OPTIONS[name]
    made = make()
    for value in made.parameters():
        value._data *= 3  # away from where each activation is linear
    x = tg.tensor(np.random.default_rng(0).normal(size=(5, 2, 3)).astype("float32"))
    x = x[:, 0] if isinstance(made, nn.LayerNorm) else x
    for first, save in SOURCES.items():
        if (first == ".keras" and first in lacking) or (first == ".onnx" and name == "one bias of a GRU"):
            continue
        source, between, last = (
            tmp_path / f"{n}{end}" for n, end in zip("abc", (first, through, ".onnx"), strict=True)
        )
        save(*{".keras": (source, {"unnamed": made}), ".onnx": (made, source)}.get(first, (source, made)))
        code = main(["convert", str(source), str(between)])
        assert code == (2 if through in lacking else 0), capsys.readouterr().err
        assert between.exists() == (code == 0)
        if code == 0:
            assert main(["convert", str(between), str(last)]) == 0, capsys.readouterr().err
            y = tg.interop.onnx.load(last)(x)[0].numpy()
            np.testing.assert_allclose(y, output(made, x), rtol=1e-5, atol=1e-6)
            between.unlink()


@pytest.mark.parametrize("target", ["b.keras", "b.onnx", "b.pt"])
def test_options_of_no_layer_here_are_in_no_model(target, tmp_path, capsys):
    source = tmp_path / "a.safetensors"
    weights = nn.LSTM(2, 3).state_dict()
    for option in ({"go_backwards": True}, {"activation": {"function": "mine"}}, {"kind": "Mine", "x": 1}):
        words = {"tinygrad_rnn.options": json.dumps({"": option})}
        tg.save(source, weights, words)
        assert main(["convert", str(source), str(tmp_path / target)]) == 2
        assert not (tmp_path / target).exists()


def test_names_that_become_one_are_refused(tmp_path, capsys):
    source = tmp_path / "a.h5"
    tg.save(tmp_path / "a.safetensors", {"x.y.w": np.ones((2, 2, 2)), "x.y.v": np.ones(2), "x.w": np.ones(3)})
    assert main(["convert", str(tmp_path / "a.safetensors"), str(source)]) == 0
    with h5py.File(source, "w") as file:
        file.attrs["layer_names"] = [b"x.y", b"x"]
        for layer, variable in (("x.y", "weight"), ("x", "y.weight")):
            file[f"{layer}/{variable}:0"] = np.ones((2, 2, 2))
            file[layer].attrs["weight_names"] = [f"{variable}:0".encode()]
    assert main(["convert", str(source), str(tmp_path / "b.safetensors")]) == 2
    assert "two arrays that would be called 'x.y.weight'" in capsys.readouterr().err
    assert not (tmp_path / "b.safetensors").exists()


def test_a_layer_from_the_end_alone_is_told_of_our_own_files_too(tmp_path, capsys):
    tg.interop.onnx.export(nn.GRU(3, 4, reverse=True), tmp_path / "a.onnx")
    main(["convert", str(tmp_path / "a.onnx"), str(tmp_path / "b.safetensors")])
    assert "make the layer with reverse=True" in capsys.readouterr().out


def test_a_part_keeps_its_options(tmp_path):
    model = nn.Sequential({"memory": nn.GRU(3, 4, reset="before")})
    tg.save(tmp_path / "a.safetensors", {"model": model, "step": 7})
    main(["convert", str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors"), "--part", "model"])
    words = tg.load(tmp_path / "b.safetensors").metadata["tinygrad_rnn.options"]
    assert json.loads(words) == {"memory": {"reset": "before"}}


def test_the_commands_help_names_every_format():
    assert tuple(tg.interop.convert.FORMATS) == commands.convert.ENDINGS


@pytest.mark.parametrize(
    ("version", "option", "name", "function"),
    [
        (b"2.2.4", "recurrent_activation", "hard_sigmoid", nn.activations.hard_sigmoid(0.2, 0.5)),
        (b"3.15.1", "recurrent_activation", "hard_sigmoid", nn.activations.hard_sigmoid()),
        (b"2.2.4", "activation", "leaky_relu", nn.activations.leaky_relu(0.2)),
        (b"3.15.1", "activation", "leaky_relu", nn.activations.leaky_relu(0.2)),
    ],
)
def test_names_of_activations_are_those_of_the_file(version, option, name, function, tmp_path):
    """Keras 1 and 2 have another hard sigmoid than Keras 3; and no Keras has our leaky_relu."""
    made = nn.LSTM(3, 4)
    tg.interop.keras.save(tmp_path / "a.h5", {"memory": made})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        layer = {"class_name": "LSTM", "config": {"name": "memory", "return_sequences": True, option: name}}
        config = {"class_name": "Sequential", "config": {"layers": [layer]}}
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), version
        for key in set(file.attrs) & {"tinygrad_rnn.options"}:
            del file.attrs[key]
    tg.interop.convert.convert(tmp_path / "a.h5", tmp_path / "b.onnx")
    expected = nn.LSTM(3, 4, **{option: function})
    expected.load_state_dict(made.state_dict())
    x = tg.tensor(np.linspace(-6, 6, 30, dtype=np.float32).reshape(5, 2, 3))
    found = tg.interop.onnx.load(tmp_path / "b.onnx")(x)[0]
    np.testing.assert_allclose(found.numpy(), expected(x)[0].numpy(), rtol=1e-5, atol=1e-6)
