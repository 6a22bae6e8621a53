"""Signals while a net is fitted."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from corpuscle.core.progress import SILENT
from corpuscle.engine.stopping import listening


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_old_handler_comes_back(number):
    old = signal.getsignal(number)
    with listening(SILENT) as came:
        assert came() == 0
        os.kill(os.getpid(), number)
        assert came() == number
    assert signal.getsignal(number) is old


def test_a_second_signal_stops_at_once():
    before = signal.getsignal(signal.SIGINT)  # a shell's background job begins with it ignored
    with pytest.raises(KeyboardInterrupt), listening(SILENT) as came:
        os.kill(os.getpid(), signal.SIGINT)
        assert came() == signal.SIGINT
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_in_the_middle_of_another_line_is_noted_all_the_same():
    class Busy:
        def say(self, line):
            raise RuntimeError("reentrant call")

    with listening(Busy()) as came:
        os.kill(os.getpid(), signal.SIGTERM)
        assert came() == signal.SIGTERM


def test_in_another_thread_nothing_is_caught():
    heard = []

    def work():
        with listening(SILENT) as came:
            heard.append(came())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [0]
