"""Files that are whole or not there: written beside their place, brought to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from . import arguments
from .errors import CheckpointError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], error: type[Exception] = CheckpointError) -> Iterator[Path]:
    """A block that writes a temporary file, which takes the place of ``path`` when the block ends well.

    Args:
        path: the file.
        error: what is raised if it cannot be written (disk full, no permission, no such folder); what was at ``path`` is as before.

    The temporary file lies in the same folder, so that the rename is one step, and keeps the ending, which tells programs the format.
    """
    path = Path(arguments.path("path", path))
    if os.path.exists(path) and not os.path.isfile(path):  # of a name that is too long, Path's own would raise an error
        raise error(f"cannot write {path}: it is there already and is no file; choose another name")
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        _to_disk(path.parent)
    except OSError as reason:
        raise error(f"cannot write {path}: {reason.strerror or reason}; {_advice(path)}") from reason
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write(path: str | os.PathLike[str], content: bytes | str, error: type[Exception] = CheckpointError) -> None:
    """Write a whole file at once; text is UTF-8. Raises as :func:`replacing`."""
    with replacing(path, error) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _to_disk(path: Path) -> None:
    """Wait until a file or, where the system can, the names in a folder are on the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _advice(path: Path) -> str:
    if not os.path.isdir(path.parent):
        return f"make the folder {path.parent} first"
    kept = "the file that was there is unchanged" if os.path.isfile(path) else "nothing was left behind"
    return f"{kept}; make room or get permission, or choose another folder"
