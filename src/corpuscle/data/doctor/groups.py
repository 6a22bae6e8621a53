"""Groups that file names tell of: both eyes of a patient, crops of one field, a name with running numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from corpuscle.data.doctor.finding import Finding
from corpuscle.data.splits import PARTS, counted

if TYPE_CHECKING:
    import polars as pl

    from corpuscle.data.table import Table

SIDES = {
    "both eyes, or sides, of a patient": r"(?i)^(?P<group>.+)[_. -](left|right)([^a-z]|$)",
    "both eyes of a patient": r"^(?P<group>.+)[_. -](OD|OS)([^A-Za-z]|$)",
}  # what they would be, and the pattern that tells
RUNNING = "pictures of one patient, slide or field"
LEAST_GROUPS, LEAST_SHARE, MOST_SHARE = 3, 0.6, 0.5  # of the images that are not alone; that the largest group holds
LEAST_OF_SHAPE = 0.05  # of all images, that a shape of names has; never fewer than two groups need
NAMES_WITHOUT_NUMBER, SMALL = 8, 0.05  # groups a class that letters alone tell apart; share that the largest then holds
SHOWN = 2  # groups that a line names


def likely_groups(table: Table) -> list[Finding]:
    """Where nothing is known of groups: which images may belong together by their names, and how to say so.

    Of names with running numbers the widest group is proposed of which there are several: of `<slide>_<field>_<crop>`
    the slide. Numbers behind a name that all images of a class share tell nothing.
    """
    import polars as pl

    if table.frame["group"].is_not_null().any() or len(table) < 2 * LEAST_GROUPS:
        return []
    names = table.frame.select("image", "split", "label", name=pl.col("image").str.extract(r"([^/\\]*)$"))
    found = []
    for what, pattern in SIDES.items():
        groups = _by_pattern(names, pattern)
        sides = groups.with_columns(side=pl.col("name").str.extract(pattern, 2).str.to_lowercase())
        both = sides.group_by("group").agg(pl.col("side").n_unique()).filter(pl.col("side") > 1)
        if len(both) >= LEAST_GROUPS:
            found.append(_finding(what, pattern, groups, len(names)))
            names = names.join(groups, on="image", how="anti")
    for shape_names in _by_shape(names, len(table)):
        for pattern in _patterns(shape_names):
            groups = _by_pattern(shape_names, pattern)
            if _telling(groups, r"\d" in pattern):
                found.append(_finding(RUNNING, pattern, groups, len(table)))
                break
    return found


def _by_pattern(names: pl.DataFrame, pattern: str) -> pl.DataFrame:
    import polars as pl

    return names.with_columns(group=pl.col("name").str.extract(pattern, 1)).drop_nulls("group")


def _by_shape(names: pl.DataFrame, total: int) -> Iterator[pl.DataFrame]:
    """Names of one shape each: letters and numbers in the same order, with the same between them."""
    import polars as pl

    stem = pl.col("name").str.replace(r"\.[A-Za-z0-9]{1,5}$", "")
    shaped = names.with_columns(shape=stem.str.replace_all(r"[A-Za-z]+", "a").str.replace_all(r"\d+", "0"))
    for (_,), rows in shaped.group_by("shape", maintain_order=True):
        if len(rows) >= max(2 * LEAST_GROUPS, LEAST_OF_SHAPE * total):
            yield rows


def _patterns(names: pl.DataFrame) -> Iterator[str]:
    """Patterns for the beginning of names of one shape, up to each place where something divides them."""
    letters = names["name"].str.extract_all("[A-Za-z]+")
    pattern, word = "", 0
    for token in re.findall(r"a|0|[^a0]+", names["shape"][0]):
        if token == "a":
            words = letters.list.get(word, null_on_oob=True)
            pattern += words[0] if words.n_unique() == 1 else "[A-Za-z]+"
            word += 1
        elif token == "0":
            pattern += r"\d+"
        else:
            if pattern.endswith("+"):  # what all names share divides nothing
                yield f"^(?P<group>{pattern}){re.escape(token)}"
            pattern += re.escape(token)


def _telling(groups: pl.DataFrame, numbered: bool) -> bool:
    """Whether these are groups: several, most images not alone, none with half of all, and not merely the classes."""
    sizes = groups["group"].value_counts()["count"].to_numpy()
    if len(sizes) < LEAST_GROUPS:
        return False
    not_alone, largest = sizes[sizes > 1].sum() / len(groups), sizes.max() / len(groups)
    classes = groups["label"].n_unique()
    if not numbered and (len(sizes) < NAMES_WITHOUT_NUMBER * classes or largest > SMALL):
        return False
    return bool(not_alone >= LEAST_SHARE and largest <= MOST_SHARE and (classes == 1 or len(sizes) > classes))


def _finding(what: str, pattern: str, groups: pl.DataFrame, total: int) -> Finding:
    import polars as pl

    parted = groups.with_columns(part=pl.when(pl.col("split").is_in(PARTS)).then("split"))
    sizes = parted.group_by("group").agg(pl.len(), pl.col("part").drop_nulls().n_unique(), "image").sort("group")
    several = sizes.filter(pl.col("len") > 1)
    across = several.filter(pl.col("part") > 1)
    examples = [", ".join(PurePosixPath(image).name for image in images[:2]) for images in several["image"][:SHOWN]]
    line = f"{len(groups)} of {total} names look like {counted(len(sizes), 'group')} ({what}): {'; '.join(examples)}, …"
    if len(across):
        line += f"; {len(across)} of them are in two parts of the split (first: {across['group'][0]})"
    values = {"pattern": pattern, "groups": len(sizes), "across": across["group"].to_list()}
    images = tuple((across if len(across) else several)["image"].explode().sort())
    return Finding("likely groups", line, f"if they belong together, pass --group-from '{pattern}'", images, values)
