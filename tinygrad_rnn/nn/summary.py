"""What a model consists of: its modules as a tree, what comes out of each, and how many numbers it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .. import arguments, backends, random, tree
from ..arguments import DTypeLike
from ..errors import DtypeError
from ..reading.words import table
from ..tables import html
from ..tape import host, no_grad
from ..tensor import Tensor
from .carrying import fresh_states
from .modes import evaluating
from .module import Module, calls_noted

_HEAD = ("module", "class", "output", "parameters")


class Row(NamedTuple):
    """One module.

    Attributes:
        name: where it stands in the model, dotted; "" for the model itself.
        kind: its class.
        shapes: of the tensors that came out of its last call; empty where it was not called by itself.
        parameters: how many numbers it learns, those of the modules inside of it too.
        frozen: how many it holds that do not learn.
    """

    name: str
    kind: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int
    frozen: int


class Summary(Sequence[Row]):
    """What :func:`summary` returns; printed as a table.

    Attributes:
        rows: a line for each module, from outside to inside.
        parameters: how many numbers the model learns; what is shared counts once.
        frozen: how many it holds that do not learn.
        bytes: what all of them take.
    """

    def __init__(self, rows: Sequence[Row], size: int) -> None:
        self.rows: list[Row] = list(rows)
        self.parameters: int = rows[0].parameters
        self.frozen: int = rows[0].frozen
        self.bytes: int = size

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __str__(self) -> str:
        lines = [_HEAD]
        for row in self.rows:
            path = row.name.split(".") if row.name else []
            name = "  " * len(path) + path[-1] if path else row.kind
            lines.append((name, row.kind, " ".join(map(str, row.shapes)), _count(row)))
        return "\n".join([*table(lines, "<<<>"), self._total()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The table, with each module's share of all numbers as a bar."""
        whole = max(self.parameters + self.frozen, 1)
        rows = []
        for row in self.rows:
            path = row.name.split(".") if row.name else []
            name = html.indented(path[-1] if path else row.kind, len(path))
            share = html.bar((row.parameters + row.frozen) / whole, _count(row))
            rows.append((name, row.kind, " ".join(map(str, row.shapes)), share))
        return html.block(html.table(_HEAD, rows, "<<<<"), html.paragraph(self._total()))

    def _total(self) -> str:
        frozen = f", {self.frozen:,} more do not learn" if self.frozen else ""
        return f"{self.parameters:,} parameters{frozen}; {self.bytes:,} bytes"


def _count(row: Row) -> str:
    return f"{row.parameters:,}" + (f" + {row.frozen:,} frozen" if row.frozen else "")


def summary(model: Module, *inputs: object, dtype: DTypeLike | None = None) -> Summary:
    """A table of a model's modules: class, shape of the output, number of parameters. With inputs the model
    is called once, on zeros where a shape stands for one; random numbers and modes are as before.

    >>> model = tg.nn.Sequential(tg.nn.Linear(3, 4), tg.nn.Linear(4, 2))
    >>> print(tg.summary(model, (5, 3)))
    module      class       output  parameters
    Sequential  Sequential  (5, 2)          26
      0         Linear      (5, 4)          16
      1         Linear      (5, 2)          10
    26 parameters; 104 bytes

    Args:
        model: a module.
        inputs: what it is called with: shapes, or tensors and arrays, in tuples as it takes them; none to
            leave the shapes out.
        dtype: of zeros; that of the parameters by default. Class numbers need "int64".

    Raises:
        ArgumentError: there is no module.
        DtypeError: the model takes whole numbers where zeros of a float dtype came.
        TinygradRNNError: what the model raises.
    """
    arguments.instance("summary: model", model, Module)
    dtype = arguments.optional(arguments.dtype, "summary: dtype", dtype)
    parameters = list(model.parameters())
    first = parameters[0] if parameters else None
    wanted, default = dtype, host.default_dtype if first is None else first.dtype
    made = [_input(x, default if wanted is None else wanted, first) for x in inputs]
    try:
        seen = _called(model, made) if inputs else {}
    except DtypeError as error:
        given = {id(leaf) for leaf in tree.leaves(inputs)}
        if wanted is not None or all(id(leaf) in given for leaf in tree.leaves(made)):
            raise
        raise DtypeError(
            f"{error}; summary called the model with zeros of {default} where a shape stood: for class "
            'numbers give dtype="int64", or an array instead of the shape'
        ) from error
    rows = []
    for name, module in model.named_modules():
        held = list(module.parameters())
        learned = sum(p.size for p in held if p.requires_grad)
        frozen = sum(p.size for p in held) - learned
        rows.append(Row(name, type(module).__name__, seen.get(id(module), ()), learned, frozen))
    return Summary(rows, sum(p.size * p.dtype.itemsize for p in parameters))


def _input(x: Any, dtype: Any, first: Tensor | None) -> Any:
    """Zeros for a shape, also for those inside a tuple; anything else as it is."""
    if not isinstance(x, tuple):
        return x
    if not all(isinstance(n, int) for n in x):
        return tuple(_input(part, dtype, first) for part in x)
    backend = backends.current() if first is None else first._backend
    return Tensor(backend.zeros(arguments.shape("summary: inputs", x), dtype), backend)


def _called(model: Module, inputs: Sequence[Any]) -> dict[int, tuple[tuple[int, ...], ...]]:
    """The shapes of what came out of each module, by its identity."""
    states = random.States()
    try:
        with evaluating(model), fresh_states(model), no_grad(), calls_noted() as calls:
            model(*inputs)
    finally:
        states.restore()
    return {
        id(module): tuple(leaf.shape for leaf in tree.leaves(result) if isinstance(leaf, Tensor))
        for module, result in calls
    }
