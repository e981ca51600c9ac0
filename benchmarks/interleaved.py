"""Contestants take turns in one run, so that whatever else the machine does hits them alike."""

import gc
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """What a round took, per piece of work, in seconds; and the memory at its peak."""

    wall: float
    cpu: float
    rss_mb: float = 0.0


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant's medians over all rounds, per piece of work, in seconds; peak memory."""

    wall: float
    cpu: float
    rss_mb: float = 0.0

    @property
    def per_second(self) -> float:
        return 1 / self.wall


def timed(work: Callable[[], object], pieces: int) -> Sample:
    """Run `work`, which does that many pieces; the CPU time is this process's, all threads."""
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Sample(wall / pieces, cpu / pieces)


def compete(
    contestants: Mapping[str, Callable[[], Sample]], rounds: int, *, until: float = math.inf
) -> dict[str, Result]:
    """Every contestant once per round, in turn, after one round that does not count.

    A round that would likely end after `until`, on `time.monotonic`'s clock, is not begun, unless
    it is the first that counts.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    began = time.monotonic()
    for number in range(rounds + 1):
        began_round = time.monotonic()
        if number > 1 and began_round + (began_round - began) / number > until:
            break
        for name, run in contestants.items():
            sample = run()
            say(f"  {name}: {1 / sample.wall:,.0f} per second")
            if number:
                samples[name].append(sample)
    return {name: _medians(taken) for name, taken in samples.items()}


def say(text: str) -> None:
    """Progress: standard output is for results."""
    print(text, file=sys.stderr, flush=True)


def _medians(taken: Sequence[Sample]) -> Result:
    return Result(
        median(sample.wall for sample in taken),
        median(sample.cpu for sample in taken),
        max(sample.rss_mb for sample in taken),
    )
