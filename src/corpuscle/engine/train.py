"""One training run: from the settings and a path to a run folder with weights, card, scores and predictions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from corpuscle.core.files import write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import seed_for
from corpuscle.core.stopped import Stopped
from corpuscle.data.fingerprint import Normalisation, measure_normalisation
from corpuscle.data.loader import Batch, Features, Images, Loader, Order
from corpuscle.data.targets import Targets
from corpuscle.engine import run_folder
from corpuscle.engine.checkpoint import Loaded, State, laid_as, load_state, restore_optimizer, save_state
from corpuscle.engine.dataset import Ready, ready
from corpuscle.engine.device import Machine, choose_machine, processes
from corpuscle.engine.environment import describe
from corpuscle.engine.evaluate import write_scores
from corpuscle.engine.examples import Examples
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.features import Passing
from corpuscle.engine.fit import Work, fit_stage
from corpuscle.engine.heatmaps import Heatmaps
from corpuscle.engine.improved import keep_improved
from corpuscle.engine.joining import beside_of, build_joined, joined_features, settle_joined, with_joined
from corpuscle.engine.label_free import check_label_free, even, held_pairs, keep_remade
from corpuscle.engine.optim import build_optimizer
from corpuscle.engine.passport import card_of
from corpuscle.engine.plan import Derived, derive
from corpuscle.engine.predict import Predictor
from corpuscle.engine.probing import Probe, check_probe, fit_probe, passing_alone, views_of, with_memory
from corpuscle.engine.schedule import Stage
from corpuscle.engine.steps import write_made
from corpuscle.engine.stopping import listening
from corpuscle.engine.words import Search, check_words, find_words
from corpuscle.nets.card import Card, save
from corpuscle.nets.net import Net
from corpuscle.nets.weights import load_weights
from corpuscle.nets.zoo import check_plan
from corpuscle.tasks.classify import class_numbers
from corpuscle.tasks.task import Judging, Task
from corpuscle.tasks.zoo import Choices, build_task

if TYPE_CHECKING:
    from torch.optim import Optimizer

AS_STORED = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))  # values from 0 to 1 as they are
SAID = (
    "prepare.size",
    "prepare.shrink",
    "augment.crop",
    "epochs",
    "device",
    "precision",
)  # derived values told at the start


@dataclass(frozen=True)
class Call:
    """What surrounds a training: who asked, who watches, who may stop it.

    Attributes:
        origins: dotted key of each setting to where its value came from.
        command: what was typed.
        progress: shows how far it is.
        stopping: asked at each step whether to save and stop.
    """

    origins: Mapping[str, str]
    command: str = ""
    progress: Progress = SILENT
    stopping: Callable[[], int] = lambda: 0


def train(path: Path, experiment: Experiment, out: Path, call: Call) -> Path:
    """Train, or go on training, into a run folder.

    Args:
        path: folder, CSV or whatever a source understands.
        experiment: every setting.
        out: the run folder; one that this experiment has begun is gone on with.
        call: see `Call`.

    Returns:
        The run folder, which now holds weights, card, scores and predictions.

    Raises:
        Stopped: a signal came or `call.stopping` said so; the state is saved.
        CorpuscleError: bad settings or data, a full disk, a loss that is not finite.
    """
    check_plan(experiment.net)
    check_label_free(experiment, task_of(experiment))
    check_probe(experiment)
    check_words(experiment)
    experiment = with_joined(experiment, task_of(experiment))
    machine = choose_machine(experiment.device)
    call = call if machine.first else replace(call, progress=SILENT)
    with processes(machine), run_folder.only_writer(out, machine.first):
        finished = (out / run_folder.METRICS).is_file()
        if machine.first:
            run_folder.check(out, experiment)
            data = ready(path, experiment, task_of(experiment), call.progress)
            training = None if finished else Training.of(out, data, machine, call)
            run_folder.begin(out, experiment, data.samples())  # last: what cannot be trained leaves nothing behind
        # the others wait here until the first process has filled the cache and made the folder
        if machine.gathered(finished)[0]:
            call.progress.say(f"{out} is finished; name another --out to train again")
            return out
        if not machine.first:
            training = Training.of(out, ready(path, experiment, task_of(experiment), call.progress), machine, call)
        assert training is not None
        return training.run()


@dataclass
class Training:
    """A training under way."""

    out: Path
    data: Ready
    machine: Machine
    call: Call
    net: Net
    derived: Derived
    state: State = field(default_factory=State)
    clock: float = field(default_factory=time.perf_counter)  # when the state's seconds were last counted

    @classmethod
    def of(cls, out: Path, data: Ready, machine: Machine, call: Call) -> Training:
        """Build the net, from nothing or from starting weights, and settle what the settings left open."""
        data = with_memory(data)
        experiment = data.experiment
        torch.manual_seed(seed_for(experiment.seed, "weights"))
        num_outputs = task_of(experiment).num_outputs(data.table.classes)
        net = build_joined(experiment.net, num_outputs, experiment.prepare.size, call.progress)
        published = start(net, experiment.net.weights, call.progress)
        net = net.to(machine.device).to(memory_format=torch.channels_last)
        places = data.places("train")
        measured = measure_normalisation(data.canvases, places, experiment.seed)
        derived = derive(experiment, data.why, machine, len(places), data.held_K(places), measured, published)
        return cls(out, data, machine, call, net, derived)

    @cached_property
    def learner(self) -> Net:
        """The part of the net that learns."""
        return self.net.learner()

    @cached_property
    def targets(self) -> Targets:
        """What the net should say of each row."""
        return self._task().targets(self.data.table, self.data.experiment.prepare, self.net, self.data.masks)

    def run(self) -> Path:
        """Do what is left of the training, and everything after it."""
        stages, say = self.data.experiment.stages, self.call.progress.say
        resumed = self._resume()
        self._write_facts()
        for name in (name for name in self.derived.reasons if name in SAID):
            value, why = self.derived.reasons[name].values()
            say(f"{name}: {', '.join(map(str, value)) if isinstance(value, list) else value} ({why})")
        if resumed:
            say(f"going on from epoch {len(self.state.history) + 1}, step {self.state.place.step + 1}")
        with listening(self.call.progress) as came:
            passing = self._passing(lambda: came() or self.call.stopping())
            train, normal = self.data.places("train"), self.derived.normalisation
            settle_joined(self.net, normal, self._images(varied=False), train, passing)
            for stage in stages[self.state.place.stage :]:
                self._stage(stage, resumed, passing.stopping)
                resumed = None
        if self.machine.first:
            self._finish()
        self.machine.gathered(None)
        return self.out

    def _resume(self) -> Loaded | None:
        path = self.out / run_folder.CHECKPOINT
        if not path.is_file():
            return None
        loaded = load_state(path)
        self.state = loaded.state
        self.learner.load_state_dict(loaded.net)
        if not self.machine.first:
            self.state.running = {}  # the first process goes on with the sums of all
        return loaded

    def _stage(self, stage: Stage, resumed: Loaded | None, stopping: Callable[[], int]) -> None:
        """One stage, from where the state stands, and the step to the next."""
        if stage.train == "probe":
            self._probe(stage, stopping)
        elif stage.train == "words":
            self._words(stopping)
        else:
            self._steps(stage, resumed, stopping)
        self.learner.load_state_dict(self.state.best_weights)
        self.state.average = {}
        self.state.at(stage=self.state.place.stage + 1, epoch=0, step=0)
        self._save()
        if signal := max(self.machine.gathered(stopping())):
            raise Stopped(signal)

    def _steps(self, stage: Stage, resumed: Loaded | None, stopping: Callable[[], int]) -> None:
        work = self._work(stage, stopping)
        if resumed:
            now = work.net.state_dict()
            self.state.average = {name: laid_as(now[name], value) for name, value in self.state.average.items()}
            restore_optimizer(work.optimizer, resumed.optim)
            work.scaler.load_state_dict(resumed.scaler or work.scaler.state_dict())
        fit_stage(work, stage, self.data.experiment.fit, self.data.experiment.seed, self.state, self.machine)

    def _probe(self, stage: Stage, stopping: Callable[[], int]) -> None:
        experiment, how = self.data.experiment, self._passing(stopping).exact
        plain, places, held = self._images(varied=False), self.data.places("train"), self.data.places("val")
        train = views_of(self.net, plain, self._images(varied=True), places, how, stage.views)
        val = joined_features(self.net, plain, held, how) if len(held) else None
        table, weight_K = self.data.table, self.derived.weight_K
        probe = Probe(self.learner, self._task(), train, val, table, weight_K, experiment.seed, how)
        fit_probe(probe, experiment.fit.keep, self.state)
        self._log()

    def _words(self, stopping: Callable[[], int]) -> None:
        parts, images = (self.data.places("train"), self.data.places("val")), self._images(varied=False)
        how, seed = self._passing(stopping), self.data.experiment.seed
        find_words(Search(self.learner, self._task(), images, *parts, seed, how), self.state)
        self._log()

    def _work(self, stage: Stage, stopping: Callable[[], int]) -> Work:
        machine, head_only = self.machine, stage.train == "head"
        self.net.encoder.requires_grad_(not head_only)
        module = self.net.head if head_only else self.learner
        optimizer = build_optimizer(self.data.experiment.optim, module)
        scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
        return Work(
            net=module,
            whole=self.learner,
            prefix="head." if head_only else "",
            task=self._task(),
            train=self._loader("train", stage, stopping),
            val=self._loader("val", stage, stopping) if len(self.data.places("val")) else None,
            optimizer=optimizer,
            scaler=scaler,
            names_of=self._names,
            save=lambda: self._save(optimizer, scaler),
            log=self._log,
            stopping=stopping,
            progress=self.call.progress,
        )

    def _save(self, optimizer: Optimizer | None = None, scaler: Any = None) -> None:
        """Write a checkpoint; between two stages there is neither optimiser nor scaler."""
        now = time.perf_counter()
        self.state.seconds += now - self.clock
        self.clock = now
        if self.machine.first:
            save_state(self.out / run_folder.CHECKPOINT, self.state, self.learner, optimizer, scaler)

    def _log(self) -> None:
        if not self.machine.first:
            return
        run_folder.write_log(self.out, self.state.history)
        if (newest := self.data.experiment.fit.keep_improved) and self.state.history:
            facts = {
                "batch_size": self.derived.batch_size,
                "mean": list(self.derived.normalisation.mean),
                "std": list(self.derived.normalisation.std),
            }
            keep_improved(self.out / run_folder.IMPROVED, self.state, newest, facts, self._task().watch.column)

    def _task(self) -> Task:
        weight_K = None
        if self.data.experiment.fit.balance == "weights" and self.derived.weight_K is not None:
            weight_K = torch.tensor(self.derived.weight_K, dtype=torch.float32)
        return task_of(self.data.experiment, weight_K, self.derived.normalisation)

    def _images(self, varied: bool) -> Images:
        experiment, normal = self.data.experiment, self.derived.normalisation
        mean_3, std_3 = np.array(normal.mean), np.array(normal.std)
        views = self._task().views
        augment = experiment.augment if varied or views > 1 else None
        multiple = self.net.multiple
        return Images(self.data.canvases, self.targets, mean_3, std_3, augment, experiment.seed, multiple, views)

    def _loader(self, part: str, stage: Stage, stopping: Callable[[], int]) -> Loader:
        """Batches of a part for a stage: of images, or of features where the encoder is frozen."""
        machine, places, learns = self.machine, self.data.places(part), part == "train"
        images = self._images(varied=learns)
        dataset: Images | Features = images
        beside = None
        views = stage.views if learns else 1
        if stage.train == "head":
            dataset = joined_features(self.net, images, places, self._passing(stopping), views)
        else:
            beside = beside_of(self.net, images, places, self._passing(stopping), views)
        pin = machine.device.type == "cuda"
        if not learns:
            at_once = max(self.derived.batch_size, 32) if self.data.experiment.prepare.fit != "keep" else 1
            places = places[machine.rank :: machine.world]
            if images.views > 1:
                at_once = even(len(places), self.derived.batch_size)
            return Loader(dataset, Order(places, at_once), machine.workers, pin, beside)
        weight_N = None
        if self.data.experiment.fit.balance == "sampling" and self.derived.weight_K is not None:
            weight_N = self.derived.weight_K[class_numbers(self.data.table)[places]]
        seed = self.data.experiment.seed
        order = Order(places, self.derived.batch_size, seed, weight_N, machine.rank, machine.world)
        return Loader(dataset, order, machine.workers, pin, beside)

    def _passing(self, stopping: Callable[[], int]) -> Passing:
        return Passing(self.machine, self.data.experiment.cache.keep, self.call.progress, stopping)

    def _names(self, batch: Batch) -> str:
        images = self.data.table.frame["image"]
        return ", ".join(images[int(place)] for place in batch.place_N)

    def _write_facts(self) -> None:
        """What is known before the first step."""
        if not self.machine.first:
            return
        experiment, normal = self.data.experiment, self.derived.normalisation
        found = self.data.fingerprint() | {"mean": list(normal.mean), "std": list(normal.std)}
        write_json(self.out / run_folder.FINGERPRINT, found)
        run_folder.write_plan(self.out, experiment, self.call.origins, self.derived.reasons)
        write_made(self.out / run_folder.MADE, self.data.table, self.data.canvases)
        write_json(self.out / run_folder.ENVIRONMENT, describe(self.machine, self.call.command, experiment.seed))

    def _finish(self) -> None:
        """Judge the best weights on the parts that were held out, and write all that use needs."""
        experiment, task = self.data.experiment, self._task()
        data, progress = self.data, self.call.progress
        kept = self._passing(lambda: 0)
        passing = passing_alone(experiment.stages, kept)
        predictor = Predictor(self.net, self._card(task.calibrate(None)), self.machine, task, passing, kept.alone)
        pictures: Heatmaps | Examples = Heatmaps(self.out / run_folder.HEATMAPS, data.table, experiment.prepare.shrink)
        if data.masks is not None:
            folder = self.out / run_folder.EXAMPLES
            pictures = Examples(folder, data.table, data.canvases, data.masks, predictor.tolerance)
        parts = {}
        for part in ("val", "test"):
            places = data.places(part)
            if task.views > 1:
                images, at_once = self._images(varied=True), self.derived.batch_size
                parts[part] = held_pairs(predictor, data.table, images, places, at_once, progress)
                continue
            parts[part] = predictor.held(data.table, data.canvases, places, data.masks, progress, pictures.of(places))
        pictures.close()
        if task.learns_images:
            places = data.places("test") if len(data.places("test")) else data.places("val")
            keep_remade(self.out / run_folder.EXAMPLES, predictor, data.table, self._images(varied=False), places)
        calibration = task.calibrate(parts["val"] if len(parts["val"].table) else None)
        card = save(self.out, self.net, self._card(calibration))
        environment = run_folder.read_json(self.out / run_folder.ENVIRONMENT)
        environment["seconds"] = round(self.state.seconds + time.perf_counter() - self.clock, 1)
        environment["weights_digest"] = card.weights_digest
        write_json(self.out / run_folder.ENVIRONMENT, environment)
        self._log()
        how = Judging(experiment.seed, experiment.score.resamples)
        write_scores(self.out, parts, task, experiment.task, calibration, how)
        shutil.rmtree((self.out / run_folder.CHECKPOINT).parent, ignore_errors=True)  # nobody goes on from the end

    def _card(self, calibration: Mapping[str, Any]) -> Card:
        num_outputs = self._task().num_outputs(self.data.table.classes)
        return card_of(self.data, self.derived, num_outputs, calibration)


def start(net: Net, weights: str, progress: Progress) -> Normalisation | None:
    """Fill the encoder with the weights that are named, if any; gives the normalisation that came with them."""
    if weights == "none":
        return None
    loaded = load_weights(net, weights)
    progress.say(f"weights: {loaded.source}")
    return Normalisation(loaded.mean, loaded.std) if loaded.mean is not None and loaded.std is not None else None


def task_of(experiment: Experiment, weight_K: torch.Tensor | None = None, normal: Normalisation = AS_STORED) -> Task:
    """The task that the settings ask for, with the weights of classes and the normalisation once they are known."""
    choices = Choices(
        experiment.count,
        experiment.segment,
        experiment.fit.label_smoothing,
        weight_K,
        experiment.reconstruct,
        experiment.contrast,
        normal.mean,
        normal.std,
    )
    return build_task(experiment.task, choices)
