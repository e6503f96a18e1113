"""From series and texts to what layers take: NumPy arrays in, NumPy arrays out, on the host.

Sequences of different length become padded arrays with lengths; data of any nesting come in batches, in an
order that follows from a seed and can be gone on with; a long stream is cut into windows; series are scaled,
and their gaps are told apart from their values. Tasks that need a memory are made from chance.
"""

from .batching import batches, bucket
from .observation import missing
from .overlapping import sliding
from .padding import pad_sequences
from .scaling import MinMax, Standard
from .splitting import split
from .streams import windows
from .tasks import adding_problem, copying_memory, parity, spike_timing, temporal_order
from .vocabulary import Vocabulary

__all__ = [
    "MinMax",
    "Standard",
    "Vocabulary",
    "adding_problem",
    "batches",
    "bucket",
    "copying_memory",
    "missing",
    "pad_sequences",
    "parity",
    "sliding",
    "spike_timing",
    "split",
    "temporal_order",
    "windows",
]


def __dir__() -> list[str]:
    return __all__
