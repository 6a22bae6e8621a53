"""Small data sets with one defect each: how they are laid down."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
from PIL import Image

KINDS, SIDE, EACH = ("ig", "monocyte"), 64, 14
Make = Callable[[Path], None]
Content = Image.Image | str | bytes | list[Any] | dict[str, Any]


@dataclass(frozen=True)
class Defect:
    """A data set with a defect.

    Attributes:
        layout: as it is told by its own.
        name: what is wrong, in a few words.
        make: lays it down in a folder.
        code: exit code.
        says: must be in what is said.
        words: what is typed after `corpuscle inspect`.
    """

    layout: str
    name: str
    make: Make
    code: int
    says: str
    words: tuple[str, ...] = ("data",)


def picture(seed: int, size: tuple[int, int] = (SIDE, SIDE)) -> Image.Image:
    """A picture like no other: blurred spots with some grain."""
    random = np.random.default_rng(seed)
    spots_HWC = cv2.resize(random.integers(40, 216, (9, 9, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    return Image.fromarray(np.clip(spots_HWC + random.normal(0, 12, spots_HWC.shape), 0, 255).astype(np.uint8))


def laid(contents: Mapping[str, Content]) -> Make:
    """Files by their paths: pictures, text, bytes, and whatever else as JSON."""

    def make(at: Path) -> None:
        for name, content in contents.items():
            place = at / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Image.Image):
                content.save(place)
            elif isinstance(content, bytes):
                place.write_bytes(content)
            else:
                place.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")

    return make


def pictures(number: int, folder: str = "data/img", suffix: str = ".png") -> dict[str, Content]:
    """Pictures called by their numbers."""
    return {f"{folder}/{name}{suffix}": picture(name) for name in range(number)}


def study(*lines: str, header: str = "image,label", number: int = 6) -> Make:
    """A CSV of six pictures that are labelled by turns, and further lines."""
    rows = [f"img/{name}.png,{'ab'[name % 2]}" for name in range(number)]
    return laid(pictures(6) | {"data/study.csv": "\n".join([header, *rows, *lines]) + "\n"})


def with_cells(change: Callable[[Path], object], classes: Sequence[str] = KINDS, each: int = EACH) -> Make:
    """A folder a class, with something done to it."""

    def make(at: Path) -> None:
        folder = at / "data"
        for kind, name in enumerate(classes):
            (folder / name).mkdir(parents=True)
            for number in range(each):
                picture(1000 * kind + number).save(folder / name / f"{name}{number:02}.png")
        change(folder)

    return make


def with_parts(change: Callable[[Path], object]) -> Make:
    """Train, val and test folders of two classes, with something done to them."""

    def make(at: Path) -> None:
        folder = at / "data"
        for place, part in enumerate(("train", "val", "test")):
            for kind, name in enumerate(KINDS):
                (folder / part / name).mkdir(parents=True)
                for number in range(6):
                    seed = 1000 * kind + 100 * place + number
                    picture(seed).save(folder / part / name / f"p{seed}_{number}.png")
        change(folder)

    return make


def changed(change: Callable[[Image.Image], Image.Image], name: str = "ig/ig03.png", **how: Any) -> Make:
    """A folder a class with one picture changed; it is saved beside the plain one unless it has its name."""
    return with_cells(lambda folder: change(picture(3)).save(folder / name, **how))


def lit(gain: float) -> Callable[[Image.Image], Image.Image]:
    """With more or less light."""
    return lambda image: image.point(lambda value: min(value * gain, 255))


def barred(image: Image.Image) -> Image.Image:
    """With black bars above and below."""
    whole = Image.new("RGB", image.size)
    whole.paste(image.resize((SIDE, SIDE - 20)), (0, 10))
    return whole


def turned(image: Image.Image) -> Image.Image:
    """Mirrored, and a little brighter."""
    return lit(1.06)(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def renamed(folder: Path) -> None:
    """Every picture is of the left or right eye of somebody, and says so in its name."""
    for place, image in enumerate(sorted(folder.rglob("*.png"))):
        image.rename(image.with_name(f"{place // 2 + 100}_{('left', 'right')[place % 2]}.png"))


def encoded(folder: Path) -> None:
    """One class is saved again as JPEG of low quality, the other of high."""
    for place, name in enumerate(KINDS):
        for image in (folder / name).iterdir():
            Image.open(image).save(image.with_suffix(".jpg"), quality=(95, 60)[place])
            image.unlink()


def huge_png() -> bytes:
    """A PNG of 60,000 pixels a side, by its header."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def hdf5(images: int, truths: int, kept: float = 1.0) -> Make:
    """An HDF5 file of pictures and counts, of which a share of the bytes is kept."""

    def make(at: Path) -> None:
        with h5py.File(at / "data.h5", "w") as file:
            file["x"] = arrays(images)
            file["y"] = np.arange(truths)
        content = (at / "data.h5").read_bytes()
        (at / "data.h5").write_bytes(content[: int(len(content) * kept)])

    return make


def arrays(number: int) -> np.ndarray:
    """Pictures as one array."""
    return np.stack([np.asarray(picture(seed)) for seed in range(number)])


def npz(**content: Any) -> Make:
    """An NPZ file."""
    return lambda at: np.savez(at / "data.npz", **content)


def zipped(name: str, content: bytes, mode: int = 0) -> Make:
    """A zip of two pictures and one more entry."""

    def make(at: Path) -> None:
        with zipfile.ZipFile(at / "data.zip", "w") as file:
            for kind in KINDS:
                picture(0).save(at / "one.png")
                file.write(at / "one.png", f"{kind}/one.png")
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            file.writestr(entry, content, zipfile.ZIP_DEFLATED)
        (at / "one.png").unlink()

    return make


def grey(*marks: tuple[int, int, int, int, int], side: int = SIDE) -> Image.Image:
    """A mask or an image of dots: black, with rectangles (left, top, right, bottom) of a grey value."""
    mask_HW = np.zeros((side, side), np.uint8)
    for left, top, right, bottom, value in marks:
        mask_HW[top:bottom, left:right] = value
    return Image.fromarray(mask_HW)


CELL = (10, 10, 30, 30, 1)
DOT = (10, 10, 11, 11, 255)


def masked(odd: Mapping[str, Content], number: int = 4) -> Make:
    """Images and masks, and further files in their place."""
    masks: dict[str, Content] = {f"data/masks/{name}.png": grey((10, 10 + name, 30, 30, 1)) for name in range(number)}
    return laid(pictures(number, "data/images") | masks | odd)


def dotted(odd: Mapping[str, Content]) -> Make:
    """Images and images of dots."""
    dots: dict[str, Content] = {f"data/{name:03}dots.png": grey(DOT) for name in range(4)}
    cells: dict[str, Content] = {f"data/{name:03}cell.png": picture(name) for name in range(4)}
    return laid(cells | dots | odd)


def voc_sheet(name: str, box: tuple[int, int, int, int] = (5, 5, 20, 20), tail: str = "</annotation>") -> str:
    """An XML file of Pascal VOC with one box."""
    sides = "".join(f"<{side}>{at}</{side}>" for side, at in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    return (
        f"<annotation><filename>{name}</filename>{size}<object><name>RBC</name><bndbox>{sides}</bndbox></object>{tail}"
    )


def voc(odd: Mapping[str, Content]) -> Make:
    """Boxes in Pascal VOC."""
    sheets: dict[str, Content] = {f"data/Annotations/{name}.xml": voc_sheet(f"{name}.jpg") for name in range(3)}
    return laid(pictures(3, "data/JPEGImages", ".jpg") | sheets | odd)


def coco(image_id: int = 1, box: Sequence[float] = (5, 5, 10, 10), file: str = "0.png") -> Make:
    """Boxes in COCO."""
    content = {
        "images": [{"id": 1, "file_name": file, "width": SIDE, "height": SIDE}],
        "annotations": [{"id": 1, "image_id": image_id, "category_id": 1, "bbox": list(box)}],
        "categories": [{"id": 1, "name": "RBC"}],
    }
    return laid(pictures(1, "data/images") | {"data/boxes.json": content})


def yolo(row: str) -> Make:
    """Shapes in YOLO with one row of the first image changed."""
    texts: dict[str, Content] = {f"data/labels/{name}.txt": "0 0.5 0.5 0.2 0.2\n" for name in range(3)}
    sheet: dict[str, Content] = {
        "data/data.yaml": "train: images\nnames: [RBC, WBC]\n",
        "data/labels/0.txt": f"{row}\n",
    }
    return laid(pictures(3, "data/images") | texts | sheet)


def labelme(file: str, shape: Mapping[str, Any]) -> Make:
    """Two images that LabelMe has drawn on; what it says of the second is odd."""
    sides = {"imageHeight": SIDE, "imageWidth": SIDE}
    sheets: dict[str, Content] = {
        "data/0.json": {"imagePath": "0.png", "shapes": [RECTANGLE], **sides},
        "data/drawn.json": {"imagePath": file, "shapes": [shape], **sides},
    }
    return laid(pictures(2, "data") | sheets)


def cvat(inside: str) -> Make:
    """Shapes in CVAT."""
    return laid(pictures(2, "data/images") | {"data/annotations.xml": f"<annotations>{inside}</annotations>"})


def geojson(content: Content) -> Make:
    """Two images, each beside a GeoJSON file, the second without a point."""
    return laid(pictures(2, "data") | {"data/0.geojson": content, "data/1.geojson": {**COLLECTION, "features": []}})


def point(x: float, y: float) -> dict[str, Any]:
    """A GeoJSON of one point."""
    place = {"type": "Point", "coordinates": [x, y]}
    return {**COLLECTION, "features": [{"type": "Feature", "geometry": place, "properties": {}}]}


def nnunet(sheet: Content) -> Make:
    """nnU-Net's folders with this dataset.json."""
    names = range(3)
    images: dict[str, Content] = {f"data/imagesTr/c{name}_0000.png": picture(name) for name in names}
    masks: dict[str, Content] = {f"data/labelsTr/c{name}.png": grey(CELL) for name in names}
    return laid(images | masks | {"data/dataset.json": sheet})


COLLECTION = {"type": "FeatureCollection"}
RECTANGLE = {"label": "RBC", "shape_type": "rectangle", "points": [[5, 5], [20, 20]]}
