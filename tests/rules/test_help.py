"""`--help` answers at once: nothing heavy is imported for it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

VERBS = (
    "inspect",
    "split",
    "train",
    "evaluate",
    "predict",
    "explain",
    "compare",
    "budget",
    "submit",
    "cutouts",
    "compose",
    "report",
    "demo",
)
HEAVY = {"torch", "torchvision", "timm", "accelerate", "matplotlib", "polars", "cv2", "scipy", "sklearn", "PIL"}
MAIN = Path(__file__).parents[2] / "src" / "corpuscle" / "cli" / "main.py"

pytestmark = pytest.mark.skipif(not MAIN.is_file(), reason="there is no command line yet")


def imported(trace):
    """The top packages that `-X importtime` saw."""
    return {match[1].split(".")[0] for match in re.finditer(r"^import time:.*\|\s*([\w.]+)$", trace, re.M)}


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS)], ids=" ".join)
def test_help_imports_nothing_heavy(words):
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-c",
        "from corpuscle.cli.main import main; main()",
        *words,
        "--help",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "corpuscle" in imported(done.stderr) and imported(done.stderr) & HEAVY == set()
    assert all(verb in done.stdout for verb in VERBS) if not words else "--help" in done.stdout
