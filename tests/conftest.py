"""What every test shares: one thread a process, since the processes share the cores, and a cache of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep prepared images of tests out of the user's cache."""
    os.environ["CORPUSCLE_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def sample_data() -> Path:
    """The folder of public sample images; the test skips where it is absent."""
    folder = Path(os.environ.get("CORPUSCLE_TEST_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"the sample images are not in {folder}; name their folder in CORPUSCLE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of 44 x 52 with grey masks: cells (128) with a nucleus (255), and two rows nobody judges (7)."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("drawn") / "blobs"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number in range(12):
        random = np.random.default_rng(number)
        mask_HW = np.zeros((44, 52), np.uint8)
        for middle in ((13, 14), (38, 28))[: 1 + number % 2]:
            at = tuple(int(side + random.integers(-2, 3)) for side in middle)
            cv2.circle(mask_HW, at, 10, 128, -1)
            cv2.circle(mask_HW, at, 5, 255, -1)
        image_HWC = np.full((44, 52, 3), 230, np.uint8)
        image_HWC[mask_HW == 128], image_HWC[mask_HW == 255] = (200, 150, 190), (90, 40, 130)
        mask_HW[-2:] = 7
        noisy_HWC = image_HWC - random.integers(20, size=image_HWC.shape, dtype=np.uint8)
        cv2.imwrite(str(folder / "images" / f"s{number // 2}_{number}.png"), noisy_HWC)
        cv2.imwrite(str(folder / "masks" / f"s{number // 2}_{number}.png"), mask_HW)
    legend = {"0": "background", "128": "cell", "255": "nucleus", "7": "ignore"}
    (folder / "legend.json").write_text(json.dumps(legend))
    return folder


@pytest.fixture(scope="session")
def segmenting() -> dict[str, Any]:
    """Settings that make a training by the recipe segment short."""
    return {
        "net.widths": [4, 8],
        "epochs": [2],
        "fit.batch_size": 2,
        "score.views": 1,
        "score.resamples": 100,
        "segment.smallest": 3,
        "device.name": "cpu",
        "device.workers": 0,
        "split.test": 0.3,
        "split.val": 0.3,
    }
