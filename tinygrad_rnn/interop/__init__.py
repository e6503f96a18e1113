"""Exchange with files and with other frameworks."""

from . import safetensors

__all__ = ["safetensors"]


def __dir__() -> list[str]:
    return __all__
