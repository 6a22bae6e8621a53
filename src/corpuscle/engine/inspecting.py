"""A look at a data set by the choices of an experiment, and its division."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.progress import Progress
from corpuscle.data.doctor.diagnosis import contents, set_aside
from corpuscle.data.doctor.inspection import Choices, Inspection, inspect
from corpuscle.data.doctor.leaks import find_leaks, leak_message
from corpuscle.data.splits import divide_anew, split_table
from corpuscle.data.table import Table
from corpuscle.engine.experiment import Experiment


def look_at(
    path: Path,
    experiment: Experiment,
    progress: Progress,
    pixels: bool = True,
    judges: Sequence[Path] | None = None,
    strict: bool = False,
    check: Callable[[Table], None] | None = None,
) -> Inspection:
    """What a data set holds and what is wrong with it, as a training by this experiment would find it.

    Args:
        path: whatever a source understands.
        experiment: its choices of the data.
        progress: says what was understood first, then how far it is.
        pixels: open every image; without, only names and rows are judged.
        judges: also look for labels that may be wrong, by these finished runs or, where none is named, by models of
            its own; None to look for none.
        strict: refuse labels that differ by case or spaces alone.
        check: raises where the rows cannot be what is wanted of them, before an image is opened.

    Raises:
        CorpuscleError: bad data, or labels that cannot be judged.
    """
    if judges is not None and not pixels:
        raise CorpuscleError("--label-errors expects images that are opened, got --no-pixels; leave out one of them")

    def refuse(table: Table) -> None:
        if judges is not None:
            from corpuscle.engine.label_errors import check_classes

            check_classes(table)
        if check is not None:
            check(table)

    of = experiment
    found = inspect(path, Choices(of.data, of.read, of.split, of.guard, of.seed, strict), pixels, progress, refuse)
    if judges is None:
        return found
    from corpuscle.engine.label_errors import label_errors
    from corpuscle.engine.label_errors_runs import label_errors_of_runs

    assert found.audit is not None
    used = found.table.with_frame(found.table.frame.filter(found.audit.sound))
    same = (*found.audit.copies, *found.audit.near)
    if judges:
        suspects = label_errors_of_runs(judges, used, same, progress)
    else:
        suspects = label_errors(used, of.read, same, found.audit.overlaps, of.seed, progress)
    return found.with_findings(suspects.findings)


def divided(path: Path, experiment: Experiment, anew: bool, progress: Progress) -> Table:
    """A data set divided by group and class, copies and near-copies together, without what cannot be used.

    Raises:
        CorpuscleError: bad data, or parts that leak and are to stay.
    """
    found = look_at(path, experiment, progress, strict=True)
    assert found.audit is not None and found.seen is not None
    for line in set_aside("left out", found.left_out):
        progress.say(line)
    sound = found.table.with_frame(found.table.frame.filter(found.audit.sound))
    whole = divide_anew(sound) if anew else sound
    table = split_table(whole, experiment.split, experiment.seed, together=found.audit.together)
    if leaks := find_leaks(table, contents(found.table, found.seen), found.audit.near, found.audit.overlaps):
        raise CorpuscleError(leak_message(leaks))
    return table
