"""What is put back on every way out.

Python raises KeyboardInterrupt, and what other threads send, between any two instructions: also in the middle of a ``finally`` and before
the first instruction of an ``__exit__``. One interrupt cuts off one of them, so here are two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def with_cleanup(cleanup: Callable[[], object], function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function, and then ``cleanup()``, which may be called twice."""
    try:
        try:
            return function(*args, **kwargs)
        finally:
            cleanup()
    except BaseException:
        cleanup()
        raise
