"""Independent pieces of training, each in a process of its own with a share of the CPU threads.

Two small models trained side by side on a thread each take less time than one after the other on two threads.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar, cast

import torch

from offline.allocator import keep_memory
from offline.errors import DataError

T = TypeVar("T")

Told = Callable[[Any], None]
"""Called in the parent with the number of the task and what it tells of its progress."""


def run(tasks: Sequence[Callable[[Told], T]], threads: int, told: Callable[[int, Any], None]) -> list[T]:
    """Run tasks, each called with a function that takes what it tells.

    Args:
        tasks: picklable; they run in this process where there is one thread, one task or a GPU.
        threads: CPU threads for all of them.
        told: called with the number of the task and what it tells.

    Returns:
        Their results, in the order of the tasks.

    Raises:
        DataError: a process ended without a result.
    """
    if threads < 2 or len(tasks) < 2 or torch.cuda.is_available():
        return [task(lambda what, number=number: told(number, what)) for number, task in enumerate(tasks)]  # type: ignore[misc]
    results: dict[int, T] = {}
    for start in range(0, len(tasks), threads):
        some = dict(list(enumerate(tasks))[start : start + threads])
        results |= _side_by_side(some, max(1, threads // len(some)), told)
    return [results[number] for number in range(len(tasks))]


def _side_by_side(
    tasks: dict[int, Callable[[Told], T]], threads: int, told: Callable[[int, Any], None]
) -> dict[int, T]:
    context = multiprocessing.get_context("spawn")
    results: dict[int, T] = {}
    number_of: dict[Connection, int] = {}
    processes = []
    try:
        for number, task in tasks.items():
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_child, args=(theirs, task, threads), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            number_of[ours] = number
        while number_of:
            for ready in wait(list(number_of)):
                ours = cast(Connection, ready)
                try:
                    done, what = ours.recv()
                except EOFError:
                    raise DataError(
                        "a training process ended without a result; look for an error above, or free memory and "
                        "train again"
                    ) from None
                if not done:
                    told(number_of[ours], what)
                    continue
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


def _child(theirs: Connection, task: Callable[[Told], Any], threads: int) -> None:
    keep_memory()
    torch.set_num_threads(threads)
    theirs.send((True, task(lambda what: theirs.send((False, what)))))
    theirs.close()
