"""A gang: threads that do one piece of work together and wait for each other in it, in LLVM text.

    who asks   post ─ wait a moment ─ shut the gate ─ part 0 ─ barrier ─ part 0 ─ … ─ done
    worker 1     └─▶ come in, as number 1 ─ wait ──── part 1 ─ barrier ─ part 1 ─ …
    worker 2     └─────────────────────────────▶ the gate is shut: go

A barrier needs all of them, and nobody may wait for a thread that does not come. So the number of parts is
settled when the gate is shut: the work is shared among those who are in by then, be it by him alone who asks.
"""

from __future__ import annotations

from . import team
from .team import each, element, load

SHUT = 1 << 32
"""Added to how many have come."""

_WORDS = ", ".join(f"i64 %x{i}" for i in range(team.GIVEN))


def text() -> str:
    """``@gather(team, gang, function, parts, width, count)``: the function by as many threads as come, each
    with one of the parts and, at last, its number and how many there are. ``@barrier(gang, number, many)``:
    wait until all of them are there."""
    return "\n".join((_barrier(), _do(), _enter(), _gather()))


def _barrier() -> str:
    return f"""
define internal i64 @member(i64 %number) {{
  %far = mul i64 %number, {team.MEMBER}
  %word = add i64 %far, {team.MEMBERS}
  ret i64 %word
}}

define void @barrier(ptr %gang, i64 %number, i64 %many) {{
  %alone = icmp eq i64 %many, 1
  br i1 %alone, label %exit, label %arrive
arrive:
  %word = call i64 @member(i64 %number)
{element("mine", "gang", "%word")}
  %known = load i64, ptr %mine
  %now = add i64 %known, 1
  store atomic i64 %now, ptr %mine release, align 8
  %since = call i64 @llvm.readcyclecounter()
{load("team", "gang")}
  %t = inttoptr i64 %team to ptr
{
        each(
            "%many",
            f'''  %place = call i64 @member(i64 %i)
{element("theirs", "gang", "%place")}
  br label %again
again:
  %here = load atomic i64, ptr %theirs acquire, align 8
  %come = icmp sge i64 %here, %now
  br i1 %come, label %there, label %wait
wait:
  call void @linger(ptr %t, i64 %since)
  br label %again
there:''',
        )
    }
  %done = call i64 @llvm.readcyclecounter()
  %took = sub i64 %done, %since
  %lost.at = getelementptr i64, ptr %mine, i64 1
  %lost = load i64, ptr %lost.at
  %sum = add i64 %lost, %took
  store i64 %sum, ptr %lost.at
  br label %exit
exit:
  ret void
}}
"""


def _do() -> str:
    """The function with a part, its number and how many there are."""
    places = [element(f"x{i}.at", "part", i) for i in range(team.GIVEN)]
    loads = "\n".join(f"{place}\n  %x{i} = load i64, ptr %x{i}.at" for i, place in enumerate(places))
    return f"""
define internal void @do(i64 %function, ptr %part, i64 %number, i64 %many) {{
{loads}
  %f = inttoptr i64 %function to ptr
  call void %f({_WORDS}, i64 %number, i64 %many)
  ret void
}}
"""


def _enter() -> str:
    places = [element(f"x{i}.at", "part", i) for i in range(team.GIVEN)]
    stores = "\n".join(f"{place}\n  store i64 %x{i}, ptr %x{i}.at" for i, place in enumerate(places))
    return f"""
; what a worker does: the gang, the function, and its part
define internal void @enter(ptr %gang, i64 %function, {_WORDS}) {{
  %part = alloca i64, i64 {team.GIVEN}
{stores}
  br label %look
look:
  %seen = load atomic i64, ptr %gang acquire, align 8
  %shut = icmp sge i64 %seen, {SHUT}
  br i1 %shut, label %exit, label %try
try:
  %number = add i64 %seen, 1
  %pair = cmpxchg ptr %gang, i64 %seen, i64 %number acq_rel acquire
  %in = extractvalue {{ i64, i1 }} %pair, 1
  br i1 %in, label %wait, label %look
wait:
  %gate = load atomic i64, ptr %gang acquire, align 8
  %begun = icmp sge i64 %gate, {SHUT}
  br i1 %begun, label %go, label %on
on:
  call void @pause()
  br label %wait
go:
  %others = sub i64 %gate, {SHUT}
  %many = add i64 %others, 1
  call void @do(i64 %function, ptr %part, i64 %number, i64 %many)
  br label %exit
exit:
  ret void
}}
"""


def _gather() -> str:
    return f"""
define void @gather(ptr %team, ptr %gang, i64 %function, ptr %parts, i64 %width, i64 %count) {{
{element("first", "parts", 2)}
  %acquired = call i1 @acquire(ptr %team, i64 1)
  br i1 %acquired, label %share, label %alone
alone:
  call void @do(i64 %function, ptr %first, i64 0, i64 1)
  ret void
share:
  %workers = call i64 @workers(ptr %team)
  %others = sub i64 %count, 1
  %shared = call i64 @llvm.smin.i64(i64 %workers, i64 %others)
  store i64 0, ptr %gang
{_members_begin()}
{load("prompt")}
{load("woken")}
  %start = call i64 @llvm.readcyclecounter()
  %enter = ptrtoint ptr @enter to i64
  %slept = call i64 @hand_out(ptr %team, i64 %shared, i64 %enter, ptr %parts, i64 %width)
  %asleep = icmp sgt i64 %slept, 0
  %time = select i1 %asleep, i64 %woken, i64 %prompt
  br label %watch
watch:
  %come = load atomic i64, ptr %gang acquire, align 8
  %all = icmp sge i64 %come, %shared
  br i1 %all, label %shut, label %wait
wait:
  call void @pause()
  %now = call i64 @llvm.readcyclecounter()
  %waited = sub i64 %now, %start
  %enough = icmp sgt i64 %waited, %time
  br i1 %enough, label %shut, label %watch
shut:
  %in = atomicrmw add ptr %gang, i64 {SHUT} acq_rel
  %many = add i64 %in, 1
  %begin = call i64 @llvm.readcyclecounter()
  call void @do(i64 %function, ptr %first, i64 0, i64 %many)
  %done = call i64 @llvm.readcyclecounter()
  %back = call i64 @take_back(ptr %team, i64 %shared)
  %each = call i64 @await(ptr %team, i64 %shared, i64 %done, i64 0)
  %word = call i64 @member(i64 0)
  %lost.word = add i64 %word, 1
{element("lost.at", "gang", "%lost.word")}
  %lost = load i64, ptr %lost.at
  %took = sub i64 %done, %begin
  %busy = sub i64 %took, %lost
  %one = mul i64 %busy, %many
  %tried = sub i64 %begin, %start
  call void @judge(ptr %team, i64 %took, i64 %one, i64 %tried, i64 %slept, i64 %back)
  store atomic i64 0, ptr %team release, align 8
  ret void
}}
"""


def _members_begin() -> str:
    """Nobody has arrived anywhere, nor waited."""
    return each(
        "%count",
        f"""  %its.word = call i64 @member(i64 %i)
{element("its", "gang", "%its.word")}
{element("its.lost", "its", 1)}
  store i64 0, ptr %its
  store i64 0, ptr %its.lost""",
    )
