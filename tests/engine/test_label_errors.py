"""Labels that may be wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.sources import scan
from corpuscle.data.table import Table
from corpuscle.engine import described
from corpuscle.engine import label_errors as module
from corpuscle.engine.label_errors import _blocks, _inverse, _left_out, label_errors

COLOURS = {"dark": (90, 30, 60), "pale": (200, 170, 190), "red": (40, 40, 190)}


def write_image(path: Path, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    canvas_HWC = np.full((40, 40, 3), 225, np.uint8)
    cv2.circle(canvas_HWC, (20, 20), int(random.integers(8, 14)), COLOURS[kind], -1)
    noise_HWC = random.integers(-12, 13, canvas_HWC.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.clip(canvas_HWC + noise_HWC, 0, 255).astype(np.uint8))


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    """Three classes of twelve images."""
    monkeypatch.setenv("CORPUSCLE_CACHE", str(tmp_path / "cache"))
    for at, kind in enumerate(COLOURS):
        for number in range(12):
            write_image(tmp_path / "cells" / kind / f"{number:02}.png", kind, 100 * at + number)
    return scan(tmp_path / "cells")


def relabelled(table: Table, labels: dict[str, str | None]) -> Table:
    named = [labels.get(image, label) for image, label in table.frame.select("image", "label").iter_rows()]
    return table.with_frame(table.frame.with_columns(label=pl.Series(named, dtype=pl.String)))


def test_wrong_labels_are_suspected_and_named_with_what_they_look_like(cells: Table) -> None:
    found = label_errors(relabelled(cells, {"dark/03.png": "pale", "red/07.png": "dark"}))
    assert {(s.image, s.label, s.suggested) for s in found.suspects} == {
        ("dark/03.png", "pale", "dark"),
        ("red/07.png", "dark", "red"),
    }
    assert [suspect.rank for suspect in found.suspects] == [1, 2]
    assert all(suspect.self_confidence < 0.7 and suspect.suggested_confidence > 0.3 for suspect in found.suspects)
    assert found.accuracy == pytest.approx(34 / 36, abs=0.03) and found.judged == 36


def test_a_finding_says_the_image_its_label_and_the_other_class(cells: Table) -> None:
    found = label_errors(relabelled(cells, {"dark/03.png": "pale"})).findings
    assert [str(finding) for finding in found] == [
        "dark/03.png is labelled pale, it looks like dark; look at each and mend the label where it is wrong; "
        "nothing is changed by itself"
    ]
    assert found[0].images == ("dark/03.png",) and found[0].kind == "label error"
    assert found[0].as_dict()["values"]["suggested"] == "dark"


def test_right_labels_are_not_suspected(cells: Table) -> None:
    assert label_errors(cells).suspects == ()


def test_a_second_look_reads_no_image(cells: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    first = label_errors(relabelled(cells, {"dark/03.png": "pale"}))
    monkeypatch.setattr(described, "read_pixels", None)
    assert label_errors(relabelled(cells, {"dark/03.png": "pale"})) == first


def test_a_copy_with_another_label_is_heard(cells: Table) -> None:
    pair = [["dark/01.png", "dark/02.png"]]
    found = label_errors(relabelled(cells, {"dark/01.png": "pale"}), copies=pair)
    assert [(s.image, s.suggested, s.copies) for s in found.suspects] == [("dark/01.png", "dark", ("dark/02.png",))]
    assert found.findings[0].what == (
        "dark/01.png is labelled pale, it looks like dark, and dark/02.png shows nearly the same and is labelled dark"
    )
    apart = label_errors(relabelled(cells, {"dark/01.png": "pale"}), together=pair)
    assert [(s.image, s.copies) for s in apart.suspects] == [("dark/01.png", ())]  # crops that overlap are no copies
    alone = label_errors(relabelled(cells, {"dark/01.png": "pale"})).suspects[0]
    assert found.suspects[0].self_confidence < alone.self_confidence and alone.copies == ()


def test_copies_do_not_vouch_for_each_other(cells: Table, tmp_path: Path) -> None:
    copies = {}
    for number in (3, 4):
        content = (cells.path_of("dark/01.png")).read_bytes()
        (tmp_path / "cells/dark" / f"copy{number}.png").write_bytes(content)
        copies[f"dark/copy{number}.png"] = "pale"
    copies["dark/01.png"] = "pale"
    table = relabelled(scan(tmp_path / "cells"), copies)
    together = {suspect.image for suspect in label_errors(table, copies=[list(copies)]).suspects}
    assert together == set(copies)


def test_unlabelled_and_unreadable_images_are_passed_over(cells: Table, tmp_path: Path) -> None:
    (tmp_path / "cells/dark/05.png").write_text("no image")
    assert label_errors(relabelled(cells, {"red/01.png": None})).judged == 34


def test_a_class_with_too_few_images_is_said_and_left_out(cells: Table) -> None:
    few = {f"red/{number:02}.png": None for number in range(3, 12)}
    found = label_errors(relabelled(cells, few))
    assert found.notes == ("labels red are not judged: 3 images or groups, 5 are needed",)
    assert found.judged == 24


def test_too_few_images_of_all_classes_are_refused(cells: Table) -> None:
    few = {image: None for image in cells.frame["image"] if int(Path(image).stem) > 3}
    with pytest.raises(CorpuscleError, match=r"classes of at least 5 images or groups, got labels dark .*: 4 images"):
        label_errors(relabelled(cells, few))


def test_images_without_classes_are_refused(cells: Table) -> None:
    with pytest.raises(CorpuscleError, match="at least 2 classes, got 0 in 36 images"):
        label_errors(relabelled(cells, dict.fromkeys(cells.frame["image"])))
    counted = cells.with_frame(cells.frame.with_columns(counts=pl.lit([1])))
    with pytest.raises(CorpuscleError, match="among named classes, got counts of objects; leave out --label-errors"):
        label_errors(counted)
    segmented = cells.with_frame(cells.frame.with_columns(mask=pl.lit("mask.png")))
    with pytest.raises(CorpuscleError, match="among named classes, got masks; leave out --label-errors"):
        label_errors(segmented)


def test_nothing_but_unreadable_images_is_refused(cells: Table) -> None:
    with pytest.raises(CorpuscleError, match="none of the 36 images can be read"):
        label_errors(cells, ReadPlan(max_pixels=1))


def test_what_is_left_out_equals_learning_without_it() -> None:
    random = np.random.default_rng(0)
    families = [random.normal(size=(30, size)).astype(np.float32) for size in (5, 3, 4)]
    target_BK = random.normal(size=(30, 2))
    unit_B = np.arange(30)
    unit_B[[4, 9, 20]] = 4
    inverse_BB = _inverse(families).astype(np.float64)
    kernel_BB = np.linalg.inv(inverse_BB)
    for unit in (4, 7):
        away, kept = np.flatnonzero(unit_B == unit), np.flatnonzero(unit_B != unit)
        expected = kernel_BB[np.ix_(away, kept)] @ np.linalg.solve(kernel_BB[np.ix_(kept, kept)], target_BK[kept])
        np.testing.assert_allclose(_left_out(inverse_BB, target_BK, unit_B)[away], expected, atol=1e-4)


def test_many_images_are_judged_in_blocks_of_whole_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 50)
    label_N, unit_N = np.repeat([0, 1], 100), np.arange(200) // 4
    blocks = list(_blocks(label_N, unit_N, np.random.default_rng(0)))
    assert len(blocks) == 4
    assert sorted(np.concatenate(blocks).tolist()) == list(range(200))
    assert all(0.4 < label_N[block].mean() < 0.6 for block in blocks)
    assert sum(len(set(unit_N[block])) for block in blocks) == 50
