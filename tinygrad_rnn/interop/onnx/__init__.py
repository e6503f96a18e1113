"""ONNX files, both ways: models of other frameworks as modules, and modules as models for other programs.

The package ``onnx`` reads and writes the format. What a file computes, the library computes itself.
"""

from .model import Model as Model
from .model import load as load
from .writing import export as export

__all__ = ["Model", "export", "load"]


def __dir__() -> list[str]:
    return __all__
