"""Training: ``fit`` for a model and data of your own; and the model of text of ``tinygrad-rnn train``, with
its text, run folder and samples."""

from .batch import evaluate
from .classification import F1, Accuracy, ConfusionMatrix, Precision, Recall
from .dashboard import dashboard
from .fit import fit
from .gates import GateHistograms
from .history import History
from .loading import LoadedRun, load_run
from .metrics import Metric
from .predicting import predict
from .regression import R2, MeanAbsoluteError, RootMeanSquaredError
from .scores import AreaUnderCurve, Perplexity, TopK
from .training import Training

__all__ = [
    "F1",
    "R2",
    "Accuracy",
    "AreaUnderCurve",
    "ConfusionMatrix",
    "GateHistograms",
    "History",
    "LoadedRun",
    "MeanAbsoluteError",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "RootMeanSquaredError",
    "TopK",
    "Training",
    "dashboard",
    "evaluate",
    "fit",
    "load_run",
    "predict",
]


def __dir__() -> list[str]:
    return __all__
