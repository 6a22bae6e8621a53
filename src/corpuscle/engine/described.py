"""Descriptors of all images of a table, kept in the cache."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, whole_file
from corpuscle.core.progress import Progress
from corpuscle.core.sampling import evenly
from corpuscle.core.seeds import generator_for, seed_for
from corpuscle.core.threads import in_threads
from corpuscle.data.cache import digests_of
from corpuscle.data.prepare import PreparePlan, prepare
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.readers.read import read_pixels
from corpuscle.data.room import FEATURES, cache_folder, make_room
from corpuscle.data.table import Table
from corpuscle.engine.descriptors import SIZE, descriptors, lab_of, shrunk
from corpuscle.engine.fisher import SHRUNK, Mixture, mixture_of, some_squares

FORMAT = 2  # raise when the same images would have other descriptors than before
ON_CANVAS = PreparePlan(size=SIZE, trim_border=True)
LEARNED_FROM = 500  # images; they are read twice
SEED = 0  # of the squares: the same images have the same descriptors


def described(table: Table, read: ReadPlan, progress: Progress) -> list[np.ndarray]:
    """Descriptors of each image, a matrix a family, Fisher vectors last; NaN where an image cannot be read.

    Raises:
        CorpuscleError: no image can be read.
    """
    paths = [table.path_of(image) for image in table.frame["image"]]
    known = "\n".join([str(FORMAT), read.model_dump_json(), *digests_of(paths, progress)])
    folder = cache_folder() / FEATURES / digest_of(known.encode())
    try:
        kept = np.load(folder / "descriptors.npz")
        os.utime(folder)  # the longest unused go first
        return [kept[name] for name in kept.files]
    except (OSError, EOFError, ValueError, KeyError):  # not there, or damaged
        pass
    families = _described(paths, _mixture(paths, read, progress), read, progress)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_room(cache_folder(), sum(family_NC.nbytes for family_NC in families))
        with whole_file(folder / "descriptors.npz") as part, part.open("wb") as file:
            np.savez(file, *families)
    except (OSError, CorpuscleError) as error:
        progress.say(f"no cache in {folder} ({error}); images are described each time")
    return families


def _mixture(paths: list[Path], read: ReadPlan, progress: Progress) -> Mixture:
    """What the squares of some images look like."""
    places = evenly(len(paths), LEARNED_FROM).tolist()

    def squares_of(place: int) -> tuple[np.ndarray, np.ndarray] | None:
        canvas_HWC = _canvas(paths[place], read)
        if canvas_HWC is None:
            return None
        return some_squares(shrunk(lab_of(canvas_HWC), SHRUNK), generator_for(SEED, "squares", place))

    found = list(progress.track(in_threads(squares_of, places), "looking at squares", len(places)))
    some = [squares for squares in found if squares is not None]
    if not some:
        raise CorpuscleError(f"none of the {len(places)} images can be read; inspect says why without --label-errors")
    return mixture_of(some, seed_for(SEED, "mixture"))


def _described(paths: list[Path], mixture: Mixture, read: ReadPlan, progress: Progress) -> list[np.ndarray]:
    work = partial(_describe, mixture=mixture, read=read)
    families: list[np.ndarray] = []
    rows = progress.track(in_threads(work, paths), "describing images", len(paths))
    for row, vectors in enumerate(rows):
        if vectors and not families:
            families = [np.full((len(paths), len(vector_C)), np.nan, np.float32) for vector_C in vectors]
        for family_NC, vector_C in zip(families, vectors, strict=False):
            family_NC[row] = vector_C
    return families


def _describe(path: Path, mixture: Mixture, read: ReadPlan) -> tuple[np.ndarray, ...]:
    canvas_HWC = _canvas(path, read)
    if canvas_HWC is None:
        return ()
    return (*descriptors(canvas_HWC), mixture.vector(shrunk(lab_of(canvas_HWC), SHRUNK)))


def _canvas(path: Path, read: ReadPlan) -> np.ndarray | None:
    try:
        return prepare(read_pixels(path, read).array_HWC, ON_CANVAS)
    except CorpuscleError:
        return None
