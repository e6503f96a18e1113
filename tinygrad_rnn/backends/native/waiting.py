"""How threads wait for each other: for a moment on the processor, then asleep for a moment at a time, in LLVM
text.

    look ─ pause ─ look ─ pause ─ …  patience is over ─ look ─ nap ─ look ─ nap ─ …

What is waited for usually comes within microseconds, and going to sleep would take longer. But a thread that
was preempted comes only when it gets a processor, perhaps the very one that is waited on.
"""

from __future__ import annotations

import platform

from . import thresholds
from .team import load


def text() -> str:
    """``@pause()``: between two looks. ``@linger(team, since)``: one look in vain, of somebody who has waited
    since then."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    pause, argument = ("@llvm.aarch64.hint", "i32 1") if arm else ("@llvm.x86.sse2.pause", "")
    return f"""
declare void {pause}({argument.split(" ")[0]})

define internal void @pause() {{
  call void {pause}({argument})
  ret void
}}

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
