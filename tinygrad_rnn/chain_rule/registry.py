"""The rows of all operations that have a derivative."""

from __future__ import annotations

from .formula import table
from .row import Case, Row


class Registry(dict[str, Row]):
    """The rows by name. Prints itself as the rule table."""

    def add(self, row: Row) -> Row:
        if row.name in self:
            raise ValueError(f"there already is a row {row.name!r}: one rule is one row")
        self[row.name] = row
        return row

    def of(self, case: Case) -> list[Row]:
        return [row for row in self.values() if row.case == case]

    def __repr__(self) -> str:
        return table(self.values())


rows: Registry = Registry()
