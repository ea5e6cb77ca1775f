"""Run a function over block numbers on threads: results come in order, only a few are held at a time."""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from typing import TypeVar

T = TypeVar("T")

_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1


def n_threads() -> int:
    """Threads worth having: the processors this process may use, as Polars' own setting limits them."""
    limit = int(os.environ.get("POLARS_MAX_THREADS", "0")) or 64
    return max(1, min(limit, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


@cache
def keep_memory() -> None:
    """Have glibc keep freed memory for the next chunk; elsewhere do nothing.

    A chunk's arrays are above the size from which glibc gives every array fresh pages: a third of the time then goes
    to the kernel, which clears them.
    """
    with suppress(AttributeError, OSError, TypeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(_TRIM_THRESHOLD, 1 << 28)


def in_order(work: Callable[[int], T], n: int, threads: int) -> Iterator[T]:
    """Yield work(0), work(1), … work(n - 1) in order, computed by `threads` threads, at most one ahead each."""
    if n > threads:
        keep_memory()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[T]] = deque(pool.submit(work, i) for i in range(min(threads, n)))
        submitted = len(waiting)
        try:
            while waiting:
                done = waiting.popleft().result()
                if submitted < n:
                    waiting.append(pool.submit(work, submitted))
                    submitted += 1
                yield done
        finally:
            for future in waiting:
                future.cancel()
