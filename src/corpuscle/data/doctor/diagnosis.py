"""Everything that is found in a data set, for `inspect` and for a training alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from corpuscle.core.errors import CorpuscleError, DataFault, Fault
from corpuscle.core.progress import SILENT, Progress
from corpuscle.data.doctor.audit import Audit, GuardPlan, audit
from corpuscle.data.doctor.copies import NearCopies, near_copies, near_copy_findings
from corpuscle.data.doctor.faults import image_faults, is_blank
from corpuscle.data.doctor.finding import KINDS, Finding
from corpuscle.data.doctor.groups import likely_groups
from corpuscle.data.doctor.kept import kept_near_copies, kept_overlaps, kept_shortcuts
from corpuscle.data.doctor.leaks import Leak, find_leaks
from corpuscle.data.doctor.names import name_faults
from corpuscle.data.doctor.overlaps import Overlaps, overlap_findings, overlaps
from corpuscle.data.doctor.shortcuts import shortcuts
from corpuscle.data.readers.image import ReadPlan
from corpuscle.data.splits import SplitPlan, split_table
from corpuscle.data.table import Table

NAMED, LINES = 5, 50  # images that a line names; lines of images that are not used, a kind
LEAKS = {"group": "group leak", "pixels": "copy leak", "near-copy": "near-copy leak", "overlap": "overlap leak"}
SIGNATURE = "signature"  # column of a survey, without which nothing is known of near-copies
ANEW = "divide it with corpuscle split --anew"
LEFT_OUT = ("unreadable", "mask", "blank", "copies disagree")  # kinds whose images are not used
IN_FILES = 50  # findings of a kind, and images of one, that a run keeps
TOGETHER = "they stay in one part of a split; --fix leaves out all but one"
COUNTED_TWICE = "see which is right; people differ, so they are used, in one part of a split"
DISAGREE = "at least one of the labels is wrong: mend it; --fix leaves out all of them"


def in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings by kind, in the order of `KINDS`; those of a kind stay as they come."""
    place = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(found, key=lambda finding: place[finding.kind]))


def listed(images: Sequence[str], most: int = NAMED) -> str:
    """The first of some names, and how many more there are.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return ", ".join(images[:most]) + (f" and {len(images) - most} more" if len(images) > most else "")


def findings_of(table: Table, seen: pl.DataFrame, read: Audit) -> list[Finding]:
    """What an audit says, as findings: what cannot be used, copies, masks without an object."""
    labels = dict(pl.DataFrame([table.frame["image"], table.truth]).rows())
    opened = dict(pl.DataFrame([table.frame["image"], seen["height"].is_not_null()]).rows())
    found = []
    for fault in read.faults:
        kind = "mask" if opened[fault.where] else "unreadable"
        found.append(Finding(kind, f"{fault.where}: {fault.what}", fault.remedy, (fault.where,)))
    at_odds = set(read.disagreeing)
    found += [Finding("copies", listed(same), TOGETHER, same) for same in read.copies if same not in at_odds]
    remedy = COUNTED_TWICE if table.counted or table.segmented else DISAGREE
    found += [_at_odds(same, labels, remedy) for same in read.disagreeing]
    if read.empty:
        found.append(Finding("empty mask", listed(read.empty), "see that nothing was forgotten", read.empty))
    return found


def _at_odds(same: Sequence[str], labels: Mapping[str, str | None], remedy: str) -> Finding:
    told = [f"{image} ({labels[image]})" if labels[image] else image for image in same]
    values = {"labels": {image: labels[image] for image in same}}
    return Finding("copies disagree", listed(told), remedy, tuple(same), values)


def leak_finding(leak: Leak) -> Finding:
    """A leak as a finding."""
    images = () if leak.kind == "group" else leak.names
    return Finding(LEAKS[leak.kind], str(leak), ANEW, images, {"parts": dict(leak.parts)})


def indivisible(table: Table, plan: SplitPlan, together: Iterable[Sequence[str]] = ()) -> list[Finding]:
    """Why a table cannot be divided, where it did not come divided."""
    try:
        split_table(table, plan, seed=0, together=together)
    except DataFault as fault:
        faults: tuple[Fault, ...] = fault.faults
    except CorpuscleError as error:
        what, _, remedy = str(error).partition("; ")
        return [Finding("indivisible", what, remedy)]
    else:
        return []
    return [Finding("indivisible", f"{fault.where}: {fault.what}", fault.remedy) for fault in faults]


def of_names(table: Table) -> list[Finding]:
    """What shows without opening an image."""
    return [*name_faults(table), *likely_groups(table)]


def contents(table: Table, seen: pl.DataFrame) -> dict[str, str]:
    """Image to the digest of its pixels, for those that can be read and show something."""
    both = pl.DataFrame([table.frame["image"], seen["content"]]).filter(~is_blank(seen)).drop_nulls()
    return dict(both.rows())


def diagnose(
    table: Table,
    seen: pl.DataFrame,
    plan: GuardPlan,
    seed: int = 0,
    progress: Progress = SILENT,
    keep: bool = True,
    read_plan: ReadPlan = ReadPlan(),  # noqa: B008 (frozen)
) -> Audit:
    """The audit of a survey with everything else that shows before the rows are divided.

    Args:
        table: the rows that were surveyed.
        seen: `Survey.frame`, a row for each of them; of a table of masks `MaskSurvey.joined`.
        plan: what is accepted.
        seed: of the tests that draw by chance.
        progress: says how far it is.
        keep: what takes long for the next time, in the cache.
        read_plan: limits of the reader, where images are looked at once more.
    """
    read = audit(table, seen)
    found = [*findings_of(table, seen, read), *of_names(table), *image_faults(table, seen)]
    read = replace(read, sound=read.sound & ~_unused(table, found))
    sound, looked = table.with_frame(table.frame.filter(read.sound)), seen.filter(read.sound)
    near = NearCopies((), ())
    if plan.near_copies == "together" and SIGNATURE in looked.columns:
        near = (kept_near_copies if keep else near_copies)(sound, looked, progress)
    read = replace(read, near=near.groups)
    fields = Overlaps()
    if plan.overlaps == "together" and SIGNATURE in looked.columns:
        fields = (kept_overlaps if keep else overlaps)(sound, looked, read_plan, read.together, progress)
    found += [*_near(sound, near), *overlap_findings(fields)]
    found += (kept_shortcuts if keep else shortcuts)(sound, looked, seed)
    return replace(read, overlaps=fields.groups, found=in_order(found))


def leaks_of(table: Table, seen: pl.DataFrame, read: Audit) -> list[Finding]:
    """What the parts of a table share."""
    return [leak_finding(leak) for leak in find_leaks(table, contents(table, seen), read.near, read.overlaps)]


def set_aside(lead: str, found: Sequence[Finding]) -> list[str]:
    """The findings whose images are not used, a line each; of many of a kind the first, and how many more there are."""
    lines = []
    for kind in LEFT_OUT:
        of_kind = [finding for finding in found if finding.kind == kind]
        lines += [f"{lead}: {finding}" for finding in of_kind[:LINES]]
        if len(of_kind) > LINES:
            lines.append(f"{lead}: {len(of_kind) - LINES} more; {KINDS[kind].words}")
    return lines


def left_out(found: Iterable[Finding], table: Table, sound: pl.Series) -> tuple[Finding, ...]:
    """The findings whose images are not used.

    Args:
        found: of the table.
        table: its rows.
        sound: which of them are used.
    """
    unused = set(table.frame["image"].filter(~sound))
    return tuple(finding for finding in found if finding.kind in LEFT_OUT and not unused.isdisjoint(finding.images))


def told(table: Table, read: Audit) -> list[str]:
    """What a training says of what was found: each image that is left out, and a line a kind of the others."""
    out = left_out(read.found, table, read.sound)
    lines, said = set_aside("set aside", out), set(map(id, out))
    for kind in KINDS:
        of_kind = [finding for finding in read.found if finding.kind == kind and id(finding) not in said]
        if of_kind:
            more = f"; {len(of_kind)} in all, the first" if len(of_kind) > 1 else ""
            lines.append(f"{KINDS[kind].weight}: {KINDS[kind].words}{more}: {of_kind[0]}")
    return lines


def as_facts(found: Sequence[Finding]) -> dict[str, Any]:
    """What a run keeps of findings: how many of each kind there are, and the first of each."""
    number: dict[str, int] = {}
    kept = []
    for finding in found:
        number[finding.kind] = number.get(finding.kind, 0) + 1
        if number[finding.kind] <= IN_FILES:
            kept.append(finding.as_dict() | {"images": list(finding.images[:IN_FILES])})
    return {"found": number, "findings": kept}


def _near(table: Table, near: NearCopies) -> list[Finding]:
    """Near-copies that nothing keeps together yet, or whose labels differ."""
    groups = dict(table.frame.select("image", "group").rows())
    return [
        finding
        for finding in near_copy_findings(near, table)
        if finding.kind != "near-copies" or len({groups[image] or image for image in finding.images}) > 1
    ]


def _unused(table: Table, found: Iterable[Finding]) -> pl.Series:
    """Which images that can be read are not used: blank ones that are said to show something, and copies at odds."""
    images: dict[str, set[str]] = {"blank": set(), "copies disagree": set()}
    for finding in found:
        if finding.kind in images:
            images[finding.kind] |= set(finding.images)
    blank, at_odds = (table.frame["image"].is_in(list(named)) for named in images.values())
    if table.counted:
        return blank & (table.frame["counts"].list.sum() != 0).fill_null(True)
    if table.segmented:
        return blank & (table.frame["pixels"].list.slice(1).list.sum() != 0).fill_null(True)
    return blank | at_odds
