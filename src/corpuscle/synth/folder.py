"""A folder a class of drawn cells, several slides in each."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import disk_errors, whole_folder, write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import generator_for
from corpuscle.synth.cells import KINDS, Cell, draw_cell
from corpuscle.synth.stain import draw_slide

DRAWN = ".drawn.json"
"""What the cells of a folder were drawn with; hidden, so that it is no part of the data."""

NUM_SLIDES = 40
"""Slides that the cells of one seed are drawn on; each holds all kinds."""


def cell_of(seed: int, index: int, size: int) -> Cell:
    """Cell `index` of a seed: the same for ever, whatever else is drawn; kinds and slides take turns."""
    slide = draw_slide(generator_for(seed, "slide", _slide_of(index)))
    return draw_cell(KINDS[index % len(KINDS)], size, generator_for(seed, "cell", index), slide)


def write_cells(folder: Path, per_class: int, size: int, seed: int, progress: Progress = SILENT) -> list[Path]:
    """Write drawn cells as PNG files, one folder a class: `<kind>/<kind>_s<slide>_<number>.png`.

    The slide can be read from a name by the pattern `_(?P<group>s\\d+)_`. Files of other names are left alone.

    Args:
        folder: where the folders of the kinds go.
        per_class: cells of each kind.
        size: side of an image in pixels.
        seed: of all randomness.
        progress: shows how far it is.

    Returns:
        The paths, in the order drawn.

    Raises:
        CorpuscleError: the folder cannot be written.
    """
    paths = []
    total = per_class * len(KINDS)
    for index in progress.track(range(total), "drawing cells", total):
        cell = cell_of(seed, index, size)
        name = f"{cell.kind}_s{_slide_of(index):02d}_{index // len(KINDS):04d}.png"
        path = folder / cell.kind / name
        _, content = cv2.imencode(".png", cell.image_HWC[..., ::-1])
        part = path.with_suffix(".part")  # renamed when whole; drawn again where lost, so the disk is not waited for
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content.tobytes())
            part.replace(path)
        paths.append(path)
    return paths


def provide_cells(folder: Path, per_class: int, size: int, seed: int, progress: Progress = SILENT) -> None:
    """See that a folder holds these drawn cells: drawn whole where nothing is there, left alone where they are.

    Args:
        folder: as `write_cells` fills it, with a record of what was drawn.
        per_class, size, seed: as of `write_cells`.
        progress: shows how far it is.

    Raises:
        CorpuscleError: the folder holds something else, or cannot be written.
    """
    wanted = {"per_class": per_class, "size": size, "seed": seed}
    if folder.is_dir() and any(folder.iterdir()):
        if (drawn := _drawn(folder)) != wanted:
            came = "says nothing of what it holds" if drawn is None else f"holds those of {_words(drawn)}"
            raise CorpuscleError(
                f"expected drawn cells of {_words(wanted)} in {folder}, it {came}; remove it, or name another --out"
            )
        return
    progress.say(f"drawing {len(KINDS) * per_class} white cells of five kinds into {folder}")
    with whole_folder(folder) as part:
        write_cells(part, per_class, size, seed, progress)
        write_json(part / DRAWN, wanted)


def _drawn(folder: Path) -> dict[str, int] | None:
    """What the cells of a folder were drawn with, None where it does not say."""
    try:
        record = json.loads((folder / DRAWN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def _words(drawn: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in drawn.items())


def _slide_of(index: int) -> int:
    return index // len(KINDS) % NUM_SLIDES
