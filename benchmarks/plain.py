"""The other side: a classifier trained by a plain PyTorch script, as a good student writes it.

ImageFolder, torchvision's transforms on Pillow images, two loader processes that stay alive, arithmetic in fp32,
torchvision's net; optimiser, loss, schedule, augmentation, batch size and number of steps as Corpuscle has them. The
folder holds train/, and val/ and test/ where there are such. Prints one line of JSON an epoch: the seconds of the
training pass alone, and what it did in them.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, models, transforms


def arguments() -> argparse.ArgumentParser:
    """What it can be told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with train/ and, if wanted, val/ and test/")
    parser.add_argument("--model", default="resnet18", help="a classifier of torchvision's")
    parser.add_argument("--weights", type=Path, help="safetensors file of the model; its last layer is not used")
    parser.add_argument("--freeze", action="store_true", help="train the last layer alone")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.002)
    parser.add_argument("--warm-up", type=float, default=2, help="epochs in which the learning rate rises")
    parser.add_argument("--rotate", type=float, default=180)
    parser.add_argument("--hue", type=float, default=8, help="in degrees")
    parser.add_argument("--vertical-flip", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--predictions", type=Path, help="CSV for the probabilities of the test images")
    parser.add_argument("--turns", action="store_true", help="wait for a line on standard input before each epoch")
    return parser


def loaders(options: argparse.Namespace) -> dict[str, DataLoader]:
    """A loader for each part that the folder holds."""
    resize = transforms.Resize((options.size, options.size))
    finish = [transforms.ToTensor(), transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    bilinear = transforms.InterpolationMode.BILINEAR
    varied = [
        transforms.RandomAffine(options.rotate, (0.06, 0.06), (1 / 1.2, 1.2), interpolation=bilinear),
        transforms.RandomHorizontalFlip(),
        *([transforms.RandomVerticalFlip()] if options.vertical_flip else []),
        transforms.ColorJitter(0.15, 0.15, 0.15, options.hue / 360),
    ]
    made = {}
    for part in ("train", "val", "test"):
        if not (options.data / part).is_dir():
            continue
        learns = part == "train"
        steps = [resize, *(varied if learns else []), *finish]
        images = datasets.ImageFolder(options.data / part, transforms.Compose(steps))
        made[part] = DataLoader(
            images,
            options.batch,
            shuffle=learns,
            drop_last=learns,
            num_workers=options.workers,
            persistent_workers=learns and options.workers > 0,
        )
    return made


def build(options: argparse.Namespace, num_classes: int) -> nn.Module:
    """The net, with a last layer for these classes; the rest frozen if asked for."""
    net = models.get_model(options.model, weights=None)
    if options.weights:
        from safetensors.torch import load_file

        net.load_state_dict(load_file(options.weights))
    if options.freeze:
        net.requires_grad_(False)
    net.fc = nn.Linear(net.fc.in_features, num_classes)
    return net


def train_epoch(
    net: nn.Module,
    batches: DataLoader,
    criterion: nn.Module,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    freeze: bool,
) -> dict[str, float]:
    """One pass over the training part."""
    started = time.perf_counter()
    net.train(not freeze)  # a frozen net keeps its running statistics
    loss_sum = right = 0.0
    steps = images = 0
    for image_NCHW, target_N in batches:
        optimizer.zero_grad()
        logits_NK = net(image_NCHW)
        loss = criterion(logits_NK, target_N)
        loss.backward()
        optimizer.step()
        scheduler.step()
        loss_sum += loss.item() * len(target_N)
        right += (logits_NK.argmax(1) == target_N).sum().item()
        images += len(target_N)
        steps += 1
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "steps": steps, "images": images, "loss": loss_sum / images, "accuracy": right / images}


@torch.no_grad()
def probabilities(net: nn.Module, batches: DataLoader) -> tuple[Tensor, Tensor]:
    """probs_NK and target_N of a part, in the order of its files."""
    net.eval()
    found = [(net(image_NCHW).softmax(1), target_N) for image_NCHW, target_N in batches]
    return torch.cat([probs_NK for probs_NK, _ in found]), torch.cat([target_N for _, target_N in found])


def write_predictions(path: Path, net: nn.Module, batches: DataLoader, root: Path) -> None:
    """One row an image of the test part: its path below the data folder, and the probability of each class."""
    probs_NK, _ = probabilities(net, batches)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"p_{name}" for name in batches.dataset.classes)])
        for (image, _), probs_K in zip(batches.dataset.samples, probs_NK.tolist(), strict=True):
            writer.writerow([Path(image).relative_to(root).as_posix(), *probs_K])


def main() -> None:
    """Train, and judge the best epoch."""
    options = arguments().parse_args()
    torch.manual_seed(options.seed)
    parts = loaders(options)
    net = build(options, len(parts["train"].dataset.classes))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    learn = [parameter for parameter in net.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learn, lr=options.learning_rate, weight_decay=0.05)
    total, rising = options.epochs * len(parts["train"]), round(options.warm_up * len(parts["train"]))
    rising = min(rising, total - 1)

    def share(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return 0.5 * (1 + math.cos(math.pi * (step - rising) / (total - rising)))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    best, best_weights = -1.0, None
    for epoch in range(1, options.epochs + 1):
        if options.turns and not sys.stdin.readline():
            sys.exit("nobody asks for another epoch")
        row = {"epoch": epoch, **train_epoch(net, parts["train"], criterion, optimizer, scheduler, options.freeze)}
        if "val" in parts:
            probs_NK, target_N = probabilities(net, parts["val"])
            row["val_accuracy"] = (probs_NK.argmax(1) == target_N).float().mean().item()
            if row["val_accuracy"] > best:
                best, best_weights = row["val_accuracy"], {k: v.clone() for k, v in net.state_dict().items()}
        print(json.dumps(row), flush=True)
    if best_weights is not None:
        net.load_state_dict(best_weights)
    if options.predictions:
        write_predictions(options.predictions, net, parts["test"], options.data)


if __name__ == "__main__":
    main()
