"""``python -m benchmarks``: every table; ``python -m benchmarks eager sequence``: some of them."""

from __future__ import annotations

import sys

from . import (
    cells,
    derivatives,
    eager,
    grid,
    handover,
    latency,
    masks,
    memory,
    pictures,
    scaling,
    sequence,
    steps,
    training,
    walks,
)

TABLES = {
    "eager": eager.main,
    "sequence": sequence.main,
    "cells": cells.main,
    "grid": grid.main,
    "steps": steps.main,
    "masks": masks.main,
    "derivatives": derivatives.main,
    "training": training.main,
    "memory": memory.main,
    "latency": latency.main,
    "scaling": scaling.main,
    "handover": handover.main,
    "pictures": pictures.main,
    "walks": walks.main,
}

for name in sys.argv[1:] or TABLES:
    if name not in TABLES:
        sys.exit(f"there is no table {name!r}: choose from {', '.join(TABLES)}")
    TABLES[name]()
