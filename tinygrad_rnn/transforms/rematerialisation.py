"""Running a function again in the backward pass instead of keeping what it computed: memory for time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .. import arguments, random
from ..tape import apply_replay
from .signatures import P, Y


def checkpoint(f: Callable[P, Y]) -> Callable[P, Y]:
    """f, keeping only its arguments for the backward pass and running it again there: memory for time.

    Everything f uses is found by itself, also parameters it closes over. When it is run again it draws the
    same random numbers: from ``tg.random``, ``random`` and ``np.random``, whose states are put back for it.
    What comes out is compared with what came out first, bit for bit, and so are the operations that led to
    it: if f did something else the second time (it draws from a generator of its own, counts its calls, reads
    a setting that changed), the backward pass is a TapeError and no gradient is wrong.

    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> tg.checkpoint(tg.square)(x).backward()
    >>> x.grad
    tensor(6., dtype=float32)
    """

    arguments.function("checkpoint: f", f)

    @functools.wraps(f)
    def checkpointed(*args: P.args, **kwargs: P.kwargs) -> Y:
        states, call = random.States(), functools.partial(f, **kwargs) if kwargs else f

        def again(*again_args: Any) -> Any:
            return states.during(call, *again_args)

        return apply_replay("checkpoint", call, again, args)

    return checkpointed
