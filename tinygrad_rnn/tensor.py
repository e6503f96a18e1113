"""The tensor: an array and its place on the tape."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from . import arguments, backends, ops
from .arguments import DTypeLike
from .backends import Array
from .chain_rule.addition import ASTYPE
from .effects import effect
from .errors import BackendError, DtypeError, ShapeError, TapeError
from .operators import Operators
from .ops import ArrayLike
from .ops.addition import astype, copy, cumsum, max, min, sum
from .ops.choice import all, any, argmax, argmin, argsort
from .ops.in_place import is_step_from_leaf
from .ops.indexing import take
from .ops.shapes import squeeze, swapaxes
from .tape import (
    Node,
    add_to_leaves,
    choose,
    cuts,
    holds_tensors,
    host_array,
    is_frozen,
    lift,
    off_tape,
    on_its_device,
    pull_back,
    recording,
    require_float,
    seed,
    shared,
    thread,
    watch_new,
)

if TYPE_CHECKING:
    from .derived.elementwise import round
    from .derived.products import dot
    from .derived.reductions import cumprod, mean, prod, std, var
    from .derived.shapes import diagonal, repeat, trace


class Tensor(Operators):
    """An array that remembers how it was made. Make one with :func:`tensor`.

    >>> x = tg.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> tg.sum(x * x).backward()
    >>> x.grad
    tensor([2., 4.], dtype=float32)

    Attributes:
        requires_grad: whether ``backward`` brings residuals here.
        name: what pictures and tables call it.
    """

    __slots__ = ()

    @property
    def grad(self) -> Tensor | None:
        """The residual that backward passes have added up here.

        Raises:
            TapeError: this is what ``W -= step`` recorded of a leaf W: nothing is added up here.
        """
        if self._grad is None and is_step_from_leaf(self):
            raise TapeError(
                "no grad is added up here, since this is no leaf: W -= 0.1 * W.grad, or W = W - …, made a "
                "recorded result of the leaf W. "
                "Write 'with tg.no_grad(): W -= 0.1 * W.grad', which changes the leaf itself, or W.data -= "
                "0.1 * W.grad"
            )
        return self._grad

    @grad.setter
    @effect("sets a gradient")
    def grad(self, value: Tensor | None) -> None:
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            raise ShapeError(f"grad must be None or a tensor of shape {self.shape}")
        if value is not None and value._backend is not self._backend:
            raise BackendError(
                f"grad is on the {value.backend!r} backend, its tensor on {self.backend!r}: move it with "
                ".to(name)"
            )
        self._grad = None if value is None else ops.astype(value, self._data.dtype)

    def __round__(self, ndigits: int | None = None) -> Tensor:
        return self.round(ndigits or 0)

    # -- backward --------------------------------------------------------------------------------------------

    @effect("adds to the gradients of tensors outside of it")
    def backward(self, grad: ArrayLike | None = None, create_graph: bool = False) -> None:
        """Bring residuals to every leaf that requires one, adding to its ``grad``.

        What is there already is added to: a second pass doubles it. Set ``grad`` to None before, or call
        ``zero_grad()`` of the optimiser or the module, as a training step does.

        >>> x = tg.tensor(3.0, requires_grad=True)
        >>> (x * x).backward()
        >>> x.grad
        tensor(6., dtype=float32)

        Args:
            grad: the residual to start from, of this tensor's shape; 1 for a single number.
            create_graph: record the pass itself, so that the residuals can be differentiated again.

        Raises:
            TapeError: nothing was recorded, it was released, or an array on it was changed in place.
            DtypeError: a leaf that asks for a residual is no float.
            ShapeError: several values and no ``grad``, or one of another shape.
        """
        create_graph = arguments.flag("backward: create_graph", create_graph)
        # what create_graph asks for, whatever the blocks around say
        with _RECORDING if thread.recording else recording():
            residuals, _ = pull_back([(self, seed(self, grad, create_graph))], ops if create_graph else None)
            add_to_leaves(residuals)

    def detach(self) -> Tensor:
        """The same array off the tape.

        >>> x = tg.tensor(3.0, requires_grad=True)
        >>> (x * x).detach().requires_grad
        False
        """
        if thread.tracing and self.entry is not None:  # it differs from step to step
            return choose(ASTYPE, (self,), (self._data.dtype,))
        return Tensor(self._data, self._backend)

    @effect("changes whether a tensor requires grad")
    def requires_grad_(self, wanted: bool = True) -> Tensor:
        """Ask for residuals here; only for leaves of a float dtype.

        >>> tg.zeros(2).requires_grad_()
        tensor([0., 0.], dtype=float32, requires_grad=True)
        """
        wanted = arguments.flag("requires_grad_: wanted", wanted)
        require_float(self._data.dtype, wanted)
        if self.entry is not None and not wanted:
            raise TapeError("a result on the tape requires grad because its operands do; use .detach()")
        self.requires_grad = wanted
        return self

    def to(self, backend: str) -> Tensor:
        """The tensor on another backend, off the tape; itself if it is there.

        >>> x = tg.zeros(2)
        >>> x.to("numpy") is x
        True
        """
        target = backends.get(backend)
        if target is self._backend:
            return self
        moved = Tensor(target.from_host(self._backend.to_host(self._data)), target, self.requires_grad)
        moved.name = self.name
        return moved

    # -- methods with NumPy's names --------------------------------------------------------------------------

    @property
    def T(self) -> Tensor:
        """The axes reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> Tensor:
        """The last two axes in each other's place."""
        return ops.swapaxes(self, -1, -2)

    @overload
    def reshape(self, shape: int | Sequence[int], /) -> Tensor: ...
    @overload
    def reshape(self, *shape: int) -> Tensor: ...
    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, a tuple or its lengths one by one.

        >>> tg.arange(6).reshape(2, -1).shape
        (2, 3)
        """
        return ops.reshape(self, shape[0] if len(shape) == 1 else shape)

    def ravel(self) -> Tensor:
        """All elements in a line.

        >>> tg.zeros((2, 3)).ravel().shape
        (6,)
        """
        return ops.reshape(self, (-1,))

    flatten = ravel

    @overload
    def transpose(self, axes: Sequence[int] | None, /) -> Tensor: ...
    @overload
    def transpose(self, *axes: int) -> Tensor: ...
    def transpose(self, *axes: Any) -> Tensor:
        """The axes in another order, a tuple or one by one; reversed by default.

        >>> tg.zeros((2, 3, 4)).transpose(1, 0, 2).shape
        (3, 2, 4)
        """
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return ops.transpose(self, order)

    def clip(self, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
        """As :func:`tg.clip`.

        >>> tg.tensor([-2.0, 0.5]).clip(min=0.0)
        tensor([0. , 0.5], dtype=float32)
        """
        return ops.clip(self, min, max)

    # the functions themselves, which take the tensor first
    all = all
    any = any
    argmax = argmax
    argmin = argmin
    argsort = argsort
    astype = astype
    copy = copy
    cumsum = cumsum
    max = max
    min = min
    squeeze = squeeze
    sum = sum
    swapaxes = swapaxes
    take = take

    if TYPE_CHECKING:  # ``derived``, which stands above this room, binds them
        cumprod = cumprod
        diagonal = diagonal
        dot = dot
        mean = mean
        prod = prod
        repeat = repeat
        round = round
        std = std
        trace = trace
        var = var


Node.result_type = Tensor

_RECORDING = contextlib.nullcontext()


class Variable(Tensor):
    """A leaf that stands for an argument while a function is differentiated."""

    __slots__ = ()


def tensor(
    data: ArrayLike,
    dtype: DTypeLike | None = None,
    requires_grad: bool = False,
    backend: str | None = None,
    name: str | None = None,
) -> Tensor:
    """A new tensor with a copy of the data.

    >>> tg.tensor([1, 2])
    tensor([1, 2], dtype=int64)
    >>> tg.tensor([0.5, 1.0], requires_grad=True)
    tensor([0.5, 1. ], dtype=float32, requires_grad=True)

    Args:
        data: numbers, nested lists (also of tensors), an array of NumPy, CuPy, PyTorch or JAX, or a tensor.
            Arrays keep their dtype; Python floats get ``default_dtype``.
        dtype: another dtype: bool, int or float.
        requires_grad: bring residuals here.
        backend: where to put it; the current backend by default.
        name: what pictures and tables call it.

    Raises:
        DtypeError: not numbers, complex numbers, or ``requires_grad`` of integers.
        BackendError: there is no such backend.
        TapeError: the data is a result on the tape, from which a copy would be cut off.
    """
    dtype = None if dtype is None else arguments.dtype("tensor: dtype", dtype)
    requires_grad = arguments.flag("tensor: requires_grad", requires_grad)
    name = None if name is None else arguments.text("tensor: name", name)
    target = backends.current() if backend is None else backends.get(backend)
    if holds_tensors(data):
        data = lift(data, target)
    if cuts(data) and (data.entry is not None or isinstance(data, Variable)):
        raise off_tape("tensor(…) copies values: go on with the tensor itself, or with tg.stack of several")
    given: Array = data._data if isinstance(data, Node) else on_its_device(data)
    owner = backends.owner(given)
    if owner is not None and owner.name != "numpy":
        array = (
            target.from_host(host_array(owner.to_host(given), dtype)) if owner is not target else given.copy()
        )
        array = array if dtype is None else array.astype(dtype)
    else:
        array = target.from_host(host_array(given, dtype))
    require_float(array.dtype, requires_grad)
    result = Tensor(array, target, requires_grad)
    result.name = name
    return result


@effect("shares its memory with another library")
def from_dlpack(x: Any, copy: bool | None = None) -> Tensor:
    """A tensor in the memory of an array of another library: nothing is copied, and what either side writes
    the other one sees.

    The memory is watched. Where a backward pass needs what was written over, it is a TapeError. An array that
    nobody may write into, as those of JAX, stays so as ``t.data``. An optimiser gives its parameters new
    arrays, so what it has updated is shared no longer. The tensor is on the backend of the array's device,
    whichever is the current one. The other way, ``torch.from_dlpack(t)`` and the like take a tensor that
    requires no grad.

    >>> array = np.zeros(3)
    >>> x = tg.from_dlpack(array)
    >>> array[0] = 7.0
    >>> x
    tensor([7., 0., 0.], dtype=float64)

    Args:
        x: an array with ``__dlpack__``, of NumPy, PyTorch, CuPy, JAX and others.
        copy: True for memory of its own, as :func:`tensor` has it; False for an error where only a copy would
            do, for NumPy's arrays with their bytes in another order.

    Raises:
        ArgumentError: x has no ``__dlpack__``.
        DtypeError: its numbers are none that a tensor can have, such as complex ones or bfloat16, or it is on
            a tape of its library, or its memory holds other numbers than it has.
        BackendError: it is on a device that no backend is for.
        ExportError: x is a tensor that requires grad.
    """
    copy = None if copy is None else arguments.flag("from_dlpack: copy", copy)
    array, backend = shared(x)
    if copy is False and not getattr(getattr(x, "dtype", None), "isnative", True):
        raise DtypeError(f"from_dlpack: x has dtype {x.dtype}, not in this machine's order of bytes: copy it")
    result = Tensor(array.copy() if copy else array, backend)
    if not copy and not is_frozen(x):
        watch_new(result)
    return result
