"""Whether the memory of a training stays where it is over its epochs.

Trains on drawn cells, saves a checkpoint after each epoch, and reads the resident memory of the process after that, the
validation included. Memory is called flat if it has grown by less than 2 % from the end of the third epoch to that of
the last.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from record import Record, arguments, measured, workplace

FLAT = 0.02
SETTLED = 3  # epochs after which every buffer has been made


def resident_mib() -> float:
    """Resident memory of this process (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit("expected VmRSS in /proc/self/status; this benchmark needs Linux")


def measure(options: argparse.Namespace, record: Record) -> None:
    """Train, and note the memory after each epoch."""
    import torch

    from corpuscle import api
    from corpuscle.core.progress import Progress
    from corpuscle.synth.folder import write_cells

    torch.set_num_threads(options.threads)
    memory: list[float] = []

    class Watch(Progress):
        """Reads the memory where an epoch ends."""

        def say(self, line: str) -> None:
            if line.startswith("epoch "):
                memory.append(resident_mib())

    epochs, per_class, size = (5, 8, 32) if options.quick else (options.epochs, options.per_class, options.size)
    with workplace() as place:
        os.environ["CORPUSCLE_CACHE"] = str(place / "cache")
        write_cells(place / "cells", per_class, size, options.seed)
        settings = {
            "epochs": [epochs],
            "prepare.size": size,
            "fit.batch_size": 8 if options.quick else 32,
            "device.workers": options.workers,
            "fit.save_every": 0,  # a checkpoint each epoch: what it takes is taken from the first on
            "seed": options.seed,
        }
        api.train(place / "cells", out=place / "run", settings=settings, progress=Watch())
    growth = memory[-1] - memory[SETTLED - 1]
    record.add(
        epochs=epochs,
        images=5 * per_class,
        size=size,
        workers=options.workers,
        first_mib=memory[0],
        third_mib=memory[SETTLED - 1],
        last_mib=memory[-1],
        highest_mib=max(memory),
        growth_mib=growth,
        growth_share=growth / memory[SETTLED - 1],
        target=FLAT,
        flat=growth < FLAT * memory[SETTLED - 1],
    )


def main() -> None:
    """Measure once."""
    parser = arguments(__doc__, size=64, epochs=30)
    parser.add_argument("--per-class", type=int, default=60, help="drawn cells of each of five kinds")
    parser.add_argument("--workers", type=int, default=0, help="loader processes")
    options = parser.parse_args()
    if options.epochs <= SETTLED:
        parser.error(f"--epochs expects more than {SETTLED}")
    measured("memory_flat", options, measure)


if __name__ == "__main__":
    main()
