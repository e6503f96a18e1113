"""A network that runs without Python: one step of it as a C file, for controllers, games and plug-ins.

The file is written from the plan that a stepper runs by, in the same atoms; so any cell that is machine code
can be written, a built-in one as much as a user's.

Weights as int8: a weight with at least two axes that are longer than 1 becomes whole numbers q from −127 to
127 and a factor s for each row, which is all that stands at one place of its first axis:

    s = max |row| / 127        q = round(row / s)        the weight that the step reads is q · s

with 0 for s and q of a row of zeros. All else stays float32: biases, peepholes, activations, the state, and
what a cell itself makes of NumPy's arrays.
"""

from __future__ import annotations

import os
import re
from typing import Any

import numpy

from .. import arguments, atomic, nn, tree
from ..backends.atoms import DTYPES
from ..data import Vocabulary
from ..errors import ArgumentError, DataError, ShapeError, TraceError
from ..nn.given_cells import name_of, takes
from ..ops import ArrayLike, Nest, Tensor, as_tensor, zeros
from ..sequence import Leaf, StepCode, Stepper, write_step
from ..tape import host_array
from .c_file import Sizes, identifier, text_of

__all__ = ["Sizes", "dequantised", "export"]


def __dir__() -> list[str]:
    return __all__


def export(
    model: Any,
    path: str | os.PathLike[str],
    x: Nest | None = None,
    state: Nest | None = None,
    weights: str = "float32",
    name: str = "model",
    vocabulary: Vocabulary[Any] | None = None,
) -> Sizes:
    """Write one step of a network as a C file, with its weights.

    The file is C99, and C++; it needs ``math.h`` alone, asks for no memory, and says on top how it is used:
    ``model_reset(&state)``, ``model_step(&state, x, y)``.

    >>> sizes = tg.interop.c.export(tg.nn.LSTM(3, 8), "lstm.c", weights="int8")
    >>> sizes.state
    64

    Args:
        model: a recurrent layer, a model with a ``stepper``, or a cell, ``y, state = cell(x, state)``: built
            in or anybody's, a function or a module.
        path: the file.
        x: an input of one step, whose shape and dtype count; by default a batch of one, of the model's
            ``input_size``.
        state: before the first step; by default that of ``model.stepper()``.
        weights: "float32", or "int8" for whole numbers with a factor for each row of a matrix.
        name: what the names in the file begin with.
        vocabulary: characters, or words, whose numbers the model reads and scores: the file has them, too.

    Raises:
        ArgumentError: an argument cannot be used, or the model runs from the end, or draws dropout.
        TraceError: the cell cannot be traced, or does something that is not written in C; says what.
        DtypeError: something is float64 or float16.
        CheckpointError: the file cannot be written. In all cases what was at ``path`` stays.
    """
    path = arguments.path("export: path", path)
    weights = arguments.choice("export: weights", weights, ("float32", "int8"))
    name, vocabulary = (
        identifier("export: name", name),
        arguments.optional(arguments.instance, "export: vocabulary", vocabulary, Vocabulary),
    )
    code = _code(model, x, state, name, weights)
    sizes = Sizes(
        sum(stored.nbytes for stored in code.stored),
        sum(_bytes(leaf) for leaf in code.states),
        sum(_bytes(leaf) for leaf in code.scratch),
    )
    file = re.sub(r"[^\w.-]", "_", os.path.basename(path), flags=re.ASCII)
    atomic.write(path, text_of(code, name, file, sizes, weights, vocabulary))
    return sizes


def dequantised(weight: ArrayLike) -> numpy.ndarray:
    """A weight as a file with int8 weights has it: q · s, see the module.

    >>> tg.interop.c.dequantised(np.array([[1.0, 0.5], [0.0, 0.0]], "float32"))
    array([[1.      , 0.503937],
           [0.      , 0.      ]], dtype=float32)

    Args:
        weight: of any shape; one that stays float32 comes back as it is.

    Raises:
        DataError: it holds NaN or an infinity.
    """
    array = host_array(weight)
    parts = _quantised(array)
    return array if parts is None else parts[0] * parts[1]


def _quantised(array: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray] | None:
    """q and s of a weight, s spread over it; None where it stays."""
    if array.dtype != numpy.float32 or sum(n > 1 for n in array.shape) < 2:
        return None
    if not numpy.isfinite(array).all():
        raise DataError("a weight holds NaN or an infinity, which no whole number stands for")
    scales = abs(array).max(axis=tuple(range(1, array.ndim)), keepdims=True) / numpy.float32(127)
    with numpy.errstate(over="ignore"):
        quotients = numpy.divide(array, scales, where=scales > 0, out=numpy.zeros_like(array))
    return numpy.clip(numpy.rint(quotients), -127, 127), numpy.broadcast_to(scales, array.shape)


def _code(model: Any, x: Any, state: Any, name: str, weights: str) -> StepCode:
    arguments.function("export: model", model, instance=True)
    if not hasattr(model, "stepper") and not _takes_a_state(model):
        raise ArgumentError(
            f"export: {name_of(model)} takes no state, so it is no cell and has no stepper: {_ONE_STEP}"
        )
    try:
        return _written(model, x, state, name, weights)
    except (ArgumentError, ShapeError, TraceError) as error:
        around = not isinstance(model, nn.Recurrent) and isinstance(model, nn.Module)
        if around and any(isinstance(module, nn.Recurrent) for module in model.modules()):
            raise type(error)(f"{error}. {name_of(model)} holds a layer of its own: {_ONE_STEP}") from error
        raise


_ONE_STEP = (
    "write one step of all of it as a function y, state = step(x, state), with layer.stepper().cell in "
    'it; the page "Out of Python" shows how, under "A layer and what stands around it"'
)


def _takes_a_state(model: Any) -> bool:
    by_forward = isinstance(model, nn.Module) and type(model).__call__ is nn.Module.__call__
    return takes(getattr(model, "forward", model) if by_forward else model, 0, 0)


def _written(model: Any, x: Any, state: Any, name: str, weights: str) -> StepCode:
    stepper = _stepper(model, state)
    x = _input(model) if x is None else tree.map_leaves(as_tensor, x)
    if not tree.leaves(x):
        raise ArgumentError("export: x needs at least one tensor")
    quantise = _quantised if weights == "int8" else None
    return write_step(stepper.cell, x, stepper.before(x), name, "return 1;", quantise)


def _input(model: Any) -> Tensor:
    """A batch of one."""
    sizes = [getattr(m, "input_size", None) for m in (model, getattr(model, "cell", None))]
    size = next((size for size in sizes if isinstance(size, int)), None)
    if size is None:
        raise ArgumentError(
            "export: the model does not say its input_size: give an input of one step, x=tg.zeros((1, …))"
        )
    weight = next((p for _, p in model.named_parameters()), None) if isinstance(model, nn.Module) else None
    return zeros((1, size)) if weight is None else zeros((1, size), dtype=weight.dtype).to(weight.backend)


def _bytes(leaf: Leaf) -> int:
    return leaf.size * DTYPES[leaf.kind].itemsize


def _stepper(model: Any, state: Any) -> Stepper[Any, Any]:
    make = model.stepper if hasattr(model, "stepper") else nn.Recurrent(model).stepper
    return make(state)
