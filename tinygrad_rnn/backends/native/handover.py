"""The hand-over of work to other threads, in machine code, as LLVM text.

Python may be interrupted between any two of its instructions, and what takes two of them may be cut in the
middle. So nothing here takes two calls: whoever acquires the team releases it in the same call, or leaves
that to the worker. None of it needs the interpreter's lock, neither to hand over, nor to fall asleep, nor to
be woken.

What a box says, and who may change it:

                  the owner of the team                the first to get there: the worker,
        IDLE ─────────── posts ────────▶ POSTED ─────── or who waits for the work ─────────▶ TAKEN
        ▲  │                               ▲                                                   │
        │  └─ the worker, ─▶ ASLEEP ───────┘ and wakes the worker                              │
        │     after a while     │                                                              │
        └───────────────────────┼────────────── who took it, when the work is done ────────────┘
                                ▼
           STOPPED, at the end of the process, from IDLE too

The team's first word says who owns it: nobody (0), a call of ``run`` until it returns (1), or the ticket of
work that was started. Threads that ask at once race for that word; one that loses does its work itself. Work
that was started releases the team when it is done, by whoever did it: so nobody has to wait for it, and any
thread may, at any time.
"""

from __future__ import annotations

from . import backoff, gang, waiting, worker
from .team import ARGUMENTS, ASLEEP, IDLE, POSTED, TAKEN, at, box, each, element, load


def text() -> str:
    """What Python calls:

    ``@run(team, function, parts, width, count)``: the function with each of so many parts, of so many
    arguments each. ``@start(team, ticket, function, part, width)``: the same for one part, which a worker may
    do afterwards. ``@join(team, ticket)``: wait until what was started is done; at once if it is, or was
    never started. ``@serve(team)``: what a worker does. ``@stop(team)``: have idle workers return.
    ``@ticks()``: the time.
    """
    return "\n".join(
        (
            _calling(),
            waiting.text(),
            _handing_over(),
            _acquiring(),
            _sharing(),
            _running(),
            _starting(),
            worker.text(),
            backoff.text(),
            gang.text(),
        )
    )


def _calling() -> str:
    arguments = "\n".join(
        f"{element(f'x{i}.at', 'arguments', i)}\n  %x{i} = load i64, ptr %x{i}.at" for i in range(ARGUMENTS)
    )
    return f"""
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare i64 @llvm.readcyclecounter()
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

define i64 @ticks() {{
  %now = call i64 @llvm.readcyclecounter()
  ret i64 %now
}}

define internal void @call(i64 %function, ptr %arguments) {{
{arguments}
  %f = inttoptr i64 %function to ptr
  call void %f({", ".join(f"i64 %x{i}" for i in range(ARGUMENTS))})
  ret void
}}

; the rest of the parts, from first
define internal void @calls(i64 %function, ptr %parts, i64 %width, i64 %first, i64 %count) {{
  %rest = sub i64 %count, %first
{
        each(
            "%rest",
            f'''  %number = add i64 %first, %i
  %place = mul i64 %number, %width
{element("part", "parts", "%place")}
  call void @call(i64 %function, ptr %part)''',
        )
    }
  ret void
}}
"""


def _handing_over() -> str:
    return f"""
define internal void @wake(ptr %team, ptr %box) {{
{load("wake")}
{load("lock", "box")}
  %f = inttoptr i64 %wake to ptr
  call void %f(i64 %lock)
  ret void
}}

; whether the worker slept
define internal i1 @post(ptr %team, ptr %box, i64 %ticket, i64 %function, ptr %part, i64 %width) {{
{at("ticket", "box")}
  store i64 %ticket, ptr %ticket.at
{at("function", "box")}
  store i64 %function, ptr %function.at
{at("arguments", "box")}
  %bytes = mul i64 %width, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %arguments.at, ptr %part, i64 %bytes, i1 false)
  %before = atomicrmw xchg ptr %box, i64 {POSTED} acq_rel
  %slept = icmp eq i64 %before, {ASLEEP}
  br i1 %slept, label %rouse, label %exit
rouse:
  call void @wake(ptr %team, ptr %box)
  br label %exit
exit:
  ret i1 %slept
}}

; do what is posted, unless somebody else does; whether it was done here
define internal i1 @work(ptr %team, ptr %box) {{
  %pair = cmpxchg ptr %box, i64 {POSTED}, i64 {TAKEN} acq_rel acquire
  %taken = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %taken, label %do, label %exit
do:
{load("ticket", "box")}
{load("function", "box")}
{at("arguments", "box")}
  %begin = call i64 @llvm.readcyclecounter()
  call void @call(i64 %function, ptr %arguments.at)
  %end = call i64 @llvm.readcyclecounter()
  %took = sub i64 %end, %begin
{at("took", "box")}
  store i64 %took, ptr %took.at
  store atomic i64 {IDLE}, ptr %box release, align 8
  %started = icmp ne i64 %ticket, 0
  br i1 %started, label %release, label %exit
release:
  store atomic i64 0, ptr %team release, align 8
  br label %exit
exit:
  ret i1 %taken
}}

"""


def _acquiring() -> str:
    return f"""
define internal i1 @acquire(ptr %team, i64 %ticket) {{
{load("backoff")}
  %free = icmp sle i64 %backoff, 0
  br i1 %free, label %try, label %alone
alone:
  %less = sub i64 %backoff, 1
  store i64 %less, ptr %backoff.at
  ret i1 false
try:
  %pair = cmpxchg ptr %team, i64 0, i64 %ticket acq_rel acquire
  %ours = extractvalue {{ i64, i1 }} %pair, 1
  ret i1 %ours
}}

define internal i64 @workers(ptr %team) {{
{load("room")}
{at("workers")}
  %workers = load atomic i64, ptr %workers.at acquire, align 8
  %serving = call i64 @llvm.smin.i64(i64 %workers, i64 %room)
  ret i64 %serving
}}

"""


def _sharing() -> str:
    return f"""
; all but the first part, as far as there are workers; how many of them slept
define internal i64 @hand_out(ptr %team, i64 %shared, i64 %function, ptr %parts, i64 %width) {{
{
        each(
            "%shared",
            f'''{box("%i")}
  %number = add i64 %i, 1
  %place = mul i64 %number, %width
{element("part", "parts", "%place")}
  %slept = call i1 @post(ptr %team, ptr %box, i64 0, i64 %function, ptr %part, i64 %width)
  %one = zext i1 %slept to i64
  %asleep.next = add i64 %asleep, %one''',
            "asleep",
        )
    }
  ret i64 %asleep
}}

; do here what no worker has begun; how many that were
define internal i64 @take_back(ptr %team, i64 %shared) {{
{
        each(
            "%shared",
            f'''{box("%i")}
  %taken = call i1 @work(ptr %team, ptr %box)
  %one = zext i1 %taken to i64
  %back.next = add i64 %back, %one''',
            "back",
        )
    }
  ret i64 %back
}}

; until all is done; the time of the quickest part
define internal i64 @await(ptr %team, i64 %shared, i64 %since, i64 %each) {{
{
        each(
            "%shared",
            f'''{box("%i")}
  br label %again
again:
  %state = load atomic i64, ptr %box acquire, align 8
  %working = icmp eq i64 %state, {TAKEN}
  br i1 %working, label %wait, label %done
wait:
  call void @linger(ptr %team, i64 %since)
  br label %again
done:
{load("took", "box")}
  %quickest.next = call i64 @llvm.smin.i64(i64 %quickest, i64 %took)''',
            "quickest",
            "%each",
        )
    }
  ret i64 %quickest
}}

"""


def _running() -> str:
    return """
define void @run(ptr %team, i64 %function, ptr %parts, i64 %width, i64 %count) {
  %acquired = call i1 @acquire(ptr %team, i64 1)
  br i1 %acquired, label %share, label %alone
alone:
  call void @calls(i64 %function, ptr %parts, i64 %width, i64 0, i64 %count)
  ret void
share:
  %workers = call i64 @workers(ptr %team)
  %others = sub i64 %count, 1
  %shared = call i64 @llvm.smin.i64(i64 %workers, i64 %others)
  %start = call i64 @llvm.readcyclecounter()
  %slept = call i64 @hand_out(ptr %team, i64 %shared, i64 %function, ptr %parts, i64 %width)
  %begin = call i64 @llvm.readcyclecounter()
  call void @call(i64 %function, ptr %parts)
  %rest = add i64 %shared, 1
  call void @calls(i64 %function, ptr %parts, i64 %width, i64 %rest, i64 %count)
  %done = call i64 @llvm.readcyclecounter()
  %back = call i64 @take_back(ptr %team, i64 %shared)
  %own = sub i64 %done, %begin
  %ours = sub i64 %count, %shared
  %each = sdiv i64 %own, %ours
  %quickest = call i64 @await(ptr %team, i64 %shared, i64 %done, i64 %each)
  %end = call i64 @llvm.readcyclecounter()
  %took = sub i64 %end, %start
  %one = mul i64 %quickest, %count
  call void @judge(ptr %team, i64 %took, i64 %one, i64 %own, i64 %slept, i64 %back)
  store atomic i64 0, ptr %team release, align 8
  ret void
}

"""


def _starting() -> str:
    return f"""
define void @start(ptr %team, i64 %ticket, i64 %function, ptr %part, i64 %width) {{
  %workers = call i64 @workers(ptr %team)
  %some = icmp sgt i64 %workers, 0
  br i1 %some, label %try, label %alone
try:
  %acquired = call i1 @acquire(ptr %team, i64 %ticket)
  br i1 %acquired, label %give, label %alone
give:
{box("0")}
{at("since")}
  %now = call i64 @llvm.readcyclecounter()
  store i64 %now, ptr %since.at
  %slept = call i1 @post(ptr %team, ptr %box, i64 %ticket, i64 %function, ptr %part, i64 %width)
  ret void
alone:
  call void @call(i64 %function, ptr %part)
  ret void
}}

; what lies in the box may be another thread's already: whoever does it does it as its worker would
define void @join(ptr %team, i64 %ticket) {{
{box("0")}
  %begin = call i64 @llvm.readcyclecounter()
  br label %look
look:
  %owner = load atomic i64, ptr %team acquire, align 8
  %pending = icmp eq i64 %owner, %ticket
  br i1 %pending, label %help, label %exit
help:
{load("since")}
  %helped = call i1 @work(ptr %team, ptr %box)
  br i1 %helped, label %undone, label %wait
undone:
  %left = sub i64 %begin, %since
  call void @judge(ptr %team, i64 0, i64 0, i64 %left, i64 1, i64 1)
  br label %look
wait:
  call void @linger(ptr %team, i64 %begin)
  br label %look
exit:
  ret void
}}
"""
