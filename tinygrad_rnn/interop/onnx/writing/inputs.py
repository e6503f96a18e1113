"""What a model is called with, and what its inputs and outputs are called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .... import arguments, tree
from ....errors import ArgumentError
from ....nn import Embedding, LayerNorm, Linear, Module, Recurrent, Sequential
from ....nn.cell import Cell
from ....ops import as_tensor


@dataclass(frozen=True)
class Input:
    """An input of a file.

    Attributes:
        shape: a length for each axis, or the name of one that stays free.
    """

    name: str
    shape: tuple[Any, ...]
    dtype: Any


Axes = Mapping[str, Mapping[int, str]]


def cell_call(model: Any) -> tuple[Any, ...]:
    """What one of the library's cells is called with, of two samples; nothing for other models."""
    if not isinstance(model, Cell):
        return ()
    dtype = model.weight_ih.dtype
    x, *states = (numpy.zeros((2, n), dtype) for n in (model.input_size, *tree.leaves(model.state_size)))
    return x, tree.unflatten(model.state_size, states)


def inputs_of(model: Any, example: Sequence[Any], axes: Axes | None) -> list[Input]:
    """The inputs, from what the model is called with, or else from its first layer.

    Raises:
        ArgumentError: neither tells them, or which axes are free.
    """
    axes = arguments.optional(arguments.mapping, "export: axes", axes)
    if example:
        names = _names(model, example)
        leaves = [as_tensor(leaf) for leaf in tree.leaves(tuple(example)) if leaf is not None]
        if not leaves:
            raise arguments.refused("export: example", "tensors, nested as in a call", example)
        shapes, dtypes = [tuple(leaf.shape) for leaf in leaves], [leaf.dtype for leaf in leaves]
    else:
        shape, dtype = _first(model)
        names, shapes, dtypes = ["x"], [shape], [dtype]
    free = _free(model, names, shapes, dtypes) if axes is None else [dict(axes.get(n, {})) for n in names]
    if unknown := sorted(set(axes or ()) - set(names)):
        raise ArgumentError(f"export: axes: there is no input {unknown[0]!r}: there are {', '.join(names)}")
    return [
        Input(name, tuple(which.get(axis, n) for axis, n in enumerate(shape)), dtype)
        for name, shape, dtype, which in zip(names, shapes, dtypes, free, strict=True)
    ]


def _names(model: Any, example: Sequence[Any]) -> list[str]:
    """By the model's parameters; of a state its tensors, h and c."""
    function: Any = getattr(model, "forward", model)
    try:
        given = [
            p.name for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_POSITIONAL
        ]
    except (TypeError, ValueError):
        given = []
    names: list[str] = []
    for i, value in enumerate(example):
        name = given[i] if i < len(given) else f"x{i}"
        count = sum(leaf is not None for leaf in tree.leaves(value))
        if name == "state" and count <= 2:
            names += ["h", "c"][:count]
        else:
            names += [name] * count if count < 2 else [f"{name}_{k}" for k in range(count)]
    return names


def _first(model: Any) -> tuple[tuple[Any, ...], Any]:
    """Shape and dtype of x, for one of the library's layers, or a Sequential that begins with one.

    The lengths of free axes are 1 and 2, which only tell them apart.
    """
    lead = (2, 1) if isinstance(model, Module) and _recurrent(model) else (2,)
    first = model
    while isinstance(first, Sequential) and first.layers:
        first = first.layers[0]
    if isinstance(first, Recurrent):
        cell = next(iter(first.parts().values())).cell
        size = getattr(cell, "input_size", None)
        dtype = next((p.dtype for p in first.parameters()), None)
        if isinstance(size, int) and dtype is not None:
            return (2, 1, size), dtype
    if isinstance(first, Linear):
        return (*lead, first.weight.shape[1]), first.weight.dtype
    if isinstance(first, Embedding):
        return (2, 1), numpy.dtype("int64")
    if isinstance(first, LayerNorm) and first.weight is not None:
        return (*lead, *first.shape), first.weight.dtype
    name = getattr(model, "__name__", type(model).__name__)
    raise ArgumentError(
        f"export: what {name} is called with is not known: give an example, export(model, path, x), with the "
        "shapes and dtypes of a call"
    )


def _recurrent(model: Module) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, Recurrent)]


def _free(model: Any, names: list[str], shapes: list[Any], dtypes: list[Any]) -> list[dict[int, str]]:
    """Of each input its free axes: of the first one the first two that are no features; of a state of a
    recurrent layer the batch; of others those that are as long.

    Raises:
        ArgumentError: they cannot be told apart.
    """
    count = min(2, len(shapes[0]) - (dtypes[0].kind == "f"))
    layers = _recurrent(model) if isinstance(model, Module) else []
    words = ("batch", "time") if any(layer.batch_first for layer in layers) else ("time", "batch")
    if count < 2 and not (layers and count == 1):
        words = ("batch", "time")
    free = [dict(zip(range(count), words, strict=False))]
    length = {shapes[0][axis]: name for axis, name in free[0].items()}
    for name, shape, dtype in zip(names[1:], shapes[1:], dtypes[1:], strict=True):
        if isinstance(model, Recurrent) and count == 2:
            free.append({0: "batch"} if name == "lengths" else _batch_of_state(model))
            continue
        if len(length) < count:
            raise ArgumentError(
                f"export: in the example there are as many steps as samples: which axes of {name} are free? "
                "Give an example with other lengths, or axes={'x': {0: 'time', 1: 'batch'}, …}"
            )
        axes = range(len(shape) - (dtype.kind == "f"))
        free.append({axis: length[shape[axis]] for axis in axes if shape[axis] in length})
    return free


def _batch_of_state(layer: Any) -> dict[int, str]:
    return {1 if "layers" in vars(layer) else 0: "batch"}


def outputs_of(returned: Any, names: Sequence[str] | None) -> list[str]:
    """What the outputs are called.

    Raises:
        ArgumentError: there are not as many names as outputs.
    """
    count = len(tree.leaves(returned))
    if names is not None:
        given = [
            arguments.text("export: outputs", name) for name in arguments.several("export: outputs", names)
        ]
        if len(given) != count or len(set(given)) != count:
            raise ArgumentError(f"export: outputs must be {count} different names, not {given}")
        return given
    if count == 1:
        return ["y"]
    if isinstance(returned, tuple) and len(returned) == 2 and returned[0] is None and count <= 3:
        return ["y", "h_n", "c_n"][:count]
    return [f"y_{i}" for i in range(count)]
