"""The tape of a result: the entries that lead to it, in the order of recording."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from .. import arguments
from ..errors import TapeError
from ..tables import html
from .entry import Entry, Node

_RELEASED = "released"


class Tape(Sequence[Entry]):
    """The recorded entries that lead to a result, in order. Prints itself as a table;
    :func:`tinygrad_rnn.table` writes down what each operation does.

    >>> x = tg.tensor(1.0, requires_grad=True)
    >>> [entry.row.name for entry in tg.Tape.of(tg.tanh(x * x))]
    ['multiply', 'tanh']
    """

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    @classmethod
    def of(cls, *outputs: Node, since: int = -1) -> Tape:
        """The tape of one or several results; with ``since``, back to that index only.

        Raises:
            TapeError: an entry on the way was released.
        """
        entries: dict[int, Entry] = {}
        for node in outputs:
            if not isinstance(node, Node):
                raise arguments.refused("Tape.of: outputs", "tensors", node)
        since = since if type(since) is int else arguments.whole("Tape.of: since", since)
        todo = [node.entry for node in outputs if node.entry is not None and node.entry.index > since]
        while todo:
            entry = todo.pop()
            index = entry.index
            if index in entries:
                continue
            if entry.inputs is None:
                raise TapeError(
                    f"the tape was released (at entry {index}, {entry.row.name!r}): run the forward pass "
                    "again"
                )
            entries[index] = entry
            for x in itertools.compress(entry.inputs, entry.needs):
                maker = x.entry
                if maker is not None and maker.index > since and maker.index not in entries:
                    todo.append(maker)
        return cls([entries[index] for index in sorted(entries)])

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
        lines = [f"{'#':>5}  {'operation':<18} {'case':<12} {'shape':<18} inputs"]
        for place, name, case, shape, inputs in self._lines():
            if shape == _RELEASED:
                lines.append(f"{place:>5}  {name:<18} {case:<12} {shape}")
            else:
                lines.append(f"{place:>5}  {name:<18} {case:<12} {shape:<18} {inputs}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = ("#", "operation", "case", "shape", "inputs")
        rows = [(place, name, html.chip(case), *rest) for place, name, case, *rest in self._lines()]
        return html.block(html.table(head, rows, "><<<<"))

    def _lines(self) -> Iterator[tuple[str, str, str, str, str]]:
        """For each entry its place, name, case, shapes and inputs."""
        place = {entry.index: i for i, entry in enumerate(self)}
        for i, entry in enumerate(self):
            if entry.inputs is None:
                yield str(i), entry.row.name, entry.row.case, _RELEASED, ""
                continue
            shapes = [str(tuple(y.shape)) for y in entry.ys]
            shape = shapes[0] if len(set(shapes)) == 1 else ", ".join(shapes)
            shape += f" × {len(shapes)}" if len(shapes) > 1 and len(set(shapes)) == 1 else ""
            names = [_input_name(x, place) for x in entry.inputs]
            yield str(i), entry.row.name, entry.row.case, shape, ", ".join(names)


def _input_name(x: Any, place: dict[int, int]) -> str:
    if not isinstance(x, Node):
        return repr(x)
    if x.entry is not None and x.entry.index in place:
        part = f".{x.position}" if x.entry.row.several else ""
        return f"#{place[x.entry.index]}{part}"
    return x.name or f"{'leaf' if x.requires_grad else 'constant'} {tuple(x._data.shape)}"
