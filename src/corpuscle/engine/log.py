"""The log: sums over an epoch, and the row they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corpuscle.core.progress import Progress
    from corpuscle.engine.checkpoint import State
    from corpuscle.engine.schedule import Stage
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


def epoch_row(task: Task, stage: Stage, state: State, trained: Sums, validated: Sums | None) -> dict[str, Any]:
    """The log's row of the epoch that has just ended.

    Args:
        task: turns sums into scores.
        stage, state: where the training stands.
        trained, validated: sums over all processes.
    """
    own = state.running
    seconds = max(own["seconds"], 1e-9)
    row: dict[str, Any] = {
        "epoch": len(state.history) + 1,
        "stage": state.place.stage + 1,
        "train": stage.train,
        "learning_rate": own["learning_rate"],
    }
    row |= {f"train_{name}": value for name, value in task.scores(trained).items()}
    row["train_loss"] = trained["loss"] / trained["images"]
    if validated is not None:
        row |= {f"val_{name}": value for name, value in task.scores(validated).items()}
    row["seconds"] = round(seconds, 3)
    row["images_per_second"] = round(trained["images"] / seconds, 1)
    row["data_wait"] = round(own["wait"] / seconds, 4)
    return row


def epochs_since_best(history: list[dict[str, Any]]) -> int:
    """Finished epochs of the last stage after its best one."""
    stage = [row for row in history if row["stage"] == history[-1]["stage"]]
    best = max((place for place, row in enumerate(stage) if row["best"]), default=-1)
    return len(stage) - 1 - best


def say_row(progress: Progress, row: dict[str, Any]) -> None:
    """One line an epoch."""
    words = [f"epoch {row['epoch']:>3}", f"loss {row['train_loss']:.3f}"]
    words += [f"{n.replace('_', ' ')} {row[n]:.3f}" for n in ("val_loss", "val_accuracy", "val_recall") if n in row]
    words += [f"{row['images_per_second']:.0f} images/s", "best so far" if row["best"] else ""]
    progress.say("  ".join(word for word in words if word))
