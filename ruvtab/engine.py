"""Run a function over block numbers on threads: results come in order, only a few are held at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def n_threads() -> int:
    """Threads worth having: the processors this process may use, as Polars' own setting limits them."""
    limit = int(os.environ.get("POLARS_MAX_THREADS", "0")) or 64
    return max(1, min(limit, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def in_order(work: Callable[[int], T], n: int, threads: int) -> Iterator[T]:
    """Yield work(0), work(1), … work(n - 1) in order, computed by `threads` threads, at most one ahead each."""
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
