"""Progress: results on standard output stay clean, and what is passed on is what came."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from corpuscle.core.progress import SILENT, Progress


def test_nothing_is_said_when_not_wanted(capsys):
    SILENT.say("hello")
    assert list(SILENT.track(range(5), "counting", 5)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")


def test_what_is_said_goes_to_standard_error_and_results_to_standard_output(capsys):
    Progress(shown=True).say("going on")
    Progress(shown=True, results=True).say("found")
    assert capsys.readouterr() == ("found\n", "going on\n")


@pytest.mark.parametrize("results", [False, True])
def test_without_a_terminal_a_line_is_said_now_and_then(capsys, monkeypatch, results):
    monkeypatch.setattr(Progress, "LINE_EVERY_S", -1.0)
    progress = Progress(shown=True, results=results)
    assert list(progress.track("ab", "reading", total=100, done=20, per_item=32)) == ["a", "b"]
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == "" and len(lines) == 2
    assert lines[0].startswith("reading: 52 of 100, ") and lines[1].startswith("reading: 84 of 100, ")
    assert lines[1].endswith(" s left") and "/s, " in lines[1]


def test_an_error_of_the_reader_or_the_work_passes_through():
    def broken():
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Progress(shown=True).track(broken(), "x", 2))


@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is needed")
def test_on_a_terminal_a_bar_shows_rate_and_time_left_and_lines_stand_above_it():
    import pty

    code = (
        "import time; from corpuscle.core.progress import Progress; p = Progress(shown=True)\n"
        "for n in p.track(range(20), 'reading', 20):\n"
        "    time.sleep(0.02)\n"
        "    if n == 10: p.say('halfway [b]there[/b]')\n"
        "print('result')"
    )
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], stderr=slave, stdout=subprocess.PIPE, env=environment)
    os.close(slave)
    shown = b""
    while chunk := _read(master):
        shown += chunk
    os.close(master)
    assert done.stdout == b"result\n"
    assert b"reading" in shown and b"/20" in shown and b"/s" in shown and b"0:00:0" in shown
    assert b"halfway [b]there[/b]\r\n" in shown


def _read(handle):
    try:
        return os.read(handle, 65536)
    except OSError:  # the other end is closed
        return b""
