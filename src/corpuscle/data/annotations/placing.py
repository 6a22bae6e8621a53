"""Where the images of a set lie in a new folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from corpuscle.data.annotations.record import Marked
from corpuscle.data.sources.folders import PARTS


def places_for(images: Sequence[Marked], pattern: str, flat: bool) -> list[str]:
    """The path of each image in the new folder; no two are alike but for case or their endings.

    Folders that all images share, and those called like their part, are left out where names stay different.

    Args:
        images: with their old paths.
        pattern: such as `{part}/images/{name}`; without a part the folder of that place is left out.
        flat: there may be no folders in a name.
    """
    for names in _names(images, flat):
        places = [
            pattern.format(part=one.split or ".", name=name).replace("/./", "/").removeprefix("./")
            for one, name in zip(images, names, strict=True)
        ]
        if len({PurePosixPath(place).with_suffix("").as_posix().casefold() for place in places}) == len(places):
            return places
    raise AssertionError("names that begin with different numbers are different")


def _names(images: Sequence[Marked], flat: bool) -> Iterator[list[str]]:
    """Names from the plainest on, the last ones different for certain."""
    whole = [PurePosixPath(one.image.lstrip("/")) for one in images]
    pathless = [
        PurePosixPath(*(name for name in path.parent.parts if PARTS.get(name.lower(), "") != one.split), path.name)
        for path, one in zip(whole, images, strict=True)
    ]
    several = [_below(pathless), _below(whole)]
    if flat:
        yield [path.name for path in whole]
        several = [[PurePosixPath("_".join(path.parts)) for path in paths] for paths in several]
    yield from ([path.as_posix() for path in paths] for paths in several)
    told = [path.with_stem(f"{path.stem}_{path.suffix.lstrip('.')}") for path in several[-1]]
    yield [path.as_posix() for path in told]
    yield [path.with_stem(f"{number:06d}_{path.stem}").as_posix() for number, path in enumerate(told)]


def _below(paths: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The paths without the folders that all of them share."""
    folders = [path.parent.parts for path in paths]
    shared = next((k for k, names in enumerate(zip(*folders, strict=False)) if len(set(names)) > 1), None)
    shared = min(map(len, folders), default=0) if shared is None else shared
    return [PurePosixPath(*path.parts[shared:]) for path in paths]
