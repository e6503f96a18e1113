"""What was recorded, read as a whole: the opened tape of some results, what things on it are called, and its
time steps."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

from ..tape import Node, Tape
from .chain import Chain
from .names import Names
from .opened import Opened
from .owners import Owners
from .steps import find_chains
from .words import plain


class Recording:
    """Results and what led to them.

    Args:
        results: tensors on a tape.
        starts: tensors that were made on the way to them.
        program: the frame that asks: things are called by its variables.

    Attributes:
        tape: what led to the results, with replays opened.
        results, starts: as they are on that tape.
        names, owners: what tensors, and modules and cells, are called.

    Raises:
        TapeError: it was released, or cannot be opened as it was.
    """

    def __init__(self, results: Sequence[Node], starts: Sequence[Node], program: types.FrameType) -> None:
        opened = Opened([*results, *starts])
        self.results: list[Any] = opened.results[: len(results)]
        self.starts: list[Any] = opened.results[len(results) :]
        self.tape: Tape = Tape.of(*self.results)
        self.owners: Owners = Owners(self.tape, _variables(program))
        self.names: Names = Names(self.tape, program.f_locals, opened.origin, self.owners.parameters)
        self.name_of: Callable[[Node], str] = functools.cache(self._name_of)

    @cached_property
    def chains(self) -> list[Chain]:
        """The time steps."""
        return find_chains(self.tape, self.name_of, self.owners.of_chain)

    def holds_starts(self) -> bool:
        """Whether all starts are on the tape."""
        places = {entry.index for entry in self.tape}
        return all(y.entry is not None and y.entry.index in places for y in self.starts)

    def _name_of(self, x: Node) -> str:
        """What the user calls a tensor, without its time, or ""."""
        return plain(self.names.stem_of(x), limit=60)


def _variables(frame: types.FrameType) -> list[Mapping[str, Any]]:
    """Those that a piece of program sees, the nearest first; a comprehension or a lambda sees those around
    it."""
    variables: list[Mapping[str, Any]] = [frame.f_locals]
    outer: types.FrameType | None = frame
    while outer is not None and outer.f_code.co_name.startswith("<") and outer.f_code.co_name != "<module>":
        outer = outer.f_back
        if outer is not None:
            variables.append(outer.f_locals)
    return [*variables, frame.f_globals]
