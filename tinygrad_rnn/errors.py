"""The library's own errors.

Each one also is the built-in error that it specialises, so ``except ValueError`` keeps working, and each says
what happened and what to do.
"""


class TinygradRNNError(Exception):
    """Base of every error that the library raises on purpose."""


class ArgumentError(TinygradRNNError, ValueError, TypeError):
    """An argument of the wrong kind, or with a value that means nothing there."""


class ArgumentWarning(TinygradRNNError, UserWarning):
    """An argument that is taken, and is probably not meant: it has no effect, or one that few want."""


class ShapeError(TinygradRNNError, ValueError):
    """Shapes that do not fit together."""


class DtypeError(TinygradRNNError, TypeError):
    """A dtype that an operation or a derivative cannot use."""


class IndexRangeError(TinygradRNNError, IndexError, ValueError):
    """An index or an axis that lies outside its array."""


class BackendError(TinygradRNNError, RuntimeError):
    """A device that is unknown, missing, or mixed with another one."""


class TapeError(TinygradRNNError, RuntimeError):
    """What the tape cannot do, or not without a wrong number: nothing was recorded, it was released, an array
    on it was changed, what was run again did something else, or values would leave it unasked."""


class TraceError(TinygradRNNError, RuntimeError):
    """A cell that cannot be compiled: something in it may differ from step to step, for example.

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
    and what to write instead."""


class CacheWarning(TinygradRNNError, UserWarning):
    """Compiled code that cannot be kept for the next process, because of the folder: see the environment
    variable TINYGRAD_RNN_CACHE."""


class GradientCheckError(TinygradRNNError, AssertionError):
    """A derivative that disagrees with its finite difference."""


class LinearAlgebraError(TinygradRNNError, ArithmeticError):
    """A matrix that has no inverse."""


class ModuleError(TinygradRNNError, NotImplementedError):
    """A module that does not say what it computes."""


class CheckpointError(TinygradRNNError, ValueError):
    """A checkpoint file or state dict that is truncated, foreign, or does not fit the module."""


class DataError(TinygradRNNError, ValueError):
    """A text that is missing, empty, not UTF-8 or too short."""


class TrainingError(TinygradRNNError, ArithmeticError):
    """A training run that cannot go on."""


class DrawError(TinygradRNNError, RuntimeError):
    """A picture that cannot be drawn."""


class DrawWarning(TinygradRNNError, UserWarning):
    """A picture that shows less than all operations, because they would be too many for a reader."""


class FlowError(TinygradRNNError, RuntimeError):
    """A diagnosis that cannot be made, shown or saved."""


class NonFiniteError(TinygradRNNError, ArithmeticError):
    """An operation that made NaN or an infinity, told by anomaly mode."""


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
