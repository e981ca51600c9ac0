"""Contestants take turns in one run, so that whatever else the machine does hits them alike."""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Sample:
    """What a round took, per piece of work, in seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant's medians over all rounds, per piece of work, in seconds."""

    wall: float
    cpu: float

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


def compete(contestants: Mapping[str, Callable[[], Sample]], rounds: int) -> dict[str, Result]:
    """Every contestant once per round, in turn, after one round that does not count."""
    samples: dict[str, list[Sample]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, run in contestants.items():
            sample = run()
            if number:
                samples[name].append(sample)
    return {
        name: Result(median(s.wall for s in taken), median(s.cpu for s in taken))
        for name, taken in samples.items()
    }
