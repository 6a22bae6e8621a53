"""Every defect gets its documented message and exit code, and the page of faults is what the doctor says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from corpuscle.data.sources.layouts import LAYOUTS

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "quality" / "defects.py"


def script():
    before = sys.path.copy()
    spec = importlib.util.spec_from_file_location("defects", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["defects"] = module  # its dataclasses ask for it
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


defects = script()


@pytest.mark.parametrize("defect", defects.DEFECTS, ids=lambda one: f"{one.layout}: {one.name}")
def test_a_defect_gets_its_message_and_exit_code(defect, tmp_path):
    said = defects.tried(defect, tmp_path)
    assert "Traceback" not in said.said
    assert (said.code, defect.says in said.said) == (defect.code, True), said.said


def test_data_without_a_defect_get_none(tmp_path):
    sound = defects.Defect(
        "one folder per class", "none", defects.with_cells(lambda folder: None), 0, "no faults found"
    )
    assert defects.holds(sound, defects.tried(sound, tmp_path))


def test_there_are_sixty_and_every_layout_is_among_them():
    assert len(defects.DEFECTS) >= 60
    layouts = {defect.layout for defect in defects.DEFECTS}
    without = {"train, valid and test CSVs", "a JSON file of points", "a folder of images"}
    assert set(LAYOUTS) - layouts <= without, "a new layout wants a defect"


def test_the_page_of_faults_has_every_kind_and_every_defect():
    text = defects.PAGE.read_text(encoding="utf-8")
    for table in defects.tables().values():
        assert table in text, "write it anew: python benchmarks/quality/defects.py --page"
