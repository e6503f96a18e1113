"""The old name of :mod:`.safetensors`, for one more release."""

from __future__ import annotations

import warnings

from .safetensors import Checkpoint as Checkpoint
from .safetensors import load as load
from .safetensors import save as save

warnings.warn(
    "tinygrad_rnn.interop.checkpoint is called tinygrad_rnn.interop.safetensors now",
    DeprecationWarning,
    stacklevel=2,
)
