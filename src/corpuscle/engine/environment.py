"""Where and with what a run was made."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpuscle.engine.device import Machine

PACKAGES = (
    "corpuscle",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "polars",
    "scikit-learn",
    "h5py",
    "openslide-bin",
)


def now() -> str:
    """The time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe(machine: Machine, command: str, seed: int) -> dict[str, Any]:
    """The content of environment.json, but for the seconds and the weights' digest."""
    import torch

    gpu = torch.cuda.get_device_name(machine.device) if machine.device.type == "cuda" else None
    return {
        "command": command,
        "started": now(),
        "seed": seed,
        "device": str(machine.device),
        "processes": machine.world,
        "precision": machine.precision,
        "cpu": _cpu_name(),
        "gpu": gpu,
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "platform": platform.platform(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
