"""Exponential back-off after a worker was preempted: other programs want the processors too.

A call was worse than one thread where it took longer, by a quarter, than all parts would have, one after
another, at the pace of the quickest: parts that wait for memory differ by less. And a worker that did not
even begin had no processor, if it was awake or had the time to wake.
"""

from __future__ import annotations

from . import thresholds
from .team import at, load


def text() -> str:
    """``@judge(team, took, one, own, slept, back)``: settle whether the next calls leave the team alone.

    How long the call took, how long one thread would have, and the parts done here while others could begin
    theirs; how many workers slept, and how many parts had to be done here that were handed out. Ticks.
    """
    return f"""
define internal void @judge(ptr %team, i64 %took, i64 %one, i64 %own, i64 %slept, i64 %back) {{
{load("late")}
{load("prompt")}
{load("woken")}
{load("penalty")}
{at("backoff")}
  %lost = sub i64 %took, %one
  %uneven = ashr i64 %one, 2
  %most = add i64 %late, %uneven
  %worse = icmp sgt i64 %lost, %most
  %asleep = icmp sgt i64 %slept, 0
  %time = select i1 %asleep, i64 %woken, i64 %prompt
  %enough = icmp sgt i64 %own, %time
  %left = icmp sgt i64 %back, 0
  %never = and i1 %left, %enough
  %preempted = or i1 %worse, %never
  br i1 %preempted, label %longer, label %unless
longer:
  %often = mul i64 %lost, {thresholds.BACKOFF_GAIN}
  %some = call i64 @llvm.smax.i64(i64 %one, i64 1)
  %regain = sdiv i64 %often, %some
  %twice = mul i64 %penalty, 2
  %long = call i64 @llvm.smax.i64(i64 %twice, i64 %regain)
  %bound = call i64 @llvm.smin.i64(i64 %long, i64 {thresholds.BACKOFF_MAX_CALLS})
  store i64 %bound, ptr %backoff.at
  br label %keep
unless:
  br i1 %left, label %exit, label %shorter
shorter:
  %half = lshr i64 %penalty, 1
  %least = call i64 @llvm.smax.i64(i64 %half, i64 {thresholds.BACKOFF_MIN_CALLS})
  br label %keep
keep:
  %new = phi i64 [ %bound, %longer ], [ %least, %shorter ]
  store i64 %new, ptr %penalty.at
  br label %exit
exit:
  ret void
}}
"""
