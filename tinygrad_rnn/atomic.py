"""Files that are whole or not there: written beside their place, brought to the disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from . import arguments
from .errors import CheckpointError


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str], error: type[Exception] = CheckpointError) -> Iterator[Path]:
    """A block that writes a temporary file, which takes the place of ``path`` when the block ends well.

    Args:
        path: the file. A link stays one: what it leads to is written.
        error: what is raised if it cannot be written (disk full, no permission, no such folder, no regular
            file); what was at ``path`` is as before.

    The temporary file lies in the same folder, so that the rename is one step, and keeps the ending, which
    tells programs the format. A file that was there hands on its permissions; until then the temporary one is
    ours alone.
    """
    path = Path(arguments.path("path", path))
    target = _target(path, error)
    temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        before = os.stat(target) if os.path.exists(target) else None
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if before is None else 0o600))
        yield temporary
        if before is not None:
            _like(temporary, before)
        _to_disk(temporary)
        os.replace(temporary, target)
        _to_disk(target.parent)
    except OSError as reason:
        raise error(f"cannot write {path}: {reason.strerror or reason}; {_advice(target)}") from reason
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


_KERNELS = re.compile(r"/dev(/fd)?|/(proc|sys)(/.*)?")
"""Folders whose names stand for devices, open files and what the kernel knows: none of them is to be
replaced."""


def _target(path: Path, error: type[Exception]) -> Path:
    """Where a file lies that is written under a name, links followed."""
    place = path
    for _ in range(40):  # as many as Linux follows
        folder = Path(os.path.realpath(place.parent))
        if _KERNELS.fullmatch(str(folder)):
            raise error(f"cannot write {path}: {folder} holds no files; choose a name in another folder")
        place = folder / place.name
        if not os.path.islink(place):
            # of a name that is too long, Path's own would raise an error
            if os.path.lexists(place) and not os.path.isfile(place):
                raise error(f"cannot write {path}: it is there already and is no file; choose another name")
            return place
        place = folder / os.readlink(place)
    raise error(f"cannot write {path}: its links lead round in a ring; choose another name")


def _like(path: Path, old: os.stat_result) -> None:
    """Give a file the group and the owner of another one, where we may, and its permissions."""
    if hasattr(os, "chown"):
        for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with contextlib.suppress(PermissionError):
                os.chown(path, owner, group)
    os.chmod(path, stat.S_IMODE(old.st_mode))


def write(
    path: str | os.PathLike[str], content: bytes | str, error: type[Exception] = CheckpointError
) -> None:
    """Write a whole file at once; text is UTF-8. Raises as :func:`replacing`."""
    with replacing(path, error) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def _to_disk(path: Path) -> None:
    """Wait until a file or, where the system opens folders, the names in one are on the disk."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
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
