"""Composed scenes on disk: images, masks, boxes and counts that any program can read."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from corpuscle.core.cores import num_cores
from corpuscle.core.errors import CorpuscleError
from corpuscle.core.files import check_place, disk_errors, whole_file, write_json, write_text
from corpuscle.core.legend import SMEAR
from corpuscle.core.progress import SILENT, Progress
from corpuscle.engine.png import png
from corpuscle.synth.bank import PARTS, read_bank
from corpuscle.synth.compose import Composer
from corpuscle.synth.cutouts import Cutout
from corpuscle.synth.drawn import drawn_cutouts
from corpuscle.synth.plan_compose import ComposePlan
from corpuscle.synth.scene import Scene

FORMAT = 1
RECORD = ".compose.json"
"""What the scenes of a folder were composed with; hidden, so that it is no part of the data."""
ROWS = ".rows"
"""Folder of what is known of the objects of each run of scenes, until all are written."""
RUN = 200  # scenes that are written before it is said that they are
COLUMNS = ("image", "kind", "left", "top", "width", "height")
SPARE = 64 << 20  # bytes that a disk is left with

Layout = Literal["boxes", "coco"]
Task = tuple[str, int, int]
"""A part, the first scene, and the one after the last."""


@dataclass(frozen=True)
class Written:
    """What was written: scenes of each part, and objects of each kind in each part."""

    folder: Path
    scenes: dict[str, int]
    objects: dict[str, dict[str, int]]


def composer_for(bank: Path | None, plan: ComposePlan, seed: int) -> Composer:
    """A composer of the cut-outs of a bank, or of drawn ones where none is named.

    Raises:
        CorpuscleError: no bank, or one that these scenes cannot be made of.
    """
    composer = Composer(drawn_cutouts() if bank is None else read_bank(bank).cutouts, plan, seed)
    composer.check([part for part, number in zip(PARTS, plan.scenes, strict=True) if number])
    return composer


def write_scenes(
    out: Path,
    composer: Composer,
    layout: Layout = "boxes",
    instances: bool = False,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Written:
    """Write the scenes of a plan; what was begun with the same choices is gone on with.

    Args:
        out: gets `<part>/images/<number>.png`, `<part>/masks/<number>.png` (palette; a value is a class),
            `legend.json`, and `boxes.csv`, or `<part>.json` as COCO has it.
        composer: of the scenes.
        layout: which of these.
        instances: also write `<part>/instances/<number>.png` of 16 bits.
        workers: processes; a core each if None.
        progress: shows how far it is.

    Raises:
        CorpuscleError: the folder holds something else, cannot be written, or the disk is too small.
    """
    check_place(out)
    _begin(out, composer, layout, instances)
    tasks = list(_tasks(composer.plan))
    left = [task for task in tasks if not _rows_file(out, task).is_file()]
    scenes = dict(zip(PARTS, composer.plan.scenes, strict=True))
    total, done = sum(scenes.values()), sum(scenes.values()) - sum(end - start for _, start, end in left)
    finished = (out / "legend.json").is_file()
    if not finished:
        _check_room(out, composer, total - done)
        if done:
            progress.say(f"going on: {done} of {total} scenes are there")
        written = _work(out, composer, left, instances, workers or num_cores())
        for _ in progress.track(_each(written), "composing", total, done):
            pass
        _finish(out, tasks, composer.plan, layout)
    objects = json.loads((out / RECORD).read_text(encoding="utf-8"))["objects"]
    return Written(out, scenes, objects)


def _begin(out: Path, composer: Composer, layout: Layout, instances: bool) -> None:
    """See that a folder is new, or holds scenes composed with the same choices.

    Raises:
        CorpuscleError: it holds something else.
    """
    record = {
        "format": FORMAT,
        "seed": composer.seed,
        "layout": layout,
        "instances": instances,
        "cutouts": _digest(composer.cutouts),
        "plan": composer.plan.model_dump(mode="json"),
    }
    if not out.is_dir() or not any(out.iterdir()):
        write_json(out / RECORD, record)
        return
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
        differing = [name for name, value in record.items() if found.get(name) != value]
    except (OSError, ValueError, AttributeError):
        raise CorpuscleError(f"{out} is not empty and holds no composed scenes; name a new folder with --out") from None
    if differing:
        raise CorpuscleError(
            f"{out} holds scenes composed with another {' and '.join(differing)}; name a new folder with --out, or "
            "give the same command as then to go on"
        )


def _tasks(plan: ComposePlan) -> Iterator[Task]:
    for part, number in zip(PARTS, plan.scenes, strict=True):
        yield from ((part, start, min(start + RUN, number)) for start in range(0, number, RUN))


def _rows_file(out: Path, task: Task) -> Path:
    return out / ROWS / f"{task[0]}-{task[1]:06d}.json"


def _work(out: Path, composer: Composer, tasks: list[Task], instances: bool, workers: int) -> Iterator[int]:
    """Write runs of scenes, by several processes where that is worth it; how many scenes each run had."""
    if workers == 1 or len(tasks) < 2:
        _prepare(composer, out, instances, quiet=False)
        yield from map(_write_run, tasks)
        return
    how = get_context("spawn")  # a fork would inherit OpenCV's threads without their stacks, and wait for them
    pool = ProcessPoolExecutor(min(workers, len(tasks)), how, _prepare, (composer, out, instances))
    try:
        waiting: list[Future[int]] = [pool.submit(_write_run, task) for task in tasks]
        for future in as_completed(waiting):
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_state: dict[str, Any] = {}
"""What a process that writes works with."""


def _prepare(composer: Composer, out: Path, instances: bool, quiet: bool = True) -> None:
    if quiet:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process hears it, and lets this one end its run
        cv2.setNumThreads(1)
    _state.update(composer=composer, out=out, instances=instances)


def _write_run(task: Task) -> int:
    """Write a run of scenes, then what is known of their objects: with that they count as written."""
    part, start, end = task
    composer, out = _state["composer"], _state["out"]
    rows: list[list[int]] = []
    for index in range(start, end):
        scene = composer.scene(part, index)
        for kind, content in _files(scene, _state["instances"]).items():
            _write_png(out / part / kind / f"{index:06d}.png", content)
        area_M = np.bincount(scene.instance_HW.ravel(), minlength=len(scene.kind_M) + 1)[1:]
        rows += np.column_stack([np.full(len(area_M), index), scene.kind_M, scene.box_M4, area_M]).tolist()
    _write_line(_rows_file(out, task), rows)
    return end - start


def _write_line(path: Path, content: Any) -> None:
    """Write JSON in one line, whole or not at all."""
    write_text(path, json.dumps(content, separators=(",", ":"), ensure_ascii=False))


def _files(scene: Scene, instances: bool) -> dict[str, bytes]:
    """The content of each file of a scene, by the folder it goes to."""
    quick = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    found = {"images": cv2.imencode(".png", scene.image_HWC[..., ::-1], quick)[1].tobytes()}
    found["masks"] = png(scene.mask_HW, SMEAR.colours)
    if instances:
        found["instances"] = cv2.imencode(".png", scene.instance_HW, quick)[1].tobytes()
    return found


def _write_png(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")  # renamed when whole; composed again where lost, so the disk is not waited for
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)


def _finish(out: Path, tasks: list[Task], plan: ComposePlan, layout: Layout) -> None:
    """Write what is known of all objects; the legend comes last and says that all is there."""
    objects = {part: dict.fromkeys(SMEAR.classes[1:], 0) for part in PARTS}
    for part, number in zip(PARTS, plan.scenes, strict=True):
        for row in _rows(out, tasks, part):
            objects[part][SMEAR.classes[row[1]]] += 1
        if layout == "coco" and number:
            _write_line(out / f"{part}.json", _coco(_rows(out, tasks, part), part, number, plan.size))
    if layout == "boxes":
        with whole_file(out / "boxes.csv") as file, file.open("w", encoding="utf-8", newline="") as handle:
            handle.write(",".join(COLUMNS) + "\n")
            for part in PARTS:
                for index, kind, left, top, width, height, _ in _rows(out, tasks, part):
                    name = f"{part}/images/{index:06d}.png"
                    handle.write(f"{name},{SMEAR.classes[kind]},{left},{top},{width},{height}\n")
    write_json(out / RECORD, json.loads((out / RECORD).read_text(encoding="utf-8")) | {"objects": objects})
    write_json(out / "legend.json", {"classes": SMEAR.classes, "colours": SMEAR.colours})
    shutil.rmtree(out / ROWS, ignore_errors=True)


def _rows(out: Path, tasks: list[Task], part: str) -> Iterator[list[int]]:
    """Scene, class, left, top, width, height and pixels of each object of a part, in order."""
    for task in tasks:
        if task[0] == part:
            yield from json.loads(_rows_file(out, task).read_text(encoding="utf-8"))


def _coco(rows: Iterator[list[int]], part: str, number: int, size: int) -> dict[str, Any]:
    images = [
        {"id": index + 1, "file_name": f"{part}/images/{index:06d}.png", "width": size, "height": size}
        for index in range(number)
    ]
    annotations = [
        {"id": place, "image_id": row[0] + 1, "category_id": row[1], "bbox": row[2:6], "area": row[6], "iscrowd": 0}
        for place, row in enumerate(rows, 1)
    ]
    categories = [{"id": place, "name": name} for place, name in enumerate(SMEAR.classes) if place]
    return {"images": images, "annotations": annotations, "categories": categories}


def _check_room(out: Path, composer: Composer, number: int) -> None:
    """See that the disk has room for the scenes that are left, by the size of the first ones.

    Raises:
        CorpuscleError: it has not.
    """
    part = next((part for part, some in zip(PARTS, composer.plan.scenes, strict=True) if some), None)
    if part is None:
        return
    sizes = [sum(map(len, _files(composer.scene(part, index), True).values())) for index in range(3)]
    block = 4096 * 3  # a file ends somewhere in its last block
    needed, free = number * (max(sizes) + block) + SPARE, shutil.disk_usage(out).free
    if needed > free:
        raise CorpuscleError(
            f"{out} has {free / 2**30:.1f} GiB free, {number} scenes need about {needed / 2**30:.1f} GiB; free some "
            "space or pass fewer with --scenes"
        )


def _digest(cutouts: tuple[Cutout, ...]) -> str:
    """What the cut-outs are, in short."""
    digest = hashlib.blake2b(digest_size=16)
    for one in cutouts:
        digest.update(f"{one.kind}/{one.part}/{one.source}/{one.alpha_HW.shape}".encode())
        digest.update(one.image_HWC.tobytes())
        digest.update(one.alpha_HW.tobytes())
    return digest.hexdigest()


def _each(runs: Iterator[int]) -> Iterator[int]:
    """One for each scene written, for the progress."""
    for number in runs:
        yield from range(number)
