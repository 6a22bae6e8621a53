"""Test accuracy and seconds of a plain PyTorch script and of Corpuscle after the same number of epochs.

One split of pbc is made once and both sides read it. They train in processes of their own, an epoch each by turns; each
keeps the weights that are best on the validation part and judges them on the same test images.
"""

from __future__ import annotations

import argparse

from judge import judge, verdict
from record import Record, Side, arguments, chosen, clean_environment, linked_part, measured, take_turns, workplace

from corpuscle import api


def measure(options: argparse.Namespace, record: Record) -> None:
    """Split, train both, judge both."""
    epochs, size, batch = (2, 32, 8) if options.quick else (options.epochs, options.size, options.batch)
    with workplace() as place:
        source = options.data
        if options.quick:
            source = place / "few"
            linked_part(options.data, source, 160)
        api.split(source, place / "data", how="link", settings={"seed": options.seed})
        environment = clean_environment(options.threads, place / "cache")
        same = ["--model", options.model, "--size", size, "--batch", batch, "--epochs", epochs, "--seed", options.seed]
        predictions = place / "plain.csv"
        plain = Side("plain", [place / "data", *same, "--predictions", predictions], environment)
        settings = {
            "net.model": options.model,
            "prepare.size": size,
            "fit.batch_size": batch,
            "stages.0.epochs": epochs,
            "seed": options.seed,
        }
        ours = Side("ours", [place / "data", "--out", place / "run", *chosen(settings)], environment)
        take_turns((plain, ours), epochs)
        judged = judge(place / "run", predictions, options.seed)
    seconds = {"plain": plain.total(), "ours": ours.total()}
    what = {"model": options.model, "size": size, "epochs": epochs, "steps": ours.epochs[-1]["steps"]}
    for side, scores in judged.items():
        both = {"times_as_fast": plain.total() / ours.total(), "verdict": verdict(scores["accuracy"])}
        own = {"train_s": seconds[side]} if side in seconds else both
        record.add(**what, side=side, test_images=scores["accuracy"].n, **scores, **own)


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, data="pbc", size=128, epochs=12, batch=32)
    parser.add_argument("--model", default="resnet18")
    options = parser.parse_args()
    measured("equal_accuracy", options, measure)


if __name__ == "__main__":
    main()
