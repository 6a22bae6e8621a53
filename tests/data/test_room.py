"""What is unpacked into the cache counts towards its limit, and goes when it is the longest unused and nobody's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from corpuscle.data import room
from corpuscle.data.readers.npz import read_npz_member
from corpuscle.data.sources import scan
from corpuscle.data.sources.archive import unpacked
from corpuscle.data.sources.plan import ArchivePlan

HOLD = "import sys; from pathlib import Path; from corpuscle.data.room import hold; "
HOLD += "print(hold(Path(sys.argv[1])), flush=True); input()"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "kept"))
    yield tmp_path / "kept"
    for entry in [entry for entry in room._held if entry.is_relative_to(tmp_path)]:
        let_go(entry)


def let_go(entry):
    """As a run that ends."""
    os.close(room._held.pop(entry))


def packed(tmp_path, name, level):
    """An archive of two classes."""
    for kind in ("a", "b"):
        (tmp_path / name / kind).mkdir(parents=True)
        noise = np.random.default_rng([level, ord(kind)]).integers(256, size=(40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name / kind / "x.png")
    return tmp_path / shutil.make_archive(str(tmp_path / name), "zip", tmp_path / name)


def entries(kept, of=room.ARCHIVES):
    return sorted((kept / of).iterdir())


def test_unpacked_archives_and_arrays_go_when_the_limit_is_reached_the_longest_unused_first(tmp_path, kept):
    scan(packed(tmp_path, "one", 1))
    (first,) = entries(kept)
    np.savez_compressed(tmp_path / "cells.npz", images=np.zeros((4, 9, 9, 3), np.uint8))
    read_npz_member(tmp_path / "cells.npz#0")
    (array,) = entries(kept, room.ARRAYS)
    scan(packed(tmp_path, "two", 2))
    (second,) = (entry for entry in entries(kept) if entry != first)
    for used, entry in enumerate((array, first, second), 1):
        os.utime(entry, (used, used))
        let_go(entry)
    sizes = {one: sum(file.stat().st_size for file in one.rglob("*") if file.is_file()) for one in (first, second)}
    need = int(room.LIMIT_BYTES) - sizes[first] - sizes[second]
    room._drop_unused(kept, need)
    assert not array.exists() and first.is_dir() and second.is_dir()
    room._drop_unused(kept, need + 1)
    assert entries(kept) == [second]
    assert len(scan(tmp_path / "one.zip")) == 2 and len(entries(kept)) == 2  # unpacked again


def test_what_a_run_uses_stays_however_old_and_goes_when_the_run_has_ended(tmp_path, kept):
    folder = unpacked(packed(tmp_path, "one", 1), ArchivePlan()).root
    os.utime(folder, (1, 1))
    with pytest.raises(OSError, match="No space left"):
        room.make_room(kept, 10**15)
    assert folder.is_dir(), "this run uses it"
    let_go(folder)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "True\n"
        room._drop_unused(kept, 10**15)
        assert folder.is_dir(), "another run uses it"
        other.kill()
    room._drop_unused(kept, 10**15)
    assert entries(kept) == []
    assert not room.hold(folder)


def test_what_killed_runs_left_is_removed_after_a_day(kept):
    for place in (".canvases.x", f"{room.ARCHIVES}/.digest.x.part", f"{room.FEATURES}/.y.dropped"):
        (kept / place).mkdir(parents=True)
    (kept / room.ARRAYS).mkdir()
    (kept / room.ARRAYS / ".z.npy.x.part").touch()
    left = [*kept.glob(".*.*"), *kept.glob("*/.*.*")]
    assert len(left) == 4
    room.make_room(kept, 0)
    assert all(path.exists() for path in left)
    for path in left:
        os.utime(path, (time.time() - 2 * room.ABANDONED_S,) * 2)
    room.make_room(kept, 0)
    assert not any(path.exists() for path in left)
