"""Independent pieces of training, each in a process of its own with a share of the CPU threads.

Two small models trained side by side on a thread each take less time than one after the other on two threads.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar, cast

import torch

from offline.errors import DataError
from offline.train.allocator import keep_memory, release_memory

T = TypeVar("T")

Told = Callable[[Any], None]
"""Called in the parent with the number of the task and what it tells of its progress."""


class Workers:
    """Runs tasks.

    Args:
        threads: CPU threads for all tasks.

    Attributes:
        peak_mb: most memory of this process and its workers together so far, in MiB, 0 where there were none.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.peak_mb = 0.0

    def run(self, tasks: Sequence[Callable[[Told], T]], told: Callable[[int, Any], None]) -> list[T]:
        """Run tasks, each called with a function that takes what it tells.

        Args:
            tasks: picklable; they run in this process where there is one thread, one task or a GPU.
            told: called with the number of the task and what it tells.

        Returns:
            Their results, in the order of the tasks.

        Raises:
            DataError: a process ended without a result.
        """
        if self._threads < 2 or len(tasks) < 2 or torch.cuda.is_available():
            return [task(partial(told, number)) for number, task in enumerate(tasks)]
        results: dict[int, T] = {}
        for start in range(0, len(tasks), self._threads):
            results |= self._side_by_side(dict(list(enumerate(tasks))[start : start + self._threads]), told)
        return [results[number] for number in range(len(tasks))]

    def _side_by_side(self, tasks: dict[int, Callable[[Told], T]], told: Callable[[int, Any], None]) -> dict[int, T]:
        context = multiprocessing.get_context("spawn")
        results: dict[int, T] = {}
        number_of: dict[Connection, int] = {}
        processes = []
        try:
            for number, task in tasks.items():
                ours, theirs = context.Pipe(duplex=False)
                threads = max(1, self._threads // len(tasks))
                process = context.Process(target=_child, args=(theirs, task, threads), daemon=True)
                process.start()
                theirs.close()
                processes.append(process)
                number_of[ours] = number
            # The pickled tasks.
            release_memory()
            while number_of:
                for ready in wait(list(number_of)):
                    ours = cast(Connection, ready)
                    done, what = _received(ours)
                    if not done:
                        told(number_of[ours], what)
                        continue
                    sizes = [memory_mb("self", "VmRSS"), *(memory_mb(process.pid, "VmHWM") for process in processes)]
                    self.peak_mb = max(self.peak_mb, sum(sizes))
                    results[number_of.pop(ours)] = what
                    ours.close()
        finally:
            for ours in number_of:
                ours.close()
            for process in processes:
                if number_of:
                    process.terminate()
                process.join()
                process.close()
        return results


def memory_mb(process: int | str | None, field: str) -> float:
    """A size of a process from Linux's /proc, in MiB: VmRSS now, VmHWM at most; 0 where it cannot be read.

    Not from `resource`: what it says of a child includes the parent's size at the fork.
    """
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    sizes = [int(line.split()[1]) for line in lines if line.startswith(f"{field}:")]
    return sizes[0] / 1024 if sizes else 0.0


def _received(ours: Connection) -> tuple[bool, Any]:
    try:
        done, what = ours.recv()
    except EOFError:
        raise DataError(
            "a training process ended without a result; look for an error above, or free memory and train again"
        ) from None
    return done, what


def _child(theirs: Connection, task: Callable[[Told], Any], threads: int) -> None:
    keep_memory()
    torch.set_num_threads(threads)
    theirs.send((True, task(lambda what: theirs.send((False, what)))))
    theirs.close()
