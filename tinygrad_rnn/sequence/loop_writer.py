"""Writing loops over indices as LLVM text: what every nest is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..backends.atoms import Value
from ..backends.native.loops import Endings, LoopEmitter
from .columns import Split
from .index import Index, Var
from .reader import Reader

_JOINS = {"max": "maximum", "min": "minimum"}


class LoopWriter(Reader):
    """Reads elements from memory, and goes round loops.

    Attributes:
        e: writes the function.

    Args:
        samples: how many there are, of which each thread has those from ``first`` to ``last``.
        split: the axis that threads share instead; then ``first`` is the thread's number, and ``last`` how
            many there are.
    """

    def __init__(self, samples: int, endings: Endings, split: Split | None = None) -> None:
        self.samples = samples
        self.endings = endings
        self.split = split
        self.e: LoopEmitter = LoopEmitter(endings)
        if split is not None:
            self._bounds = [self._bound(split, self.e.total([("%first", 1)], after)) for after in (0, 1)]
        super().__init__(self.e)
        self._registers: dict[Var, str] = {}
        self._longer: dict[Var, Var] = {}

    def _terms(self, index: Index) -> list[tuple[str, int]]:
        return [(self._registers[var], factor) for var, factor in index.terms.items()]

    def _at(self, index: Index) -> str:
        return self.e.total(self._terms(index), index.const)

    def _around(self, axes: Sequence[Var], body: Callable[[], None], parallel: bool = False) -> None:
        """Loops, the last of them the innermost."""
        if not axes:
            with self._scope():
                body()
            return

        def inside(i: str, _: list[str]) -> list[str]:
            self._registers[self._longer.get(axes[0], axes[0])] = i
            with self._scope():
                self._around(axes[1:], body, parallel)
            return []

        self._over(axes[0], inside, parallel=parallel and len(axes) == 1)

    def _over(
        self,
        axis: Var,
        body: Callable[[str, list[str]], list[str]],
        carried: Sequence[tuple[str, str]] = (),
        parallel: bool = False,
    ) -> list[str]:
        """A loop over an axis; of the samples, over this thread's."""
        if not self._is_shared(axis):
            return self.e.loop(axis.length, body, carried, parallel)
        first, end = self._share(axis)
        return self.e.loop(end, body, carried, parallel, start=first)

    def _share(self, axis: Var) -> tuple[str, str]:
        """The places of this thread's elements on the axis that is shared, or of its samples on an axis of
        all of them."""
        if not axis.batch:
            return self._bounds[0], self._bounds[1]
        first, end = (self.e.total([(name, axis.length // self.samples)]) for name in ("%first", "%last"))
        return first, end

    def _is_shared(self, axis: Var) -> bool:
        return axis.batch or (self.split is not None and axis is self.split.axis)

    def _bound(self, split: Split, thread: str) -> str:
        """Where the part of a thread begins."""
        e = self.e
        part = e.let(f"udiv i64 {e.let(f'mul i64 {thread}, {split.parts}')}, %last")
        whole = e.let(f"mul i64 {part}, {split.together}")
        return e.call("i64", "llvm.smin.i64", ("i64", whole), ("i64", str(split.axis.length)))

    def _summed(
        self,
        axes: Sequence[Var],
        body: Callable[[list[str]], list[str]],
        carried: Sequence[tuple[str, str]],
        parallel: bool = True,
    ) -> list[str]:
        """Loops that carry values around."""
        if not axes:
            with self._scope():
                return body([first for _, first in carried])

        def inside(i: str, known: list[str]) -> list[str]:
            self._registers[axes[0]] = i
            return self._summed(
                axes[1:], body, [(t, x) for (t, _), x in zip(carried, known, strict=True)], parallel
            )

        return self._over(axes[0], inside, carried, parallel=parallel and len(axes) == 1)

    def _joined(self, how: str, a: Value, b: Value) -> str:
        e, kind = self.e, a.kind
        if how in _JOINS:
            type_ = e.TYPES[kind]
            name = (
                f"llvm.{_JOINS[how]}.{kind}"
                if kind[0] == "f"
                else f"llvm.{'s' if kind != 'i1' else 'u'}{how}.{kind}"
            )
            return e.call(type_, name, (type_, a.text), (type_, b.text))
        if how == "sum" and kind[0] == "f":  # in any order: in vectors
            return e.let(f"fadd reassoc {e.TYPES[kind]} {a.text}, {b.text}")
        return (a & b if how == "all" else a | b if how == "any" else a + b).text
