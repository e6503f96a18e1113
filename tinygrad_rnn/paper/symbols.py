"""What each tensor of a tape is called in formulas: every one has a symbol, and no two have the same.

f, i = split(a)                     a_f, a_i = split(a)         one name for a gate before and after its σ:
f = σ(f)                            f = σ(a_f)                  before it, it is a_f
c = f * c                           c[1] = f[1] × c[0]          inside of steps a name has its time
h * h                               #7 = h[1] × h[1]            what nobody named is called by its place
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..reading.chain import Chain
from ..reading.recording import Recording
from ..reading.words import formatted, plain, short, stem
from ..tables import latex
from ..tape import Entry, Key, Node, key_of

_LETTERS = 20
"""Of a name in LaTeX: a line has room for a few of them."""


@dataclass(frozen=True)
class Symbol:
    """A name in a formula.

    Attributes:
        text, latex: as it is written.
        name: what the user calls it, without its time, or "".
    """

    text: str
    latex: str
    name: str = ""

    @property
    def residual(self) -> Symbol:
        """What its residual is called."""
        return Symbol(f"δ({self.text})", rf"\delta_{{{self.latex}}}")


class Symbols:
    """The symbols of all tensors on a tape.

    Attributes:
        leaves: tensors that the tape begins with, by the order of their first use, and what they held then.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._place = {entry.index: i for i, entry in enumerate(recording.tape)}
        self.leaves: dict[Key, tuple[Node, Any]] = {}
        self._tensors: dict[Key, Node] = {}
        self._used_by: dict[Key, list[Entry]] = {}
        for entry in recording.tape:
            for x, array in zip(entry.inputs, entry.xs, strict=True):
                if isinstance(x, Node):
                    self._met(x, array)
                    self._used_by.setdefault(key_of(x), []).append(entry)
            for y in entry.results():
                self._tensors.setdefault(key_of(y), y)
        for y in recording.results:
            self._met(y, y._data)
        self._states = {
            key: (chain, i)
            for chain in recording.chains
            for i in range(chain.count)
            for key in chain.tensors_of(i)
        }
        self._before = {key_of(x): symbol for x, symbol in self._before_gates()}
        self._symbols: dict[Key, Symbol] = {}
        taken: set[str] = set()
        for key in [*self.leaves, *(key for key in self._tensors if key not in self.leaves)]:
            symbol = next(one for one in self._candidates(key) if not {one.text, one.latex} & taken)
            taken |= {symbol.text, symbol.latex}
            self._symbols[key] = symbol

    def of(self, x: Any) -> Symbol:
        """The symbol of a tensor; of a Python number the number."""
        if isinstance(x, Node):
            return self._symbols[key_of(x)]
        text = formatted(abs(x), 6) if not isinstance(x, bool) else str(x)
        text = f"−{text}" if x < 0 else text
        return Symbol(text, text.replace("−", "-"))

    def by_key(self, key: Key) -> Symbol:
        """The symbol of what has this key."""
        return self._symbols[key]

    def shapes(self) -> dict[Key, tuple[int, ...]]:
        return {key: tuple(self._tensors[key]._data.shape) for key in self._symbols}

    def names(self) -> list[str]:
        """Those that users gave, each once."""
        return list(dict.fromkeys(symbol.name for symbol in self._symbols.values() if symbol.name))

    def keys_of(self, name: str) -> list[Key]:
        """The tensors that a user may mean by a name: as formulas have it, or without its time."""
        exact = [key for key, symbol in self._symbols.items() if symbol.text == name]
        return exact or [key for key, symbol in self._symbols.items() if symbol.name == name]

    def _met(self, x: Node, array: Any) -> None:
        key = key_of(x)
        if key[0] not in self._place:
            self.leaves.setdefault(key, (x, array))
        if x.name or key not in self._tensors:  # what a user named is not the object that an entry makes anew
            self._tensors[key] = x

    def _candidates(self, key: Key) -> Iterator[Symbol]:
        """What a tensor might be called, the best first: its name and time, its name and place."""
        x = self._tensors[key]
        name, time = self._name(x), self._step(x)
        base = self._before.get(key, name)
        if base:
            time = "" if time is None else f"[{time}]"
            yield Symbol(f"{base}{time}", latex.name(f"{short(base, _LETTERS)}{time}"), name)
        base = base and short(base, _LETTERS)
        place = self._numbered(key)
        if key in self.leaves:
            text, above = f"{base or 'leaf'}#{place}", rf"{latex.name(base or 'leaf')}^{{\#{place}}}"
        else:
            text, above = f"{base}#{place}", f"{latex.name(base or 'z')}^{{({place})}}"
        for primes in itertools.count():
            yield Symbol(text + "′" * primes, f"{{{above}}}" + "'" * primes if primes else above, name)

    def _numbered(self, key: Key) -> str:
        """The place of what made a tensor; with its own among several results. Leaves are counted apart."""
        entry = self._tensors[key].entry
        if entry is None or key in self.leaves:
            return str(list(self.leaves).index(key) + 1)
        return f"{self._place[key[0]]}.{key[1]}" if entry.row.several else str(self._place[key[0]])

    def _name(self, x: Node) -> str:
        state = self._states.get(key_of(x))
        if state is not None:
            chain, number = state
            return plain(chain.states[number], 60)
        name = self._recording.names.of(x)
        return plain(name if self._step(x) is None else stem(name), 60)

    # -- time ------------------------------------------------------------------------------------------------

    def _step(self, x: Node) -> str | None:
        """The time of a tensor that was made in a step, that is a state before the first, or that one step
        alone uses."""
        key = key_of(x)
        for chain in self._recording.chains:
            step = chain.step_of(key)
            if step is not None:
                return str(chain.labels[step])
            if self._states.get(key, (None,))[0] is chain:
                return _before_first(chain)
            used = {chain.step_of((entry.index, 0)) for entry in self._used_by.get(key, ())}
            if key in self.leaves and not x.requires_grad and len(used) == 1 and None not in used:
                return str(chain.labels[used.pop() or 0])
        return None

    def _before_gates(self) -> Iterator[tuple[Node, str]]:
        """What has the same name as what a function makes of it: called ``a_`` and that."""
        for entry in self._recording.tape:
            if len(entry.inputs) != 1 or entry.row.case != "composition":
                continue
            (x,) = entry.inputs
            name = self._name(entry.results()[0])
            if name and isinstance(x, Node) and self._name(x) == name:
                yield x, f"a_{name}"


def _before_first(chain: Chain) -> str:
    """The time of a state before the first step."""
    first = chain.labels[0]
    if not isinstance(first, int):
        return "start"
    return str(first + (1 if chain.reversed else -1)).replace("-", "−")
