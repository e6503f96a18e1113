"""Writing loops over indices as LLVM text: what every nest is made of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

from ..backends.atoms import Value
from ..backends.native.loops import Endings, LoopEmitter
from .elements import Reader
from .index import Index, Var

_JOINS = {"max": "maximum", "min": "minimum"}


class LoopWriter(Reader):
    """Reads elements from memory, and goes round loops.

    Attributes:
        e: writes the function.
    """

    def __init__(self, samples: int, endings: Endings) -> None:
        self.samples, self.endings = samples, endings
        self.e = LoopEmitter(endings)
        super().__init__(self.e)
        self._registers: dict[Var, str] = {}
        self._longer: dict[Var, Var] = {}

    def _terms(self, index: Index) -> list[tuple[str, int]]:
        return [(self._registers[var], factor) for var, factor in index.terms.items()]

    def _at(self, index: Index) -> str:
        return self.e.total(self._terms(index), index.const)

    @contextlib.contextmanager
    def _scope(self) -> Iterator[None]:
        """A block whose expressions are not known after it."""
        cache, known = dict(self.cache), dict(self.known)
        yield
        self.cache, self.known = cache, known

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
        self, axis: Var, body: Callable[[str, list[str]], list[str]], carried: Sequence[tuple[str, str]] = (), parallel: bool = False
    ) -> list[str]:
        """A loop over an axis; of the samples, over this thread's."""
        if not axis.batch:
            return self.e.loop(axis.length, body, carried, parallel)
        first, end = self._share(axis)
        return self.e.loop(end, body, carried, parallel, start=first)

    def _share(self, axis: Var) -> tuple[str, str]:
        """The places of this thread's samples on an axis of all of them."""
        first, end = (self.e.total([(name, axis.length // self.samples)]) for name in ("%first", "%last"))
        return first, end

    def _summed(
        self, axes: Sequence[Var], body: Callable[[list[str]], list[str]], carried: Sequence[tuple[str, str]], parallel: bool = True
    ) -> list[str]:
        """Loops that carry values around."""
        if not axes:
            with self._scope():
                return body([first for _, first in carried])

        def inside(i: str, known: list[str]) -> list[str]:
            self._registers[axes[0]] = i
            return self._summed(axes[1:], body, [(t, x) for (t, _), x in zip(carried, known, strict=True)], parallel)

        return self._over(axes[0], inside, carried, parallel=parallel and len(axes) == 1)

    def _joined(self, how: str, a: Value, b: Value) -> str:
        e, kind = self.e, a.kind
        if how in _JOINS:
            type_ = e.TYPES[kind]
            name = f"llvm.{_JOINS[how]}.{kind}" if kind[0] == "f" else f"llvm.{'s' if kind != 'i1' else 'u'}{how}.{kind}"
            return e.call(type_, name, (type_, a.text), (type_, b.text))
        if how == "sum" and kind[0] == "f":  # in any order: in vectors
            return e.let(f"fadd reassoc {e.TYPES[kind]} {a.text}, {b.text}")
        return (a & b if how == "all" else a | b if how == "any" else a + b).text
