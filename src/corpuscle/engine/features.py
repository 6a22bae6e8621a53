"""Features of a frozen encoder, computed once and kept on disk, so that what learns from them costs next to nothing.

A file of the cache holds the features of some images in one view of one encoder, by the content of the prepared image.
Another part, another budget of labels or a run that was stopped finds there what it needs and computes the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import digest_of, whole_file, write_text
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.stopped import Stopped
from corpuscle.core.threads import in_threads
from corpuscle.data.cache import content_of
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.data.room import FEATURES, cache_folder, make_room
from corpuscle.data.transforms import NO_AUGMENT
from corpuscle.nets.tensors import digest_of_tensors

if TYPE_CHECKING:
    from corpuscle.engine.device import Machine
    from corpuscle.nets.net import Net

FORMAT = 1  # raise when the same encoder would give other features of the same canvas than before
AT_ONCE = 64
MEMORY_BYTES = 4e9  # views are left out where their features would take more
# settings that are not the encoder's own
OF_HEADS = {"head", "hidden", "activation", "dropout", "neighbours", "memory", "weights", "joined"}


@dataclass(frozen=True)
class Passing:
    """How images are passed through a frozen encoder.

    Attributes:
        machine: what computes.
        keep: whether features are kept in the user's cache folder.
        progress: shows how far it is.
        stopping: whether someone asked to stop.
    """

    machine: Machine
    keep: bool = True
    progress: Progress = SILENT
    stopping: Callable[[], int] = lambda: 0

    @property
    def exact(self) -> Passing:
        """The same in fp32, as a net is used."""
        return replace(self, machine=replace(self.machine, precision="fp32"))

    @property
    def alone(self) -> Passing:
        """The same for the first process by itself."""
        return replace(self, machine=replace(self.machine, world=1))


def encoder_features(net: Net, images: Images, places: np.ndarray, how: Passing, views: int = 1) -> Tensor:
    """Pass images through the frozen encoder, or read from the cache what it made of them before.

    Args:
        net: whose encoder is used, in evaluation mode.
        images: varied if they have an augmentation, each view in its own way.
        places: of the images in the table.
        how: see `Passing`.
        views: how often each image is passed; less often where the memory would not hold it, which is said.

    Returns:
        features_VNC in the order of the places, fp32 on the CPU; the same numbers with the cache and without.

    Raises:
        Stopped: someone asked for it; what was computed is in the cache.
    """
    room = max(1, int(MEMORY_BYTES // (max(len(places), 1) * net.num_features * 4)))
    if room < views:
        how.progress.say(f"features of {views} views would not fit into memory: {room} are used")
    views = min(views, room)
    features_VNC = np.empty((views, len(places), net.num_features), np.float32)
    shelves = _shelves(net, images, places, how, views) if how.keep else []
    missing = [np.arange(len(places))] * views
    if shelves:
        missing = [shelf.read(into_NC) for shelf, into_NC in zip(shelves, features_VNC, strict=True)]
    if how.machine.world > 1:  # all pass the same batches, for each waits for the others
        missing = [np.unique(np.concatenate(rows)) for rows in zip(*how.machine.gathered(missing), strict=True)]
    if total := sum(map(len, missing)):
        passes = _passes(net, images, places, how, missing, features_VNC, shelves)
        for _ in how.progress.track(passes, "features", total, per_item=AT_ONCE):
            pass
    return torch.from_numpy(features_VNC)


def _passes(
    net: Net,
    images: Images,
    places: np.ndarray,
    how: Passing,
    missing: list[np.ndarray],
    features_VNC: np.ndarray,
    shelves: list[_Shelf],
) -> Iterator[None]:
    """Fill in the missing rows of each view and keep them, even those of a view that is not finished.

    Every batch is of one size, the last one too: another size may round otherwise, and with it what is done anew.
    """
    machine = how.machine
    net.encoder.eval()
    for view, row_M in enumerate(missing):
        padded = np.resize(row_M, -(-len(row_M) // AT_ONCE) * AT_ONCE)
        loader = Loader(images, Order(places[padded], AT_ONCE), machine.workers, pin=machine.device.type == "cuda")
        done = 0
        try:
            for batch in loader.epoch(view):
                if signal := max(machine.gathered(how.stopping())):
                    raise Stopped(signal)
                with torch.inference_mode(), machine.autocast():
                    features_NC = net.encoder(batch.to(machine.device).image_NCHW).float().cpu()
                row_N = row_M[done : done + AT_ONCE]
                features_VNC[view, row_N] = features_NC[: len(row_N)].numpy()
                done += len(row_N)
                yield
        finally:
            if shelves and machine.first and done:
                shelves[view].keep(features_VNC[view], row_M[:done], how.progress)


@dataclass(frozen=True)
class _Shelf:
    """Where the features of one view lie in the cache: `<digest>.npy`, and in `<digest>.txt` a line for each row.

    Attributes:
        folder: of the encoder and the view.
        names: what each image is known by.
    """

    folder: Path
    names: list[str]

    def read(self, features_NC: np.ndarray) -> np.ndarray:
        """Fill in the rows that are there; returns those that are not."""
        missing_N = np.ones(len(self.names), bool)
        for lines in sorted(self.folder.glob("*.txt")):
            try:
                row_of = {name: row for row, name in enumerate(lines.read_text().splitlines())}
                row_N = np.array([row_of.get(name, -1) for name in self.names])
                there_N = missing_N & (row_N >= 0)
                features_NC[there_N] = np.load(lines.with_suffix(".npy"), mmap_mode="r")[row_N[there_N]]
            except (OSError, EOFError, ValueError, IndexError):  # damaged, or another process has just dropped it
                continue
            missing_N &= ~there_N
        if not missing_N.all():
            with contextlib.suppress(OSError):
                os.utime(self.folder)  # the longest unused go first
        return np.flatnonzero(missing_N)

    def keep(self, features_NC: np.ndarray, row_M: np.ndarray, progress: Progress) -> None:
        """Write some rows, the names last: without them the numbers are not read."""
        lines = "\n".join(self.names[row] for row in row_M)
        path = self.folder / f"{digest_of(lines.encode())}.npy"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            make_room(cache_folder(), len(row_M) * features_NC[0].nbytes)
            with whole_file(path) as part, part.open("wb") as file:
                np.save(file, features_NC[row_M])
            write_text(path.with_suffix(".txt"), lines)
        except (OSError, CorpuscleError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error).partition(";")[0]
            progress.say(f"no cache in {self.folder} ({reason}); features are computed each time")


def _shelves(net: Net, images: Images, places: np.ndarray, how: Passing, views: int) -> list[_Shelf]:
    """A shelf for each view, named by all that its features depend on but for the image."""
    varied = images.augment is not None and images.augment != NO_AUGMENT
    known = {
        "format": FORMAT,
        "encoder": digest_of_tensors(net.encoder.state_dict()),
        "net": net.plan.model_dump(mode="json", exclude=OF_HEADS),
        "normalisation": [images.mean_3.tolist(), images.std_3.tolist()],
        "multiple": images.multiple,
        "arithmetic": [how.machine.device.type, how.machine.precision],
    }
    names = list(in_threads(lambda place: content_of(images.canvases[int(place)]), places))
    if varied and images.augment is not None:
        known |= {"augment": images.augment.model_dump(mode="json"), "seed": images.seed}
        names = [f"{name} {place}" for name, place in zip(names, places, strict=True)]  # each is varied by its place
    ways = [known | ({"view": view} if varied else {}) for view in range(views)]
    folder = cache_folder() / FEATURES
    return [_Shelf(folder / digest_of(json.dumps(way, sort_keys=True).encode()), names) for way in ways]
