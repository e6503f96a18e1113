"""Matrix products over all steps at once, as the compiler asks a backend for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Products:
    """Matrix products that may wait for each other; here none does.

    What ``matmul`` returns is there after ``run``; until then nothing but a transpose may be made of it. A
    block, ``with products:``, runs them at its end, also where it is interrupted: memory is in use until
    then.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def matmul(self, a: Any, b: Any) -> Any:
        return self._backend.matmul(a, b)

    def rows(self, a: Any, b: Any) -> Any:
        """A @ B, each row the same to the last bit whatever rows there are beside it, where ours is the
        product."""
        return self.matmul(a, b)

    def over_rows(self, a: Any, b: Any, total: Any, order: int) -> Any:
        """Aᵀ @ B, added to a total; row by row, from the first (order 1) or the last (−1), so where ours is
        the product it comes out the same to the last bit wherever the rows are cut."""
        return self._added(self.matmul(a.T, b), total)

    def of_each(self, a: Any, b: Any, total: Any, order: int) -> Any:
        """Σₜ a[t, n, i] · b[t, n, j] for each n, i and j, added to a total, in the order that ``over_rows``
        has."""
        return self._added(self.matmul(a.transpose(1, 2, 0), b.transpose(1, 0, 2)), total)

    def _added(self, product: Any, total: Any) -> Any:
        return product if total is None else total + product

    def wait(self) -> None:
        """Until all is there that products read."""

    def start(self) -> None:
        """Have what was promised made meanwhile, if it is little."""

    def run(self) -> None:
        """Make what was promised."""

    def __enter__(self) -> Products:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.run()
        else:  # nobody will read what was promised
            self.wait()

    def total(self, parts: Sequence[Any]) -> Any:
        """The sum of arrays that may be promised."""
        if len(parts) > 1:
            self.run()
        return sum(parts[1:], parts[0])
