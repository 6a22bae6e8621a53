"""How many planted faults of images `inspect` finds, kind by kind, and what it says of images that nobody has touched.

A share of a data set's images is chosen by the seed for each kind of fault, no image twice, and saved again with it: a
Gaussian blur (its width is that of an image of 360 pixels and grows with the image), a quarter of the light, twice the
light, bars of a tenth of the side above and below or left and right, one colour all over, the content of another
format, grey, and half the size. All other images are links. False alarms are what is said of untouched images that was
not said of them before; what was said before is counted beside it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from record import Record, arguments, measured, workplace

from corpuscle.data.cache import survey
from corpuscle.data.doctor.faults import image_faults
from corpuscle.data.readers.image import ReadPlan, read_image
from corpuscle.data.sources import scan

QUALITY, USUAL_SIDE, BAR = 75, 360, 0.1

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def blurred(width: float) -> Change:
    """A Gaussian blur of so many pixels of an image of the usual side."""

    def change(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return cv2.GaussianBlur(image_HWC, (0, 0), width * max(image_HWC.shape[:2]) / USUAL_SIDE)

    return change


def lit(gain: float) -> Change:
    """So many times the light, clipped."""
    return lambda image_HWC, random: np.clip(gain * image_HWC.astype(float), 0, 255).astype(np.uint8)


def barred(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Bars of black or white along two sides that face one another; the picture is squeezed between them."""
    height, width = image_HWC.shape[:2]
    inner = (
        (width, height - 2 * round(BAR * height)) if random.integers(2) else (width - 2 * round(BAR * width), height)
    )
    barred_HWC = np.full_like(image_HWC, random.choice([0, 255]))
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    barred_HWC[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image_HWC, inner, interpolation=cv2.INTER_AREA
    )
    return barred_HWC


def blank(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One colour, of the image's own."""
    return np.full_like(image_HWC, image_HWC[tuple(random.integers(image_HWC.shape[:2]))])


def grey(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Without colour."""
    return cv2.cvtColor(image_HWC, cv2.COLOR_RGB2GRAY)


def half(image_HWC: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Half as high and half as wide."""
    return cv2.resize(image_HWC, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)


PLANTED: dict[str, tuple[str, Change]] = {
    "blur of 3 pixels": ("blurred", blurred(3)),
    "blur of 4 pixels": ("blurred", blurred(4)),
    "blur of 5 pixels": ("blurred", blurred(5)),
    "a quarter of the light": ("dark", lit(0.25)),
    "twice the light": ("bright", lit(2)),
    "bars of 10 %": ("letterboxed", barred),
    "one colour": ("blank", blank),
    "another format": ("suffix", lambda image_HWC, random: image_HWC),
    "grey": ("mode", grey),
    "half the size": ("size", half),
}  # in words, to the kind of finding it should be and how it is made


def plant(source: Path, out: Path, share: float, seed: int) -> dict[str, set[str]]:
    """A copy of a data set with faults: what was planted, to the images it was planted in."""
    images = scan(source).frame["image"].to_list()
    random = np.random.default_rng(seed)
    number = max(1, round(share * len(images)))
    chosen = random.permutation(len(images))[: number * len(PLANTED)].reshape(len(PLANTED), number)
    planted = {words: {images[place] for place in places} for words, places in zip(PLANTED, chosen, strict=True)}
    words_of = {image: words for words, some in planted.items() for image in some}
    for image in images:
        (out / image).parent.mkdir(parents=True, exist_ok=True)
        if image not in words_of:
            (out / image).symlink_to((source / image).resolve())
            continue
        words = words_of[image]
        changed = PLANTED[words][1](read_image(source / image).array_HWC, random)
        suffix = ".png" if image.lower().endswith(".png") != (words == "another format") else ".jpg"
        bgr = changed if changed.ndim == 2 else changed[..., ::-1]
        ok, content = cv2.imencode(suffix, bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if suffix == ".jpg" else [])
        assert ok
        (out / image).write_bytes(content.tobytes())
    return planted


def said_of(path: Path) -> dict[str, set[str]]:
    """The images of each kind of finding."""
    table = scan(path)
    found: dict[str, set[str]] = {}
    for finding in image_faults(table, survey(table, ReadPlan(), None).frame):
        found.setdefault(finding.kind, set()).update(finding.images)
    return found


def measure(options: argparse.Namespace, record: Record) -> None:
    """Look at the data set as it is, plant, and look again."""
    before = said_of(options.data)
    with workplace() as place:
        planted = plant(options.data, place / "planted", options.share, options.seed)
        after = said_of(place / "planted")
    for words, (kind, _) in PLANTED.items():
        said, touched = after.get(kind, set()), set().union(*planted.values())
        known = before.get(kind, set())
        record.add(
            data=options.data.name,
            planted=words,
            images=len(planted[words]),
            kind=kind,
            recall=len(planted[words] & said) / len(planted[words]),
            said_of_other_planted=len((said & touched) - planted[words]),
            false_alarms=len(said - touched - known),
            said_before=len(known),
        )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="pbc")
    parser.add_argument("--share", type=float, default=0.02, help="of the images, for each kind of fault")
    measured("quality_planted_faults", parser.parse_args(), measure)


if __name__ == "__main__":
    main()
