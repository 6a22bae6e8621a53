"""Seconds of the 50-epoch linear probe of fundus photographs: frozen net image by image against features kept.

Both start from the same encoder, see the same images in the same variations, and train the same last layer by the same
rule. The plain side decodes, varies and passes each image through the net in each epoch; it is timed over a few epochs
and scaled to 50. Ours does all 50: it reads the images into an empty cache, computes the features of four views, and
trains on those. Accuracy is compared after the few epochs, which both do in full.

Without --weights the encoder is drawn at random and its batch norms measure the images once: the speed is the same, the
accuracy is that of random features.
"""

from __future__ import annotations

import argparse
import json
from itertools import islice
from pathlib import Path
from typing import Any

from judge import judge, verdict
from record import Record, Side, arguments, chosen, clean_environment, linked_part, workplace

from corpuscle import api

PATIENT = r"^(?P<group>.+)_(left|right)\b"
TARGET = 30
EPOCHS = 50


def measure(model: str, options: argparse.Namespace, record: Record) -> None:
    """Probe one encoder on both sides."""
    size, images = (64, 80) if options.quick else (options.size, options.images)
    with workplace() as place:
        linked_part(options.data, place / "part", images)
        api.split(
            place / "part", place / "data", how="link", settings={"data.group_from": PATIENT, "seed": options.seed}
        )
        weights = options.weights or place / f"{model}.safetensors"
        if not weights.exists():
            draw_encoder(model, weights, place / "data" / "train", size, options.seed)
        environment = clean_environment(options.threads, place / "cache")
        ours = {}
        for epochs in (EPOCHS, options.epochs):
            words = chosen(settings(model, weights, size, epochs, options.seed))
            side = Side(
                "ours", [place / "data", "--out", place / f"{epochs}", "--recipe", "fundus", *words], environment
            )
            side.run(epochs)
            ours[epochs] = side
        same = ["--model", model, "--size", size, "--epochs", options.epochs, "--seed", options.seed, "--warm-up", 0]
        alike = ["--freeze", "--weights", weights, "--rotate", 20, "--hue", 4, "--no-vertical-flip"]
        plain = Side("plain", [place / "data", *same, *alike, "--predictions", place / "plain.csv"], environment)
        plain.run(options.epochs)
        done = json.loads((place / f"{EPOCHS}" / "timings.json").read_text())
        judged = judge(place / f"{options.epochs}", place / "plain.csv", options.seed)
    steps = {side.epochs[-1]["steps"] for side in (plain, *ours.values())}
    if len(steps) > 1:
        raise SystemExit(f"expected the same number of steps an epoch of each side, got {steps}")
    what = {"model": model, "size": size, "train_images": plain.epochs[-1]["images"], "steps": steps.pop()}
    add_seconds(record, what, plain, done)
    for side, scores in judged.items():
        own = {"verdict": verdict(scores["accuracy"])} if "less" in side else {}
        record.add(**what, what=f"{side}, {options.epochs} epochs", **scores, **own)


def add_seconds(record: Record, what: dict[str, Any], plain: Side, done: list[dict[str, Any]]) -> None:
    """The rows of seconds: both sides, and how often the one goes into the other."""

    def spent(*titles: str) -> list[float]:
        largest_first = sorted(done, key=lambda one: -one["total"])
        return [one["seconds"] for one in largest_first if one["title"].startswith(titles)]

    reading, epochs = sum(spent("looking for changed files", "reading images")), sum(spent("epoch "))
    features, *_of_others = spent("features")  # the training part is the largest; plain's validation is not timed
    probe, everything, slow = reading + features + epochs, spent("everything")[0], EPOCHS * plain.seconds()
    measured = f"an epoch {plain.seconds():.2f}, median of {len(plain.epochs) - 1}"
    record.add(**what, what=f"plain, {EPOCHS} epochs", seconds=slow, of_which=measured)
    parts = f"reading {reading:.1f}, features {features:.1f}, {EPOCHS} epochs {epochs:.1f}"
    fast = {"times_as_fast": slow / probe, "target": TARGET}
    record.add(**what, what=f"ours, {EPOCHS} epochs", seconds=probe, of_which=parts, **fast)
    whole = {"seconds": everything, "times_as_fast": slow / everything}
    record.add(**what, what="ours, with validation, scores, report", **whole)


def settings(model: str, weights: Path, size: int, epochs: int, seed: int) -> dict[str, Any]:
    """The first stage of the recipe, from these weights, with images prepared as the plain side does."""
    stage = {"train": "head", "epochs": epochs, "learning_rate": 0.002, "warm_up": 0}
    return {
        "net.model": model,
        "net.weights": str(weights),
        "prepare.size": size,
        "prepare.fit": "stretch",
        "prepare.trim_border": False,
        "stages": [stage],
        "seed": seed,
    }


def draw_encoder(model: str, path: Path, images: Path, size: int, seed: int) -> None:
    """Write random weights of a torchvision model whose batch norms have measured some of the images."""
    import torch
    from safetensors.torch import save_file
    from torchvision import datasets, models, transforms

    torch.manual_seed(seed)
    net = models.get_model(model, weights=None)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # a plain mean over the batches
    steps = [transforms.Resize((size, size)), transforms.ToTensor()]
    steps += [transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    loader = torch.utils.data.DataLoader(datasets.ImageFolder(images, transforms.Compose(steps)), 32, shuffle=True)
    with torch.no_grad():
        for image_NCHW, _ in islice(loader, 4):
            net(image_NCHW)
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__, data="fundus", size=224)
    parser.add_argument("--models", nargs="+", default=["resnet50", "resnet18"])
    parser.add_argument("--weights", type=Path, help="safetensors file of one torchvision model, for one of --models")
    parser.add_argument("--images", type=int, default=480, help="in all, of which 70 %% train")
    parser.add_argument("--epochs", type=int, default=5, help="that the plain side does; the first is not timed")
    options = parser.parse_args()
    if options.weights and (len(options.models) > 1 or not options.weights.is_file()):
        parser.error("--weights expects a file, and one model with --models")
    record = Record("linear_probe", options)
    for model in options.models:
        measure(model, options, record)
    record.close()


if __name__ == "__main__":
    main()
