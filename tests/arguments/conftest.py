"""Calls with any values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _code_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A call that clears the caches clears no other test's machine code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path_factory.mktemp("code")))
        yield
