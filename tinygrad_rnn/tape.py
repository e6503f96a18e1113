"""The tape: which operation made which array from which, in recorded order.

    x ──┐                      a tensor (Node) knows the entry that made it,
        ├─[entry 7: multiply]── y     an entry knows its operands;
    w ──┘                      entries carry an increasing index.

So the tape of a result is the entries that lead to it, sorted by index; a backward pass is one loop over them from the end, without
recursion; and the memory is given back when the result goes out of scope, since nothing refers forwards. Undoing a broadcast and adding
up the residuals that meet happen here, once, for every row.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import itertools
import numbers
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import numpy

from . import arguments, backends, tree
from .backends import Array, Backend
from .chain_rule import Row
from .chain_rule.addition import GETITEM, STACK
from .errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    IndexRangeError,
    LinearAlgebraError,
    ShapeError,
    TapeError,
    TinygradRNNError,
    TraceError,
)
from .user_code import calling_line


class _Thread(threading.local):
    """What each thread has for itself: whether it records, and where in the user's program it is."""

    def __init__(self) -> None:
        self.recording = True
        self.scope: Scope | None = None
        self.tracing: Tracing | None = None
        self.observer: Observer | None = None
        self.line: Any = None
        """The user's line that is meant, or False where it is not known, while something runs that is not the user's code."""
        self.inside: tuple[weakref.ref[Block], dict[str, Any]] | None = None
        """The innermost block around, and how all this was before it."""


thread = _Thread()
_indices = itertools.count()
Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Key = tuple[int, int]
"""What a tensor is known by, see :func:`key_of`."""


class Refused(BaseException):
    """A program cannot be traced. No ``except Exception`` of its own stops it; the block around the trace makes a TraceError of it."""


class Tracing:
    """A program that is being traced: what stands for its values are placeholders.

    Attributes:
        looked: by id, the tensors from outside whose values it looked at, and what they were.
        refusal: why it cannot be traced. It counts also where the program catches it.
        line: the user's line that was running then.
    """

    def __init__(self) -> None:
        self.looked: dict[int, tuple[Node, Array]] = {}
        self.refusal: TraceError | None = None
        self.line: Any = None

    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        if self.refusal is None:
            self.refusal, self.line = TraceError(reason, advice), calling_line()
        raise Refused

    def look(self, x: Node, what: str) -> None:
        """Somebody asks for the values of a tensor.

        Raises:
            Refused: they differ from step to step.
        """
        if x.entry is not None:
            self.refuse(
                f"a cell that is being compiled cannot look at {what}: they differ from step to step",
                "choose by tg.where(condition, a, b), and look at values after the scan",
            )
        self.looked.setdefault(id(x), (x, x._data.copy()))


class Scope:
    """A part of a program that entries are recorded in: a time step of a scan, or a call of a module.

    Attributes:
        kind: "step" or "module".
        label: the number of the step, or the module.
        outer: the scope around it.
        call: the function that runs inside, and its arguments: who looks at the tape may call it again.
        after: of a step, the keys of the state's tensors after it, where it ran in a scan.
        start: an index before everything recorded inside.
    """

    __slots__ = ("after", "call", "kind", "label", "outer", "start")

    def __init__(self, kind: str, label: Any, outer: Scope | None, call: Call | None = None) -> None:
        self.kind, self.label, self.outer, self.call = kind, label, outer, call
        self.after: Sequence[Key] | None = None
        self.start = next(_indices)

    def within(self, kind: str) -> Scope | None:
        """The innermost scope of that kind, from here outwards."""
        scope: Scope | None = self
        while scope is not None and scope.kind != kind:
            scope = scope.outer
        return scope


class Block:
    """A ``with`` block in which some of what a thread has for itself is different; afterwards all of it is as before.

    Blocks nest; an object may be entered again inside itself, and by several threads. An interrupt may come between any two
    instructions, so also before the first one of ``__exit__``. Therefore everything changes in one step, the end of a block also
    ends the blocks inside whose own end was cut off, and a block that is lost is ended by that.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> Any:
        here = thread.__dict__
        here.update(self._changes, inside=(weakref.ref(self, _lost), here.copy()))
        return self

    def __exit__(self, *exception: object) -> None:
        here = thread.__dict__
        block = here["inside"]
        while block is not None:
            reference, before = block
            if reference() is self:
                here.update(before)
                return
            block = before["inside"]


def _lost(reference: Any) -> None:
    """End a block that nobody is inside of any more: if there are others inside it, the end of the outermost one of these will do it."""
    now = thread.__dict__
    while now["inside"] is not None:
        lost, before = now["inside"]
        if lost is reference:
            now.update(before)
            return
        now = before


class no_grad(Block):
    """Record nothing: as a block, ``with no_grad():``, or as a decorator. Blocks nest."""

    def __init__(self) -> None:
        super().__init__(recording=False)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        arguments.function("no_grad: function", function)

        @functools.wraps(function)
        def unrecorded(*args: Any, **kwargs: Any) -> Any:
            with no_grad():
                return function(*args, **kwargs)

        return unrecorded


def recording() -> Block:
    """A block that records, whatever the blocks around say."""
    return Block(recording=True)


class scope(Block):
    """A block whose operations are recorded under that name."""

    def __init__(self, kind: str, label: Any, call: Call | None = None) -> None:
        self._scope = Scope(kind, label, thread.scope, call)
        super().__init__(scope=self._scope)

    def __enter__(self) -> Scope:
        super().__enter__()
        return self._scope


def in_scope(scope: Scope | None, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function whose operations are recorded in a scope: as a block, but quicker."""
    here = thread.__dict__
    before = here.copy()
    try:  # as with_cleanup does
        try:
            here["scope"] = scope
            return function(*args, **kwargs)
        finally:
            here.update(before)
    except BaseException:
        here.update(before)
        raise


class Entry:
    """One recorded operation.

    Attributes:
        index: its place in the order of recording.
        row: which operation.
        inputs: its operands: tensors, or Python numbers.
        xs: their arrays as they were.
        params: its constants: axes, shapes, indices.
        needs: for each operand whether a residual should reach it.
        ys: the arrays that came out: one, unless the row has several.
        scope: where in the user's program.
    """

    __slots__ = ("__weakref__", "backend", "index", "inputs", "needs", "params", "row", "scope", "xs", "ys")

    def __init__(
        self, row: Row, backend: Backend, inputs: Sequence[Any], xs: Any, params: Any, needs: Any, ys: tuple[Array, ...],
        scope: Scope | None,
    ) -> None:  # fmt: skip
        self.index = next(_indices)
        self.row = row
        self.backend = backend
        self.inputs = inputs
        self.xs = xs
        self.params = params
        self.needs = needs
        self.ys = ys
        self.scope = scope

    @property
    def y(self) -> Any:
        """What came out as rules take it: an array, or the tuple of them."""
        return self.ys if self.row.several else self.ys[0]

    def results(self) -> tuple[Any, ...]:
        """What came out as tensors on the tape."""
        return tuple([Node.result_type(y, self.backend, True, self, i) for i, y in enumerate(self.ys)])

    def __repr__(self) -> str:
        return f"<entry {self.index}: {self.row.name}>"


class Node:
    """An array and its place on the tape; ``Tensor`` adds the operators.

    Attributes:
        entry: the entry that made it, or None for a leaf.
        position: which of that entry's outputs it is.
    """

    __slots__ = ("__weakref__", "_backend", "_data", "_grad", "entry", "name", "position", "requires_grad")

    result_type: type[Any]
    """What results are made of: the subclass that has the operators."""

    def __init__(self, data: Array, backend: Backend, requires_grad: bool = False, entry: Entry | None = None, position: int = 0) -> None:
        self._data = data
        self._backend = backend
        self.requires_grad = requires_grad
        self.entry = entry
        self.position = position
        self._grad: Any = None
        self.name: str | None = None


# -- recording ------------------------------------------------------------------------------------------------------------------------


def _settled(row: Row, inputs: Sequence[Any]) -> tuple[Backend, Sequence[Any], tuple[Any, ...], tuple[bool, ...]]:
    """The backend of operands of any kind, the operands as tensors and Python numbers, their arrays, and whether each needs a residual."""
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


PYTHON_NUMBERS = frozenset((float, int, bool))
"""Types of numbers that take the dtype which they meet."""


def apply(row: Row, inputs: Sequence[Any], params: tuple[Any, ...] = (), constant: bool = False) -> Any:
    """Run a row forward and record it if an operand requires it and the result is not to be a constant.

    Operands are tensors, Python numbers (which take the dtype of the others), or arrays and lists, which are copied.

    Raises:
        ShapeError, DtypeError, IndexRangeError, LinearAlgebraError: the operands do not fit the operation.
        BackendError: operands of two backends.
    """
    xs: tuple[Any, ...]
    needs: tuple[bool, ...]
    if len(inputs) == 2 and isinstance(inputs[0], Node) and isinstance(inputs[1], Node):  # most of all operations: no loop
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
    wanted = True in needs
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
    wanted = wanted and thread.recording and not constant
    if not wanted and not thread.tracing:
        if _exposed and thread.observer is not None:
            thread.observer.passed(Entry(row, backend, inputs, xs, params, (False,) * len(needs), y if several else (y,), thread.scope))
        if several:
            return tuple([Node.result_type(part, backend) for part in y])
        return Node.result_type(y, backend)
    ys = y if several else (y,)
    entry = Entry(row, backend, inputs, xs, params, needs if wanted else (False,) * len(needs), ys, thread.scope)
    if _exposed:
        _remember(entry)
    if several:
        return tuple([Node.result_type(part, backend, wanted, entry, i) for i, part in enumerate(y)])
    return Node.result_type(y, backend, wanted, entry, 0)


def choose(row: Row, inputs: Sequence[Any], params: tuple[Any, ...] = ()) -> Any:
    """Run a row that has no derivative: its result is a constant."""
    return apply(row, inputs, params, constant=True)


def lift(x: Any, backend: Backend, floats: Any = None) -> Any:
    """Anything that NumPy can make an array of as a constant tensor; Python floats get a dtype for them, by default the default one. A list
    or tuple that holds tensors is their stack, recorded.

    Raises:
        DtypeError: not numbers.
        ShapeError: a list whose parts differ in shape.
        BackendError: an array of another device.
    """
    if isinstance(x, Node):
        return x
    if isinstance(x, backend.array_type):
        return Node.result_type(plain_array(x, backend).copy(), backend)
    if holds_tensors(x):
        return _stacked(x, *_joint_kind(tree.leaves(x)))
    owner = backends.owner(x)
    if owner is not None and owner is not backend:
        raise BackendError(f"an array of another device met a tensor of the {backend.name!r} backend: move it with tensor(..., backend=)")
    return Node.result_type(backend.from_host(host_array(x, None, floats)), backend)


def floats_beside(operands: Iterable[Any], kinds: str = "f") -> Any:
    """The dtype that Python floats take beside operands, those with dtypes of some kinds; None where there is no such one."""
    dtypes = [getattr(x._data if isinstance(x, Node) else x, "dtype", None) for x in operands]
    met = [dtype for dtype in dtypes if isinstance(dtype, numpy.dtype) and dtype.kind in kinds]
    return numpy.result_type(*met, 0.0) if met else None


def holds_tensors(x: Any) -> bool:
    """Whether x is a nested list or tuple with a tensor in it."""
    return isinstance(x, (list, tuple)) and _holds(x, Node)


def _holds(x: Sequence[Any], kinds: Any) -> bool:
    """Whether a nested list holds something of some types; without a look at each of many numbers."""
    todo, seen = [x], set()
    while todo:
        part = todo.pop()
        if id(part) in seen:  # a list may hold itself
            continue
        seen.add(id(part))
        types = set(map(type, part))
        if any(issubclass(kind, kinds) for kind in types):
            return True
        if any(issubclass(kind, (list, tuple)) for kind in types):
            todo += [inner for inner in part if isinstance(inner, (list, tuple))]
    return False


def _joint_kind(parts: Sequence[Any]) -> tuple[Backend, Any]:
    """The backend of the first tensor, and the dtype that Python numbers take among the others: as in arithmetic, they have none."""
    kinds = {getattr(x, "dtype", None) for x in parts}
    dtypes = [kind for kind in kinds if isinstance(kind, numpy.dtype)]
    numbers = {type(x)(0) for x in parts if type(x) in PYTHON_NUMBERS}
    return next(x._backend for x in parts if isinstance(x, Node)), numpy.result_type(*dtypes, *numbers)


def _stacked(x: Any, backend: Backend, dtype: Any) -> Any:
    if type(x) in PYTHON_NUMBERS:
        return Node.result_type(backend.asarray(backend.full((), x, dtype)), backend)
    if not isinstance(x, (list, tuple)):
        return lift(x, backend)
    parts = [_stacked(part, backend, dtype) for part in x]
    shapes = list(dict.fromkeys(part._data.shape for part in parts))
    if len(shapes) != 1:
        raise _uneven(x, " and ".join(map(str, shapes)) or "none")
    return apply(STACK, parts, (0,))


def _uneven(x: Any, shapes: str) -> ShapeError:
    return ShapeError(
        f"{arguments.place(x)}a list stands for the stack of its parts, which must have one shape, not {shapes}: "
        "make them equally long with tg.pad, or join them with tg.concatenate"
    )


default_dtype: Any = numpy.dtype(numpy.float32)


def host_array(x: Any, dtype: Any = None, floats: Any = None) -> numpy.ndarray:
    """A NumPy array of x; arrays keep their dtype, Python floats get the one for them, by default the default one.

    Raises:
        DtypeError: not numbers, or complex ones.
        ShapeError: a nested list whose parts differ in length.
        TapeError: a tensor that is being recorded.
    """
    array = _of_numbers(_array(x, None), x, dtype)
    array = array if dtype is None else _array(x, dtype)  # of x itself, not of the array: a number out of range is then an error
    typed = dtype is not None or isinstance(x, _TYPED) or hasattr(x, "__array__")
    if not typed and array.dtype == numpy.float64 and not (isinstance(x, (list, tuple)) and _holds(x, _TYPED)):
        return array.astype(default_dtype if floats is None else floats)
    return array


def host_values(x: Any) -> numpy.ndarray:
    """The same where the values are asked for, also those of a tensor that is being recorded."""
    with no_grad():
        return host_array(x)


_TYPED = (numpy.ndarray, numpy.generic)
"""What has a dtype that counts, also in a list."""


def _array(x: Any, dtype: Any) -> numpy.ndarray:
    try:
        return numpy.asarray(x, dtype)
    except TapeError as error:  # of a tensor inside
        raise TapeError(f"{arguments.place(x)}{error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        if "inhomogeneous" in str(error):
            raise _uneven(x, "several") from error
        raise DtypeError(f"{arguments.place(x)}cannot make a tensor of {type(x).__name__}: {error}") from error
    except RuntimeError as error:  # PyTorch's for its tensors on a tape
        said = f"cannot make a tensor of {type(x).__name__}: {error}"
        raise DtypeError(f"{arguments.place(x)}{said}; take its values without its history, as with .detach()") from error


def plain_array(x: Array, backend: Backend) -> Array:
    """An array of a backend's own class, and its memory, of an array that may be of a subclass.

    Raises:
        DtypeError: not numbers, or some of them are masked.
    """
    return backend.asarray(_of_numbers(x, x))


def _of_numbers(array: Array, x: Any, dtype: Any = None) -> Array:
    """An array that was made of x, if it is one of numbers; with a dtype also of fractions and of whole numbers of any size. Its bytes
    are in this machine's order.

    Raises:
        DtypeError: it is none, or some of the numbers are masked.
    """
    kind = array.dtype.kind
    if type(x) is not numpy.ndarray and _is_masked(x):
        raise DtypeError(f"{arguments.place(x)}cannot make a tensor of a masked array: write .filled(number), or .compressed()")
    if not array.dtype.isnative and kind in "biuf":
        return array.astype(numpy.dtype(array.dtype.type))
    if kind in "biuf" or (kind == "O" and dtype is not None and all(isinstance(part, numbers.Real) for part in array.flat)):
        return array
    given = f"{arguments.shown(x)}, dtype {array.dtype}"
    raise DtypeError(f"{arguments.place(x)}cannot make a tensor of {given}: give numbers that are bool, int or float")


def _is_masked(x: Any) -> bool:
    """Whether an array, or one in a nested list, has numbers that do not count."""
    masked = sys.modules.get("numpy.ma")  # where nobody has loaded it there are none
    if masked is None or type(x) in PYTHON_NUMBERS:
        return False
    if isinstance(x, (list, tuple)):
        return _holds(x, masked.MaskedArray) and any(map(_is_masked, x))
    return isinstance(x, masked.MaskedArray) and bool(masked.is_masked(x))


def _lifted(inputs: Sequence[Any]) -> list[Any]:
    """Operands as tensors and Python numbers."""
    backend, floats = home(inputs), floats_beside(inputs, "iuf")
    return [x if type(x) in PYTHON_NUMBERS else lift(x, backend, floats) for x in inputs]


def home(operands: Sequence[Any]) -> Backend:
    """The backend of the first tensor among operands, else of one inside their lists, else of an array; else the current one."""
    for x in operands:
        if isinstance(x, Node):
            return x._backend
    inside = (part._backend for x in operands if holds_tensors(x) for part in tree.leaves(x) if isinstance(part, Node))
    owners = (owner for x in operands if (owner := backends.owner(x)) is not None)
    return next(inside, None) or next(owners, None) or backends.current()


def cuts(x: Any) -> bool:
    """Whether the values of x alone, off the tape, would silently lose a gradient."""
    return isinstance(x, Node) and x.requires_grad and thread.recording


def _mixed(row: Row, inputs: Sequence[Any]) -> BackendError:
    names = ", ".join(repr(x._backend.name) for x in inputs if isinstance(x, Node))
    return BackendError(f"{row.name}: operands live on different backends ({names}): move one with .to(name)")


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
        return ArgumentError(said) if params else DtypeError(f"{said}; convert an operand with .astype(dtype)")
    if row.elementwise and _fit(xs):
        return ArgumentError(said)
    return ShapeError(f"{said}; shapes broadcast from the last axis backwards, each equal or 1")


def _fit(xs: Sequence[Any]) -> bool:
    """Whether the shapes of operands broadcast."""
    try:
        numpy.broadcast_shapes(*(getattr(x, "shape", ()) for x in xs))
    except ValueError:
        return False
    return True


# -- arrays that the user can change in place -----------------------------------------------------------------------------------------
#
# A user who takes ``tensor.data`` holds an array that may stand on the tape. NumPy does not tell of writes, so the content of such an array
# is fingerprinted when it is handed out and when something is recorded with it; a backward pass compares. Nobody else pays: the table is
# empty as long as nobody has asked for an array, and an array that nobody else refers to any more leaves it.


class _Exposure:
    """The fingerprints of one memory block: (index of the first entry that they hold for, fingerprint)."""

    __slots__ = ("block", "history")

    def __init__(self, block: Any, fingerprint: int) -> None:
        self.block = block
        self.history = [(-1, fingerprint)]


_exposed: dict[int, _Exposure] = {}


def _block(array: Array) -> Array:
    """The array that owns the memory of a view."""
    base = getattr(array, "base", None)
    return array if base is None or not isinstance(base, type(array)) else base


def expose(node: Node) -> Array:
    """The array of a tensor, to be handed to the user."""
    block = _block(node._data)
    if id(block) not in _exposed:
        key = id(block)
        reference = weakref.ref(block, lambda _gone: _exposed.pop(key, None))
        _exposed[key] = _Exposure(reference, node._backend.fingerprint(block))
    return node._data


class Observer(Block):
    """Looks at everything that is recorded and pulled in a block, ``with observer:``; several such blocks nest, the inner one looks.

    Recording asks one question for both, whether anything is in the table of exposed arrays: so a thread with an observer keeps a sign of
    its own in there.
    """

    each_step = False
    """Whether a scan runs step by step for it."""

    def __init__(self) -> None:
        super().__init__(observer=weakref.proxy(self))  # so that the block can be lost

    def __enter__(self) -> Observer:
        _exposed[_sign()] = _Exposure(None, 0)
        super().__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if thread.observer is None:
            _exposed.pop(_sign(), None)

    def recorded(self, entry: Entry) -> None:
        """Told of each new entry."""

    def passed(self, entry: Entry) -> None:
        """Told of each operation that is not recorded, as the entry that it would have been."""

    def pulled(self, entry: Entry, g: Any, operand: int, part: Any) -> None:
        """Told of each part of a residual, as ``watch`` in :func:`pull_back`."""


def _sign() -> int:
    """What no array is known by."""
    return -threading.get_ident()


def _remember(entry: Entry) -> None:
    if thread.observer is not None:
        thread.observer.recorded(entry)
    elif _sign() in _exposed:  # its block was lost
        del _exposed[_sign()]
    for array in (*entry.xs, *entry.ys):
        exposure = _exposed.get(id(_block(array)))
        if exposure is not None:
            fingerprint = entry.backend.fingerprint(_block(array))
            if fingerprint != exposure.history[-1][1]:
                exposure.history.append((entry.index, fingerprint))


def check_unchanged(entries: Iterable[Entry]) -> None:
    """What is told of entries holds for the arrays that they were recorded with.

    Raises:
        TapeError: one of them was written into since.
    """
    now: dict[int, int] = {}
    for entry in entries:
        for array in (*entry.xs, *entry.ys):
            key = id(_block(array))
            if key not in _exposed:
                continue
            if key not in now:
                now[key] = entry.backend.fingerprint(_block(array))
            recorded = next(f for index, f in reversed(_exposed[key].history) if index <= entry.index)
            if recorded != now[key]:
                raise TapeError(
                    f"an array of shape {tuple(array.shape)} was changed in place after {entry.row.name!r} (entry {entry.index}) "
                    "recorded it: its gradient would be wrong; write to a copy, or assign tensor.data = new_array"
                )


def check_current(name: str, operands: Sequence[Any], xs: Sequence[Any]) -> None:
    """A pass that reads the operands as tensors needs the arrays that they had: an optimiser may have given them others since.

    Raises:
        TapeError: a tensor has another array now.
    """
    for x, array in zip(operands, xs, strict=True):
        if isinstance(x, Node) and x._data is not array:
            raise TapeError(
                f"a tensor of shape {tuple(array.shape)} got another array after {name!r} recorded it: "
                "differentiate before the optimiser's step or the assignment to .data"
            )


def check_same(name: str, results: Sequence[Any], ys: Sequence[Any], alike: bool = True) -> None:
    """A program that was run again must have given the same, bit for bit, and by the same work.

    Args:
        alike: whether the work was the same, as ``work_of`` tells.

    Raises:
        TapeError: it has not.
    """
    for result, y in zip(results, ys, strict=True):
        alike = alike and result._backend.same_bits(result._data, y._data if isinstance(y, Node) else y)
    if not alike:
        raise TapeError(
            f"{name}: what was run again gave other numbers than before, or came to them in another way, so its gradient would be wrong: "
            "it may draw random numbers from a generator of its own, or use something that changed since"
        )


def work_of(results: Sequence[Node], since: int, inputs: Sequence[Node]) -> int:
    """A hash of the operations after ``since`` that lead from inputs to results, with their parameters, numbers and constants: numbers may
    cancel out of the results and stay in the slopes."""
    place: dict[Key, Any] = {key_of(x): ("input", i) for i, x in enumerate(inputs)}
    work: list[Any] = []
    for number, entry in enumerate(Tape.of(*results, since=since)):
        work += entry.row.name, _hashed(entry.params)
        for x, array, needed in zip(entry.inputs, entry.xs, entry.needs, strict=True):
            if needed:
                work += place.get(key_of(x)), x.position
            else:
                work.append(_hashed(array if isinstance(x, Node) else x))
        for i in range(len(entry.ys)):
            place[entry.index, i] = number
    return hash((*work, *(place.get(key_of(y)) for y in results)))


def _hashed(x: Any) -> Any:
    return by_sight(x, lambda owner, array: owner.fingerprint(array))


def by_sight(x: Any, content: Callable[[Backend, Array], Any]) -> Any:
    """Something hashable, equal for parameters that mean the same: numbers by sight, since NaN is itself, 0 is neither −0 nor False, and
    Python hashes −1 and −2 alike; arrays by shape, dtype and ``content(backend, array)``."""
    if isinstance(x, (tuple, list)):
        return tuple([by_sight(part, content) for part in x]) if x else ()
    if isinstance(x, slice):
        return ("slice", *by_sight((x.start, x.stop, x.step), content))
    owner = backends.owner(x)
    if owner is not None:
        return x.shape, x.dtype.str, content(owner, x)
    return repr(x) if isinstance(x, numbers.Number) else x


# -- walking --------------------------------------------------------------------------------------------------------------------------


class Tape(Sequence[Entry]):
    """The recorded entries that lead to a result, in order. Prints itself as a table."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, *outputs: Node, since: int = -1) -> Tape:
        """The tape of one or several results; with ``since``, back to that index only.

        Raises:
            TapeError: an entry on the way was released.
        """
        found: dict[int, Entry] = {}
        for node in outputs:
            if not isinstance(node, Node):
                raise arguments.refused("Tape.of: outputs", "tensors", node)
        since = since if type(since) is int else arguments.whole("Tape.of: since", since)
        todo = [node.entry for node in outputs if node.entry is not None and node.entry.index > since]
        while todo:
            entry = todo.pop()
            index = entry.index
            if index in found:
                continue
            if entry.inputs is None:
                raise TapeError(f"the tape was released (at entry {index}, {entry.row.name!r}): run the forward pass again")
            found[index] = entry
            for x in itertools.compress(entry.inputs, entry.needs):
                maker = x.entry
                if maker is not None and maker.index > since and maker.index not in found:
                    todo.append(maker)
        return cls([found[index] for index in sorted(found)])

    def release(self) -> None:
        """Give the arrays back now. A later backward pass through these entries is a TapeError."""
        for entry in self._entries:
            entry.inputs = entry.xs = entry.ys = entry.scope = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: Any) -> Any:
        return self._entries[index]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def backwards(self) -> Iterator[Entry]:
        return reversed(self._entries)

    def __repr__(self) -> str:
        place = {entry.index: i for i, entry in enumerate(self)}
        lines = [f"{'#':>5}  {'operation':<18} {'case':<12} {'shape':<18} inputs"]
        for i, entry in enumerate(self):
            if entry.inputs is None:
                lines.append(f"{i:>5}  {entry.row.name:<18} {entry.row.case:<12} released")
                continue
            shapes = [str(tuple(y.shape)) for y in entry.ys]
            shape = shapes[0] if len(set(shapes)) == 1 else ", ".join(shapes)
            shape += f" × {len(shapes)}" if len(shapes) > 1 and len(set(shapes)) == 1 else ""
            names = [_input_name(x, place) for x in entry.inputs]
            lines.append(f"{i:>5}  {entry.row.name:<18} {entry.row.case:<12} {shape:<18} {', '.join(names)}")
        return "\n".join(lines)


def _input_name(x: Any, place: dict[int, int]) -> str:
    if not isinstance(x, Node):
        return repr(x)
    if x.entry is not None and x.entry.index in place:
        part = f".{x.position}" if x.entry.row.several else ""
        return f"#{place[x.entry.index]}{part}"
    return x.name or f"{'leaf' if x.requires_grad else 'constant'} {tuple(x._data.shape)}"


class Residuals:
    """The residuals that have arrived so far, by the key of their tensor; adds up the ones that meet.

    The first to arrive is kept uncopied; the second makes a new array, which is ours, so later ones are added into it in place.

    Attributes:
        owned: the keys of those that are arrays of ours.
        leaves: those that something has arrived at.
    """

    __slots__ = ("held", "leaves", "owned", "recorded")

    def __init__(self, recorded: bool) -> None:
        self.recorded = recorded
        self.held: dict[Key, Any] = {}
        self.owned: set[Key] = set()
        self.leaves: dict[Key, Node] = {}

    def at(self, node: Node) -> Any:
        """What has arrived at a tensor; None if nothing has."""
        return self.held.get(key_of(node))

    def add(self, node: Node, residual: Any) -> None:
        key = key_of(node)
        held = self.held.get(key)
        if held is None:
            self.held[key] = residual
            if node.entry is None:
                self.leaves[key] = node
        elif key in self.owned:
            held += residual
            self.held[key] = held  # 0-d sums are new objects
        else:
            self.held[key] = held + residual
            if not self.recorded:
                self.owned.add(key)

    def buffer(self, node: Node, backend: Backend, like: Array) -> Array:
        """An array of our own to add parts into."""
        key = key_of(node)
        held = self.held.get(key)
        if held is None:
            held = backend.zeros(like.shape, like.dtype)
            if node.entry is None:
                self.leaves[key] = node
        elif key not in self.owned:
            held = backend.asarray(held).copy()
        self.held[key] = held
        self.owned.add(key)
        return held

    def pop(self, entry: Entry) -> Any:
        """Take out what arrived at an entry, as its rule takes it: one residual, or a list with None where nothing did; None if nothing
        did at all."""
        if not entry.row.several:
            return self.held.pop((entry.index, 0), None)
        parts = [self.held.pop((entry.index, i), None) for i in range(len(entry.ys))]
        for part in parts:
            if part is not None:
                return parts
        return None


def key_of(node: Node) -> Key:
    """What tells a tensor from all others: the index of its entry and which of the results it is; −1 and its identity for a leaf, as long
    as something refers to that."""
    return (-1, id(node)) if node.entry is None else (node.entry.index, node.position)


def pull_back(
    seeds: Sequence[tuple[Node, Any]],
    np: Any = None,
    wanted: Sequence[Node] | None = None,
    since: int = -1,
    watch: Callable[[Entry, Any, int, Any], None] | None = None,
    through: Tape | None = None,
    needs: Mapping[int, Sequence[bool] | None] | None = None,
    watched: Collection[int] | None = None,
) -> tuple[Residuals, dict[Key, Any]]:
    """Reverse mode: carry residuals from results back to what they came from.

    Args:
        seeds: results and their residuals.
        np: the recorded operations, to get residuals that can be differentiated again; None computes on arrays.
        wanted: the tensors whose residual is asked for; None means every leaf that requires one.
        since: go back to entries after this index only; what was made before counts as a leaf.
        watch: called with (entry, residual that arrived, operand, residual that goes on to it) for every operand, to look only.
        through: these entries only, in order; what other entries made counts as a leaf. None means all that lead to the results.
        needs: by index, the operands that a residual goes on to, where not to all that need one.
        watched: the indices of the entries to watch; None means all.

    Returns:
        The residuals at the leaves, and those caught at wanted results on the way.
    """
    tape = Tape.of(*(node for node, _ in seeds), since=since) if through is None else through
    if _exposed:
        check_unchanged(tape)
        watch = watch or (thread.observer.pulled if thread.observer is not None else None)
    wanted_keys = None if wanted is None else {key_of(node) for node in wanted}
    needs_of: Any = needs if wanted_keys is None else _towards(tape, wanted_keys)
    masked = leaves_out = False
    for row in {entry.row for entry in tape}:
        masked = masked or row.masks
        leaves_out = leaves_out or row.masks or row.selects or row.unfold is not None
    backend = seeds[0][0]._backend
    # a device is looked at only where an index by a mask has waited for it anyway
    looks = not backend.asynchronous or any(entry.row is GETITEM and _by_mask(*entry.params) for entry in tape)
    carry = functools.partial(_carry, tape, seeds, np, wanted_keys, needs_of)
    pull: Callable[..., None] = pull_entry
    with backend.quiet():
        if looks and leaves_out and not thread.tracing:
            residuals, caught = carry(pull_entry, None)
            ends = [*residuals.held.values(), *caught.values()]
            if backend.any_nan(_arrays(ends)) and not backend.any_nan(_counted(seeds)):
                pull = _pull_spared  # 0 · NaN or 0 · ∞, of what was left out: the results do not show it
            elif watch is None:
                return residuals, caught
        behind = {entry.index for entry in tape} if masked else set() if pull is _pull_spared else None
        return carry(pull if watch is None else _watching(watch, watched, pull), behind)


def _carry(
    tape: Tape,
    seeds: Sequence[tuple[Node, Any]],
    np: Any,
    wanted: set[Key] | None,
    needs_of: Mapping[int, Sequence[bool] | None] | None,
    pull: Callable[..., None],
    behind: set[int] | None,
) -> tuple[Residuals, dict[Key, Any]]:
    """The loop of a backward pass.

    Args:
        pull: as :func:`pull_entry`.
        behind: the entries behind a choice by values; those behind a choice of places are added on the way. Where the residual that arrives
            there is 0, what goes on is 0 too, whatever the slope or the other side. None spares nothing, which is faster.
    """
    residuals = Residuals(np is not None)
    caught: dict[Key, Any] = {}
    for node, residual in seeds:
        residuals.add(node, residual)
    held, spare = residuals.held, False
    for entry in tape.backwards():
        if wanted is not None:
            _catch(entry, wanted, residuals, caught)
        if behind is not None:
            spare = entry.index in behind
            if spare or entry.row.selects:
                behind.update([x.entry.index for x in entry.inputs if isinstance(x, Node) and x.entry is not None])
        g = residuals.pop(entry) if entry.row.several else held.pop((entry.index, 0), None)
        if g is None:
            continue
        onwards = entry.needs if needs_of is None else needs_of[entry.index]
        if onwards is not None:
            pull(entry, g, onwards, np, residuals, spare)
    return residuals, caught


def _by_mask(index: Any) -> bool:
    return any(getattr(part, "dtype", None) == numpy.bool_ for part in (index if isinstance(index, tuple) else (index,)))


def _counted(seeds: Sequence[tuple[Node, Any]]) -> list[Any]:
    """What a pass starts from: residuals, and results where theirs is not 0. A NaN in there goes on by rights."""
    arrays = _arrays([g for _, g in seeds])
    return [part for (node, _), g in zip(seeds, arrays, strict=True) for part in (g, node._backend.where(g == 0, 0, node._data))]


def _arrays(residuals: Sequence[Any]) -> list[Array]:
    """Of residuals, which are tensors where they are recorded."""
    return [g._data if isinstance(g, Node) else g for g in residuals]


def pull_entry(
    entry: Entry, g: Any, needs: Sequence[bool], np: Any, residuals: Residuals, guarded: bool, parts: Sequence[Any] | None = None
) -> None:
    """Carry the residual of one operation on to its operands.

    Args:
        g: what arrived, as the rule takes it.
        needs: the operands that it goes on to.
        np: the recorded operations or None, as in :func:`pull_back`.
        residuals: where the parts are added.
        guarded: whether the operation lies behind a choice: what goes on is 0 where g is, whatever the slope.
        parts: what goes on to each operand, where that is known already.
    """
    row = entry.row
    inputs = entry.inputs
    if np is None:
        space, xs, y = entry.backend, entry.xs, entry.ys
        if row.into is not None:
            buffer = residuals.buffer(inputs[0], space, xs[0])
            row.into(space, buffer, g, y[0], *xs, *entry.params)
            return
    else:
        check_current(row.name, inputs, entry.xs)
        space, xs, y = np, inputs, entry.results()
    if parts is None:
        parts = row.pull(space, g, y if row.several else y[0], xs, entry.params, needs)
    guard = guarded and row.elementwise and row.case != "addition"
    held = residuals.held
    for x, needed, part in zip(inputs, needs, parts, strict=True):
        if not needed or part is None:
            continue
        if guard:
            # a branch not taken: 0 · ∞ is 0 here; recorded, a finite part stays as it is: it changes with g also where g is 0
            part = space.where(g == 0 if np is None else (g == 0) & space.isnan(part), 0, part)
        data = x._data
        if part.shape != data.shape:
            part = space.sum_to(part, data.shape)
        if part.dtype is not data.dtype and part.dtype != data.dtype:
            part = space.astype(part, data.dtype)
        producer = x.entry  # what follows is residuals.add, without the call
        key = (-1, id(x)) if producer is None else (producer.index, x.position)
        before = held.get(key)
        if before is None:
            held[key] = part
            if producer is None:
                residuals.leaves[key] = x
        elif key in residuals.owned:
            before += part
            held[key] = before
        else:
            residuals.add(x, part)


def pull_watched(
    watch: Callable[..., None],
    entry: Entry,
    g: Any,
    needs: Sequence[bool],
    np: Any,
    residuals: Residuals,
    guarded: bool,
    pull: Callable[..., None] = pull_entry,
) -> None:
    """As :func:`pull_entry`, but each part can be looked at before it meets others: ``watch(entry, g, operand, part)``. All operands at
    once where no two are the same tensor."""
    place = {key_of(x): i for i, x in enumerate(entry.inputs) if needs[i]}
    alike = len(place) < sum(needs)
    for chosen in [[j == i for j in range(len(needs))] for i in range(len(needs)) if needs[i]] if alike else [needs]:
        alone = Residuals(residuals.recorded)
        pull(entry, g, chosen, np, alone, guarded)
        for key, part in alone.held.items():
            operand = chosen.index(True) if alike else place[key]
            watch(entry, g, operand, part)
            residuals.add(entry.inputs[operand], part)


def _watching(watch: Callable[..., None], watched: Collection[int] | None, pull: Callable[..., None]) -> Callable[..., None]:
    watching = functools.partial(pull_watched, watch, pull=pull)

    def pull_some_watched(entry: Entry, *arrived: Any) -> None:
        (watching if watched is None or entry.index in watched else pull)(entry, *arrived)

    return pull_some_watched


def _pull_spared(entry: Entry, g: Any, needs: Sequence[bool], np: Any, residuals: Residuals, spare: bool) -> None:
    """As :func:`pull_entry`, also for sums of products and for what is inside of replays."""
    row = entry.row
    parts: Sequence[Any] | None = None
    if row.unfold is not None:
        parts = _pull_unfolded(entry, g, np, spare)
    elif spare and row.spared is not None:
        space, xs, (y,) = (entry.backend, entry.xs, entry.ys) if np is None else (np, entry.inputs, entry.results())
        parts = row.pull(space, g, y, row.spared(space, g, xs, entry.params), entry.params, needs)
    pull_entry(entry, g, needs, np, residuals, spare, parts)


def _pull_unfolded(entry: Entry, g: Any, np: Any, spare: bool) -> list[Any]:
    """The residuals of a replay's operands by way of the operations inside; spared, all of them lie behind a choice."""
    check_current(entry.row.name, entry.inputs, entry.xs)
    since = now()
    with recording():
        results = entry.row.unfold(entry, entry.inputs)  # type: ignore[misc]
        results = [apply(GETITEM, (y,), (...,)) for y in results] if spare else results
    return pull_replayed(results, entry.inputs, since, g, np)


def _catch(entry: Entry, wanted: set[Key], residuals: Residuals, caught: dict[Key, Any]) -> None:
    for position in range(len(entry.ys)):
        key = entry.index, position
        if key in wanted and key in residuals.held:
            caught[key] = residuals.held[key]


def _towards(tape: Tape, wanted: set[Key]) -> dict[int, list[bool] | None]:
    """For each entry which operands lead on to a wanted tensor; None where none does."""
    needs_of: dict[int, list[bool] | None] = {}
    for entry in tape:
        needs = [
            needed and (key_of(x) in wanted or (x.entry is not None and needs_of.get(x.entry.index) is not None))
            for x, needed in zip(entry.inputs, entry.needs, strict=True)
        ]
        needs_of[entry.index] = needs if any(needs) else None
    return needs_of


def push_forward(outputs: Sequence[Node], tangents: Sequence[tuple[Node, Any]], np: Any = None, since: int = -1) -> list[Any]:
    """Forward mode: carry tangents from tensors along the tape to results (None where no tangent arrives)."""
    arrived: dict[Key, Any] = {key_of(node): tangent for node, tangent in tangents}
    tape = Tape.of(*outputs, since=since)
    if _exposed:
        check_unchanged(tape)
    with outputs[0]._backend.quiet():
        for entry in tape:
            incoming = [arrived.get(key_of(x)) if isinstance(x, Node) else None for x in entry.inputs]
            if all(tangent is None for tangent in incoming):
                continue
            several = entry.row.several
            space, xs, ys = (entry.backend, entry.xs, entry.ys) if np is None else (np, entry.inputs, entry.results())
            pushed = entry.row.push(space, incoming, ys if several else ys[0], xs, entry.params)
            for i, (part, array) in enumerate(zip(pushed if several else (pushed,), entry.ys, strict=True)):
                if part is None:
                    continue
                if part.shape != array.shape:
                    part = space.broadcast_to(part, array.shape)
                if part.dtype != array.dtype:
                    part = space.astype(part, array.dtype)
                arrived.setdefault((entry.index, i), part)
    return [arrived.get(key_of(node)) for node in outputs]


# -- a piece of program as one entry --------------------------------------------------------------------------------------------------


def outside(results: Sequence[Node], since: int, ours: Sequence[Node]) -> list[Node]:
    """The tensors made before ``since`` that results depend on, or are themselves, other than ours, in the order of use."""
    known = {id(x) for x in ours}
    found: dict[int, Node] = {}
    used = [x for entry in Tape.of(*results, since=since) for x, needed in zip(entry.inputs, entry.needs, strict=True) if needed]
    for x in (*used, *(y for y in results if y.requires_grad)):
        if id(x) not in known and (x.entry is None or x.entry.index < since):
            found[id(x)] = x
    return list(found.values())


def now() -> int:
    """An index after everything recorded so far."""
    return next(_indices)


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Hundreds of thousands of objects are made and none of them is garbage: looking for some would take longer than all else."""
    was = gc.isenabled()
    try:
        try:
            gc.disable()
            yield
        finally:
            if was:
                gc.enable()
    finally:  # an interrupt may have cut off the other one
        if was:
            gc.enable()


def apply_replay(name: str, program: Callable[..., Any], again: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Run a piece of program, recorded as one entry that keeps only what goes in; its residuals come from running ``again`` recorded.

    What the program uses beside its arguments is found from the tape of its first run, which is then dropped.
    """
    asked = [x for x in tree.leaves(args) if isinstance(x, Node) and x.requires_grad]
    if not thread.recording:
        return program(*args)
    fresh = [Node.result_type(x._data, x._backend, True) for x in asked]
    since = now()
    results = program(*_replaced(args, fresh))
    flat = tree.leaves(results)
    for y in flat:
        if not isinstance(y, Node):
            raise DtypeError(f"{name}: the function must return tensors, it returned {type(y).__name__}")
    live = [y for y in flat if y.requires_grad]
    found = outside(live, since, fresh)
    inputs = [*asked, *found]
    if not live or not inputs:
        return tree.unflatten(results, [Node.result_type(y._data, y._backend) for y in flat])
    ys = tuple(y._data for y in flat)
    row = _replay_row(name, again, args, len(asked), found, work_of(live, since, [*fresh, *found]))
    entry = _replay_entry(row, flat[0]._backend, inputs, ys)
    return tree.unflatten(results, [Node.result_type(y._data, y._backend, y.requires_grad, entry, i) for i, y in enumerate(flat)])


def record_replay(name: str, program: Callable[..., Any], args: Sequence[Node], y: Array, pull: Callable[..., Any]) -> Any:
    """Record that y is the program's result, got in a faster way; its residuals come from ``pull(g)`` as long as they are not recorded."""
    asked = [x for x in args if x.requires_grad]
    row = _replay_row(name, program, args, len(asked), (), None)

    def pull_faster(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return pull(g[0]) if isinstance(np, Backend) else row.pull(np, g, y, xs, params, needs)

    entry = _replay_entry(dataclasses.replace(row, pull=pull_faster), args[0]._backend, asked, (y,))
    return Node.result_type(y, entry.backend, True, entry, 0)


def _replay_entry(row: Row, backend: Backend, inputs: Sequence[Node], ys: tuple[Array, ...]) -> Entry:
    entry = Entry(row, backend, inputs, [x._data for x in inputs], (), [True] * len(inputs), ys, thread.scope)
    if _exposed:
        _remember(entry)
    return entry


def _replaced(args: Sequence[Any], fresh: Sequence[Node]) -> Any:
    rest = iter(fresh)
    return tree.map_leaves(lambda x: next(rest) if isinstance(x, Node) and x.requires_grad else x, tuple(args))


def pull_replayed(results: Sequence[Any], inputs: Sequence[Node], since: int, g: Sequence[Any], np: Any) -> list[Any]:
    """The residuals of what went into a piece of program that was run again, recorded after ``since``; None where none arrives."""
    seeds = [(y, residual) for y, residual in zip(results, g, strict=True) if residual is not None and y.requires_grad]
    if not seeds:
        return [None] * len(inputs)
    residuals, _ = pull_back(seeds, np, [x for x in inputs if x.requires_grad], since)
    return [residuals.at(x) if x.requires_grad else None for x in inputs]


def push_replayed(results: Sequence[Any], inputs: Sequence[Node], since: int, tangents: Sequence[Any], np: Any) -> tuple[Any, ...]:
    """The tangents of what came out of it, from those of what went in."""
    starts = [(x, t) for x, t in zip(inputs, tangents, strict=True) if t is not None]
    return tuple(push_forward(results, starts, np, since))


def _replay_row(name: str, again: Callable[..., Any], args: Sequence[Any], asked: int, found: Sequence[Node], work: int | None) -> Row:
    """The row of a replay.

    Args:
        work: that of the run that was recorded, which ``again`` must repeat to the bit; None where it does the same in another way.
    """

    def rerun(np: Any, y: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Node], int, Any]:
        """The results of a recorded run, the tensors that went in, and the index that parts both."""
        recorded = not isinstance(np, Backend)
        if not recorded:
            check_current(name, found, xs[asked:])
        heads = [np.reshape(x, x.shape) if recorded else Node.result_type(x, np, True) for x in xs[:asked]]
        since = now()
        with recording():
            results = tree.leaves(again(*_replaced(args, heads)))
        if work is not None:
            check_same(name, results, y, work == work_of([y for y in results if y.requires_grad], since, [*heads, *found]))
        return results, [*heads, *found], since, np if recorded else None

    def pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        results, inputs, since, recorded = rerun(np, y, xs)
        return pull_replayed(results, inputs, since, g, recorded)

    def push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        results, inputs, since, recorded = rerun(np, y, xs)
        return push_replayed(results, inputs, since, tangents, recorded)

    def unfold(entry: Entry, inputs: Sequence[Node]) -> list[Any]:
        check_current(name, found, entry.xs[asked:])
        results = tree.leaves(again(*_replaced(args, inputs[:asked])))
        if work is not None:
            check_same(name, results, entry.ys)
        return results

    return Row(name, "replay", name, pull, pull, push, several=True, unfold=unfold)
