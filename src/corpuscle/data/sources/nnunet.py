"""Layout of nnU-Net: imagesTr, labelsTr, imagesTs and dataset.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.legend import Legend
from corpuscle.data.sources.disk import Listing, absolute, is_image, listing
from corpuscle.data.sources.found import Found
from corpuscle.data.sources.legends import legend_of
from corpuscle.data.sources.named import read_json
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.table import COLUMNS

SHEET = "dataset.json"
PARTS = {"train": ("imagesTr", "labelsTr"), "test": ("imagesTs", "labelsTs")}  # images and masks of each
CHANNEL = re.compile(r"^(?P<case>.+)_(?P<channel>\d{4})$")
VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha")


def is_nnunet(inside: Listing) -> bool:
    """Whether a folder holds what nnU-Net does."""
    return set(PARTS["train"]) <= set(inside.folders)


def scan_nnunet(path: Path, plan: SourcePlan) -> Found:
    """One row per case, with its mask; what the values mean is said in dataset.json.

    A case is one image, grey or in colours: `case_0000.png`. Test images without masks are unlabelled.

    Raises:
        CorpuscleError: volumes, or cases of several channels.
    """
    root, notes = absolute(path), list[str]()
    faults: list[Fault] = []
    rows: list[tuple[str, None, None, str, str, None, str | None]] = []
    for part, (images_in, masks_in) in PARTS.items():
        images, masks = _files(root, images_in), _files(root, masks_in)
        cases = _cases(images, images_in)
        mask_of = {Path(name).stem: f"{masks_in}/{name}" for name in masks}
        for case, name in cases.items():
            split = "unlabelled" if part == "test" and not masks else part
            rows.append((f"{images_in}/{name}", None, None, split, images_in, None, mask_of.pop(case, None)))
        remedy = "add the image, or remove it"
        faults += [Fault(mask, "is a mask without an image", remedy) for mask in mask_of.values()]
    legend = None
    try:
        legend = _legend(root, plan)
    except DataFault as fault:
        faults += fault.faults
    if legend and not plan.legend:
        notes.append(f"the classes of the masks are from {SHEET}")
    frame = pl.DataFrame(rows, schema=COLUMNS | {"mask": pl.String}, orient="row")
    if plan.masks == "none":
        frame = frame.drop("mask")
    return Found(frame, root, tuple(notes), tuple(faults), legend=legend)


def _files(root: Path, folder: str) -> tuple[str, ...]:
    """The images of one folder.

    Raises:
        CorpuscleError: they are volumes.
    """
    if not (root / folder).is_dir():
        return ()
    files = listing(root / folder).files
    volumes = [name for name in files if name.lower().endswith(VOLUMES)]
    if volumes:
        raise CorpuscleError(
            f"{root / folder} holds {len(volumes)} volumes (first: {volumes[0]}), 2D images were expected; save their "
            "slices as PNG, in the same folders"
        )
    return tuple(name for name in files if is_image(name))


def _cases(names: tuple[str, ...], folder: str) -> Mapping[str, str]:
    """The image of each case.

    Raises:
        CorpuscleError: cases have several.
    """
    files: dict[str, list[str]] = {}
    for name in names:
        match = CHANNEL.match(Path(name).stem)
        files.setdefault(match["case"] if match else Path(name).stem, []).append(name)
    several = {case: held for case, held in files.items() if len(held) > 1}
    if several:
        case, held = next(iter(several.items()))
        raise CorpuscleError(
            f"{folder} holds {len(several)} cases of several channels (first: {case}, {', '.join(held)}), one image a "
            "case was expected; join the channels into one RGB image, or keep the channel to learn from alone"
        )
    return {case: held[0] for case, held in files.items()}


def _legend(root: Path, plan: SourcePlan) -> Legend | None:
    """What dataset.json says of the values, or the user; None where neither does, so that the masks tell.

    Raises:
        DataFault: it cannot be understood.
    """
    if plan.legend:
        return None
    if not (root / SHEET).is_file():
        return None
    content: Any = read_json(root / SHEET)
    labels = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not labels:
        raise DataFault([Fault(SHEET, "has no table 'labels'", 'write it as {"labels": {"background": 0, "cell": 1}}')])
    regions = [name for name, value in labels.items() if isinstance(value, list)]
    if regions:
        what = f"has classes of several values ({', '.join(regions)}), one value a class was expected"
        raise DataFault([Fault(SHEET, what, 'name each value with --set data.legend=\'{"1": "NAME"}\'')])
    by_value = all(str(word).isdigit() for word in labels)  # version 1 of nnU-Net writes them the other way round
    names = {str(word): str(name) for word, name in labels.items()}
    return legend_of(names if by_value else {value: name for name, value in names.items()}, SHEET)
