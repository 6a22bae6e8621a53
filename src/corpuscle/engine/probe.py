"""Features of a frozen encoder, computed once, so that training its head costs next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.stopped import Stopped
from corpuscle.data.loader import Features, Images, Loader, Order

if TYPE_CHECKING:
    from corpuscle.engine.device import Machine
    from corpuscle.nets.zoo import Net

AT_ONCE = 64
MEMORY_BYTES = 4e9  # views are left out where their features would take more


def frozen_features(
    net: Net,
    images: Images,
    places: np.ndarray,
    views: int,
    machine: Machine,
    progress: Progress = SILENT,
    stopping: Callable[[], int] = lambda: 0,
) -> Features:
    """Pass images through the frozen encoder.

    Args:
        net: whose encoder is used, in evaluation mode.
        images: varied if they have an augmentation, each view in its own way.
        places: of the images in the table.
        views: how often each image is passed.
        machine, progress: as everywhere.
        stopping: whether someone asked to stop.

    Returns:
        A data set of features in the place of the images.

    Raises:
        Stopped: someone did; features are not saved.
    """
    room = max(1, int(MEMORY_BYTES // (len(places) * net.num_features * 4)))
    if room < views:
        progress.say(f"features of {views} views would not fit into memory: {room} are used")
    views = min(views, room)
    net.encoder.eval()
    loader = Loader(images, Order(places, batch_size=AT_ONCE), machine.workers, pin=machine.device.type == "cuda")
    features_VNC = torch.empty(views, len(places), net.num_features)

    passes = ((view, batch) for view in range(views) for batch in loader.epoch(view))
    row = 0
    with torch.inference_mode():
        for view, batch in progress.track(passes, "features", len(places) * views, per_item=AT_ONCE):
            if signal := max(machine.gathered(stopping())):
                raise Stopped(signal)
            with machine.autocast():
                features_NC = net.encoder(batch.to(machine.device).image_NCHW)
            row %= len(places)
            features_VNC[view, row : row + len(batch)] = features_NC.float().cpu()
            row += len(batch)
    return Features(features_VNC, {int(place): row for row, place in enumerate(places)}, images.targets)
