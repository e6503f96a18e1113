"""The rows of all operations that have a derivative."""

from __future__ import annotations

from .. import arguments
from .formula import html_table, latex_table, table
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

    def _repr_html_(self) -> str:
        return html_table(self.values())

    def latex(self, case: Case | None = None) -> str:
        """The rule table in LaTeX, to put into a document that uses amsmath and longtable.

        >>> print(tg.rows.latex("weighting"))
        \\begin{tabular}{llll}
        ...
        multiply & weighting & $y = a \\odot b$ & $\\mathrm{d}a = \\mathrm{d}y \\odot b$ \\\\
        ...

        Args:
            case: only the rows of this case.

        Raises:
            ArgumentError: there is no such case.
        """
        if case is None:
            return latex_table(self.values())
        cases = list(dict.fromkeys(row.case for row in self.values()))
        if not isinstance(case, str) or case not in cases:
            raise arguments.refused("rows.latex: case", " or ".join(map(repr, cases)), case)
        return latex_table(self.of(case))


rows: Registry = Registry()
