"""tinygrad_rnn: automatic differentiation for recurrent networks, built on three chain-rule cases.

import tinygrad_rnn as tg

x = tg.tensor([1.0, 2.0], requires_grad=True)
loss = tg.sum(tg.tanh(x) ** 2)
loss.backward()
print(x.grad, tg.Tape.of(loss), sep="\\n")
"""

from __future__ import annotations

import importlib
import types
from typing import TYPE_CHECKING, Any

from numpy import bool_ as bool_
from numpy import e as e
from numpy import float32 as float32
from numpy import float64 as float64
from numpy import inf as inf
from numpy import int32 as int32
from numpy import int64 as int64
from numpy import nan as nan
from numpy import newaxis as newaxis
from numpy import pi as pi

from . import linalg as linalg
from . import numpy_functions as _numpy_functions  # noqa: F401
from . import random as random
from . import torch_names as _torch_names
from .backends import available_backends as available_backends
from .backends import set_backend as set_backend
from .backends import use_backend as use_backend
from .chain_rule import rows as rows
from .check import check_gradients as check_gradients
from .derived.elementwise import *  # noqa: F403
from .derived.linalg import *  # noqa: F403
from .derived.losses import *  # noqa: F403
from .derived.products import *  # noqa: F403
from .derived.quantiles import *  # noqa: F403
from .derived.reductions import *  # noqa: F403
from .derived.shapes import *  # noqa: F403
from .errors import *  # noqa: F403
from .ops import as_tensor as _as_tensor
from .ops.addition import *  # noqa: F403
from .ops.choice import *  # noqa: F403
from .ops.composition import *  # noqa: F403
from .ops.create import *  # noqa: F403
from .ops.indexing import *  # noqa: F403
from .ops.shapes import *  # noqa: F403
from .ops.weighting import *  # noqa: F403
from .tape import Tape as Tape
from .tape import host as _host
from .tape import no_grad as no_grad
from .tape.host import set_default_dtype as set_default_dtype
from .tensor import Tensor as Tensor
from .tensor import from_dlpack as from_dlpack
from .tensor import tensor as tensor
from .transforms import *  # noqa: F403

asarray = _as_tensor
array = tensor

__version__ = "0.1.0"

_ON_DEMAND = {
    "nn": "nn",
    "optim": "optim",
    "data": "data",
    "train": "train",
    "summary": "nn.summary:summary",
    "interop": "interop",
    "scan": "sequence:scan",
    "explain": "sequence:explain",
    "memory_budget": "sequence:memory_budget",
    "set_memory_budget": "sequence:set_memory_budget",
    "clear_caches": "sequence:clear_caches",
    "draw": "graph:draw",
    "table": "paper:table",
    "flow": "diagnosis:flow",
    "memory": "diagnosis:memory",
    "detect_anomaly": "diagnosis.anomaly:detect_anomaly",
    "save": "interop.safetensors:save",
    "load": "interop.safetensors:load",
}
"""Names that are imported when they are first asked for: module, or module:name."""

if TYPE_CHECKING:
    import numpy

    from . import data as data
    from . import interop as interop
    from . import nn as nn
    from . import optim as optim
    from . import train as train
    from .diagnosis import flow as flow
    from .diagnosis import memory as memory
    from .diagnosis.anomaly import detect_anomaly as detect_anomaly
    from .graph import draw as draw
    from .interop.safetensors import load as load
    from .interop.safetensors import save as save
    from .nn.summary import summary as summary
    from .paper import table as table
    from .sequence import clear_caches as clear_caches
    from .sequence import explain as explain
    from .sequence import memory_budget as memory_budget
    from .sequence import scan as scan
    from .sequence import set_memory_budget as set_memory_budget

    default_dtype: numpy.dtype[Any]
else:

    def __getattr__(name: str) -> Any:
        if name == "default_dtype":
            return _host.default_dtype
        if name not in _ON_DEMAND:
            instead = _torch_names.FUNCTIONS.get(name)
            hint = "" if instead is None else f": write {instead}"
            raise AttributeError(f"module 'tinygrad_rnn' has no attribute {name!r}{hint}")
        module, _, part = _ON_DEMAND[name].partition(":")
        found = importlib.import_module(f".{module}", __name__)
        found = getattr(found, part) if part else found
        return globals().setdefault(name, found)


def __dir__() -> list[str]:
    """What users call: of the modules those that are not on the way to it only."""
    rooms = {"linalg", "random"}
    names = {
        name for name, value in globals().items() if name in rooms or not isinstance(value, types.ModuleType)
    }
    seen = {name for name in names if not name.startswith("_") or name.endswith("__")}
    return sorted({*seen, *_ON_DEMAND, "default_dtype"} - {"Any", "TYPE_CHECKING", "annotations"})
