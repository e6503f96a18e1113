"""How threads wait for each other: for a moment on the processor, then asleep for a moment at a time, in LLVM
text.

    look ─ pause ─ look ─ pause ─ …  patience is over ─ look ─ nap ─ look ─ nap ─ …

What is waited for usually comes within microseconds, and going to sleep would take longer. But a thread that
was preempted comes only when it gets a processor, perhaps the very one that is waited on.
"""

from __future__ import annotations

from . import compiler, thresholds
from .team import load


def text() -> str:
    """``@pause()``: between two looks. ``@linger(team, since)``: one look in vain, of somebody who has waited
    since then."""
    return f"""
{_pause()}

; one look in vain, of somebody who has waited since then
define internal void @linger(ptr %team, i64 %since) {{
  %now = call i64 @llvm.readcyclecounter()
  %waited = sub i64 %now, %since
{load("patience")}
  %long = icmp sgt i64 %waited, %patience
  br i1 %long, label %doze, label %on
on:
  call void @pause()
  ret void
doze:
{load("nap")}
{load("never")}
  %f = inttoptr i64 %nap to ptr
  %timeout = call i32 %f(i64 %never, i64 {thresholds.NAP_MICROSECONDS}, i32 0)
  ret void
}}
"""


_PAUSES = {"x86": "llvm.x86.sse2.pause()", "aarch64": "llvm.aarch64.hint(i32 1)"}
"""By family of processors, the instruction that leaves a core to its other thread for a moment."""


def _pause() -> str:
    call = _PAUSES.get(compiler.processor().family)
    if call is None:
        return "define internal void @pause() {\n  ret void\n}"
    return f"""
declare void @{call.replace(" 1", "")}

define internal void @pause() {{
  call void @{call}
  ret void
}}"""
