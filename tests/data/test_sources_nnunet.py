"""Data sets of nnU-Net: cases, parts, labels, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError, DataFault
from corpuscle.core.legend import IGNORED
from corpuscle.data.sources import SourcePlan, scan


def put(root: Path, *names: str, **sheet: object) -> Path:
    """Images and masks by their names, and dataset.json."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.arange(3, dtype=np.uint8)[None]).save(root / name)
    content = {"labels": {"background": 0, "cell": 1, "nucleus": 2}, "file_ending": ".png"} | sheet
    (root / "dataset.json").write_text(json.dumps(content))
    return root


CASES = ("imagesTr/c_1_0000.png", "imagesTr/c_2_0000.png", "labelsTr/c_1.png", "labelsTr/c_2.png")


def test_cases_have_their_masks_and_the_classes_of_the_sheet(tmp_path):
    table = scan(put(tmp_path, *CASES, "imagesTs/d_0000.png"))
    assert (table.layout, table.classes) == ("nnU-Net", ("background", "cell", "nucleus"))
    assert table.frame.select("image", "mask", "split").rows() == [
        ("imagesTr/c_1_0000.png", "labelsTr/c_1.png", None),
        ("imagesTr/c_2_0000.png", "labelsTr/c_2.png", None),
        ("imagesTs/d_0000.png", None, "unlabelled"),
    ]
    assert table.notes == ("the classes of the masks are from dataset.json",)


def test_a_test_part_with_masks_is_one(tmp_path):
    table = scan(put(tmp_path, *CASES, "imagesTs/d_0000.png", "labelsTs/d.png"))
    assert table.frame["split"].to_list() == ["train", "train", "test"]


def test_labels_of_version_1_and_ignored_ones_and_those_of_the_user(tmp_path):
    put(tmp_path, *CASES, labels={"0": "background", "1": "cell", "2": "ignore"})
    table = scan(tmp_path)
    assert table.classes == ("background", "cell") and table.legend.number_of == {0: 0, 1: 1, 2: IGNORED}
    own = scan(tmp_path, SourcePlan(legend={"0": "background", "1": "a", "2": "b"}))
    assert own.classes == ("background", "a", "b")


def test_without_a_sheet_the_values_are_the_classes(tmp_path):
    put(tmp_path, *CASES)
    (tmp_path / "dataset.json").unlink()
    assert scan(tmp_path).classes == ("background", "value 1", "value 2")


def test_masks_alone_and_images_without_one_are_faults(tmp_path):
    put(tmp_path, *CASES, "labelsTr/e.png", "imagesTr/f_0000.png")
    with pytest.raises(DataFault) as caught:
        scan(tmp_path)
    assert [str(fault) for fault in caught.value.faults] == [
        "imagesTr/f_0000.png: has no mask; add it, or pass --set data.unlabelled=skip to leave such images out",
        "labelsTr/e.png: is a mask without an image; add the image, or remove it",
    ]


def test_several_channels_of_a_case_are_refused_in_one_line(tmp_path):
    put(tmp_path, *CASES, "imagesTr/c_1_0001.png")
    with pytest.raises(CorpuscleError) as caught:
        scan(tmp_path)
    assert str(caught.value) == (
        "imagesTr holds 1 cases of several channels (first: c_1, c_1_0000.png, c_1_0001.png), one image a case was "
        "expected; join the channels into one RGB image, or keep the channel to learn from alone"
    )


def test_volumes_are_refused_in_one_line(tmp_path):
    put(tmp_path, "labelsTr/c.png")
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "c_0000.nii.gz").write_bytes(b"")
    with pytest.raises(CorpuscleError) as caught:
        scan(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'imagesTr'} holds 1 volumes (first: c_0000.nii.gz), 2D images were expected; save their slices "
        "as PNG, in the same folders"
    )


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "dataset.json: has no table 'labels'; write it as "),
        (
            {"background": 0, "whole": [1, 2]},
            r"has classes of several values \(whole\), one value a class was expected",
        ),
        ({"cell": 1}, "dataset.json: names no background"),
    ],
)
def test_a_sheet_that_cannot_be_understood_is_a_fault(tmp_path, labels, message):
    with pytest.raises(DataFault, match=message):
        scan(put(tmp_path, *CASES, labels=labels))
