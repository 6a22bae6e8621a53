"""What is special where a net learns from images alone: what cannot be asked, and how held-out images are judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import write_bytes, write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.sampling import evenly
from corpuscle.data.loader import Images, Loader, Order
from corpuscle.data.table import Table
from corpuscle.engine.heatmaps import MOST
from corpuscle.engine.png import png
from corpuscle.metrics.means import PAIRED
from corpuscle.tasks.contrast import Contrast
from corpuscle.tasks.task import Held, Task

DIGITS = 6

if TYPE_CHECKING:
    from corpuscle.engine.experiment import Experiment
    from corpuscle.engine.predict import Predictor


def check_label_free(experiment: Experiment, task: Task) -> None:
    """See that the settings are some that the task can be trained with, where either goes without labels.

    Raises:
        CorpuscleError: labels that are wanted but passed over, a frozen encoder, balanced classes, batches in pieces.
    """
    name = experiment.task
    if task.learns_labels:
        if experiment.data.labels == "none":
            raise CorpuscleError(
                f"data.labels=none expects a task without labels, got task {name}; pass --recipe contrast, prcc or "
                "codebook, or leave data.labels at auto"
            )
        return
    frozen = [stage.train for stage in experiment.stages if stage.train != "all"]
    if frozen and name != "cluster":
        raise CorpuscleError(
            f"task={name} expects stages that train all, got {', '.join(frozen)}; pass --set stages.0.train=all"
        )
    if experiment.fit.balance != "none":
        raise CorpuscleError(
            f"task={name} has no classes to balance, got fit.balance={experiment.fit.balance}; leave it at none"
        )
    if task.views > 1 and experiment.fit.accumulate > 1:
        raise CorpuscleError(
            f"task={name} compares all images of a batch, so it expects batches in one piece, got "
            f"fit.accumulate={experiment.fit.accumulate}; leave it at 1, or lower --batch-size"
        )


def even(count: int, at_once: int) -> int:
    """Images a batch, at most `at_once`, so that the last batch is hardly smaller: among few, any is found easily.

    >>> even(65, 64), even(64, 64), even(0, 64)
    (33, 64, 1)
    """
    return max(1, -(-count // max(1, -(-count // at_once))))


def held_pairs(
    predictor: Predictor,
    table: Table,
    images: Images,
    places: np.ndarray,
    at_once: int,
    progress: Progress = SILENT,
) -> Held:
    """How well the views of held-out images are found among those of their batch.

    Args:
        predictor: of the net that told views apart.
        table: the rows of all images.
        images: varied, with two views of each.
        places: which of them.
        at_once: images a batch, at most.
        progress: shows how far it is.
    """
    net, machine, task = predictor.net, predictor.machine, predictor.task
    assert isinstance(task, Contrast)
    size = even(len(places), at_once)
    loader = Loader(images, Order(places, size), machine.workers, pin=machine.device.type == "cuda")
    net.eval()
    batches = progress.track(loader.epoch(0), "looking", len(places), per_item=size)
    with torch.inference_mode():
        said = [task.paired(net(batch.to(machine.device).image_NCHW)) for batch in batches]
    said = said or [np.zeros((0, len(PAIRED)))]
    return Held(table.with_frame(table.frame[places]), np.concatenate(said))


def keep_remade(folder: Path, predictor: Predictor, table: Table, images: Images, places: np.ndarray) -> None:
    """Write some held-out images as the net saw them and as it made them again, and an index that says which.

    Args:
        folder: of the pictures; made with the first of them.
        predictor: of the net that makes them.
        table: names the images.
        images: as they are.
        places: of the held-out images; some are chosen, spread evenly over them.
    """
    items = []
    mean_3, std_3 = np.array(predictor.card.mean), np.array(predictor.card.std)
    predictor.net.eval()
    for number, place in enumerate(places[evenly(len(places), MOST)]):
        seen_1CHW = images[0, [place]].to(predictor.machine.device).image_NCHW
        with torch.inference_mode():
            made_1CHW = predictor.net(seen_1CHW)
        error, likeness = predictor.task.decode(made_1CHW, seen_1CHW)[0].tolist()
        files = {"picture": f"{number}.png", "said": f"{number}_said.png"}
        for file, image_1CHW in zip(files.values(), (seen_1CHW, made_1CHW), strict=True):
            grey_HWC = image_1CHW[0].float().permute(1, 2, 0).cpu().numpy() * std_3 + mean_3
            write_bytes(folder / file, png(np.rint(grey_HWC.clip(0, 1) * 255).astype(np.uint8)))
        row = table.frame.row(int(place), named=True)
        scores = {"mae": round(error, DIGITS), "ssim": round(likeness, DIGITS)}
        items.append({"image": row["image"], "part": row["split"], **scores, **files})
    if items:
        write_json(folder / "index.json", {"items": items})
