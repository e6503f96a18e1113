"""Training: ``fit`` for a model and data of your own; and the model of text of ``tinygrad-rnn train``, with
its text, run folder and samples."""

from .batch import evaluate
from .fit import fit
from .history import History
from .loading import LoadedRun, load_run
from .metrics import F1, Accuracy, ConfusionMatrix, MeanAbsoluteError, Metric, Perplexity
from .training import Training

__all__ = [
    "F1",
    "Accuracy",
    "ConfusionMatrix",
    "History",
    "LoadedRun",
    "MeanAbsoluteError",
    "Metric",
    "Perplexity",
    "Training",
    "evaluate",
    "fit",
    "load_run",
]


def __dir__() -> list[str]:
    return __all__
