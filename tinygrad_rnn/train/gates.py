"""How open a model's gates are while it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy

from .. import arguments, ops, tree
from ..diagnosis import Report, charts, flow
from ..errors import FlowError
from ..nn.modes import evaluating
from ..ops import ArrayLike
from ..tape import Node

if TYPE_CHECKING:
    from .training import Training


class GateHistograms:
    """A callback for :func:`fit` that looks every so often at how open the gates are: all values of each
    sigmoid in the model's time steps, by steps, samples and units.

    >>> model = tg.nn.Recurrent(tg.nn.GRUCell(2, 4))
    >>> x, y = np.ones((5, 1, 2), "float32"), np.zeros((5, 1, 4), "float32")
    >>> gates = tg.train.GateHistograms(x, every=2, bins=10)
    >>> loss = lambda outputs, targets: tg.mse_loss(outputs[0], targets)
    >>> history = tg.train.fit(model, loss, [(x, y)], epochs=4, callbacks=[gates], progress=False)
    >>> gates.steps, {name: shares.shape for name, shares in gates.shares.items()}
    ([1, 3], {'r': (2, 10), 'z': (2, 10)})

    Args:
        inputs: what the model is called with at each look: a few samples are enough. It is then not in
            training, and goes on as if nothing had been looked at.
        every: how many updates there are from one look to the next; the first look is after the first one.
        bins: in how many equal parts from 0 to 1 values are counted.

    Attributes:
        steps: the updates at which was looked.
    """

    def __init__(self, *inputs: ArrayLike, every: int = 50, bins: int = 20) -> None:
        for x in inputs:
            ops.as_tensor(x)  # refuses what is none
        self._inputs = inputs
        self._every = arguments.size("GateHistograms: every", every, 1)
        self._bins = arguments.size("GateHistograms: bins", bins, 2)
        self.steps: list[int] = []
        self._shares: dict[str, list[numpy.ndarray]] = {}
        self._saturated: dict[str, list[float]] = {}

    @property
    def shares(self) -> dict[str, numpy.ndarray]:
        """For each gate (looks, bins): which share of its values lies in each part from 0 to 1."""
        return {name: numpy.array(rows) for name, rows in self._shares.items()}

    @property
    def saturated(self) -> dict[str, numpy.ndarray]:
        """For each gate (looks,): the share of its values whose slope is below 0.01."""
        return {name: numpy.array(shares) for name, shares in self._saturated.items()}

    def on_update(self, training: Training) -> None:
        if (training.step - 1) % self._every == 0:
            with evaluating(training.model):
                outputs: list[Any] = [
                    y for y in tree.leaves(training.model(*self._inputs)) if isinstance(y, Node)
                ]
                self.add(training.step, flow(outputs, states_only=True))

    def add(self, step: int, report: Report) -> None:
        """One more look, at what was run for a report.

        Args:
            step: how many updates there were before it.
            report: what :func:`tinygrad_rnn.flow` returned.

        Raises:
            FlowError: there are no gates in its time steps, or others than at the looks before.
        """
        step = arguments.whole("add: step", step, 0)
        found = arguments.instance("add: report", report, Report).activations()
        gates = {
            gate.full_name: gate for gate in found if gate.chain is not None and gate.bounds == (0.0, 1.0)
        }
        if not gates or (self._shares and gates.keys() != self._shares.keys()):
            raise FlowError(
                f"GateHistograms: the gates are {', '.join(map(repr, gates))}, not those of the looks before"
                if gates
                else "GateHistograms: there are no gates to look at: no sigmoid is computed in time steps"
            )
        self.steps.append(step)
        for name, gate in gates.items():
            self._shares.setdefault(name, []).append(gate.histogram(self._bins))
            self._saturated.setdefault(name, []).append(gate.saturated)

    def figure(self) -> Any:
        """A matplotlib figure: update × value for each gate, dark where many of its values lie.

        Raises:
            DrawError: matplotlib is not installed.
            FlowError: nothing was looked at yet.
        """
        if not self.steps:
            raise FlowError(
                "GateHistograms: no gates were looked at yet: give this to fit as one of its callbacks"
            )
        return charts.gates(self.steps, self.shares, self.saturated)
