"""Shapes drawn on images from the folder to the answer: learned as masks by one recipe, counted by another."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import pytest

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.annotations.areas import outlines
from corpuscle.engine.rescore import own_table
from corpuscle.engine.train import Call, train
from corpuscle.recipes import compose


@pytest.fixture(scope="module")
def outlined(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of `blobs` with the outlines of their cells and nuclei in LabelMe."""
    folder = tmp_path_factory.mktemp("outlined")
    for image in sorted((blobs / "images").iterdir()):
        mask_HW = cv2.imread(str(blobs / "masks" / f"{image.stem}.png"), cv2.IMREAD_GRAYSCALE)
        inside = {"cell": mask_HW >= 128, "nucleus": mask_HW == 255}
        drawn = [{"label": name, "points": ring} for name, one in inside.items() for ring, _ in outlines(one)]
        shutil.copy(image, folder)
        content = {"shapes": drawn, "imagePath": image.name, "imageWidth": 52, "imageHeight": 44}
        (folder / f"{image.stem}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.slow
def test_what_is_drawn_is_learned_as_masks_and_read_again_from_the_run(outlined, segmenting, tmp_path):
    experiment, origins = compose("segment", None, segmenting | {"epochs": [1]})
    run = train(outlined, experiment, tmp_path / "run", Call(origins))
    facts = json.loads((run / "fingerprint.json").read_text())
    assert facts["layout"] == "shapes in LabelMe" and facts["legend"]["classes"] == ["background", "cell", "nucleus"]
    table = own_table(run)
    assert table.legend is not None and table.legend.number_of == {"cell": 1, "nucleus": 2}
    assert (table.frame["mask"] == table.frame["image"].str.replace(r"(.*)\.png", "$1.json#$1.png")).all()


@pytest.mark.slow
def test_the_same_folder_is_counted_by_the_recipe_that_counts_and_refused_by_the_one_that_classifies(
    outlined, segmenting, tmp_path
):
    settings = {name: value for name, value in segmenting.items() if not name.startswith("segment.")}
    experiment, origins = compose("count", None, settings | {"epochs": [1], "prepare.shrink": 1})
    run = train(outlined, experiment, tmp_path / "run", Call(origins))
    facts = json.loads((run / "fingerprint.json").read_text())
    assert facts["task"] == "count" and "shapes are areas; --recipe segment learns these as masks" in facts["notes"][0]
    experiment, origins = compose("default", None, {"epochs": [1], "device.name": "cpu"})
    with pytest.raises(CorpuscleError, match="shapes in LabelMe: expected images with a class each, these come"):
        train(outlined, experiment, tmp_path / "other", Call(origins))
