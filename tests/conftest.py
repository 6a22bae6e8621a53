"""What every test shares: one thread a process, since the processes share the cores, and a cache of its own."""

from __future__ import annotations

import os
from pathlib import Path

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
