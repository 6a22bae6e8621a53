"""The log: sums over an epoch, and the row they make."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpuscle.core.progress import Progress
    from corpuscle.tasks.task import Task

Sums = dict[str, Any]


def add(old: Any, new: Any) -> Any:
    """The sum of plain numbers or of lists of them, kept plain so that it can be saved exactly."""
    if old is None:
        return new
    if isinstance(new, list):
        return [add(a, b) for a, b in zip(old, new, strict=True)]
    return old + new


def add_to(sums: Sums, new: Sums) -> None:
    """Add new sums to old ones, key by key."""
    for key, value in new.items():
        sums[key] = add(sums.get(key), value)


def total(parts: list[Sums]) -> Sums:
    """The sums of all processes."""
    whole: Sums = {}
    for part in parts:
        add_to(whole, part)
    return whole


@dataclass(frozen=True)
class Epoch:
    """An epoch that has just ended.

    Attributes:
        number: counted from 1 over all stages.
        stage: its number, from 1.
        train: what learned in it.
        learning_rate: of its last step; None where there are no steps.
        processes: that shared its work.
    """

    number: int
    stage: int
    train: str
    learning_rate: float | None
    processes: int


def epoch_row(epoch: Epoch, task: Task, trained: Sums, validated: Sums | None) -> dict[str, Any]:
    """The log's row of an epoch, from the sums over all processes."""
    seconds = max(trained["seconds"] / epoch.processes, 1e-9)
    row: dict[str, Any] = {
        "epoch": epoch.number,
        "stage": epoch.stage,
        "train": epoch.train,
        "learning_rate": epoch.learning_rate,
    }
    loss = {"loss": trained["loss"] / trained["images"]}
    row |= {f"train_{name}": value for name, value in (loss | task.scores(trained) | loss).items()}
    if validated is not None:
        row["val_loss"] = validated["loss"] / validated["images"]
        row |= {f"val_{name}": value for name, value in task.scores(validated).items()}
    row["seconds"] = round(seconds, 3)
    row["images_per_second"] = round(trained["images"] / seconds, 1)
    row["data_wait"] = round(trained["wait"] / trained["seconds"], 4)
    return row


def epochs_since_best(history: list[dict[str, Any]], stage: int) -> int:
    """Finished epochs of a stage (from 1) after its best one; all of them where none was the best so far."""
    best_N = [row["best"] for row in history if row["stage"] == stage]
    return next((place for place, best in enumerate(reversed(best_N)) if best), len(best_N))


def say_row(progress: Progress, row: dict[str, Any]) -> None:
    """One line an epoch."""
    words = [f"epoch {row['epoch']:>3}", f"loss {row['train_loss']:.3f}"]
    words += [f"{name.replace('_', ' ')} {value:.3f}" for name, value in row.items() if name.startswith("val_")]
    words += [f"{row['images_per_second']:.0f} images/s", "best so far" if row["best"] else ""]
    progress.say("  ".join(word for word in words if word))
