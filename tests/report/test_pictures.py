"""The right images are chosen, and one that cannot be read leaves a gap and not a crash."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from corpuscle.core.records import Pixels
from corpuscle.report import pictures

CLASSES = ("a", "b", "c")
ROWS = pl.DataFrame(
    {
        "image": ["0.png", "1.png", "2.png", "3.png"],
        "label": ["a", "b", "c", None],
        "prediction": ["a", "a", "b", "c"],
        "confidence": [0.9, 0.5, 0.8, 0.4],
        "p_a": [0.9, 0.5, 0.1, 0.3],
        "p_b": [0.05, 0.45, 0.8, 0.3],
        "p_c": [0.05, 0.05, 0.1, 0.4],
    }
)


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))))


def test_the_worst_are_the_wrong_ones_by_confidence_and_unlabelled_ones_are_not_wrong() -> None:
    assert pictures.worst(ROWS, 9)["image"].to_list() == ["2.png", "1.png"]


def test_the_most_doubtful_have_the_smallest_gap_between_the_top_two() -> None:
    assert pictures.most_doubtful(ROWS, CLASSES, 2)["image"].to_list() == ["1.png", "3.png"]


def test_the_sample_is_balanced_seeded_and_in_class_order() -> None:
    labels = ["common"] * 990 + ["rare"] * 10
    frame = pl.DataFrame({"image": [str(i) for i in range(1000)], "label": labels})
    sample = pictures.balanced_sample(frame, 16, seed=4)
    assert sample["label"].to_list() == ["common"] * 8 + ["rare"] * 8
    assert sample.equals(pictures.balanced_sample(frame, 16, seed=4))
    assert not sample.equals(pictures.balanced_sample(frame, 16, seed=5))
    assert len(pictures.balanced_sample(frame, 5000)) == 1000


def test_a_picture_carries_the_second_guess_and_the_probability_of_the_truth(tmp_path: Path) -> None:
    made = pictures.pictures(ROWS, CLASSES, tmp_path, pictures.read_with_pillow)
    assert (made[1].runner_up, made[1].runner_up_probability, made[1].true_probability) == ("b", 0.45, 0.45)
    assert made[3].true_probability is None and not made[1].right and made[0].right
    assert [picture.uri for picture in made] == [None] * 4


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGB", "jpg"), ("L", "png"), ("RGBA", "png"), ("P", "png"), ("1", "png"), ("CMYK", "jpg")]
)
def test_thumbnails_are_small_and_keep_the_shape(tmp_path: Path, mode: str, suffix: str) -> None:
    Image.new(mode, (800, 400)).save(tmp_path / f"x.{suffix}")
    uri = pictures.thumbnail(tmp_path / f"x.{suffix}", pictures.read_with_pillow)
    assert uri is not None and decoded(uri).size == (160, 80)


def test_sixteen_bit_images_keep_their_greys(tmp_path: Path) -> None:
    Image.fromarray(np.full((20, 20), 0x8000, np.uint16)).save(tmp_path / "x.png")
    uri = pictures.thumbnail(tmp_path / "x.png", pictures.read_with_pillow)
    assert uri is not None and decoded(uri).getpixel((5, 5)) == pytest.approx((128, 128, 128), abs=2)


def test_another_reader_may_be_passed() -> None:
    read = lambda path: Pixels(np.full((10, 10, 3), 0xFF00, np.uint16))  # noqa: E731
    uri = pictures.thumbnail(Path("anything"), read)
    assert uri is not None and decoded(uri).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_what_cannot_be_read_has_no_thumbnail(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.png").write_bytes(content)
    assert pictures.thumbnail(tmp_path / "x.png", pictures.read_with_pillow) is None
