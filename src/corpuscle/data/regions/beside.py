"""Which file says what was drawn on a slide, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpuscle.core.errors import CorpuscleError, Fault
from corpuscle.data.readers.slides import SlideWindows, kept_slide
from corpuscle.data.regions.asap import read_asap
from corpuscle.data.regions.cover import Grid, covered, covered_by
from corpuscle.data.regions.qupath import read_qupath
from corpuscle.data.regions.raster import Raster, values_of
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
        mask: a layer's number for each place; None where there are regions.
        faults: what is wrong with it.
    """

    path: Path
    regions: tuple[Region, ...] = ()
    mask: Raster | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers in it; those of a mask are its values but 0."""
        if self.mask is not None:
            return tuple(str(value) for value in np.unique(self.mask.array).tolist() if value)
        return tuple(sorted({region.layer for region in self.regions}))

    def covers(self, layers: Sequence[str], grid: Grid) -> np.ndarray:
        """Share of each tile that lies in any of some layers, share_RC."""
        if self.mask is not None:
            chosen_HW = np.isin(self.mask.array, [int(layer) for layer in layers])
            return covered(chosen_HW, self.mask.downsample, grid)
        return covered_by([region for region in self.regions if region.layer in layers], grid)


def annotation_beside(slide: Path, folder: Path | None = None) -> Path | None:
    """The annotation of a slide: a file of its stem, .xml, .geojson or _mask.tif, beside it or in a folder.

    Raises:
        CorpuscleError: there are several.
    """
    place = folder or slide.parent
    names = [f"{slide.stem}{suffix}" for suffix in READERS] + [f"{slide.stem}{MASK}{end}" for end in MASK_SUFFIXES]
    found = [place / name for name in names if (place / name).is_file()]
    if len(found) > 1:
        shown = " and ".join(path.name for path in found)
        raise CorpuscleError(f"{slide}: has the annotations {shown}, one was expected; remove the others")
    return found[0] if found else None


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
        return Annotation(path, mask=Raster(values.array, values.downsample * across))
    except CorpuscleError as error:
        return Annotation(path, faults=(fault_of(path, error),))


def fault_of(path: Path, error: CorpuscleError) -> Fault:
    """An error that names a file, as a fault of that file."""
    what, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
    return Fault(str(path), what, remedy)
