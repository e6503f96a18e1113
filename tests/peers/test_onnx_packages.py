"""Trained models as packages carry them: Silero's voice detector in six files, and ddddocr's readers of
letters. What they compute is compared with onnxruntime; then each takes a step of training."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, runtime
from tinygrad_rnn.interop.onnx import load

pytestmark = [pytest.mark.peer, pytest.mark.slow, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def folder_of(package):
    """Where a package lies. It is not imported: some need much that is not needed for their files."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed: pip install --no-deps {package.replace('_', '-')}")
    return Path(found.submodule_search_locations[0])


def sound(steps):
    """A tone that comes and goes, with noise: 576 samples at each step."""
    time = np.arange(steps * 576) / 16000
    rng = np.random.default_rng(1)
    wave = np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 2 * time) > 0) * 0.5
    return (wave + 0.01 * rng.normal(size=time.size)).astype("float32").reshape(steps, 576)


def state(*shape):
    return (np.random.default_rng(2).normal(size=shape) * 0.3).astype("float32")


RATE = np.array(16000)
SILERO = {
    "silero_vad_16k_sequence.onnx": lambda x: (x, state(1, 1, 128), state(1, 1, 128)),
    "silero_vad.onnx": lambda x: (x[:1], state(2, 1, 128), RATE),
    "silero_vad_16k_op15.onnx": lambda x: (x[:1], state(2, 1, 128), RATE),
    "silero_vad_half.onnx": lambda x: (x[:1], state(2, 1, 128)),
    "silero_vad_op18_ifless.onnx": lambda x: (x[:1], RATE, state(2, 1, 128)),
    "silero_vad_openvino_16k.onnx": lambda x: (x[:1], state(2, 1, 128)),
}


def trains(model, inputs, chosen=0):
    """A small step against the residuals makes the loss smaller."""

    def loss():
        return tg.mean(model(*inputs)[chosen] ** 2)

    first = loss()
    first.backward()
    moved = [p for p in model.parameters() if p.grad is not None and abs(p.grad.numpy()).max() > 0]
    assert len(moved) >= 5
    steepest = sum(float((p.grad.numpy() ** 2).sum()) for p in moved)
    assert np.isfinite(steepest)
    for p in moved:
        p.data = p.numpy() - (0.05 * first.item() / steepest) * p.grad.numpy()
    assert 0.9 * first.item() < loss().item() < 0.99 * first.item()


@pytest.mark.parametrize("name", SILERO)
def test_silero(name):
    path = str(folder_of("silero_vad") / "data" / name)
    model, inputs = load(path), SILERO[name](sound(40))
    assert apart(model(*inputs), runtime(path, *inputs)) < 1e-5
    trains(model, inputs)


def test_silero_step_by_step():
    """The state of one call goes into the next; onnxruntime's may be another after so many steps."""
    path = str(folder_of("silero_vad") / "data" / "silero_vad_half.onnx")
    model, ours, theirs = load(path), state(2, 1, 128), state(2, 1, 128)
    with tg.no_grad():
        for x in sound(30):
            y, ours = model(x[None], ours)
            expected, theirs = runtime(path, x[None], theirs)
            assert apart([y, ours], [expected, theirs]) < 1e-4


def test_letters_beside_onnxruntime():
    """The whole network of ddddocr: 21 convolutions over pictures and a bidirectional LSTM of 512."""
    path = str(folder_of("ddddocr") / "common.onnx")
    picture = np.random.default_rng(3).normal(size=(1, 1, 64, 96)).astype("float32")
    model = load(path)
    with tg.no_grad():
        assert apart(model(picture), runtime(path, picture)) < 1e-4


def test_the_lstm_of_ddddocr_on_its_own(tmp_path):
    """Fed with what onnxruntime has for its input."""
    path = folder_of("ddddocr") / "common.onnx"
    whole = onnx.load(path)
    (node,) = (node for node in whole.graph.node if node.op_type == "LSTM")
    watched = onnx.ModelProto()
    watched.CopyFrom(whole)
    names = [node.input[0], *node.input[5:7], *node.output[:3]]
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    picture = np.random.default_rng(3).normal(size=(1, 1, 64, 128)).astype("float32")
    onnx.save(watched, tmp_path / "watched.onnx")
    x, h, c, *expected = runtime(str(tmp_path / "watched.onnx"), picture)
    alone = onnx.ModelProto()
    alone.CopyFrom(whole)
    for field in ("node", "input", "output", "initializer", "value_info"):
        alone.graph.ClearField(field)
    alone.graph.node.append(node)
    alone.graph.initializer.extend(i for i in whole.graph.initializer if i.name in node.input)
    for name, array in zip(names, (x, h, c), strict=False):
        alone.graph.input.append(onnx.helper.make_tensor_value_info(name, 1, array.shape))
    alone.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, 1, array.shape)
        for name, array in zip(node.output, expected, strict=True)
    )
    onnx.save(alone, tmp_path / "alone.onnx")
    model = load(tmp_path / "alone.onnx")
    assert apart(model(x, h, c), expected) < 1e-5
    assert {p.shape for p in model.parameters()} == {(2, 2048, 512), (2, 4096)}


def test_a_quantised_lstm_is_refused_by_name():
    with pytest.raises(tg.CheckpointError, match=r"com\.microsoft\.DynamicQuantizeLSTM") as caught:
        load(folder_of("ddddocr") / "common_old.onnx")
    assert "(ConvInteger) and 20 more" in str(caught.value)
