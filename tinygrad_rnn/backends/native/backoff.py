"""Exponential back-off after a worker was preempted: other programs want the processors too.

A worker was preempted if one of two things is seen. The call took a quarter longer than all parts would have
taken one after another, each as long as the quickest; parts that wait for memory differ by less than that. Or
a worker did not even begin, though it was awake or had the time to wake.

After a call that was preempted the next ones leave the team alone: twice as many as the last time.
"""

from __future__ import annotations

from . import thresholds
from .team import at, load


def text() -> str:
    """``@judge(team, took, one, own, slept, back)``: decide how many of the next calls leave the team alone.

    In ticks: how long the call took, how long one thread would have taken, and how long the parts took that
    were done here while others could begin theirs. Then how many workers slept, and how many parts were
    handed out and had to be done here.
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
