"""What each thread has for itself: whether it records, what it traces, where in the program it is, who looks
on."""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from .. import arguments
from ..backends import Array
from ..errors import TraceError
from ..user_code import calling_line
from .entry import Call, Entry, Node, Scope

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Thread(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.recording = True
        self.scope: Scope | None = None
        self.tracing: Tracing | None = None
        self.observer: Observer | None = None
        self.line: Any = None
        """The user's line that is meant, or False where it is not known, while something runs that is not the
        user's code."""
        self.inside: tuple[weakref.ref[Block], dict[str, Any]] | None = None
        """The innermost block around, and how all this was before it."""


thread: _Thread = _Thread()


class Refused(BaseException):
    """A program cannot be traced. No ``except Exception`` of its own stops it; the block around the trace
    makes a TraceError of it."""


class Tracing:
    """A program that is being traced: what stands for its values are placeholders.

    Attributes:
        looked: by id, the tensors from outside whose values it looked at, and what they were.
        refusal: why it cannot be traced. It counts also where the program catches it.
        line: the user's line that was running then.
        scanned: scanned(cell, xs, state, lengths, mask, options) → what a scan returns in place of what it
            would compute; None where scans run.
    """

    def __init__(self) -> None:
        self.scanned: Callable[..., Any] | None = None
        self.looked: dict[int, tuple[Node, Array]] = {}
        self.refusal: TraceError | None = None
        self.line: Any = None

    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        if self.refusal is None:
            self.refusal, self.line = TraceError(reason, advice), calling_line()
        raise Refused

    def look(self, x: Node, what: str) -> None:
        """Somebody asks for the values of a tensor.

        Raises:
            Refused: they differ from step to step.
        """
        if x.entry is not None:
            self.refuse(
                f"a cell that is being compiled cannot look at {what}: they differ from step to step",
                "choose by tg.where(condition, a, b), and look at values after the scan",
            )
        self.looked.setdefault(id(x), (x, x._data.copy()))


class Block:
    """A ``with`` block that changes some of a thread's state, and restores all of it at its end.

    Blocks nest; an object may be entered again inside itself, and by several threads. An interrupt may come
    between any two instructions, even before the first one of ``__exit__``. So all state changes in one step.
    The end of a block also ends the blocks inside whose own end was cut off. And a block whose end was cut
    off altogether is ended when Python drops it.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> Any:
        here = thread.__dict__
        here.update(self._changes, inside=(weakref.ref(self, _lost), here.copy()))
        return self

    def __exit__(self, *exception: object) -> None:
        here = thread.__dict__
        block = here["inside"]
        while block is not None:
            reference, before = block
            if reference() is self:
                here.update(before)
                return
            block = before["inside"]


def _lost(reference: Any) -> None:
    """End a block that Python has dropped. If there are others inside it, the end of the outermost of these
    does it."""
    now = thread.__dict__
    while now["inside"] is not None:
        lost, before = now["inside"]
        if lost is reference:
            now.update(before)
            return
        now = before


class no_grad(Block):
    """Record nothing: as a block, ``with no_grad():``, or as a decorator. Blocks nest.

    >>> W = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.no_grad():
    ...     W -= 0.5
    >>> W
    tensor([0.5, 1.5], dtype=float32, requires_grad=True)
    """

    def __init__(self) -> None:
        super().__init__(recording=False)

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        arguments.function("no_grad: function", function)

        @functools.wraps(function)
        def unrecorded(*args: P.args, **kwargs: P.kwargs) -> T:
            with no_grad():
                return function(*args, **kwargs)

        return unrecorded


def recording() -> Block:
    """A block that records, whatever the blocks around say."""
    return Block(recording=True)


class scope(Block):
    """A block whose operations are recorded under that name."""

    def __init__(self, kind: str, label: Any, call: Call | None = None) -> None:
        self._scope = Scope(kind, label, thread.scope, call)
        super().__init__(scope=self._scope)

    def __enter__(self) -> Scope:
        super().__enter__()
        return self._scope


def in_scope(scope: Scope | None, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a function whose operations are recorded in a scope: as a block, but quicker."""
    here = thread.__dict__
    before = here.copy()
    try:  # as with_cleanup does
        try:
            here["scope"] = scope
            return function(*args, **kwargs)
        finally:
            here.update(before)
    except BaseException:
        here.update(before)
        raise


def composed(function: F) -> F:
    """A function that is made of several operations: what one call of it records is in a scope of its own,
    so that a picture can show it as one.

    A call in which nothing requires a gradient costs next to nothing more; a call inside of another such
    function is part of that.
    """
    name = function.__qualname__

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        here = thread.__dict__
        before = here["scope"]
        if (
            here["recording"]
            and (before is None or before.kind != "function")
            and (_requires_grad(args) or (kwargs and _requires_grad(kwargs.values())))
        ):
            inside = Scope("function", name, before)
            try:  # as in_scope does
                try:
                    here["scope"] = inside
                    return function(*args, **kwargs)
                finally:
                    here["scope"] = before
            except BaseException:
                here["scope"] = before
                raise
        return function(*args, **kwargs)

    return cast(F, call)


def _requires_grad(operands: Iterable[Any]) -> bool:
    for x in operands:  # noqa: SIM110  # three times as quick as any()
        if isinstance(x, Node) and x.requires_grad:
            return True
    return False


# -- looking on ----------------------------------------------------------------------------------------------

observing: set[int] = set()
"""The threads inside of an observer's block. Each operation asks whether there are any, which costs less than
a look at its own thread."""


class Observer(Block):
    """Looks at all that is recorded and pulled in a block, ``with observer:``. Blocks nest, and the inner one
    looks."""

    each_step = False
    """Whether a scan runs step by step for it."""

    def __init__(self) -> None:
        super().__init__(observer=weakref.proxy(self))  # so that the block can be lost

    def __enter__(self) -> Observer:
        observing.add(threading.get_ident())
        super().__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        if thread.observer is None:
            observing.discard(threading.get_ident())

    def recorded(self, entry: Entry) -> None:
        """Told of each new entry."""

    def passed(self, entry: Entry) -> None:
        """Told of each operation that is not recorded, as the entry that it would have been."""

    def pulled(self, entry: Entry, g: Any, operand: int, part: Any) -> None:
        """Told of each part of a residual, as ``watch`` in :func:`pull_back`."""


def tell(entry: Entry) -> None:
    """Tell this thread's observer of a new entry."""
    if thread.observer is not None:
        thread.observer.recorded(entry)
    else:
        observing.discard(threading.get_ident())  # its block may have been lost
