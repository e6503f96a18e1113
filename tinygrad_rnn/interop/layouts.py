"""The parameters of layers as other frameworks lay them out: found, checked all at once, and put in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy

from .. import arguments, nn
from ..errors import ArgumentError, CheckpointError, DtypeError, ShapeError, TapeError
from ..tape import host_values
from ..tensor import Tensor

Shape = tuple[int, ...]


class Place(NamedTuple):
    """A module with parameters of its own, inside a layer.

    Attributes:
        label: which one, before a name in errors; "" where it is the only one.
        names: of its parameters, as the whole layer's state dict has them.
    """

    label: str
    module: Any
    names: dict[str, str]


_STACKS = (nn.RNN, nn.LSTM, nn.GRU, nn.MGU)
"""Layers whose parameters have PyTorch's names."""


def places(layer: Any) -> Iterator[Place]:
    """The modules with parameters in the order in which they compute: of layers with several cells, layer by
    layer, forward before backward."""
    if isinstance(layer, _STACKS):
        runs = layer.parts()
        for ending, run in runs.items():
            names = {name: f"{name}_{ending}" for name in run.cell.state_dict()}
            yield Place(f"{ending}." if len(runs) > 1 else "", run.cell, names)
    elif isinstance(layer, (nn.Sequential, nn.Recurrent)):
        if isinstance(layer, nn.Sequential):
            inside, alone = list(zip(layer.names, layer.layers, strict=True)), False
        else:
            runs = layer.parts()
            inside = [(f"cell_{ending}" if ending else "cell", run.cell) for ending, run in runs.items()]
            alone = len(runs) == 1
        for name, part in inside:
            if not isinstance(part, nn.Module):
                continue
            for place in places(part):
                names = {key: f"{name}.{full}" for key, full in place.names.items()}
                yield Place(place.label if alone else f"{name}.{place.label}", place.module, names)
    else:
        yield Place("", layer, {name: name for name, _ in layer.named_parameters()})


def fitted(
    what: str, layer: Any, expected: Mapping[str, tuple[Shape, ...]], given: Mapping[str, Any]
) -> dict[str, numpy.ndarray]:
    """Arrays that fit a layer.

    Args:
        expected: for each name, the shapes that it may have.

    Raises:
        CheckpointError: some are missing, unexpected, of another shape or no numbers: all of them are named.
    """
    problems = [f"missing: {name}" for name in expected if name not in given]
    arrays = {}
    for name, value in given.items():
        try:
            array = host_values(value)
        except (DtypeError, ShapeError, RuntimeError) as error:
            problems.append(f"{name}: {error}")
            continue
        if name not in expected:
            problems.append(f"unexpected: {name} of shape {array.shape}")
        elif array.shape not in expected[name]:
            shapes = " or ".join(map(str, expected[name]))
            problems.append(f"{name}: shape {array.shape} does not fit, expected {shapes}")
        arrays[name] = array
    if problems:
        raise CheckpointError(
            f"{what}: the weights do not fit {type(layer).__name__}, nothing was loaded: "
            f"{'; '.join(problems)}"
        )
    return arrays


def held(what: str, layer: Any, of: str) -> dict[str, numpy.ndarray]:
    """The values of a layer's parameters, or their gradients, by the names of its state dict.

    Raises:
        TapeError: a parameter has no gradient.
    """
    of = arguments.choice(f"{what}: of", of, ("value", "grad"))
    parameters: dict[str, Tensor] = dict(layer.named_parameters(remove_duplicate=False))
    if of == "value":
        return {name: host_values(parameter) for name, parameter in parameters.items()}
    missing = [name for name, parameter in parameters.items() if parameter.grad is None]
    if missing:
        raise TapeError(
            f"{what}: there is no gradient yet of {', '.join(missing)}: call backward() on a loss that "
            "depends on it, and leave requires_grad on"
        )
    return {name: host_values(parameter.grad) for name, parameter in parameters.items()}


def places_of(what: str, layer: Any) -> list[Place]:
    """The places of a layer's parameters, all of them.

    Raises:
        ArgumentError: it is no layer, or a function in it holds parameters, whose place nobody knows.
    """
    if not isinstance(layer, nn.Module):
        raise ArgumentError(f"{what}: layer must be a layer of this library, not {arguments.shown(layer)}")
    found = list(places(layer))
    known = {name for place in found for name in place.names.values()}
    if others := [name for name in layer.state_dict() if name not in known]:
        raise ArgumentError(
            f"{what}: {type(layer).__name__} holds {', '.join(others)} in a function or a module of its own: "
            "no layer elsewhere is like it"
        )
    return found
