"""The commands of ``tinygrad-rnn``, each with its options."""

from .check import add_check
from .convert import add_convert
from .export import add_export
from .look import add_flow, add_graph
from .sample import add_compare, add_sample
from .train import add_train

ALL = (add_train, add_sample, add_compare, add_graph, add_flow, add_check, add_export, add_convert)
