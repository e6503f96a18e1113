"""Machine code on disk, so that the next process need not make it again.

What lies here is executed. Two things protect it, each from something else:

- The folder's owner and mode protect from other people. A folder is used only if it belongs to the effective
  user and nobody else may write into it; it is made with mode 0700. The same is asked of each entry, which
  must be a regular file and no link. Owner and mode are those of the folder that was opened, and entries are
  opened in that one, so nothing can be exchanged between the check and the use. The folders above it need no
  trust: nobody can put a folder there that belongs to this user, where the system does not let users give
  their files away. What the file system says of owners is believed.
- The digest of an entry protects from damage and mix-ups, not from people: an entry that is cut off, changed,
  renamed or of another format is made anew. It has no secret key, because it would add nothing: whoever can
  write into the folder acts as this user, and could read the key as well.

Windows has neither owner nor mode in this sense. There only the digest is checked, and the default folder is
as safe as the user's profile, which Windows keeps from other users.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from ...errors import CacheWarning

MOST_ENTRIES = 1000
MOST_BYTES = 64 << 20
"""What the folder holds at most; the least recently used entries go first. The code of a cell has 10 to 50
kB."""

_FORMAT = b"tinygrad_rnn code 2\n"
_ENTRY = re.compile(r"[0-9a-f]{64}\.o")
_TEMPORARY = re.compile(r"\.[0-9a-f]{64}\.o\.[0-9a-f]{8}")
_ABANDONED = 3600
"""Seconds after which a temporary file belongs to a process that was killed."""

_READ = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
_FOLDERS_OPEN = os.open in os.supports_dir_fd  # not on Windows


def load(name: str) -> bytes | None:
    """The code of that name, or None where there is none that may be executed.

    Args:
        name: a digest of all that the code was made from, in 64 hexadecimal digits.
    """
    try:
        with _opened() as folder:
            return _code(folder, name)
    except FileNotFoundError:  # nothing has been kept yet
        return None
    except OSError as reason:
        _warn(reason)
        return None


def keep(name: str, code: bytes) -> None:
    """Keep code for the next process. Where that is impossible one warning says why, and the work goes on.

    An entry appears as a whole, so any number of processes may read and write at once. It is not forced to
    the disk: what a power failure leaves of it is not taken for code.
    """
    try:
        with _opened(make=True) as folder:
            _write(folder, f"{name}.o", _seal(name, code) + code)
            _prune(folder)
    except OSError as reason:
        _warn(reason)


def clear() -> None:
    """Remove all code that is kept. Other files are not ours, and stay."""
    try:
        with _opened() as folder:
            for name in _names(folder):
                with contextlib.suppress(FileNotFoundError):  # another process was sooner
                    os.unlink(folder.at(name), dir_fd=folder.descriptor)
    except FileNotFoundError:  # nothing has been kept yet
        return
    except OSError as reason:
        _warn(reason)


# -- the folder ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Folder:
    """A folder that has passed the check: where its files are, relative to its descriptor where the system
    can."""

    path: str
    descriptor: int | None

    def at(self, name: str) -> str:
        return name if self.descriptor is not None else os.path.join(self.path, name)


def _path() -> str:
    """``TINYGRAD_RNN_CACHE``, or a folder where this system keeps caches. It can be moved and deleted at any
    time. Of a user without a home it begins with ``~``."""
    given = os.environ.get("TINYGRAD_RNN_CACHE")
    if given:
        return os.path.expanduser(given)
    import platformdirs  # only who compiles needs it

    try:
        return platformdirs.user_cache_dir("tinygrad_rnn", appauthor=False)
    except RuntimeError:  # there is no home
        return "~"


@contextlib.contextmanager
def _opened(make: bool = False) -> Iterator[_Folder]:
    """The folder, open and checked; with ``make`` it is made if there is none.

    Raises:
        OSError: it cannot be opened, or code in it must not be trusted.
    """
    path = _path()
    if path.startswith("~"):
        raise PermissionError("this user has no home folder")
    if make:
        os.makedirs(path, mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY) if _FOLDERS_OPEN else None
    try:
        danger = _danger(os.stat(path if descriptor is None else descriptor))
        if danger:
            raise PermissionError(danger)
        yield _Folder(path, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _danger(status: os.stat_result) -> str:
    """Why others may have written here, or nothing."""
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}, and this is user {os.geteuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"others may write into it (its mode is {stat.S_IMODE(status.st_mode):o}; chmod 700 would "
            "close it)"
        )
    return ""


_warned = threading.Lock()
"""Taken by the first warning of the process, for good."""


def _warn(reason: OSError) -> None:
    if _warned.acquire(blocking=False):
        warnings.warn(
            f"compiled code cannot be kept in {_path()}: {reason}. Results are the same, but each process "
            "compiles anew; "
            "set TINYGRAD_RNN_CACHE to a folder that is yours and that nobody else may write into",
            CacheWarning,
            stacklevel=3,
        )


# -- entries -------------------------------------------------------------------------------------------------


def _seal(name: str, code: bytes) -> bytes:
    """The head of an entry: it binds the code to the name."""
    return _FORMAT + hashlib.blake2b(name.encode() + code, digest_size=32).digest()


def _code(folder: _Folder, name: str) -> bytes | None:
    entry = folder.at(f"{name}.o")
    try:
        content = _content(entry, folder.descriptor)
    except OSError:  # there is none, or it is a link, or it has just vanished
        return None
    head = len(_seal(name, b""))
    code = content[head:]
    if content[:head] != _seal(name, code):
        return None
    with contextlib.suppress(OSError):  # read-only, or just replaced
        os.utime(entry, dir_fd=folder.descriptor)
    return code


def _content(entry: str, folder: int | None) -> bytes:
    """What is in an entry; nothing if it is no file, or one that others may have written."""
    descriptor = os.open(entry, _READ, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or _danger(status) or status.st_size > MOST_BYTES:
            return b""
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def _write(folder: _Folder, name: str, content: bytes) -> None:
    temporary = folder.at(f".{name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(temporary, _CREATE, 0o600, dir_fd=folder.descriptor), "wb") as file:
            file.write(content)
        os.replace(temporary, folder.at(name), src_dir_fd=folder.descriptor, dst_dir_fd=folder.descriptor)
    except PermissionError:  # Windows replaces nothing that another process reads at the moment
        if _code(folder, name.removesuffix(".o")) is None:
            raise
    finally:
        with contextlib.suppress(OSError):  # it is there no more if all went well
            os.unlink(temporary, dir_fd=folder.descriptor)


def _names(folder: _Folder) -> list[str]:
    """Of entries, and of files that become entries."""
    names = os.listdir(folder.path if folder.descriptor is None else folder.descriptor)
    return [name for name in names if _ENTRY.fullmatch(name) or _TEMPORARY.fullmatch(name)]


def _prune(folder: _Folder) -> None:
    """Remove the least recently used entries beyond the bounds, and what killed processes left. Other files
    are not ours."""
    entries = []
    for name in _names(folder):
        with contextlib.suppress(OSError):  # another process was sooner
            status = os.stat(folder.at(name), dir_fd=folder.descriptor, follow_symlinks=False)
            if _ENTRY.fullmatch(name):
                entries.append((status.st_mtime_ns, status.st_size, name))
            elif status.st_mtime < time.time() - _ABANDONED:
                os.unlink(folder.at(name), dir_fd=folder.descriptor)
    size = 0
    for place, (_, length, name) in enumerate(sorted(entries, reverse=True)):
        size += length
        if place >= MOST_ENTRIES or size > MOST_BYTES:
            with contextlib.suppress(OSError):
                os.unlink(folder.at(name), dir_fd=folder.descriptor)
