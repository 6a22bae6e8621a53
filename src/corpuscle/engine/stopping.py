"""Ctrl-C and SIGTERM while a net is fitted: save at the next step, then leave."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from corpuscle.core.progress import Progress


@contextmanager
def listening(progress: Progress) -> Iterator[Callable[[], int]]:
    """Whether a signal has come: its number, or 0. A second Ctrl-C stops at once, without saving.

    Outside the main thread nothing is caught, for Python allows it there alone.
    """
    came = 0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = number
        with contextlib.suppress(RuntimeError):  # the signal came in the middle of another line
            progress.say("stopping: the state is saved at the next step")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
