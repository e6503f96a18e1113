"""Names that a state dict and a module do not share, and what may be the matter with them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class LoadedNames(NamedTuple):
    """The names that a state dict and a module do not share.

    Attributes:
        missing_keys: those of the module alone: they kept their values.
        unexpected_keys: those of the state dict alone: they were not used.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def advice_of(names: LoadedNames) -> list[str]:
    """What to do about a prefix that all unexpected names have, as a wrapper around the model gives them, or
    that all names lack which are missing."""
    if prefix := _prefix(names.unexpected_keys, names.missing_keys):
        return [
            f"all unexpected names begin with {prefix!r}: give them without it, as "
            f"tg.load(path).part({prefix[:-1]!r}) does"
        ]
    if prefix := _prefix(names.missing_keys, names.unexpected_keys):
        return [f"all missing names begin with {prefix!r}: put it before the names"]
    return []


def _prefix(longer: Collection[str], shorter: Collection[str]) -> str | None:
    """What all of some names begin with and others do not, up to a dot."""
    first, known = next(iter(longer), ""), set(shorter)
    prefixes = (first[: i + 1] for i, letter in enumerate(first) if letter == ".")
    for prefix in prefixes:
        if not all(name.startswith(prefix) for name in longer):
            return None
        if any(name.removeprefix(prefix) in known for name in longer):
            return prefix
    return None
