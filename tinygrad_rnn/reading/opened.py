"""A tape on which every replay is opened: what a compiled scan, a checkpoint or a kernel did, operation by
operation.

    x ─[scan]─ y ─[sum]─ loss      becomes      x ─[unstack]─ … ─[tanh]─ … ─[stack]─ y′ ─[sum′]─ loss′

The opened tape shows the run that was recorded, whatever parameters, attributes and modes have become since.
A replay is run again on the arrays that its operands had (``Entry.xs``); all other operations are copied, not
computed. What cannot be run again as it was is a TapeError, as it is for a backward pass. The recorded tape
stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..tape import (
    Call,
    Entry,
    Key,
    Node,
    Replay,
    Scope,
    Tape,
    check_unchanged,
    in_scope,
    key_of,
    now,
    recording,
)
from .lines import copy_line
from .steps import outwards


class Opened:
    """Results on a tape without replays.

    Attributes:
        results: in place of those that were asked for; the same where nothing was to be opened.
        origin: for each tensor that stands in place of another, by its key, the key of that other.

    Raises:
        TapeError: a replay cannot be run again as it was, or an array was written into.
    """

    def __init__(self, results: Sequence[Node]) -> None:
        self.origin: dict[Key, Key] = {}
        self._new: dict[Key, Node] = {}
        self._scopes: dict[Scope, Scope] = {}
        tape = Tape.of(*results)
        if _replays(tape):
            check_unchanged(tape)
            self._open(tape)
        for scope in self._scopes.values():
            scope.after = scope.after and [
                key_of(self._new[key]) if key in self._new else key for key in scope.after
            ]
        self.results: list[Any] = [self._moved(y) for y in results]

    def _open(self, tape: Tape) -> None:
        for entry in tape:
            inputs = [self._moved(x) for x in entry.inputs]
            stands = (
                self._unfolded(entry.row, entry, inputs)
                if isinstance(entry.row, Replay)
                else self._copied(entry, inputs)
            )
            for position, y in enumerate(stands):
                self._new[entry.index, position] = y
                if key_of(y)[0] > entry.index:  # a scan may hand on what went into it
                    self.origin[key_of(y)] = self.origin.get((entry.index, position), (entry.index, position))

    def _moved(self, x: Any) -> Any:
        """A tensor of the recorded tape as it is on the opened one."""
        new = self._new.get(key_of(x)) if isinstance(x, Node) else None
        if new is None:
            return x
        if key_of(new) in self.origin:
            new.name = new.name or x.name
        return new

    def _scope(self, scope: Scope | None) -> Scope | None:
        """A scope, with tensors of the opened tape in place of the recorded ones."""
        if scope is None:
            return None
        if scope not in self._scopes:
            new = Scope(
                scope.kind,
                scope.label,
                self._scope(scope.outer),
                scope.call and _mapped(self._moved, scope.call),
            )
            new.after = scope.after
            self._scopes[scope] = self._scopes[new] = new
        return self._scopes[scope]

    def _copied(self, entry: Entry, inputs: Sequence[Any]) -> tuple[Node, ...]:
        """An operation with other operands: nothing is computed. Its results as tensors."""
        needs = tuple([needed and x.requires_grad for x, needed in zip(inputs, entry.needs, strict=True)])
        if True not in needs:
            return tuple([Node.result_type(y, entry.backend) for y in entry.ys])
        copy = Entry(
            entry.row,
            entry.backend,
            inputs,
            entry.xs,
            entry.params,
            needs,
            entry.ys,
            self._scope(entry.scope),
        )
        copy_line(entry, copy)
        return copy.results()

    def _unfolded(self, replay: Replay, entry: Entry, inputs: Sequence[Node]) -> list[Node]:
        """The results of a replay that is run again, recorded where it was; replays inside of it are opened
        in turn."""
        own = [
            x if x._data is array else _with_array(x, array)
            for x, array in zip(inputs, entry.xs, strict=True)
        ]
        stand_ins = {id(one): x for one, x in zip(own, inputs, strict=True) if one is not x}
        since = now()
        with recording(), entry.backend.quiet():
            results = list(in_scope(self._scope(entry.scope), replay.unfold, entry, own))

        def linked(x: Any) -> Any:
            """For a stand-in the tensor itself; for a recorded tensor that the code read, the opened one."""
            return self._moved(stand_ins.get(id(x), x))

        inside = Tape.of(*results, since=since)
        for one in inside:
            if any(isinstance(x, Node) and key_of(x)[0] < since for x in one.inputs):
                one.inputs = [linked(x) for x in one.inputs]
        for scope in {outer for innermost in {one.scope for one in inside} for outer in outwards(innermost)}:
            if scope.start > since and scope.call is not None:
                scope.call = _mapped(linked, scope.call)
        if _replays(inside):
            self._open(inside)
        return [self._moved(linked(y)) for y in results]


def _replays(tape: Tape) -> bool:
    return any(isinstance(entry.row, Replay) for entry in tape)


def _with_array(x: Node, array: Any) -> Node:
    """The same tensor with the array that it had."""
    return Node.result_type(array, x._backend, x.requires_grad, x.entry, x.position)


def _mapped(function: Callable[[Any], Any], call: Call) -> Call:
    return call[0], tree.map_leaves(function, call[1]), tree.map_leaves(function, call[2])
