"""What is drawn with less than all of its operations: functions that are made of several, and transposes.

    z ─[−]─[exp]─┬─[Σ]─[log]─[+]─[×]─ loss       z ─[cross_entropy]─ loss
                 …
    x ─┬───[@]                                   x ─┬─[@]
    W ─[ᵀ]──┘                                    Wᵀ ─┘

A function is one node where its operations are a call of their own: nothing but its results is used outside,
and those are not used inside. A transpose belongs to the ``@`` that it feeds, where nothing else asks for it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ..reading.matrices import multiplies_matrices, swaps_matrices
from ..reading.steps import outwards
from ..tape import Entry, Node, Scope, Tape
from .sources import Leaf, Source, Sources

Place = tuple[int, int]
"""The place of an entry, and a position among its results."""


@dataclass(frozen=True, eq=False)
class Function:
    """A call of a function that is drawn as one node.

    Attributes:
        name: the function's.
        places, entries: its operations.
        results: those of them whose results are used outside.
        sources: where its operands come from.
        operands: for each of these the (entry, operand) where it goes in.
    """

    name: str
    places: Sequence[int]
    entries: Sequence[Entry]
    results: Sequence[Entry]
    sources: Sequence[Source]
    operands: Sequence[Sequence[tuple[Entry, int]]]

    @property
    def count(self) -> str:
        return f"{len(self.entries)} operations"

    @property
    def cases(self) -> str:
        """How many operations there are of each case."""
        counts = Counter(entry.row.case for entry in self.entries)
        named = [(counts[case], case) for case in ("composition", "addition", "weighting") if counts[case]]
        return ", ".join(f"{count} {case}" for count, case in named)


class Folding:
    """What a picture of a tape folds.

    Args:
        outputs: the results of everything.
        starts: where residuals start; what they start at is drawn.
        names: the results that have names.
        name_of_leaf: what a tensor from outside is called, or "".
        functions: whether functions are folded, not transposes only.

    Attributes:
        functions: in the order of the tape.
        function_of: by place of an operation the function that it is part of.
        transposed: by place of a transpose that belongs to what it feeds, what it transposes.
    """

    def __init__(
        self,
        tape: Tape,
        sources: Sources,
        outputs: Collection[Place],
        starts: Collection[Place],
        names: Collection[Place],
        name_of_leaf: Callable[[Node], str],
        functions: bool,
    ) -> None:
        self._tape, self._sources, self._name_of_leaf = tape, sources, name_of_leaf
        self._kept = {place for place, _ in starts}
        self._users: dict[int, list[int]] = defaultdict(list)
        for place, operands in enumerate(sources.of):
            for source in operands:
                if isinstance(source, int):
                    self._users[source].append(place)
        self._outputs = {place for place, _ in outputs}
        calls = calls_of(tape) if functions else {}
        self.functions: list[Function] = [
            function
            for scope, places in calls.items()
            if (function := self._function(str(scope.label), places)) is not None
        ]
        self.function_of: dict[int, Function] = {
            place: function for function in self.functions for place in function.places
        }
        named = {place for place, _ in names}
        self.transposed: dict[int, Source] = {
            place: sources.of[place][0]
            for place, entry in enumerate(tape)
            if swaps_matrices(entry) and place not in named and self._feeds_products_only(place)
        }

    def source(self, source: Source) -> Source:
        """What is drawn in place of a transpose that belongs to what it feeds: what it transposes."""
        return self.transposed.get(source, source) if isinstance(source, int) else source

    def _function(self, name: str, places: Sequence[int]) -> Function | None:
        inside = set(places)
        results = [
            place
            for place in places
            if place in self._outputs or not inside.issuperset(self._users.get(place, ()))
        ]
        mixed = any(not inside.isdisjoint(self._users.get(place, ())) for place in results)
        if mixed or not (self._kept & inside).issubset(results):
            return None
        operands: dict[Source, list[tuple[Entry, int]]] = {}
        for place in places:
            for i, source in enumerate(self._sources.of[place]):
                if source not in inside and self._is_shown(place, i):
                    operands.setdefault(source, []).append((self._tape[place], i))
        return Function(
            name,
            places,
            [self._tape[place] for place in places],
            [self._tape[place] for place in results],
            list(operands),
            list(operands.values()),
        )

    def _is_shown(self, place: int, operand: int) -> bool:
        """Whether an operand is the caller's: what a function makes for itself has no name."""
        entry, source = self._tape[place], self._sources.of[place][operand]
        if isinstance(source, Leaf):
            return bool(entry.needs[operand] or self._name_of_leaf(self._sources.leaves[source.index]))
        return isinstance(source, int)

    def _feeds_products_only(self, place: int) -> bool:
        users = self._users.get(place, ())
        return (
            bool(users)
            and place not in self._kept
            and place not in self._outputs
            and place not in self.function_of
            and all(multiplies_matrices(self._tape[user]) and user not in self.function_of for user in users)
        )


def calls_of(tape: Tape) -> dict[Scope, list[int]]:
    """The places of the operations of each call of a function that is made of several; none where all of the
    tape is one call."""
    known: dict[Scope | None, Scope | None] = {}
    calls: dict[Scope, list[int]] = defaultdict(list)
    for place, entry in enumerate(tape):
        scope = entry.scope
        if scope not in known:
            known[scope] = next((s for s in outwards(scope) if s.kind == "function"), None)
        call = known[scope]
        if call is not None:
            calls[call].append(place)
    return {scope: places for scope, places in calls.items() if 1 < len(places) < len(tape)}
