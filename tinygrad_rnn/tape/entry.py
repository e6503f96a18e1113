"""What a tape is made of: tensors, the entries that made them, and the scopes of the program that entries
were recorded in.

    x ──┐                      a tensor (Node) knows the entry that made it,
        ├─[entry 7: multiply]── y     an entry knows its operands;
    w ──┘                      entries carry an increasing index.

Nothing refers forwards, so memory is freed when a result goes out of scope.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from ..backends import Array, Backend
from ..chain_rule import Row

if TYPE_CHECKING:
    from ..tensor import Tensor

_indices = itertools.count()


def now() -> int:
    """An index after everything recorded so far."""
    return next(_indices)


Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]

Key = tuple[int, int]
"""What a tensor is known by, see :func:`key_of`."""


class Scope:
    """A part of a program that entries are recorded in: a time step of a scan, a call of a module, or of a
    function that is made of several operations.

    Attributes:
        kind: "step", "module" or "function".
        label: the index of the step, the module, or the function's name.
        outer: the scope around it.
        call: the function that runs inside, and its arguments: a reader of the tape may call it again.
        after: of a step, the keys of the state's tensors after it, where it ran in a scan.
        start: an index before everything recorded inside.
    """

    __slots__ = ("after", "call", "kind", "label", "outer", "start")

    def __init__(self, kind: str, label: Any, outer: Scope | None, call: Call | None = None) -> None:
        self.kind: str = kind
        self.label: Any = label
        self.outer: Scope | None = outer
        self.call: Call | None = call
        self.after: Sequence[Key] | None = None
        self.start: int = next(_indices)

    def within(self, kind: str) -> Scope | None:
        """The innermost scope of that kind, from here outwards."""
        scope: Scope | None = self
        while scope is not None and scope.kind != kind:
            scope = scope.outer
        return scope


class Replay:
    """A piece of program that is recorded as one entry, where an operation has its row: it keeps only what
    goes in, and is run again, recorded, when residuals come.

    Attributes:
        name: what tapes and errors call it.
        fresh: each residual that it sends on is an array that nothing else has.
    """

    case: Literal["replay"] = "replay"
    several: bool = True
    fresh: bool = False
    elementwise = masks = selects = flattens = False
    loops = into = spared = None
    verb = formula = ""

    def __init__(self, name: str) -> None:
        self.name = name
        self.symbol = name
        self.title = name

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Sequence[Any]:
        """As of a row."""
        raise NotImplementedError

    def push(self, np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Sequence[Any]:
        """As of a row."""
        raise NotImplementedError

    def unfold(self, entry: Entry, inputs: Sequence[Any]) -> Sequence[Any]:
        """From its entry and its operands to its results, recorded operation by operation."""
        raise NotImplementedError

    def batched(self, xs: Sequence[Any], marked: Sequence[bool], count: int) -> Sequence[Any] | None:
        """Its results for so many values of the marked operands, as :func:`..batches.run`; None where they
        cannot be run together."""
        return None

    def __repr__(self) -> str:
        return f"<{self.case} {self.name}>"


class Entry:
    """One recorded operation.

    Attributes:
        index: its place in the order of recording.
        row: which operation; or the piece of program that it is.
        inputs: its operands: tensors, or Python numbers.
        xs: their arrays as they were.
        params: its constants: axes, shapes, indices.
        needs: for each operand whether a residual should reach it.
        ys: the arrays that came out: one, unless the row has several.
        scope: where in the user's program.
    """

    __slots__ = ("__weakref__", "backend", "index", "inputs", "needs", "params", "row", "scope", "xs", "ys")

    def __init__(
        self, row: Row | Replay, backend: Backend, inputs: Sequence[Any], xs: Any, params: Any, needs: Any,
        ys: tuple[Array, ...], scope: Scope | None,
    ) -> None:  # fmt: skip
        self.index: int = next(_indices)
        self.row: Row | Replay = row
        self.backend: Backend = backend
        self.inputs: Sequence[Any] = inputs
        self.xs: Any = xs
        self.params: Any = params
        self.needs: Any = needs
        self.ys: tuple[Array, ...] = ys
        self.scope: Scope | None = scope

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

    result_type: type[Tensor]
    """What results are made of: the subclass that has the operators."""

    def __init__(
        self,
        data: Array,
        backend: Backend,
        requires_grad: bool = False,
        entry: Entry | None = None,
        position: int = 0,
    ) -> None:
        self._data = data
        self._backend = backend
        self.requires_grad: bool = requires_grad
        self.entry: Entry | None = entry
        self.position: int = position
        self._grad: Any = None
        self.name: str | None = None


def key_of(node: Node) -> Key:
    """What tells a tensor from all others: the index of its entry and its position among the results. For a
    leaf, −1 and its ``id``, which holds as long as the leaf is referred to."""
    return (-1, id(node)) if node.entry is None else (node.entry.index, node.position)
