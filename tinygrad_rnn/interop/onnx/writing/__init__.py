"""From a module to a file: the model is traced, and each operation and each layer written in ONNX's
operators.

lengths    numbers of steps and samples, which stay free
traced     a call as a list of operations and layers
rows       an operation in ONNX's operators, one row for each of the library's
indexing   what stands in brackets
cells      the library's cells as RNN, LSTM and GRU
graphs     all of it as a graph, any other cell as a Scan
writer     names, nodes and arrays of a graph
inputs     what a model is called with
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .... import arguments, atomic, tree
from ....errors import ArgumentError, CheckpointError
from ....nn import Module, Recurrent
from ....nn.modes import evaluating
from ... import options
from ..model import Model as Loaded
from ..package import onnx_package
from .graphs import Held, ended, information, kind_of, write
from .inputs import Axes, Input, cell_call, inputs_of, outputs_of
from .lengths import traces_of
from .traced import traced
from .writer import OPSET, Value, Writer

_IR_VERSION = 9
"""Of the format itself; runtimes refuse those that are newer than they are."""


def export(
    model: Any,
    path: Any,
    *example: Any,
    axes: Axes | None = None,
    outputs: Sequence[str] | None = None,
) -> None:
    """Write a module as an ONNX file, which other programs run.

    It is written as it is used, without dropout. RNN, LSTM, PeepholeLSTM and GRU become ONNX's operators
    where these can say it; other recurrent layers, any traceable cell in them, become a Scan. All else is
    traced, operation by operation. The number of steps and of samples stays free.

    A model that was loaded is written as it was read, with the weights of now.

    The file appears whole or not at all; one that was there stays until the new one is safely on the disk.

    >>> layer = tg.nn.Recurrent(tg.nn.GRUCell(2, 3), batch_first=True)
    >>> tg.interop.onnx.export(layer, "gru.onnx", tg.zeros((5, 10, 2)))
    >>> tg.interop.onnx.load("gru.onnx")(tg.zeros((4, 7, 2)))[0].shape
    (4, 7, 3)

    Args:
        model: a module, or a function of tensors.
        path: where to; ``.onnx`` is the usual ending.
        example: what the model is called with, nested as in a call; shapes and dtypes count. What is left out
            is no input of the file. One of the library's layers needs none, nor a Sequential that begins
            with one: their x is the only input. Nor does one of the library's cells, which becomes a single
            step. A class of your own does, whatever its ``forward`` begins with.
        axes: of each input, by its name, the axes that stay free and what they are called; ``{}`` fixes all.
            By default the first two axes of x that are no features, called time and batch (batch and time in
            a model that has the batch first), and the batch of a state.
        outputs: what to call the outputs; y, h_n and c_n by default.

    Raises:
        CheckpointError: the package onnx is missing, something cannot be expressed in ONNX, which is named,
            or the file cannot be written.
        ArgumentError: an example is needed, or it is not said which axes are free.
    """
    path = arguments.path("export: path", path)
    function = arguments.function("export: model", model, instance=True)
    onnx = onnx_package()
    if isinstance(model, Loaded):
        if example or axes is not None or outputs is not None:
            raise ArgumentError("export: a loaded model is written as it was read: give its path alone")
        atomic.write(path, model.content())
        return
    _refuse_what_keeps_states(model)
    example = example or cell_call(model)
    given = inputs_of(function, example, axes)
    names = list(dict.fromkeys(n for one in given for n in one.shape if isinstance(n, str)))
    traces = traces_of(names)
    nesting = example if example else (given[0],)

    def call(*leaves: Any) -> Any:
        waiting = iter(leaves)
        return function(*tree.map_leaves(lambda leaf: None if leaf is None else next(waiting), nesting))

    with evaluating(model):
        joined, returned = traced(call, model, [(one.shape, one.dtype) for one in given], traces)
        w = Writer(sources=_sources(given))
        values = [
            Value(w.name(one.name), joined.shapes[v], joined.dtypes[v])
            for one, v in zip(given, joined.inputs, strict=True)
        ]
        parameters = model.named_parameters() if isinstance(model, Module) else ()
        held = Held({id(parameter): name for name, parameter in parameters})
        wanted = outputs_of(returned, outputs)
        free = [w.name(name) for name in wanted]
        if outputs is not None and free != wanted:
            raise ArgumentError(f"export: outputs: one of the names {', '.join(wanted)} is that of an input")
        ends = ended(w, write(w, held, joined, values), free)
    atomic.write(path, _content(onnx, w, values, ends, options.text(options.of(model))))


def _refuse_what_keeps_states(model: Any) -> None:
    """
    Raises:
        CheckpointError: a call begins where the one before ended, which a file cannot.
    """
    for name, module in model.named_modules() if isinstance(model, Module) else ():
        if isinstance(module, Recurrent) and module.stateful:
            raise CheckpointError(
                f"export: {name or 'the layer'} is stateful, and a file keeps nothing between calls: make it "
                "with stateful=False, and give a state as an input"
            )


def _sources(given: Sequence[Input]) -> dict[str, tuple[str, int]]:
    """Where each free length stands first."""
    found: dict[str, tuple[str, int]] = {}
    for one in given:
        for axis, n in enumerate(one.shape):
            if isinstance(n, str):
                found.setdefault(n, (one.name, axis))
    return found


def _content(
    onnx: Any, w: Writer, inputs: Sequence[Value], outputs: Sequence[Value], words: dict[str, str]
) -> bytes:
    """The bytes of a file."""
    graph = onnx.helper.make_graph(
        w.nodes, "model", [information(x) for x in inputs], [information(y) for y in outputs],
        list(w.initializers.values()),
        value_info=[kind_of(x, learned) for x, learned in w.held],
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION,
        producer_name="tinygrad_rnn",
    )  # fmt: skip
    onnx.helper.set_model_props(model, words)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise CheckpointError(f"export: what was written is no valid ONNX model: {error}") from error
    return bytes(model.SerializeToString())
