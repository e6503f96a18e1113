"""Matrix products over all steps at once, as the compiler asks a backend for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Products:
    """Matrix products that may wait for each other; here none does.

    Lazy: the array that a product returns is filled by :meth:`run`. Before that, only ``.T`` of it may be
    used. A block, ``with products:``, runs them at its end, also where it is interrupted: their memory is in
    use until then.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def matmul(self, a: Any, b: Any) -> Any:
        return self._backend.matmul(a, b)

    def rowwise(self, a: Any, b: Any) -> Any:
        """A @ B; where the library's own code computes it, each line is the same to the last bit whatever
        lines stand beside it."""
        return self.matmul(a, b)

    def over_rows(self, a: Any, b: Any, total: Any, order: int) -> Any:
        """Aᵀ @ B, added to a total: line by line of A and B, from the first (order 1) or the last (−1). Where
        the library's own code computes it, it is the same to the last bit wherever those lines are cut."""
        return self._added(self.matmul(a.T, b), total)

    def of_each(self, a: Any, b: Any, total: Any, order: int) -> Any:
        """Σₜ a[t, n, i] · b[t, n, j] for each n, i and j, added to a total, in the order that ``over_rows``
        has."""
        return self._added(self.matmul(a.transpose(1, 2, 0), b.transpose(1, 0, 2)), total)

    def _added(self, product: Any, total: Any) -> Any:
        return product if total is None else total + product

    def wait(self) -> None:
        """Wait until everything is there that pending products read."""

    def start(self) -> None:
        """Compute pending products in the background, if they are small."""

    def run(self) -> None:
        """Compute pending products."""

    def __enter__(self) -> Products:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exception: object) -> None:
        if kind is None:
            self.run()
        else:  # nobody will read what is pending
            self.wait()

    def total(self, parts: Sequence[Any]) -> Any:
        """The sum of arrays that may be pending."""
        if len(parts) > 1:
            self.run()
        return sum(parts[1:], parts[0])
