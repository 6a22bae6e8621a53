"""The other side of masks: a U-net trained by a plain PyTorch script, as a good student writes it.

The U-net of segmentation-models-pytorch, image and mask read with Pillow, both mirrored at random, two loader processes
that stay alive, arithmetic in fp32, cross entropy with Dice, Adam. The folder holds train/images and train/masks.
Prints one line of JSON an epoch: the seconds of the training pass alone, and what it did in them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Images and masks of the same name, both mirrored alike."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted((folder / "images").iterdir())

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        path = self.images[place]
        image_CHW = functional.to_tensor(Image.open(path).convert("RGB"))
        image_CHW = functional.normalize(image_CHW, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        mask_HW = torch.from_numpy(np.array(Image.open(path.parents[1] / "masks" / path.name), dtype=np.int64))
        for axis in (-1, -2):
            if torch.rand(()) < 0.5:
                image_CHW, mask_HW = image_CHW.flip(axis), mask_HW.flip(axis)
        return image_CHW, mask_HW


def main() -> None:
    """Train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train/images and train/masks")
    parser.add_argument("--encoder", default="resnet18", help="of segmentation-models-pytorch")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--turns", action="store_true", help="wait for a line on standard input before each epoch")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    pairs, workers = Pairs(options.data / "train"), options.workers
    batches = DataLoader(
        pairs, options.batch, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=workers > 0
    )
    net = smp.Unet(options.encoder, encoder_weights=None, classes=options.classes).train()
    cross_entropy, dice = nn.CrossEntropyLoss(), smp.losses.DiceLoss("multiclass")
    optimizer = torch.optim.Adam(net.parameters(), lr=0.001)
    for epoch in range(1, options.epochs + 1):
        if options.turns and not sys.stdin.readline():
            sys.exit("nobody asks for another epoch")
        started, losses, images = time.perf_counter(), [], 0
        for image_NCHW, mask_NHW in batches:
            logits_NKHW = net(image_NCHW)
            loss = cross_entropy(logits_NKHW, mask_NHW) + dice(logits_NKHW, mask_NHW)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            images += len(mask_NHW)
        row = {"epoch": epoch, "seconds": time.perf_counter() - started, "steps": len(losses), "images": images}
        print(json.dumps(row | {"loss": sum(losses) / len(losses)}), flush=True)


if __name__ == "__main__":
    main()
