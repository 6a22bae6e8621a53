"""Share of an epoch in which a training on composed scenes waits for them.

The recipe smear learns from scenes that are composed while it trains, by as many processes as it chooses by itself. The
first epoch, in which the cut-outs are turned and the backgrounds drawn, is shown apart.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from record import Record, Side, arguments, chosen, clean_environment, spread, workplace
from train_epoch import data_waits

from corpuscle.synth.bank import write_bank
from corpuscle.synth.drawn import PIXEL_UM, drawn_cutouts

TARGET = 0.1


def measure(options: argparse.Namespace, record: Record) -> None:
    """Train on the stream, and record what its log says."""
    scenes, repeats = (32, 1) if options.quick else (options.scenes, options.repeats)
    settings = {
        "compose.scenes": [scenes, 2, 2],
        "stages.0.epochs": 1 + repeats,
        "fit.batch_size": options.batch,
        "seed": options.seed,
    }
    if options.quick:
        settings |= {"compose.size": 128, "compose.field_size": 256, "net.widths": [8, 16]}
    with workplace() as place:
        bank = options.bank or drawn_bank(place / "bank", options.seed)
        words = [bank, "--recipe", "smear", "--out", place / "run", *chosen(settings)]
        ours = Side("ours", words, clean_environment(options.threads, place / "cache"))
        ours.run(1 + repeats)
        first, *waits = data_waits(place / "run")
    wait = statistics.median(waits)
    record.add(
        bank="drawn" if options.bank is None else options.bank.name,
        scenes=scenes,
        batch=options.batch,
        repeats=repeats,
        epoch_s=ours.seconds(),
        scenes_a_second=ours.epochs[-1]["images"] / ours.seconds(),
        data_wait_first=first,
        data_wait=wait,
        data_wait_range=spread(waits),
        target=TARGET,
        reached=wait <= TARGET,
    )


def drawn_bank(folder: Path, seed: int) -> Path:
    """A bank of drawn cut-outs."""
    folder.mkdir()
    write_bank(folder, drawn_cutouts(seed=seed), PIXEL_UM, seed)
    return folder


def main() -> None:
    """Measure."""
    parser = arguments(__doc__, batch=16)
    parser.add_argument("--bank", type=Path, help="folder of cut-outs; drawn ones unless named")
    parser.add_argument("--scenes", type=int, default=640, help="of the training part")
    parser.add_argument("--repeats", type=int, default=1, help="epochs that count")
    options = parser.parse_args()
    record = Record("stream_wait", options)
    measure(options, record)
    record.close()


if __name__ == "__main__":
    main()
