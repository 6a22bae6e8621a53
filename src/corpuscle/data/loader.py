"""From canvases to batches: which images, in which order and how varied is a function of (seed, epoch, image) alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from corpuscle.core.seeds import generator_for
from corpuscle.data.cache import Canvases
from corpuscle.data.targets import Targets, Warp
from corpuscle.data.transforms import NO_AUGMENT, AugmentPlan, draw_colour, draw_warp, normalised, warp

IDENTITY_34, IDENTITY_23 = np.eye(3, 4), np.eye(2, 3)


@dataclass(frozen=True)
class Batch:
    """Some images and what is known of them.

    Attributes:
        stored_NHWC: warped canvases in the stored type, or features_NC where an encoder has seen them already.
        colour_N34: colour change, scale and normalisation of each image in one matrix.
        target: what the net should say, N first; see `Targets`.
        place_N: places of the images in the table.
        beside_NC: what frozen encoders say of the images; None where the net joins none.
    """

    stored_NHWC: Tensor
    colour_N34: Tensor
    target: Tensor
    place_N: Tensor
    beside_NC: Tensor | None = None

    def __len__(self) -> int:
        return len(self.place_N)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        moved = (tensor.to(device, non_blocking=True) for tensor in self._tensors())
        return Batch(*moved)

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, as the loader asks for before a copy to a GPU."""
        return Batch(*(tensor.pin_memory() for tensor in self._tensors()))

    def pieces(self, count: int) -> list[Batch]:
        """The batch in `count` pieces of nearly one size, or in fewer: batch normalisation needs two images in each."""
        count = max(1, min(count, len(self) // 2))
        return [Batch(*pieces) for pieces in zip(*(t.tensor_split(count) for t in self._tensors()), strict=True)]

    @property
    def beside(self) -> tuple[Tensor, ...]:
        """What the net is given behind the images: nothing, or what frozen encoders say of them."""
        return () if self.beside_NC is None else (self.beside_NC,)

    @property
    def image_NCHW(self) -> Tensor:
        """What the net sees: float32, normalised, channels last in memory. Features are passed as they are."""
        if self.stored_NHWC.ndim == 2:
            return self.stored_NHWC
        count, height, width, channels = self.stored_NHWC.shape
        flat_NPC = self.stored_NHWC.view(count, height * width, channels).float()
        offset_N1C = self.colour_N34[:, None, :, 3]
        image_NPC = torch.baddbmm(offset_N1C, flat_NPC, self.colour_N34[:, :, :3].transpose(1, 2))
        return image_NPC.view(count, height, width, channels).permute(0, 3, 1, 2)

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.stored_NHWC, self.colour_N34, self.target, self.place_N, *self.beside


@dataclass(frozen=True)
class Images(Dataset[Batch]):
    """The one data set: a batch of places in, a batch of images out.

    Attributes:
        canvases: prepared images by place; those of a batch are of one size, or a crop is cut out of each.
        targets: what the net should say of each.
        mean_3, std_3: normalisation, on values from 0 to 1.
        augment: what is varied; None gives every image as it is.
        seed: of the variation.
        multiple: the net takes sides that are multiples of it; beyond a canvas lies its mirror image.
        views: pictures of each image in a batch, each varied anew: the first ones of all images, then the second ones.
    """

    canvases: Canvases
    targets: Targets
    mean_3: np.ndarray
    std_3: np.ndarray
    augment: AugmentPlan | None = None
    seed: int = 0
    multiple: int = 1
    views: int = 1

    def __getitem__(self, key: tuple[int, Sequence[int]]) -> Batch:
        epoch, places = key
        places = [*places] * self.views
        full = float(np.iinfo(self.canvases.dtype).max)
        stored_NHWC: np.ndarray | None = None
        colour_N34 = np.empty((len(places), 3, 4), np.float32)
        warps = []
        for row, place in enumerate(places):
            canvas_HWC = self.canvases[place]
            view = row * self.views // len(places)
            drawn, colour_34 = self._draw(canvas_HWC.shape[:2], epoch, int(place), view)
            if stored_NHWC is None:
                stored_NHWC = np.empty((len(places), *drawn.out_HW, 3), canvas_HWC.dtype)
            if drawn.matrix_23 is IDENTITY_23 and drawn.out_HW == canvas_HWC.shape[:2]:
                stored_NHWC[row] = canvas_HWC
            else:
                warp(canvas_HWC, drawn.matrix_23, stored_NHWC[row])
            colour_N34[row] = normalised(colour_34, self.mean_3, self.std_3, full)
            warps.append(drawn)
        place_N = torch.from_numpy(np.array(places, dtype=np.int64))
        target = self.targets.batch(places, warps)
        return Batch(torch.from_numpy(stored_NHWC), torch.from_numpy(colour_N34), target, place_N)

    def _draw(self, canvas_HW: tuple[int, int], epoch: int, place: int, view: int) -> tuple[Warp, np.ndarray]:
        """How a view of an image is varied in an epoch: its warp and its colour_34."""
        plan = self.augment if self.augment is not None else NO_AUGMENT
        side = (plan.crop, plan.crop) if plan.crop else canvas_HW
        out_HW = (side[0] + -side[0] % self.multiple, side[1] + -side[1] % self.multiple)
        if plan == NO_AUGMENT:
            return Warp(IDENTITY_23, canvas_HW, out_HW), IDENTITY_34
        rng = generator_for(self.seed, "augment", epoch, place, *([view] if self.views > 1 else []))
        matrix_23 = draw_warp(plan, canvas_HW, rng)
        return Warp(matrix_23, canvas_HW, out_HW), draw_colour(plan, rng)


@dataclass(frozen=True)
class Features(Dataset[Batch]):
    """What a frozen encoder made of the images, in the place of the images.

    Attributes:
        features_VNC: V views of N images; epoch e sees view e modulo V.
        row_of: place in the table to row of the features.
        targets: of every row of the table.
    """

    features_VNC: Tensor
    row_of: dict[int, int]
    targets: Targets

    def __getitem__(self, key: tuple[int, Sequence[int]]) -> Batch:
        epoch, places = key
        rows = [self.row_of[int(place)] for place in places]
        features_NC = self.features_VNC[epoch % len(self.features_VNC)][rows]
        place_N = torch.from_numpy(np.array(places, dtype=np.int64))
        return Batch(features_NC, torch.zeros(len(rows), 3, 4), self.targets.batch(places, ()), place_N)


@dataclass(frozen=True)
class Beside:
    """What frozen encoders say of the images, to travel beside them.

    Attributes:
        features_VNC: V views of N images; epoch e sees view e modulo V.
        row_of: place in the table to row of the features.
    """

    features_VNC: Tensor
    row_of: dict[int, int]

    def laid_by(self, batch: Batch, epoch: int) -> Batch:
        """A batch of images with its beside_NC."""
        rows = [self.row_of[place] for place in batch.place_N.tolist()]
        return replace(batch, beside_NC=self.features_VNC[epoch % len(self.features_VNC)][rows])


@dataclass(frozen=True)
class Order:
    """Which images make up each batch of an epoch.

    Attributes:
        places: of the images in the table.
        batch_size: images a step, over all devices.
        seed: of the shuffling; None keeps the order and every image.
        weight_N: chance of each image to be drawn, with replacement; None shuffles without.
        rank, world: this process among all.
    """

    places: np.ndarray
    batch_size: int
    seed: int | None = None
    weight_N: np.ndarray | None = None
    rank: int = 0
    world: int = 1

    def __len__(self) -> int:
        if self.seed is None:
            return -(-len(self.places) // self.batch_size)
        return max(1, len(self.places) // self.batch_size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Places of each batch for this process.

        A shuffled epoch leaves out the images that do not fill a batch, other ones each time: a batch of one or two
        would upset batch normalisation.
        """
        places = self.places
        if self.seed is not None:
            rng = generator_for(self.seed, "order", epoch)
            if self.weight_N is None:
                places = rng.permutation(places)
            else:
                places = rng.choice(places, len(places), p=self.weight_N / self.weight_N.sum())
            places = places[: len(self) * self.batch_size]
        chunks = [places[start : start + self.batch_size] for start in range(0, len(places), self.batch_size)]
        return [np.array_split(chunk, self.world)[self.rank] for chunk in chunks]


@dataclass(frozen=True)
class Loader:
    """Batches of an epoch, from any step on."""

    dataset: Images | Features
    order: Order
    workers: int = 0
    pin: bool = False
    beside: Beside | None = None

    def __len__(self) -> int:
        return len(self.order)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of one epoch; the same for any number of workers, and for any start."""
        keys = [(epoch, batch) for batch in self.order.batches(epoch)[start:]]
        workers = self.workers if isinstance(self.dataset, Images) else 0
        batches = DataLoader(
            self.dataset,
            sampler=keys,
            batch_size=None,
            num_workers=workers,
            pin_memory=self.pin,
            worker_init_fn=_one_thread if workers else None,
            generator=torch.Generator(),  # else it would draw from the process's own
        )
        for batch in batches:
            yield batch if self.beside is None else self.beside.laid_by(batch, epoch)


def _one_thread(worker: int) -> None:
    import signal

    import cv2

    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    for number in (signal.SIGINT, signal.SIGTERM):  # the main process decides when to stop, and tells its loaders
        signal.signal(number, signal.SIG_IGN)
