"""ONNX files that are bad, or hold what is not supported: they are refused before anything is run."""

from __future__ import annotations

import concurrent.futures
import copy
import os
import pickle
import tracemalloc

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.onnx_files import apart, model_of, runtime, written
from tinygrad_rnn.interop.onnx import export, load

pytestmark = [pytest.mark.peer, pytest.mark.numpy_only]
onnx = pytest.importorskip("onnx")
helper = onnx.helper

X = np.ones((2, 3), np.float32)
W = np.arange(12, dtype=np.float32).reshape(3, 4)
CONTENT = W.tobytes()


def product(**more):
    return model_of(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "weigh")], {"x": X}, ["y"], {"w": W}, **more
    )


def refused(path, *words):
    with pytest.raises(tg.CheckpointError) as caught:
        load(path)
    for word in words:
        assert word in str(caught.value)


# -- the file itself -----------------------------------------------------------------------------------------


def test_files_that_are_none(tmp_path):
    refused(tmp_path / "nowhere.onnx", "no such file")
    refused(tmp_path, "a folder")
    for name, content in {"empty": b"", "words": b"no model at all", "zip": b"PK\x03\x04" * 50}.items():
        refused(written(tmp_path / f"{name}.onnx", content), f"{name}.onnx")
    with pytest.raises(tg.ArgumentError):
        load("")


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_short(part, tmp_path):
    whole = product().SerializeToString()
    refused(written(tmp_path / "cut.onnx", whole[: int(len(whole) * part)]), "cut.onnx")


def test_every_damaged_byte_is_an_error_of_the_library_or_none(rng, tmp_path):
    """A file with other bytes may be another valid model; if not, the library's own error comes."""
    whole, found = product().SerializeToString(), 0
    for place in rng.choice(len(whole), 150, replace=False):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        try:
            load(written(tmp_path / "damaged.onnx", bytes(damaged)))(X)
        except tg.TinygradRNNError:
            found += 1
    assert found > 50


def test_an_array_that_does_not_fit_its_shape(tmp_path):
    model = product()
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]
    refused(written(tmp_path / "short.onnx", model), "short.onnx")


# -- what is not supported -----------------------------------------------------------------------------------


def test_operators_that_are_not_supported_are_all_named(tmp_path):
    nodes = [
        helper.make_node("MaxPool", ["x"], ["a"], "pool", kernel_shape=[2]),
        helper.make_node(
            "DynamicQuantizeLSTM", ["a"], ["b"], "lstm_quant", domain="com.microsoft", hidden_size=2
        ),
        helper.make_node("MaxPool", ["b"], ["y"], "pool again", kernel_shape=[2]),
    ]
    model = model_of(nodes, {"x": X}, ["y"])
    refused(
        written(tmp_path / "model.onnx", model),
        "node 'pool' (MaxPool) and 1 more",
        "node 'lstm_quant' (com.microsoft.DynamicQuantizeLSTM)",
    )


def test_an_operator_inside_of_a_branch_is_found(tmp_path):
    branches = []
    for i, kind in enumerate(("Identity", "Det")):
        inner = helper.make_node(kind, ["x"], [f"out{i}"], f"inner {kind}")
        branches.append(helper.make_graph([inner], "branch", [], [onnx.ValueInfoProto(name=f"out{i}")]))
    node = helper.make_node("If", ["c"], ["y"], "choose", then_branch=branches[0], else_branch=branches[1])
    model = model_of([node], {"x": X, "c": np.array(True)}, ["y"])
    refused(written(tmp_path / "model.onnx", model), "node 'inner Det' (Det)")


@pytest.mark.parametrize(
    ("kind", "inputs", "attributes", "says"),
    [
        ("LSTM", "xwr", {"hidden_size": 2, "activations": ["Sigmoid", "Tanh", "Sin"]}, "'Sin'"),
        ("LSTM", "xwr", {"hidden_size": 2, "activations": ["Sigmoid"]}, "1 activations"),
        ("LSTM", "xwr", {"hidden_size": 2, "direction": "sideways"}, "'sideways'"),
        ("RNN", "xwr", {"hidden_size": 2, "activations": ["Affine"]}, "activation_alpha"),
        ("RNN", "xwr", {"hidden_size": 2, "layout": 3}, "layout 3"),
        ("Pad", "xw", {"mode": "mirror"}, "'mirror'"),
        ("Conv", "xw", {"auto_pad": "SOME"}, "'SOME'"),
        ("Cast", "x", {"to": 16}, "casts to a type"),
        ("BatchNormalization", "xwrab", {"training_mode": 1}, "training_mode"),
        ("Dropout", "x", {}, None),
    ],
)
def test_attributes_that_are_not_supported_are_named_with_their_node(
    kind, inputs, attributes, says, tmp_path
):
    node = helper.make_node(kind, list(inputs), ["y"], "the node", **attributes)
    path = written(tmp_path / "model.onnx", model_of([node], dict.fromkeys(inputs, X), ["y"]))
    if says is None:
        load(path)
    else:
        refused(path, f"node 'the node' ({kind})", says)


@pytest.mark.parametrize(
    ("kind", "inputs", "outputs"),
    [
        ("BatchNormalization", 5, 5),
        ("BatchNormalization", 5, 2),
        ("LSTM", 3, 4),
        ("GRU", 3, 3),
        ("Relu", 1, 2),
    ],
)
def test_more_outputs_than_an_operator_gives(kind, inputs, outputs, tmp_path):
    """None of them is asked for by another node, and still the file is refused."""
    attributes = {"hidden_size": 2} if kind in ("LSTM", "GRU") else {}
    names = [f"y{i}" for i in range(outputs)]
    nodes = [helper.make_node(kind, ["x"] + ["w"] * (inputs - 1), names, "many", **attributes)]
    path = written(tmp_path / "many.onnx", model_of(nodes, {"x": X}, ["y0"], {"w": W}, opset=13))
    with pytest.raises(tg.CheckpointError):
        load(path)


def test_more_outputs_than_are_supported_are_counted(tmp_path):
    """Those of version 7 of the operators, which the package's check lets through."""
    names = ["y", "mean", "var", "saved_mean", "saved_var"]
    weights = {name: np.ones(3, np.float32) for name in ("scale", "bias", "m", "v")}
    node = helper.make_node("BatchNormalization", ["x", *weights], names, "norm")
    for wanted in (["y"], names):
        path = written(tmp_path / "norm.onnx", model_of([node], {"x": X}, wanted, weights, opset=8))
        refused(path, "'norm' (BatchNormalization)", "5 outputs", "1 of BatchNormalization")
    node.output[1:] = [""] * 4
    model = load(written(tmp_path / "norm.onnx", model_of([node], {"x": X}, ["y"], weights, opset=8)))
    np.testing.assert_allclose(model(X)[0].numpy(), X * 0 + 1, atol=1e-4)


@pytest.mark.parametrize("k", [4, 100, -1])
def test_more_of_the_largest_than_there_are(k, tmp_path):
    node = helper.make_node("TopK", ["x", "k"], ["values", "places"], "top")
    weights = {"k": np.array([k], np.int64)}
    model = load(written(tmp_path / "top.onnx", model_of([node], {"x": X}, ["values", "places"], weights)))
    with pytest.raises(tg.CheckpointError, match=r"'top'.*an axis of 3"):
        model(X)


def test_types_that_tensors_lack(tmp_path):
    model = product()
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.BFLOAT16
    refused(written(tmp_path / "model.onnx", model), "'x'", "BFLOAT16")
    model = product()
    model.graph.initializer[0].CopyFrom(helper.make_tensor("w", onnx.TensorProto.STRING, [1], ["word"]))
    refused(written(tmp_path / "model.onnx", model), "'w'", "STRING")


def test_an_old_file(tmp_path):
    refused(written(tmp_path / "model.onnx", product(opset=6)), "version 6", "version_converter")


# -- arrays in other files -----------------------------------------------------------------------------------


def outside(tmp_path, location, content=CONTENT, **entries):
    """A model in a folder of its own whose array lies elsewhere."""
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    (tmp_path / "secret").write_bytes(content)
    (folder / "inside").write_bytes(content)
    if not os.path.lexists(folder / "link"):
        (folder / "link").symlink_to(tmp_path / "secret")
    model = product()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return written(folder / "model.onnx", model)


def test_an_array_beside_the_model_is_read(tmp_path):
    (y,) = load(outside(tmp_path, "inside"))(X)
    assert np.array_equal(y.numpy(), X @ W)
    path = outside(tmp_path, "inside", b"12345678" + W.tobytes(), offset=8, length=W.nbytes)
    assert np.array_equal(load(path)(X)[0].numpy(), X @ W)


@pytest.mark.parametrize(
    "location", ["../secret", "/etc/passwd", "C:\\secret", "..\\secret", "a/../../secret", "link", "", "\0"]
)
def test_an_array_elsewhere_is_refused(location, tmp_path):
    refused(outside(tmp_path, location), "'w'", "only files in the model's own folder")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"offset": 8}, "cut short"),
        ({"length": 40}, "40 bytes"),
        ({"length": 10**30}, "bytes"),
        ({"offset": -4}, "-4"),
        ({"offset": "many"}, "damaged"),
    ],
)
def test_a_part_of_a_file_that_is_not_there(entries, says, tmp_path):
    refused(outside(tmp_path, "inside", **entries), "'w'", says)
    refused(outside(tmp_path, "missing"), "'w'", "not there")


# -- calls ---------------------------------------------------------------------------------------------------


def test_arrays_that_claim_more_than_there_is(tmp_path):
    """A small file whose arrays all lie at one place does not fill the memory."""
    place, size = tmp_path / "weights.bin", 1 << 28
    with open(place, "wb") as file:
        file.truncate(size)  # which takes no disk
    weights = {f"w{i}": W for i in range(20)}
    nodes = [helper.make_node("Sum", list(weights), ["y"])]
    model = model_of(nodes, {"x": X}, ["y"], weights)
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.dims[:] = [size // 4]
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=place.name)
    path = written(tmp_path / "many.onnx", model)
    tracemalloc.start()
    try:
        refused(path, f"{20 * size} bytes", f"hold {size}", "one place")
        assert tracemalloc.get_traced_memory()[1] < size
    finally:
        tracemalloc.stop()


def test_inputs_are_what_the_file_declares(tmp_path):
    model = product()
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    loaded = load(written(tmp_path / "model.onnx", model))
    assert loaded.inputs == ("x",)
    with pytest.raises(tg.ArgumentError, match="takes 1 inputs, x, and got 2"):
        loaded(X, X)
    with pytest.raises(tg.DtypeError, match=r"'x' has dtype float64"):
        loaded(X.astype("float64"))
    with pytest.raises(tg.ShapeError, match=r"'x' has shape \(2, 4\)"):
        loaded(np.ones((2, 4), np.float32))
    with pytest.raises(tg.ShapeError, match="'x'"):
        loaded(np.ones(3, np.float32))
    assert loaded([[1, 2, 3]])[0].dtype == np.float32


def test_an_error_while_it_runs_names_the_node(tmp_path):
    loaded = load(written(tmp_path / "model.onnx", product()))
    with pytest.raises(tg.ShapeError, match=r"node 'weigh' \(MatMul\)"):
        loaded(np.ones((2, 4), np.float32))


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("ConstantOfShape", [[2**40, 2**30]]),
        ("ConstantOfShape", [[-3]]),
        ("Tile", [[1, 2**50]]),
        ("Range", [0, 5, 0]),
        ("Split", [[1, 1]]),
        ("OneHot", [[2], [0, 1, 2]]),
        ("Unsqueeze", [[7]]),
    ],
)
def test_numbers_that_mean_nothing_are_an_error_of_the_node(kind, values, tmp_path):
    weights = {f"v{i}": np.array(value) for i, value in enumerate(values)}
    inputs = [*([] if kind in ("ConstantOfShape", "Range") else ["n"]), *weights]
    node = helper.make_node(kind, inputs, ["y", "z"] if kind == "Split" else ["y"], "the node")
    n = np.ones((3, 3), np.int64)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("n", onnx.TensorProto.INT64, n.shape)],
        [onnx.ValueInfoProto(name="y")],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    loaded = load(written(tmp_path / "model.onnx", model))
    with pytest.raises((tg.ShapeError, tg.IndexRangeError, tg.CheckpointError), match="node 'the node'"):
        loaded(n)


def test_the_parameters_are_the_float_arrays(tmp_path):
    nodes = [
        helper.make_node("Pow", ["x", "two"], ["a"]),
        helper.make_node("Gather", ["w", "place"], ["b"]),
        helper.make_node("Mul", ["a", "b"], ["c"]),
        helper.make_node("Clip", ["c", "low"], ["y"]),
    ]
    weights = {
        "two": np.array(2, "f"), "w": W, "place": np.array(1), "low": np.array(-9, "f"), "unused": W[0],
    }  # fmt: skip
    x = np.ones((2, 4), np.float32)
    loaded = load(written(tmp_path / "model.onnx", model_of(nodes, {"x": x}, ["y"], weights)))
    assert [name for name, _ in loaded.named_parameters()] == ["w", "unused"]
    (y,) = loaded(-x)
    tg.sum(y).backward()
    assert np.array_equal(loaded.weights["w"].grad.numpy(), [[0] * 4, [2] * 4, [0] * 4])


def test_values_of_no_shape(tmp_path):
    model = product()
    for one in (*model.graph.input, *model.graph.output):
        one.type.tensor_type.ClearField("shape")
    model.graph.output[0].ClearField("type")
    (y,) = load(written(tmp_path / "model.onnx", model))(X)
    assert np.array_equal(y.numpy(), X @ W)


def test_in_another_dtype(tmp_path):
    """Constants and casts go along."""
    nodes = [
        helper.make_node("Constant", [], ["half"], value_float=0.1),
        helper.make_node("Cast", ["x"], ["a"], to=onnx.TensorProto.FLOAT),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Mul", ["b", "half"], ["y"]),
    ]
    loaded = load(written(tmp_path / "model.onnx", model_of(nodes, {"x": X}, ["y"], {"w": W}))).astype(
        "float64"
    )
    (y,) = loaded(X.astype("float64"))
    assert y.dtype == np.float64
    assert abs(y.numpy() - X.astype("float64") @ W * np.float64(np.float32(0.1))).max() < 1e-12


# -- a loaded model as an object -----------------------------------------------------------------------------


def deep(tmp_path):
    """A Scan in a branch, with weights outside and inside, and one that stands in the code."""
    floating = onnx.TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Constant", [], ["u"], value=onnx.numpy_helper.from_array(W[:, :3] * 0.1)),
            helper.make_node("MatMul", ["h", "u"], ["a"]),
            helper.make_node("Add", ["a", "step"], ["b"]),
            helper.make_node("Mul", ["b", "v"], ["after"]),
            helper.make_node("Tanh", ["after"], ["out"]),
        ],
        "body",
        [helper.make_tensor_value_info(name, floating, [3]) for name in ("h", "step")],
        [helper.make_tensor_value_info(name, floating, [3]) for name in ("after", "out")],
    )
    scan = helper.make_node("Scan", ["h0", "x"], ["last", "ys"], "loop", body=body, num_scan_inputs=1)
    weights = [onnx.numpy_helper.from_array(W[0, :3] * scale, "v") for scale in (0.5, 0.25)]
    ends = [onnx.ValueInfoProto(name=name) for name in ("ys", "other")]
    scaled = helper.make_node("Mul", ["x", "v"], ["other"])
    branches = [
        helper.make_graph([node], "branch", [], [end], [weight])
        for node, end, weight in zip((scan, scaled), ends, weights, strict=True)
    ]
    node = helper.make_node("If", ["c"], ["y"], "choose", then_branch=branches[0], else_branch=branches[1])
    given = {"c": np.array(True), "x": X, "h0": X[0]}
    return written(tmp_path / "deep.onnx", model_of([node], given, ["y"])), list(given.values())


def test_graphs_inside_of_graphs(tmp_path):
    """Names of two branches may be alike: their weights are two, and each is trained where it is used."""
    pytest.importorskip("onnxruntime")
    path, (_, x, h) = deep(tmp_path)
    model = load(path)
    names = [name for name, _ in model.named_parameters()]
    assert names == ["v", "u", "choose.then_branch.v"]
    for condition in (np.array(True), np.array(False)):
        ours = model(condition, x, h)
        assert apart(ours, runtime(path, condition, x, h)) < 1e-6
        model.zero_grad()
        tg.sum(ours[0]).backward()
        reached = [p.grad is not None for p in model.parameters()]
        assert reached == ([False, True, True] if condition else [True, False, False])


def test_a_loaded_model_is_written_with_new_weights(tmp_path):
    pytest.importorskip("onnxruntime")
    path, inputs = deep(tmp_path)
    model, other = load(path), str(tmp_path / "other.onnx")
    for p in model.parameters():
        p.data = p.numpy() * 1.5 + 0.1
    export(model, other)
    for condition in (np.array(True), np.array(False)):
        ours = model(condition, *inputs[1:])
        assert apart(runtime(other, condition, *inputs[1:]), ours) < 1e-6
        assert apart(load(other)(condition, *inputs[1:]), ours) == 0
    with pytest.raises(tg.ArgumentError, match="its path alone"):
        export(model, other, X)
    with pytest.raises(tg.CheckpointError, match="float64"):
        export(model.astype("float64"), other)


def test_copies_and_checkpoints(tmp_path):
    path, inputs = deep(tmp_path)
    model = load(path)
    expected = model(*inputs)
    model(*inputs)[0].backward(np.ones((2, 3), np.float32))
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert apart(copied(*inputs), expected) == 0
    tg.save(tmp_path / "weights.safetensors", model)
    fresh = load(path)
    for p in fresh.parameters():
        p.data = p.numpy() * 0
    assert apart(fresh(*inputs), expected) > 0.1
    fresh.load_state_dict(tg.load(tmp_path / "weights.safetensors"))
    assert apart(fresh(*inputs), expected) == 0


def test_random_numbers_are_left_alone(tmp_path):
    path = str(tmp_path / "lstm.onnx")
    export(tg.nn.LSTM(2, 3), path)
    state = tg.random.get_state()
    load(path)(np.ones((4, 1, 2), np.float32))
    assert tg.random.get_state() == state


def test_threads_share_a_model(tmp_path):
    path = str(tmp_path / "lstm.onnx")
    export(tg.nn.LSTM(2, 3, bidirectional=True), path)
    model, inputs = load(path), [np.full((4, 1, 2), k, np.float32) for k in range(4)]
    expected = [model(x)[0].numpy() for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(20):
            found = list(pool.map(lambda x: model(x)[0].numpy(), inputs))
            assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
