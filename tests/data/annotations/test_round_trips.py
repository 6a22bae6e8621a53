"""From each format to each other one and back: what both have room for comes back as it was."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.annotations.areas import filled
from corpuscle.data.annotations.convert import convert, write
from corpuscle.data.annotations.formats import FORMATS
from corpuscle.data.annotations.record import Annotations, Marked, Shape
from corpuscle.data.annotations.rle import pieces_of
from corpuscle.data.annotations.sound import sound
from corpuscle.data.sources.plan import SourcePlan

PAIRS = list(itertools.permutations(FORMATS, 2))
CLASSES = ("red cell", "weißes Blutkörperchen", "κύτταρο, 3 & <4>")
SIZES = {"b/x.png": (40, 30), "b/deep/x.png": (41, 30), "a/y.png": (42, 30), "a/x.png": (43, 30)}  # width, height
PART = {"b/x.png": "train", "b/deep/x.png": "train", "a/y.png": "val", "a/x.png": "test"}
EMPTY = "a/y.png"


def label(rng):
    return CLASSES[rng.integers(len(CLASSES))]


def boxes(rng, width, height):
    """Boxes of whole pixels, at least two wide: VOC has no others."""
    for _ in range(6):
        left, top = rng.integers(0, (width - 2, height - 2)).tolist()
        right, bottom = rng.integers((left + 2, top + 2), (width + 1, height + 1)).tolist()
        yield Shape("box", label(rng), ((left, top), (right, bottom)))


def points(rng, width, height):
    for _ in range(6):
        x, y = np.round(rng.random(2) * (width, height), 3).tolist()
        yield Shape("point", label(rng), ((x, y),))


def polygons(rng, width, height, holes, pieces):
    """Outlines of blobs that do not touch one another, so that masks keep them apart."""
    for number, (row, column) in enumerate(itertools.product(range(2), range(3)), 1):
        blob_HW = np.zeros((height, width), bool)
        top, left = 1 + row * 14, 1 + column * 13
        blob_HW[top : top + 9, left : left + 8] = True
        for _ in range(3):  # corners of all kinds
            y, x = rng.integers(0, (9, 8))
            blob_HW[top + y : top + 9, left + x : left + 8] ^= rng.random() < 0.5
        blob_HW[top : top + 3, left : left + 8] = True
        blob_HW[top + 1, left + 2 : left + 5] = not holes
        blob_HW[top + 11, left] = pieces
        found = list(pieces_of(blob_HW))
        of_class = label(rng)
        for outline, inner in found if pieces else found[:1]:
            yield Shape(
                "polygon", of_class, outline, inner if holes else (), number if len(found) > 1 and pieces else None
            )


def drawn(root: Path, kinds, parts: bool, holes: bool = False, pieces: bool = False, seed: int = 0) -> Annotations:
    """Images in folders, two pairs of them of one name, one without a shape."""
    images = []
    rng = np.random.default_rng([seed, *map(ord, "".join(kinds))])
    for name, (width, height) in sorted(SIZES.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (width, height)).save(root / name)
        shapes: list[Shape] = []
        if name != EMPTY:
            shapes += boxes(rng, width, height) if "box" in kinds else ()
            shapes += polygons(rng, width, height, holes, pieces) if "polygon" in kinds else ()
            shapes += points(rng, width, height) if "point" in kinds else ()
        images.append(Marked(name, height, width, tuple(shapes), PART[name] if parts else None, source=name))
    return Annotations(root, tuple(images), CLASSES)


def by_size(folder: Path, to: str) -> dict:
    """Each image by its width, which is its own: labels and places to a hundredth of a pixel, and its part."""
    found = sound(FORMATS[to].read(folder, SourcePlan()), SourcePlan())
    return {one.width: (one.height, one.split, shapes_of(one)) for one in found.images}


def shapes_of(one: Marked):
    """What can be held against other formats: boxes and points by their place, the pixels of an object of polygons."""
    held = []
    for pieces in one.objects():
        first = pieces[0]
        if first.kind == "polygon":
            mask_HW = np.zeros((one.height, one.width), bool)
            for shape in pieces:
                at, inside_HW = filled((shape.xy, *shape.holes), mask_HW.shape)
                assert not mask_HW[at][inside_HW].any()
                mask_HW[at] |= inside_HW
            held.append((first.kind, first.label, np.flatnonzero(mask_HW).tolist()))
        else:
            held.append((first.kind, first.label, np.round(first.xy, 2).tolist()))
    return sorted(held, key=str)


def there_and_back(made: Annotations, a: str, b: str, tmp_path: Path) -> tuple[dict, dict]:
    write(made, FORMATS[a], tmp_path / "a", "link")
    for before, after, to in (("a", "b", b), ("b", "c", a)):
        convert(tmp_path / before, to, tmp_path / after, "link", SourcePlan())
    return by_size(tmp_path / "a", a), by_size(tmp_path / "c", a)


def shared(a: str, b: str):
    return [kind for kind in FORMATS[a].holds.kinds if kind in FORMATS[b].holds.kinds]


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_what_both_formats_hold_comes_back(a, b, tmp_path):
    one, other = FORMATS[a].holds, FORMATS[b].holds
    whole = shared(a, b)
    parts = one.parts and other.parts
    tries = [whole] if one.mixed and other.mixed and whole else [[kind] for kind in whole]
    for number, kinds in enumerate(tries):
        folder = tmp_path / str(number)
        made = drawn(folder / "images", kinds, parts, one.holes and other.holes, one.pieces and other.pieces)
        before, after = there_and_back(made, a, b, folder)
        assert after == before
        assert {width: shapes for width, (_, _, shapes) in before.items()} == {
            one.width: shapes_of(one) for one in made.images
        }
        assert {split for _, split, _ in before.values()} == (set(PART.values()) if parts else {None})
        assert sum(len(shapes) for _, _, shapes in before.values()) == 18 * len(kinds)


@pytest.mark.parametrize(("a", "b"), [pair for pair in PAIRS if not shared(*pair)])
def test_formats_that_share_no_kind_refuse_or_draw_it_otherwise(a, b, tmp_path):
    kinds = [kind for kind in FORMATS[a].holds.kinds if kind not in FORMATS[b].holds.instead]
    made = drawn(tmp_path / "images", kinds or FORMATS[a].holds.kinds, False)
    write(made, FORMATS[a], tmp_path / "a", "link")
    if kinds:
        with pytest.raises(CorpuscleError, match=rf"^{FORMATS[b].title}: expected [a-z ]+, .* has [a-z ]+ alone; "):
            convert(tmp_path / "a", b, tmp_path / "b", "link", SourcePlan())
        assert not (tmp_path / "b").exists()
    else:
        convert(tmp_path / "a", b, tmp_path / "b", "link", SourcePlan())
        drawn_now = {kind for _, _, shapes in by_size(tmp_path / "b", b).values() for kind, _, _ in shapes}
        assert drawn_now == {FORMATS[b].holds.instead[kind] for kind in made_kinds(made)}


def made_kinds(made: Annotations):
    return {shape.kind for one in made.images for shape in one.shapes}


@pytest.mark.parametrize(("a", "b"), [pair for pair in PAIRS if "masks" not in pair and "polygon" in shared(*pair)])
def test_corners_between_pixels_come_back_to_a_thousandth(a, b, tmp_path):
    made = drawn(tmp_path / "images", ["polygon"], False)
    rng = np.random.default_rng(1)
    images = []
    for one in made.images:
        moved = [
            replace(
                shape,
                xy=tuple(
                    (x + dx, y + dy) for (x, y), (dx, dy) in zip(shape.xy, rng.random((len(shape.xy), 2)), strict=True)
                ),
            )
            for shape in one.shapes
        ]
        images.append(replace(one, shapes=tuple(moved)))
    made = replace(made, images=tuple(images))
    there_and_back(made, a, b, tmp_path)
    found = {one.width: one for one in FORMATS[a].read(tmp_path / "c", SourcePlan()).images}
    for one in made.images:
        back = found[one.width].shapes
        assert [shape.label for shape in back] == [shape.label for shape in one.shapes]
        for shape, again in zip(one.shapes, back, strict=True):
            assert np.abs(np.array(shape.xy) - np.array(again.xy)).max() <= 0.0011
