"""The library's own errors.

Each one also is the built-in error that it specialises, so ``except ValueError`` keeps working, and each says
what happened and what to do.
"""


class TinygradRNNError(Exception):
    """Base of every error that the library raises on purpose.

    >>> issubclass(tg.ShapeError, tg.TinygradRNNError) and issubclass(tg.ShapeError, ValueError)
    True
    """


class ArgumentError(TinygradRNNError, ValueError, TypeError):
    """An argument of the wrong kind, or with a value that means nothing there.

    >>> tg.nn.Dropout(1.5)
    Traceback (most recent call last):
    tinygrad_rnn.errors.ArgumentError: Dropout: p must be ...
    """


class ArgumentWarning(TinygradRNNError, UserWarning):
    """An argument that is taken, and is probably not meant: it has no effect, or one that few want.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", tg.ArgumentWarning)
    ...     layer = tg.nn.LSTM(2, 3, dropout=0.5)
    Traceback (most recent call last):
    tinygrad_rnn.errors.ArgumentWarning: LSTM: dropout acts between layers, ...
    """


class ShapeError(TinygradRNNError, ValueError):
    """Shapes that do not fit together.

    >>> tg.zeros(2) + tg.zeros(3)
    Traceback (most recent call last):
    tinygrad_rnn.errors.ShapeError: ...
    """


class DtypeError(TinygradRNNError, TypeError):
    """A dtype that an operation or a derivative cannot use.

    >>> tg.tensor([1, 2], requires_grad=True)
    Traceback (most recent call last):
    tinygrad_rnn.errors.DtypeError: ...
    """


class IndexRangeError(TinygradRNNError, IndexError, ValueError):
    """An index or an axis that lies outside its array.

    >>> tg.sum(tg.zeros(2), axis=1)
    Traceback (most recent call last):
    tinygrad_rnn.errors.IndexRangeError: axis 1 is out of range for 1 axes
    """


class BackendError(TinygradRNNError, RuntimeError):
    """A device that is unknown, missing, or mixed with another one.

    >>> tg.set_backend("abacus")
    Traceback (most recent call last):
    tinygrad_rnn.errors.BackendError: unknown backend 'abacus': ...
    """


class TapeError(TinygradRNNError, RuntimeError):
    """What the tape cannot do, or not without a wrong number: nothing was recorded, it was released, an array
    on it was changed, what was run again did something else, or values would leave it unasked.

    >>> tg.tensor(1.0).backward()
    Traceback (most recent call last):
    tinygrad_rnn.errors.TapeError: ...
    """


class ExportError(TapeError, BufferError):
    """A tensor whose memory another library asks for, and must not have: it is on the tape, which other
    libraries do not record on, or only a copy of it would do.

    >>> np.from_dlpack(tg.tensor(1.0, requires_grad=True))
    Traceback (most recent call last):
    tinygrad_rnn.errors.ExportError: a tensor that requires grad would leave the tape: ...
    """


class TraceError(TinygradRNNError, RuntimeError):
    """A cell that cannot be compiled: something in it may differ from step to step, for example.

    >>> def cell(x, h):
    ...     return (x, h) if h.item() > 0 else (h, x)
    >>> ys, h = tg.scan(cell, tg.zeros(5), tg.zeros(()), compiled=True)
    Traceback (most recent call last):
    tinygrad_rnn.errors.TraceError: a cell that is being compiled cannot look at its values: ...

    Attributes:
        reason: why.
        advice: what to write instead; "" where nothing better can be written.
    """

    def __init__(self, reason: str, advice: str = "") -> None:
        super().__init__(f"{reason}; {advice}" if advice else reason)
        self.reason = reason
        self.advice = advice


class CompileWarning(TinygradRNNError, UserWarning):
    """A cell that runs slower than it could: as calls of an array module, or step by step. The text says why,
    and what to write instead.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", tg.CompileWarning)
    ...     ys, h = tg.scan(lambda x, h: (x, h) if x > h else (h, x), tg.zeros(5), tg.zeros(()))
    Traceback (most recent call last):
    tinygrad_rnn.errors.CompileWarning: ...
    """


class CacheWarning(TinygradRNNError, UserWarning):
    """Compiled code that cannot be kept for the next process, because of the folder: see the environment
    variable TINYGRAD_RNN_CACHE.

    >>> import warnings
    >>> warnings.simplefilter("ignore", tg.CacheWarning)
    """


class GradientCheckError(TinygradRNNError, AssertionError):
    """A derivative that disagrees with its finite difference.

    >>> tg.check_gradients(lambda x: x * x.detach(), np.array(2.0))
    Traceback (most recent call last):
    tinygrad_rnn.errors.GradientCheckError: ...
    """


class LinearAlgebraError(TinygradRNNError, ArithmeticError):
    """A matrix that has no inverse.

    >>> tg.linalg.inv(tg.zeros((2, 2)))
    Traceback (most recent call last):
    tinygrad_rnn.errors.LinearAlgebraError: ...
    """


class ModuleError(TinygradRNNError, NotImplementedError):
    """A module that does not say what it computes.

    >>> tg.nn.Module()()
    Traceback (most recent call last):
    tinygrad_rnn.errors.ModuleError: Module cannot be called: ...
    """


class CheckpointError(TinygradRNNError, ValueError):
    """A checkpoint file or state dict that is truncated, foreign, or does not fit the module.

    >>> tg.load("nowhere.safetensors")
    Traceback (most recent call last):
    tinygrad_rnn.errors.CheckpointError: cannot read nowhere.safetensors: there is no such file
    """


class DataError(TinygradRNNError, ValueError):
    """Data that are missing, empty, too short, or hold what they must not: a text that is not UTF-8, a token
    that no vocabulary has, NaN.

    >>> issubclass(tg.DataError, ValueError)
    True
    """


class TrainingError(TinygradRNNError, ArithmeticError):
    """A training run that cannot go on.

    >>> issubclass(tg.TrainingError, ArithmeticError)
    True
    """


class DrawError(TinygradRNNError, RuntimeError):
    """A picture that cannot be drawn.

    >>> tg.draw(3)
    Traceback (most recent call last):
    tinygrad_rnn.errors.DrawError: ...
    """


class DrawWarning(TinygradRNNError, UserWarning):
    """A picture that shows less than all operations, because they would be too many for a reader.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", tg.DrawWarning)
    ...     picture = tg.draw(tg.nn.LSTM(2, 3)(tg.zeros((99, 1, 2)))[0])
    Traceback (most recent call last):
    tinygrad_rnn.errors.DrawWarning: ...
    """


class FlowError(TinygradRNNError, RuntimeError):
    """A diagnosis that cannot be made, shown or saved.

    >>> tg.flow(3)
    Traceback (most recent call last):
    tinygrad_rnn.errors.FlowError: ...
    """


class NonFiniteError(TinygradRNNError, ArithmeticError):
    """An operation that made NaN or an infinity, told by anomaly mode.

    >>> with tg.detect_anomaly():
    ...     tg.log(-1.0)
    Traceback (most recent call last):
    tinygrad_rnn.errors.NonFiniteError: ...
    """


__all__ = [
    "ArgumentError",
    "ArgumentWarning",
    "BackendError",
    "CacheWarning",
    "CheckpointError",
    "CompileWarning",
    "DataError",
    "DrawError",
    "DrawWarning",
    "DtypeError",
    "ExportError",
    "FlowError",
    "GradientCheckError",
    "IndexRangeError",
    "LinearAlgebraError",
    "ModuleError",
    "NonFiniteError",
    "ShapeError",
    "TapeError",
    "TinygradRNNError",
    "TraceError",
    "TrainingError",
]
