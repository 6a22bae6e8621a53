"""Work that is shared among threads."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_threads(work: Callable[[In], Out], items: Iterable[In]) -> Iterator[Out]:
    """Results in order, a few ahead; decoding and hashing leave the interpreter free, so threads are enough."""
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 4 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """Linear algebra takes one thread: what goes on `in_threads` has the processors already, and waits for no other."""
    import numpy as np  # noqa: F401 (what is not loaded yet is not limited)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield
