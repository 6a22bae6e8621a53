"""Which file says what was drawn on a slide, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.readers.slides import SlideWindows, kept_slide
from corpuscle.data.regions.asap import read_asap
from corpuscle.data.regions.cover import Grid, covered, covered_by
from corpuscle.data.regions.qupath import read_qupath
from corpuscle.data.regions.raster import Shares, values_of
from corpuscle.data.regions.region import Drawn, Region, outside

READERS: Mapping[str, Callable[[Path], Drawn]] = {".xml": read_asap, ".geojson": read_qupath}
MASK = "_mask"
MASK_SUFFIXES = (".tif", ".tiff")
SAME_SHAPE = 0.01  # share by which the sides of a mask may stretch differently


@dataclass(frozen=True)
class Annotation:
    """What was drawn on a slide.

    Attributes:
        path: the file that says so.
        regions: areas in pixels of the slide; none where it is a mask.
        mask: where each layer lies, by its number; None where there are regions.
        faults: what is wrong with it.
    """

    path: Path
    regions: tuple[Region, ...] = ()
    mask: Shares | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers in it; those of a mask are its values but 0."""
        if self.mask is not None:
            return tuple(str(value) for value in self.mask.of if value)
        return tuple(sorted({region.layer for region in self.regions}))

    def covers(self, layers: Sequence[str], grid: Grid) -> np.ndarray:
        """Share of each tile that lies in any of some layers, share_RC."""
        if self.mask is not None:
            share_HW = sum((self.mask.of[int(layer)] for layer in layers), np.zeros((1, 1), np.float32))
            return covered(np.broadcast_to(share_HW, self.mask.size_HW), self.mask.downsample, grid)
        return covered_by([region for region in self.regions if region.layer in layers], grid)


class Annotations:
    """Which file says what was drawn on which slide: the one of its stem beside it, else elsewhere among the files."""

    def __init__(self, slides: Iterable[Path], files: Iterable[Path]) -> None:
        self.files_of: dict[str, list[Path]] = {}
        for file in files:
            if (stem := slide_stem(file.name)) is not None:
                self.files_of.setdefault(stem, []).append(file)
        self.slides_of: dict[str, list[Path]] = {}
        for slide in dict.fromkeys(slides):
            self.slides_of.setdefault(slide.stem, []).append(slide)

    def of(self, slide: Path) -> Path | None:
        """The annotation of a slide, None where it has none.

        Raises:
            CorpuscleError: there are several, or it may be that of another slide.
        """
        found, alike = self._claimed(slide)
        if len(found) > 1:
            shown = " and ".join(_told_apart(found))
            raise CorpuscleError(f"{slide}: has the annotations {shown}, one was expected; remove the others")
        if found and alike:
            raise CorpuscleError(
                f"{slide}: may have the annotation {found[0]}, but so may {alike[0]}; lay it beside the slide it is of"
            )
        return found[0] if found else None

    def unused(self) -> list[Path]:
        """The files that are named as annotations and are of no slide."""
        used = {file for slides in self.slides_of.values() for slide in slides for file in self._claimed(slide)[0]}
        return [file for files in self.files_of.values() for file in files if file not in used]

    def _claimed(self, slide: Path) -> tuple[list[Path], list[Path]]:
        """Files that a slide may mean, and the other slides that may mean them as well."""
        files = self.files_of.get(slide.stem, [])
        beside = [file for file in files if file.parent == slide.parent]
        if beside:
            return beside, []
        taken = {file.parent for file in files} & {one.parent for one in self.slides_of[slide.stem]}
        elsewhere = [file for file in files if file.parent not in taken]
        return elsewhere, [one for one in self.slides_of[slide.stem] if one.parent not in taken and one != slide]


def slide_stem(name: str) -> str | None:
    """The stem of the slide that a file is named as the annotation of, None for all other names.

    >>> slide_stem("a.xml"), slide_stem("a_mask.tif"), slide_stem("a.tif")
    ('a', 'a', None)
    """
    path = Path(name)
    if path.suffix.lower() in READERS:
        return path.stem
    is_mask = path.suffix.lower() in MASK_SUFFIXES and path.stem.endswith(MASK)
    return path.stem.removesuffix(MASK) if is_mask else None


def read_annotation(path: Path, slide: SlideWindows, side: int) -> Annotation:
    """What an annotation says of its slide, all faults at once.

    Args:
        path: of the annotation.
        slide: that it was drawn on.
        side: of the tiles in pixels of level 0, which a mask is looked at by.
    """
    if path.suffix.lower() in READERS:
        drawn = READERS[path.suffix.lower()](path)
        faults = (*drawn.faults, *outside(drawn.regions, slide.height, slide.width))
        return Annotation(path, drawn.regions, faults=faults)
    try:
        mask = kept_slide(path)
        across, down = slide.width / mask.width, slide.height / mask.height
        if abs(across / down - 1) > SAME_SHAPE:
            what = f"has {mask.width} x {mask.height} pixels, its slide {slide.width} x {slide.height}"
            return Annotation(path, faults=(Fault(str(path), what, "make a mask of the whole slide"),))
        values = values_of(mask, max(1, round(side / across)))
        return Annotation(path, mask=replace(values, downsample=values.downsample * across))
    except CorpuscleError as error:
        return Annotation(path, faults=(fault_of(path, error),))


def fault_of(path: Path, error: CorpuscleError) -> Fault:
    """An error that names a file, as a fault of that file."""
    what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
    return Fault(str(path), what, remedy)


def _told_apart(paths: Sequence[Path]) -> list[str]:
    """Their names, whole where those are alike."""
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]
