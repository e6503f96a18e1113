"""Exchange with files and with other frameworks."""

from . import checkpoint

__all__ = ["checkpoint"]


def __dir__() -> list[str]:
    return __all__
