"""The steps on the table of a run: rows and pixels of what they make, and a few of these to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from corpuscle.core.errors import CorpuscleError, nearest
from corpuscle.core.files import write_bytes, write_json
from corpuscle.core.legend import BACKGROUND
from corpuscle.core.progress import Progress
from corpuscle.core.records import in_8_bits
from corpuscle.core.sampling import evenly
from corpuscle.core.seeds import seed_for
from corpuscle.data.backgrounds import MadeOf, Objects, SteppedCanvases
from corpuscle.data.cache import Canvases
from corpuscle.data.fingerprint import measure_normalisation
from corpuscle.data.masks import survey_masks
from corpuscle.data.steps import COPY, StepsPlan, stepped
from corpuscle.data.table import Table
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.png import png

if TYPE_CHECKING:
    from corpuscle.engine.dataset import Ready

SHOWN, MEASURED = 24, 256
NAMED = 3  # images that are passed over, by name


def check_steps(experiment: Experiment, table: Table, scanned: Table) -> None:
    """See that the steps fit the data, before any time is spent.

    Args:
        experiment: with the steps.
        table: as the task learns from it.
        scanned: with the masks that it came with.

    Raises:
        CorpuscleError: they do not.
    """
    steps, balance = experiment.steps, experiment.fit.balance
    if steps.balance != "none" and balance != "none":
        raise CorpuscleError(
            f"steps.balance={steps.balance} expects fit.balance=none, for rare classes would count twice, "
            f"got {balance}; leave one of them out"
        )
    for name, asked in (("apply_mask", steps.apply_mask), ("balance", steps.balance != "none")):
        if asked and (table.counted or table.segmented):
            raise CorpuscleError(
                f"steps.{name} expects a class an image, task={experiment.task} has none; leave it out"
            )
    if steps.apply_mask and scanned.legend is None:
        raise CorpuscleError(
            f"steps.apply_mask expects images with masks, {table.layout} comes without; pass --set data.masks=beside "
            "if they lie beside the images, or leave it out"
        )
    if steps.apply_mask:
        _kept(steps, scanned)


def refuse_steps(experiment: Experiment) -> None:
    """See that no steps are asked for where scenes are composed.

    Raises:
        CorpuscleError: there are some.
    """
    if experiment.steps != StepsPlan():
        raise CorpuscleError("steps.* expect images on disk, these scenes are composed; set compose.scenes instead")


def take_steps(data: Ready, scanned: Table, progress: Progress) -> Ready:
    """The data after the steps on their table: more rows, or fewer that train, and the pixels of those that are made.

    Args:
        data: divided.
        scanned: the table as it was scanned, with the masks that it came with.
        progress: shows how far it is, and what was done.

    Raises:
        CorpuscleError: see `stepped`.
    """
    experiment, steps = data.experiment, data.experiment.steps
    if steps == StepsPlan():
        return data
    frame, first = data.table.frame, len(data.table)
    objects, usable_N, passed = None, np.zeros(first, bool), list[str]()
    if steps.apply_mask:
        objects, usable_N, passed = _objects(data, scanned, progress)
    for note in passed:
        progress.say(note)
    table = stepped(data.table, steps, usable_N, experiment.seed, data.findings.copies)
    for note in table.notes[len(data.table.notes) :]:
        progress.say(note)
    table = replace(table, notes=(*table.notes, *passed))
    made = table.frame[first:]
    place_of = {image: place for place, image in enumerate(frame["image"])}
    canvases = SteppedCanvases(data.canvases, _made_of(made, place_of, experiment.seed), first, objects)
    if objects is not None:
        places = np.flatnonzero((table.frame["split"][:first] == "train").fill_null(False).to_numpy())
        canvases = _with_colours(canvases, places, places[usable_N[places]], experiment.seed)
    unseen = pl.DataFrame({name: [None] * len(made) for name in data.seen.columns}, schema=data.seen.schema)
    sound = pl.concat([data.findings.sound, pl.Series([True] * len(made), dtype=pl.Boolean)])
    return replace(
        data,
        table=table,
        seen=pl.concat([data.seen, unseen]),
        canvases=canvases,
        findings=replace(data.findings, sound=sound),
    )


def write_made(folder: Path, table: Table, canvases: Canvases) -> None:
    """Write some made images, each with that it is made of, and an index, for people to look at.

    Args:
        folder: of the pictures.
        table: after the steps.
        canvases: of its rows.
    """
    if not isinstance(canvases, SteppedCanvases):
        return
    rows = table.frame.with_row_index("at")[canvases.first :]
    made = rows.filter((pl.col("step") != COPY) & (pl.col("copy") == 1))
    items = []
    for number, row in enumerate(made[evenly(len(made), SHOWN)].iter_rows(named=True)):
        files = {"picture": f"{number}.png", "original": f"{number}_of.png"}
        places = row["at"], canvases.made[row["at"] - canvases.first].place
        for file, place in zip(files.values(), places, strict=True):
            write_bytes(folder / file, png(in_8_bits(canvases[place])))
        items.append({name: row[name] for name in ("image", "label", "step", "of", "donor")} | files)
    if items:
        write_json(folder / "index.json", {"items": items})


def _objects(data: Ready, scanned: Table, progress: Progress) -> tuple[Objects, np.ndarray, list[str]]:
    """The objects of the masks, which rows of train have one that can be used, and what to say of the others."""
    experiment, frame = data.experiment, data.table.frame
    masked = frame.select("image", "split").join(
        scanned.frame.select("image", "mask"), on="image", how="left", maintain_order="left"
    )
    found = survey_masks(
        scanned.with_frame(masked), data.seen, experiment.read, experiment.prepare, experiment.cache.keep, progress
    )
    assert found.masks is not None
    objects = Objects(found.masks, _kept(experiment.steps, scanned))
    usable_N, passed = np.zeros(len(frame), bool), list[str]()
    rows = pl.concat([masked, found.frame], how="horizontal")
    for place, row in enumerate(rows.iter_rows(named=True)):
        if row["split"] != "train":
            continue
        if row["mask"] is None or row["fault"] is not None:
            passed.append(f"{row['image']}: {row['fault'] or 'has no mask'}")
        elif objects.usable(place):
            usable_N[place] = True
        else:
            passed.append(f"{row['image']}: its mask shows no object, or nothing around it")
    if not passed:
        return objects, usable_N, []
    more = f"; and {len(passed) - NAMED} more" if len(passed) > NAMED else ""
    told = f"steps.apply_mask passes over {len(passed)} training images ({'; '.join(passed[:NAMED])}{more})"
    return objects, usable_N, [f"{told}; mend their masks to use them"]


def _kept(steps: StepsPlan, table: Table) -> tuple[int, ...]:
    """The numbers of the classes that are the object.

    Raises:
        CorpuscleError: the masks know no such class.
    """
    assert table.legend is not None
    classes = table.legend.classes
    unknown = [name for name in steps.keep if name not in classes[1:]]
    if unknown:
        raise CorpuscleError(
            f"steps.keep expects classes of the masks but for the {BACKGROUND}, got '{unknown[0]}'. "
            f"{nearest(unknown[0], classes[1:])}"
        )
    return tuple(classes.index(name) for name in steps.keep or classes[1:])


def _made_of(made: pl.DataFrame, place_of: dict[str, int], seed: int) -> tuple[MadeOf, ...]:
    """What each made row is made of."""
    return tuple(
        MadeOf(
            place=place_of[row["of"]],
            kind=row["step"].removeprefix("background ") if row["step"] != COPY else "",
            donor=None if row["donor"] is None else place_of[row["donor"]],
            seed=seed_for(seed, "made", row["image"]),
        )
        for row in made.iter_rows(named=True)
    )


def _with_colours(canvases: SteppedCanvases, places: np.ndarray, usable: np.ndarray, seed: int) -> SteppedCanvases:
    """The canvases with the colours that stand in the place of backgrounds; of training images alone."""
    assert canvases.objects is not None
    some = usable[evenly(len(usable), MEASURED)].tolist()
    around_MC = np.array([canvases[place][~canvases.objects[place]].mean(axis=0) for place in some])
    mean = measure_normalisation(canvases.canvases, places, seed).mean
    return replace(canvases, mean_C=np.array(mean) * np.iinfo(canvases.dtype).max, around_MC=around_MC)
