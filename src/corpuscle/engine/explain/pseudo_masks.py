"""Masks made of heat, laid out so that a net can be trained on them as on drawn ones."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import disk_errors, whole_file, write_json
from corpuscle.core.legend import BACKGROUND
from corpuscle.core.records import in_8_bits
from corpuscle.data.readers.read import is_member
from corpuscle.engine.explain.overlay import write_png
from corpuscle.engine.explain.refine import REFINEMENTS

LEGEND = "legend.json"


@dataclass(frozen=True)
class PseudoMasks:
    """A folder of images, masks and their legend.

    Attributes:
        folder: `images/`, `masks/` and `legend.json` in it.
        classes: of the run.
        threshold, refinement: what makes a mask of heat.
    """

    folder: Path
    classes: Sequence[str]
    threshold: float
    refinement: str

    @property
    def legend(self) -> dict[str, str]:
        """The grey value of each class in the masks."""
        return {str(number): name for number, name in enumerate([BACKGROUND, *self._objects])}

    @property
    def _objects(self) -> list[str]:
        return [name for name in self.classes if name != BACKGROUND]

    def add(self, path: Path, name: str, image_HWC: np.ndarray, heat_HW: np.ndarray, kind: str) -> None:
        """Write the mask of one image, and the image beside it under the same name.

        Raises:
            CorpuscleError: the folder cannot be written.
        """
        number = 0 if kind == BACKGROUND else 1 + self._objects.index(kind)
        mask_HW = REFINEMENTS[self.refinement](image_HWC, heat_HW, self.threshold)
        write_png(self.folder / "masks" / f"{name}.png", mask_HW.astype(np.uint8) * np.uint8(number))
        if is_member(path):
            write_png(self.folder / "images" / f"{name}.png", in_8_bits(image_HWC))
            return
        copy = self.folder / "images" / f"{name}{path.suffix.lower()}"
        with disk_errors(copy), whole_file(copy) as part:
            shutil.copyfile(path, part)

    def close(self) -> None:
        """Write the legend; the folder is whole with it."""
        write_json(self.folder / LEGEND, self.legend)


def check_folder(folder: Path) -> None:
    """See that masks may be written into a folder.

    Raises:
        CorpuscleError: it holds something.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpuscleError(f"--pseudo-masks expects a new or empty folder, {folder} is none; name another one")
