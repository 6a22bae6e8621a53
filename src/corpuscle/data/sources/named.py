"""A file that names images: its JSON, and the images it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError
from corpuscle.data.sources.disk import absolute, is_image, listing, suffix_of
from corpuscle.data.sources.plan import SourcePlan
from corpuscle.data.sources.resolve import resolve


def read_json(path: Path, each: Callable[[dict[str, Any]], Any] | None = None) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        each: makes something smaller of each object while the file is read.

    Raises:
        CorpuscleError: it cannot be read or is none.
    """
    try:
        return json.loads(_text(path.read_bytes()), object_hook=each)
    except OSError as error:
        raise CorpuscleError(f"{path}: cannot be read ({error.strerror}); name a file you may read") from error
    except (ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise CorpuscleError(f"{path}: is not a JSON file ({reason}); replace it by a whole copy") from None


def _text(content: bytes) -> str:
    """The text of some JSON; the bytes are let go of before it is read."""
    return content.decode(json.detect_encoding(content), "surrogatepass")


def json_in(folder: Path) -> Path:
    """The JSON file of a folder that names images.

    Raises:
        CorpuscleError: there is none that can be read.
    """
    for name in listing(folder).files:
        content = read_json(folder / name) if suffix_of(name) == ".json" else None
        if isinstance(content, dict) and ("images" in content or any(is_image(key) for key in content)):
            return folder / name
    raise CorpuscleError(f"{folder} holds no JSON file that names images; name the file itself")


def find_named(names: list[str], path: Path, plan: SourcePlan) -> tuple[Path, list[str | None]]:
    """The root, and the path from it of each image that a file names; null for those that are not there.

    They are looked for beside the file, or in `data.root`; where none is there, in the only folder that has images.
    """
    root = absolute(plan.root or path.parent)
    found = resolve(pl.Series("image", names, pl.String), root, root, plan.image_suffix)["image"]
    if not plan.root and found.null_count() == len(found):
        inside = [root / name for name in listing(root).folders]
        folders = [folder for folder in inside if listing(folder).images]
        if len(folders) == 1:
            found = resolve(pl.Series("image", names, pl.String), folders[0], root, plan.image_suffix)["image"]
    return root, found.to_list()
