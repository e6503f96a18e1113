"""An array of another library."""

from __future__ import annotations

from typing import Any


class Foreign:
    """An array of a library that knows nothing but DLPack."""

    def __init__(self, array: Any, device: tuple[int, int] | None = None) -> None:
        self.array, self.device = array, device or array.__dlpack_device__()

    def __dlpack__(self, **words: Any) -> Any:
        words.pop("dl_device", None)
        return self.array.__dlpack__(**words)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device
