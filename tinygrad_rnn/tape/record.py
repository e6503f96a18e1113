"""Running rows, and recording them: every operation of the library goes through ``apply``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy

from .. import arguments, backends, tree
from ..backends import Backend
from ..chain_rule import Row
from ..chain_rule.addition import STACK
from ..errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IndexRangeError,
    LinearAlgebraError,
    ShapeError,
    TinygradRNNError,
)
from .entry import Entry, Node
from .exchange import device_backend, is_frozen, on_its_device
from .host import PYTHON_NUMBERS, holds_tensors, host_array, plain_array, uneven
from .mode import observing, tell, thread
from .writes import exposed, remember

if TYPE_CHECKING:
    from ..tensor import Tensor


def apply(row: Row, inputs: Sequence[Any], params: tuple[Any, ...] = (), constant: bool = False) -> Any:
    """Run a row forward. Record it if an operand requires a gradient, unless the result is to be a constant.

    Operands are tensors, Python numbers (which take the dtype of the others), or arrays and lists, which are
    copied.

    Raises:
        ShapeError, DtypeError, IndexRangeError, LinearAlgebraError: the operands do not fit the operation.
        BackendError: operands of two backends.
    """
    xs: tuple[Any, ...]
    needs: tuple[bool, ...]
    # most of all operations: no loop
    if len(inputs) == 2 and isinstance(inputs[0], Node) and isinstance(inputs[1], Node):
        a, b = inputs
        backend = a._backend
        if b._backend is not backend:
            raise _mixed(row, inputs)
        xs, needs = (a._data, b._data), (a.requires_grad, b.requires_grad)
    elif len(inputs) == 1 and isinstance(inputs[0], Node):
        (a,) = inputs
        backend, xs, needs = a._backend, (a._data,), (a.requires_grad,)
    else:
        backend, inputs, xs, needs = _settled(row, inputs)
    requires_grad = True in needs
    try:
        if row.outline is not None and thread.tracing is not None:  # what placeholders hold means nothing
            y = row.outline(backend, *xs, *params)
        elif row.named:
            y = getattr(backend, row.name)(*xs, *params) if params else getattr(backend, row.name)(*xs)
        else:
            y = row.forward(backend, xs, params) if row.variadic else row.forward(backend, *xs, *params)
    except TinygradRNNError:  # of a row that checks by itself
        raise
    except ARRAY_ERRORS as error:
        raise explained(error, row, xs, params) from error
    several = row.several
    if not several and type(y) is not backend.array_type:
        y = backend.asarray(y)
    requires_grad = requires_grad and thread.recording and not constant
    if not requires_grad and not thread.tracing:
        if observing and thread.observer is not None:
            thread.observer.passed(
                Entry(
                    row,
                    backend,
                    inputs,
                    xs,
                    params,
                    (False,) * len(needs),
                    y if several else (y,),
                    thread.scope,
                )
            )
        if several:
            return tuple([Node.result_type(part, backend) for part in y])
        return Node.result_type(y, backend)
    ys = y if several else (y,)
    entry = Entry(
        row, backend, inputs, xs, params, needs if requires_grad else (False,) * len(needs), ys, thread.scope
    )
    if exposed or observing:
        note(entry)
    if several:
        return tuple([Node.result_type(part, backend, requires_grad, entry, i) for i, part in enumerate(y)])
    return Node.result_type(y, backend, requires_grad, entry, 0)


def choose(row: Row, inputs: Sequence[Any], params: tuple[Any, ...] = ()) -> Any:
    """Run a row that has no derivative: its result is a constant."""
    return apply(row, inputs, params, constant=True)


def _settled(
    row: Row, inputs: Sequence[Any]
) -> tuple[Backend, Sequence[Any], tuple[Any, ...], tuple[bool, ...]]:
    """For operands of any kind: the backend, the operands as tensors and Python numbers, their arrays, and
    whether each needs a residual."""
    if not all(isinstance(x, Node) or type(x) in PYTHON_NUMBERS for x in inputs):
        inputs = _lifted(inputs)
    tensors = [x for x in inputs if isinstance(x, Node)]
    if not tensors:  # Python numbers only
        inputs = tensors = [lift(x, backends.current()) for x in inputs]
    backend = tensors[0]._backend
    if any(x._backend is not backend for x in tensors):
        raise _mixed(row, inputs)
    xs = tuple([x._data if isinstance(x, Node) else x for x in inputs])
    return backend, inputs, xs, tuple([isinstance(x, Node) and x.requires_grad for x in inputs])


def note(entry: Entry) -> None:
    """Tell of a new entry whoever looks on, and remember what its exposed arrays hold."""
    if observing:
        tell(entry)
    if exposed:
        remember(entry)


# -- operands of any kind -----------------------------------------------------------------------------


def lift(x: Any, backend: Backend, floats: Any = None) -> Tensor:
    """A constant tensor of anything that NumPy can make an array of. Python floats get the dtype ``floats``,
    or the default one. A list or tuple that holds tensors becomes their stack, which is recorded.

    Raises:
        DtypeError: not numbers.
        ShapeError: a list whose parts differ in shape.
        BackendError: an array of another device.
    """
    if isinstance(x, Node):
        return x  # type: ignore[return-value]
    x = on_its_device(x)
    if isinstance(x, backend.array_type):
        return Node.result_type(plain_array(x, backend).copy(), backend)
    if holds_tensors(x):
        return _stacked(x, *_joint_kind(tree.leaves(x)))
    owner = backends.owner(x)
    if owner is not None and owner is not backend:
        raise BackendError(
            f"an array of another device met a tensor of the {backend.name!r} backend: move it with "
            "tensor(..., backend=)"
        )
    array = host_array(x, None, floats)
    frozen = is_frozen(x) and isinstance(array, backend.array_type)
    return Node.result_type(array if frozen else backend.from_host(array), backend)


def _stacked(x: Any, backend: Backend, dtype: Any) -> Any:
    if type(x) in PYTHON_NUMBERS:
        return Node.result_type(backend.asarray(backend.full((), x, dtype)), backend)
    if not isinstance(x, (list, tuple)):
        return lift(x, backend)
    parts = [_stacked(part, backend, dtype) for part in x]
    shapes = list(dict.fromkeys(part._data.shape for part in parts))
    if len(shapes) != 1:
        raise uneven(x, " and ".join(map(str, shapes)) or "none")
    return apply(STACK, parts, (0,))


def _joint_kind(parts: Sequence[Any]) -> tuple[Backend, Any]:
    """The backend of the first tensor, and the joint dtype. As in arithmetic, Python numbers have none of
    their own."""
    kinds = {getattr(x, "dtype", None) for x in parts}
    dtypes = [kind for kind in kinds if isinstance(kind, numpy.dtype)]
    numbers = {type(x)(0) for x in parts if type(x) in PYTHON_NUMBERS}
    return next(x._backend for x in parts if isinstance(x, Node)), numpy.result_type(*dtypes, *numbers)


def _lifted(inputs: Sequence[Any]) -> list[Any]:
    """Operands as tensors and Python numbers."""
    backend, floats = home(inputs), floats_beside(inputs, "iuf")
    return [x if type(x) in PYTHON_NUMBERS else lift(x, backend, floats) for x in inputs]


def home(operands: Sequence[Any]) -> Backend:
    """The backend of the first tensor among operands, else of one inside their lists, else of an array; else
    the current one."""
    for x in operands:
        if isinstance(x, Node):
            return x._backend
    inside = (
        part._backend
        for x in operands
        if holds_tensors(x)
        for part in tree.leaves(x)
        if isinstance(part, Node)
    )
    owners = (owner for x in operands if (owner := owner_of(x)) is not None)
    return next(inside, None) or next(owners, None) or backends.current()


def owner_of(x: Any) -> Backend | None:
    """The backend whose array x is, or that the device is of where it lies; None where it is no array, or one
    of another library on the host."""
    return backends.owner(x) or device_backend(x)


def floats_beside(operands: Iterable[Any], kinds: str = "f") -> Any:
    """The dtype that Python floats take beside operands whose dtypes are of some kinds; None where there is
    no such operand."""
    dtypes = [getattr(x._data if isinstance(x, Node) else x, "dtype", None) for x in operands]
    met = [dtype for dtype in dtypes if isinstance(dtype, numpy.dtype) and dtype.kind in kinds]
    return numpy.result_type(*met, 0.0) if met else None


# -- errors -------------------------------------------------------------------------------------------


ARRAY_ERRORS = (TypeError, ValueError, IndexError, OverflowError)
"""What array modules raise where an operation cannot take its operands."""


def explained(error: Exception, row: Row, xs: Sequence[Any], params: tuple[Any, ...]) -> TinygradRNNError:
    """The library's own error for what an array module said."""
    operands = [f"{x.dtype}{list(x.shape)}" if hasattr(x, "shape") else arguments.shown(x) for x in xs]
    said = f"{row.name}({', '.join([*operands, *map(arguments.shown, params)])}): {error}"
    if isinstance(error, numpy.linalg.LinAlgError):
        return LinearAlgebraError(f"{said}; the operation needs invertible square matrices")
    if isinstance(error, IndexError):
        return IndexRangeError(said)
    if isinstance(error, OverflowError):
        return DtypeError(f"{said}; convert an operand with .astype(dtype)")
    if isinstance(error, TypeError):
        return (
            ArgumentError(said) if params else DtypeError(f"{said}; convert an operand with .astype(dtype)")
        )
    if row.elementwise and _fit(xs):
        return ArgumentError(said)
    if row.multiplies_matrices and all(getattr(x, "ndim", 0) for x in xs):
        lengths = xs[0].shape[-1], xs[1].shape[-2 if xs[1].ndim > 1 else 0]
        if lengths[0] != lengths[1]:
            said = f"{row.name}({', '.join(operands)}): rows of {lengths[0]} meet columns of {lengths[1]}"
            return ShapeError(f"{said}: a product a @ b is (…, n, k) @ (…, k, m)")
    return ShapeError(f"{said}; shapes broadcast from the last axis backwards, each equal or 1")


def _fit(xs: Sequence[Any]) -> bool:
    """Whether the shapes of operands broadcast."""
    try:
        numpy.broadcast_shapes(*(getattr(x, "shape", ()) for x in xs))
    except ValueError:
        return False
    return True


def _mixed(row: Row, inputs: Sequence[Any]) -> BackendError:
    names = ", ".join(repr(x._backend.name) for x in inputs if isinstance(x, Node))
    return BackendError(f"{row.name}: operands live on different backends ({names}): move one with .to(name)")
