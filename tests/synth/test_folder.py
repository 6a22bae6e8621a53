"""The folder of drawn cells: counts, names, and cells that stay the same for ever."""

from __future__ import annotations

import json
import re

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from corpuscle.core.errors import CorpuscleError
from corpuscle.synth.cells import KINDS, Cell
from corpuscle.synth.folder import DRAWN, NUM_SLIDES, cell_of, provide_cells, write_cells


def features(cell: Cell) -> np.ndarray:
    """Areas of nucleus and cell, and what colour they take from the light around them."""
    nucleus, cell_without = cell.mask_HW == 255, cell.mask_HW == 128
    light = np.percentile(cell.image_HWC[cell.mask_HW == 0], 90, axis=0)
    density = -np.log10((cell.image_HWC + 1.0) / light)
    colours = [density[part].mean(axis=0) for part in (nucleus, cell_without)]
    return np.array([nucleus.sum(), cell_without.sum(), *np.concatenate(colours), density[cell_without].std()])


def test_the_folder_holds_the_right_counts_and_names(tmp_path):
    paths = write_cells(tmp_path, 3, 32, seed=0)
    assert sorted(paths) == sorted(tmp_path.rglob("*.png"))
    assert sorted(folder.name for folder in tmp_path.iterdir()) == list(KINDS)
    for kind in KINDS:
        names = sorted(path.name for path in (tmp_path / kind).iterdir())
        assert names == [f"{kind}_s{number:02d}_{number:04d}.png" for number in range(3)]
        assert cv2.imread(str(tmp_path / kind / names[0])).shape == (32, 32, 3)


def test_the_slide_can_be_read_from_the_name_and_holds_all_kinds(tmp_path):
    paths = write_cells(tmp_path, NUM_SLIDES + 1, 16, seed=0)
    slides = {}
    for path in paths:
        group = re.search(r"_(?P<group>s\d+)_", path.name)["group"]
        slides.setdefault(group, set()).add(path.parent.name)
    assert len(slides) == NUM_SLIDES
    assert all(kinds == set(KINDS) for kinds in slides.values())


def test_a_cell_does_not_depend_on_how_many_are_asked_for(tmp_path):
    few, more = (write_cells(tmp_path / str(count), count, 48, seed=3) for count in (2, 4))
    assert [path.read_bytes() for path in few] == [path.read_bytes() for path in more[: len(few)]]
    image = cv2.imread(str(more[7]))[..., ::-1]
    np.testing.assert_array_equal(image, cell_of(3, 7, 48).image_HWC)
    assert (image != cell_of(4, 7, 48).image_HWC).any()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(CorpuscleError, match="cannot be written"):
        write_cells(tmp_path / "taken", 1, 16, seed=0)


def test_cells_that_are_there_are_left_alone(tmp_path):
    provide_cells(tmp_path / "cells", 2, 16, seed=3)
    first, *_ = sorted((tmp_path / "cells").rglob("*.png"))
    assert len(list((tmp_path / "cells").rglob("*.png"))) == 10
    assert json.loads((tmp_path / "cells" / DRAWN).read_text()) == {"per_class": 2, "size": 16, "seed": 3}
    drawn = first.stat().st_mtime_ns
    provide_cells(tmp_path / "cells", 2, 16, seed=3)
    assert first.stat().st_mtime_ns == drawn


@pytest.mark.parametrize(("per_class", "seed"), [(3, 0), (2, 1)])
def test_cells_that_were_drawn_otherwise_are_refused(tmp_path, per_class, seed):
    provide_cells(tmp_path / "cells", 2, 16, seed=0)
    with pytest.raises(CorpuscleError) as raised:
        provide_cells(tmp_path / "cells", per_class, 16, seed)
    assert str(raised.value) == (
        f"expected drawn cells of per_class {per_class}, size 16, seed {seed} in {tmp_path}/cells, "
        "it holds those of per_class 2, size 16, seed 0; remove it, or name another --out"
    )


@pytest.mark.parametrize("record", [None, "{", "[]"])
def test_a_folder_that_does_not_say_what_it_holds_is_refused(tmp_path, record):
    write_cells(tmp_path, 1, 16, seed=0)
    if record is not None:
        (tmp_path / DRAWN).write_text(record)
    with pytest.raises(CorpuscleError, match="it says nothing of what it holds; remove it, or name another --out"):
        provide_cells(tmp_path, 1, 16, seed=0)


def test_a_simple_classifier_tells_the_kinds_apart_on_slides_it_has_not_seen():
    cells = [cell_of(0, index, 64) for index in range(5 * NUM_SLIDES * 2)]
    features_NC = np.stack([features(cell) for cell in cells])
    target_N = np.array([KINDS.index(cell.kind) for cell in cells])
    known_N = np.arange(len(cells)) // len(KINDS) % NUM_SLIDES < 30
    forest = RandomForestClassifier(100, random_state=0).fit(features_NC[known_N], target_N[known_N])
    assert forest.score(features_NC[~known_N], target_N[~known_N]) > 0.6
