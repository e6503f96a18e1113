"""Exchange with files and with other frameworks."""

from . import c, safetensors

__all__ = ["c", "safetensors"]


def __dir__() -> list[str]:
    return __all__
