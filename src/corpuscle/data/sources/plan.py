"""What a user may say of a data set's layout."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.settings import Settings


class SlidePlan(Settings):
    """How whole slides become tiles, and how a tile gets its label."""

    mpp: float = Field(0.0, ge=0, le=20, description="microns a pixel of the tiles; 0 takes the slide's own pixels")
    slide_mpp: float = Field(0.0, ge=0, le=20, description="microns a pixel of slides that do not state theirs")
    tile: int = Field(256, ge=16, le=4096, description="side of a tile in pixels")
    stride: int = Field(0, ge=0, description="pixels from one tile to the next; 0 is the side of a tile")
    tissue: float = Field(0.5, ge=0, le=1, description="share of a tile that must be tissue; 0 looks for none")
    annotations: Path | None = Field(
        None, description="folder of .xml (ASAP), .geojson (QuPath) and _mask.tif; each beside its slide unless given"
    )
    layers: dict[str, str] = Field(
        {},
        description="layer of the annotations to class, to the name of normal (cut out of the others) or to ignore; if "
        "empty those of Camelyon, and each other layer is a class",
    )
    normal: str = Field("normal", min_length=1, description="class of tiles on which nothing is annotated")
    unannotated: Literal["unlabelled", "normal"] = Field(
        "unlabelled", description="what a slide is that has neither an annotation nor a label of its own"
    )
    positive: float = Field(0.5, gt=0, le=1, description="annotated share from which on a tile is of that class")
    negative: float = Field(0.0, ge=0, le=1, description="annotated share up to which it is normal; between, left out")
    most: int = Field(0, ge=0, description="tiles of a slide, as many of each class as can be; 0 takes all")
    bad: Literal["error", "skip"] = Field("error", description="what to do with a slide that cannot be used")

    @model_validator(mode="after")
    def _shares_in_order(self) -> SlidePlan:
        if self.negative >= self.positive:
            raise CorpuscleError(
                f"slides.negative expects less than slides.positive ({self.positive:g}), got {self.negative:g}; "
                "lower it"
            )
        return self


class ArchivePlan(Settings):
    """What a zip or tar file may unpack to."""

    max_ratio: float = Field(200.0, gt=0, description="how many times as large as the archive its files may be in all")
    max_gb: float = Field(50.0, gt=0, description="gigabytes that its files may be in all")


class SourcePlan(Settings):
    """How a data set is laid out, where it does not show by itself."""

    image_column: str = Field(
        "auto", description="column of the CSV with the image's path; auto: Path, image, file, id..."
    )
    labels: Literal["auto", "none"] = Field(
        "auto",
        description="none passes over whatever is said of the images, for learning without labels: a plain folder of "
        "images will then do",
    )
    label_column: str = Field("auto", description="column with the class; auto: label, class, target, diagnosis...")
    group_column: str = Field("auto", description="column with the patient or slide; auto: group, patient...; or none")
    group_from: str | None = Field(None, description=r"pattern on the file name, such as 'UID_(?P<group>\d+)_'")
    split_column: str = Field(
        "auto", description="column with train, val or test; auto: split, part, subset...; or none"
    )
    split_file: Path | None = Field(
        None, description="CSV with the columns image and split (train, val, test) that divides any layout"
    )
    root: Path | None = Field(None, description="folder the paths of the CSV start from; its own folder unless given")
    image_suffix: str | None = Field(None, description="suffix of images that the CSV names without one, such as .png")
    valid: Path | None = Field(None, description="a separate CSV for validation")
    test: Path | None = Field(None, description="a separate CSV for the test, with or without labels")
    unlabelled: Literal["error", "skip"] = Field("error", description="what to do with rows whose label is empty")
    label_names: dict[str, str] = Field({}, description="names for the labels of the data set, such as 1: neutrophil")
    count_column: str = Field(
        "auto", description="column with the number of cells; auto: count, cells, number..., if no label; or none"
    )
    kind: str = Field(
        "auto", description="name of what is counted where the data name none; auto: cell (LYSTO: lymphocyte)"
    )
    kinds: tuple[str, ...] = Field((), description="kinds that are counted, all others are left out; all if empty")
    empty: Literal["error", "allow"] = Field("error", description="what to do with a dot image without a dot")
    odd_boxes: Literal["error", "skip"] = Field(
        "error", description="what to do with boxes reversed or outside the image"
    )

    masks: Literal["auto", "beside", "none"] = Field(
        "auto",
        description="a mask for each image: auto recognises folders of masks, names such as x_mask.png and a column "
        "mask; beside also takes x.png for the mask of x.bmp, keeps labels, and makes masks of the areas that LabelMe, "
        "CVAT, COCO, YOLO or QuPath draw; none passes masks over",
    )
    legend: dict[str, str] = Field(
        {}, description="value in the masks to class, such as 128: cytoplasm or #fbbebe: neutrophil, or to ignore"
    )

    slides: SlidePlan = Field(SlidePlan(), description="how whole slides become tiles")
    archive: ArchivePlan = Field(ArchivePlan(), description="what a zip or tar file may unpack to")

    @field_validator("kinds", mode="before")
    @classmethod
    def _one_or_several(cls, kinds: Any) -> Any:
        return tuple(kind.strip() for kind in kinds.split(",")) if isinstance(kinds, str) else kinds

    @field_validator("group_from")
    @classmethod
    def _is_a_pattern_with_a_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        example = r"for example 'UID_(?P<group>\d+)_'"
        try:
            names = re.compile(pattern).groupindex
        except re.error as error:
            raise CorpuscleError(
                f"group_from expects a regular expression, got '{pattern}' ({error}); {example}"
            ) from None
        if "group" not in names:
            raise CorpuscleError(f"group_from expects a part named group, got '{pattern}' without one; {example}")
        return pattern
