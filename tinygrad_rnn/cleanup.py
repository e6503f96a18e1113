"""What is put back on every way out.

Python raises KeyboardInterrupt, and what other threads send, between any two instructions: also in the middle
of a ``finally`` and before the first instruction of an ``__exit__``. One interrupt cuts off one of them, so
here are two.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any


def with_cleanup(
    cleanup: Callable[[], object], function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """Call a function, and then ``cleanup()``, which may be called twice."""
    try:
        try:
            return function(*args, **kwargs)
        finally:
            cleanup()
    except BaseException:
        cleanup()
        raise


@contextlib.contextmanager
def no_collection() -> Iterator[None]:
    """Hundreds of thousands of objects are made and none of them is garbage: looking for some would take
    longer than all else."""
    was = gc.isenabled()
    try:
        try:
            gc.disable()
            yield
        finally:
            if was:
                gc.enable()
    finally:  # an interrupt may have cut off the other one
        if was:
            gc.enable()
