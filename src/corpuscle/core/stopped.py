"""Someone asked a long work to stop, and it has saved."""

from __future__ import annotations


class Stopped(Exception):
    """The work was stopped by a signal; the same command goes on.

    Attributes:
        signal: its number, as in `signal.SIGTERM`.
    """

    def __init__(self, signal: int) -> None:
        self.signal = signal
        super().__init__(f"stopped by signal {signal}")
