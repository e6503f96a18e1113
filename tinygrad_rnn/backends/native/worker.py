"""A worker, in LLVM text: it does what is posted in its box, and sleeps when nothing comes.

    take a box ─▶ look ─▶ posted: do it ──┐
                  ▲ │                     │
                  │ ├─ for a moment ◀─────┘      awake, so that the next hand-over takes a microsecond
                  │ └─ asleep, until woken       the processor is somebody else's meanwhile
                  └────────┘

To fall asleep and to be woken takes tens of microseconds. So a worker looks for longer than Python takes from
one hand-over to the next.
"""

from __future__ import annotations

from . import thresholds
from .team import ASLEEP, IDLE, POSTED, STOPPED, at, box, each, load


def text() -> str:
    """``@serve(team)``: what a worker does. ``@stop(team)``: have idle workers return."""
    return _serve() + _stop()


def _serve() -> str:
    return f"""
define void @serve(ptr %team) {{
{at("workers")}
{at("penalty")}
{load("spin")}
{load("woken")}
{load("room")}
  %number = atomicrmw add ptr %workers.at, i64 1 acq_rel
{box("%number")}
  %fits = icmp slt i64 %number, %room
  br i1 %fits, label %fresh, label %exit
fresh:
  %begin = call i64 @llvm.readcyclecounter()
  br label %look
look:
  %since = phi i64 [ %begin, %fresh ], [ %since, %on ], [ %since, %lie ]
  %state = load atomic i64, ptr %box acquire, align 8
  switch i64 %state, label %idle [
    i64 {POSTED}, label %try
    i64 {STOPPED}, label %exit
  ]
try:
  %done = call i1 @work(ptr %team, ptr %box)
  br label %fresh
idle:
  %now = call i64 @llvm.readcyclecounter()
  %idled = sub i64 %now, %since
  %penalty = load atomic i64, ptr %penalty.at monotonic, align 8
  %trusted = icmp sle i64 %penalty, {thresholds.BACKOFF_MIN_CALLS}
  %patience = select i1 %trusted, i64 %spin, i64 %woken
  %bored = icmp sgt i64 %idled, %patience
  br i1 %bored, label %lie, label %on
on:
  call void @pause()
  br label %look
lie:
  %pair = cmpxchg ptr %box, i64 {IDLE}, i64 {ASLEEP} acq_rel acquire
  %asleep = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %asleep, label %rest, label %look
rest:
{load("lock", "box")}
{load("sleep")}
  %f = inttoptr i64 %sleep to ptr
  %acquired = call i32 %f(i64 %lock, i32 1)
  br label %fresh
exit:
  ret void
}}

"""


def _stop() -> str:
    return f"""
define void @stop(ptr %team) {{
  %workers = call i64 @workers(ptr %team)
{
        each(
            "%workers",
            f'''{box("%i")}
  %idle = cmpxchg ptr %box, i64 {IDLE}, i64 {STOPPED} acq_rel acquire
  %lying = cmpxchg ptr %box, i64 {ASLEEP}, i64 {STOPPED} acq_rel acquire
  %slept = extractvalue {{ i64, i1 }} %lying, 1
  br i1 %slept, label %wake, label %stopped
wake:
  call void @wake(ptr %team, ptr %box)
  br label %stopped
stopped:''',
        )
    }
  ret void
}}
"""
