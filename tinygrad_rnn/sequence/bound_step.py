"""A single step with all that it reads and writes in its place."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..backends.base import Unsupported
from ..backends.native import thresholds
from ..backends.native.compiler import compiled
from ..backends.native.loops import Endings, tile_width
from ..backends.native.memory import address, aligned, numbers
from ..backends.native.team import GIVEN, element
from ..backends.native.threads import bound, gang, run_parallel, threads
from ..errors import IndexRangeError
from ..tape import Node, exposed, fingerprint_if_exposed
from .half_writer import HalfWriter, text_of
from .hoist import loop_body
from .nest_layout import NestLayout, Part
from .nested import columns_of, memory_of, samples_of_threads
from .normal_form import normal_form
from .plan import Plan, make_plan
from .prologue import prologue_of
from .trace import TracedCell


class _Layout(NestLayout):
    """The layout of a plan whose steps come one by one: what is done once is a function of its own."""

    calls: tuple[Any, ...] = ()

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, tile_width)
        self._lay_out()

    def shared(self, part: Part) -> str:
        return "one step at a time"


class Weights:
    """Which arrays some weights were, and what stood in them. They are not kept alive.

    Args:
        lost: called with a reference to an array when it is gone.
    """

    def __init__(self, outside: Sequence[Any], lost: Callable[[Any], None] | None = None) -> None:
        self._arrays = [weakref.ref(tensor._data, lost) for tensor in outside]
        self._fingerprints = [*map(fingerprint_if_exposed, outside)]

    def holds(self, outside: Sequence[Any]) -> bool:
        """Whether the arrays of these weights are those, as they were then."""
        # a generator takes three times as long
        for tensor, array in zip(outside, self._arrays, strict=True):
            if tensor._data is not array():
                return False
        return not exposed or [*map(fingerprint_if_exposed, outside)] == self._fingerprints

    def lives(self) -> bool:
        """Whether all of these arrays are there."""
        return all(array() is not None for array in self._arrays)

    def compares(self) -> bool:
        """Whether they are compared at each step, since somebody may write into them."""
        return any(fingerprint is not None for fingerprint in self._fingerprints)


class BoundStep:
    """A step of a traced cell, without a tape: weights, memory and addresses are bound.

    Args:
        inputs: tensors like those that it will get.
        states: like the state.
        outside: the weights.
        lost: called with a reference to the array of a weight when it is gone.

    Attributes:
        tensor: the class of tensors.
        plan: what is done.
        weights: those that are bound.

    Raises:
        TraceError: it cannot be planned.
        Unsupported: it is no machine code.
    """

    def __init__(
        self,
        traced: TracedCell,
        inputs: Sequence[Any],
        states: Sequence[Any],
        outside: Sequence[Any],
        lost: Callable[[Any], None] | None = None,
    ) -> None:
        self.backend: Any = inputs[0]._backend
        self.tensor: type[Any] = Node.result_type
        if not self.backend.runs_machine_code():
            raise Unsupported("a single step here")
        self._y = traced.y
        body = loop_body(
            normal_form(traced.form.program, [False] * (len(inputs) + len(states) + len(outside))),
            hoists=False,
        )
        self.plan: Plan = make_plan(body, self.backend, None)
        self.plan.check()
        self.weights: Weights = Weights(outside, lost)
        given = [
            *(x._data[None] for x in inputs),
            *(x._data for x in outside),
            *map(self.backend.from_host, traced.form.numbers),
        ]
        with self.backend.products() as products:
            fed, _ = prologue_of(self.plan, self.backend, 1, [False] * len(given)).before(given, products)
        layout = self.plan.engine = _Layout(self.plan)
        if layout.forward.calls:
            raise Unsupported(f"a call of {layout.forward.calls[0].row.name}")
        self._lay(layout, [*fed, *self.plan.constants])

    def _lay(self, layout: _Layout, fed: Sequence[Any]) -> None:
        """Memory for everything, and the machine code."""
        program, part = layout.program, layout.forward
        assert part.nests is not None
        arrays: dict[int, Any] = dict(part.tables)
        for v, array in zip((*program.steps, *program.fixed), fed, strict=True):
            arrays[layout.forward_inputs[v].buffer.number] = _placed(
                array.T if v in layout.transposed else array
            )
        whole, streams = self.plan.body.whole, self.plan.body.per_step
        places = [arrays[layout.forward_inputs[v].buffer.number][0, ...] for v in program.steps]
        self._inputs = [(whole.steps.index(v), place) for v, place in zip(streams, places, strict=True)]
        self._states = [aligned((2, *program.shapes[v]), program.dtypes[v])[0] for v in program.states]
        arrays.update(
            (buffer.number, array) for buffer, array in zip(layout.states, self._states, strict=True)
        )
        outputs = {v: aligned((1, *program.shapes[v]), program.dtypes[v])[0] for v in layout.outputs}
        arrays.update((buffer.number, outputs[v]) for v, buffer in layout.outputs.items())
        self._outputs = [outputs[v][0, ...] for v in program.outputs]
        endings = Endings()
        columns = columns_of(part, layout.samples)
        writer = HalfWriter(
            "each", part.nests.elements, part.nests, layout.samples, endings, apart=True, columns=columns
        )
        self._code = compiled(
            _STEP + text_of({writer: len(part.buffers)}, endings), ("each0", "each1", "step", "together")
        )
        self._flag, self._held = numbers([0]), list[Any]([arrays])
        self._bind(part, arrays, layout.samples, columns is not None)
        part.nests = None
        v = whole.steps[0]
        self._shape, self._dtype = whole.shapes[v], whole.dtypes[v]
        self._single = len(whole.steps) == len(streams) == len(self._parts) == 1 and self._y is None

    def _bind(self, part: Part, arrays: dict[int, Any], samples: int, columns: bool) -> None:
        """Settle what the machine code is called with, and do what is done once."""
        prepare = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 7)(self._code["each0"])
        shards, words, further = [(0, 1)], None, [self._flag.buffer_info()[0]]
        if columns:
            many = 1 if part.work <= thresholds.PARALLEL_STEP_MIN_WORK else min(threads(), part.gang)
            words = gang(many)
            further.append(address(words))
            arrays = arrays | {b.number: memory_of(b) for b in part.buffers if b.number not in arrays}
        else:
            many, shards = 1, samples_of_threads(samples, part.work <= thresholds.PARALLEL_FORWARD_MIN_WORK)
        tables = []
        for first, last in shards:
            own = arrays | {b.number: memory_of(b) for b in part.buffers if b.number not in arrays}
            tables.append(numbers([*(address(own[b.number]) for b in part.buffers), *further]))
            prepare(tables[-1].buffer_info()[0], 1, 0, 0, 0, 0, first, last)
            self._held.append(own)
        begin = [table.buffer_info()[0] for table in tables]
        if words is not None and many > 1:
            call, rows = bound(self._code["each1"], [(begin[0], 1, 0, 0, 0, 0)] * many, words)
            self._at = [(rows, i * (2 + GIVEN) + _AT) for i in range(many)]
            arguments, self._step = [numbers(call)], self._code["together"]
        else:
            arguments = [numbers([table, 0, *shard]) for table, shard in zip(begin, shards, strict=True)]
            self._at, self._step = [(x, 1) for x in arguments], self._code["step"]
        self._held += [tables, words, arguments]
        self._parts = [(x.buffer_info()[0],) for x in arguments]
        self._run, self._argument = (
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._step),
            ctypes.c_void_p(self._parts[0][0]),
        )

    @property
    def _now(self) -> int:
        """Which of both places holds the state."""
        numbers, at = self._at[0]
        return int(numbers[at])

    def takes(self, x: Any) -> bool:
        """Whether an array is the one input of a step."""
        return self._single and x.shape == self._shape and x.dtype == self._dtype

    def one(self, x: Any) -> Any:
        """A step of one input and one output."""
        self._inputs[0][1][...] = x
        self._run(self._argument)
        if self._flag[0]:
            raise self._refusal()
        return self.tensor(self._outputs[0].copy(), self.backend)

    def step(self, xs: Sequence[Any]) -> Any:
        """A step of any number of inputs and outputs, nested as the cell's.

        Raises:
            IndexRangeError: a number names no element.
        """
        return tree.unflatten(self._y, [self.tensor(y, self.backend) for y in self.outputs(xs)])

    def outputs(self, xs: Sequence[Any]) -> list[Any]:
        """The same as arrays."""
        for i, place in self._inputs:
            place[...] = xs[i]
        run_parallel(self._step, self._parts)
        if self._flag[0]:
            raise self._refusal()
        return [y.copy() for y in self._outputs]

    def _refusal(self) -> IndexRangeError:
        """Of a step that is taken back."""
        self._flag[0] = 0
        for words, at in self._at:
            words[at] ^= 1
        return IndexRangeError("a whole number in this step names no element of what it looks up")

    def states(self) -> list[Any]:
        """The arrays of the state now."""
        return [array[self._now, ...].copy() for array in self._states]

    def put(self, states: Sequence[Any]) -> None:
        """Go on from a state."""
        for place, array in zip(self._states, states, strict=True):
            place[self._now] = array


def _placed(array: Any) -> Any:
    """The same numbers where a cache line begins."""
    place, _ = aligned(array.shape, array.dtype)
    place[...] = array
    return place


_AT = 6
"""Where, in a part of a gang's call, the place of the state stands: after the gang, the function, pointers,
the number of steps and two numbers of time."""


def _words(of: str, **types: str) -> str:
    """Load the words of a table, in their order."""
    lines = []
    for i, (name, type_) in enumerate(types.items()):
        lines += [element(f"{name}.place", of, i), f"  %{name} = load {type_}, ptr %{name}.place"]
    return "\n".join(lines)


_STEP = f"""define void @step(ptr %arguments) {{
{_words("arguments", table="ptr", at="i64", first="i64", last="i64")}
  call void @each1(ptr %table, i64 1, i64 0, i64 0, i64 %at, i64 0, i64 %first, i64 %last)
  %next = xor i64 %at, 1
  store i64 %next, ptr %at.place
  ret void
}}

define void @together(ptr %call) {{
{_words("call", gather="ptr", team="ptr", gang="ptr", function="i64", parts="ptr", width="i64", count="i64")}
  call void %gather(ptr %team, ptr %gang, i64 %function, ptr %parts, i64 %width, i64 %count)
  br label %part
part:
  %i = phi i64 [ 0, %0 ], [ %i1, %part ]
  %far = mul i64 %i, {2 + GIVEN}
  %word = add i64 %far, {_AT}
  %at.place = getelementptr i64, ptr %parts, i64 %word
  %at = load i64, ptr %at.place
  %next = xor i64 %at, 1
  store i64 %next, ptr %at.place
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %count
  br i1 %more, label %part, label %end
end:
  ret void
}}
"""
"""One step by (table of pointers, which of both places holds the state, first sample, end of the samples); or
by a gang, with the call that gathers it. Both change the place."""
