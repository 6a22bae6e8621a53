"""One training run: from the settings and a path to a run folder with weights, card, scores and predictions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpuscle.core.files import write_json
from corpuscle.core.progress import SILENT, Progress
from corpuscle.core.seeds import seed_for
from corpuscle.data.fingerprint import Normalisation, measure_normalisation
from corpuscle.data.loader import Batch, Features, Images, Loader, Order
from corpuscle.engine import run_folder
from corpuscle.engine.checkpoint import State, load_state, restore_optimizer, save_state, under
from corpuscle.engine.dataset import Ready, ready
from corpuscle.engine.device import Machine, choose_machine, processes
from corpuscle.engine.environment import describe
from corpuscle.engine.evaluate import Scored, choose_temperature, predict_places, write_scores
from corpuscle.engine.experiment import Experiment
from corpuscle.engine.fit import Work, fit_stage
from corpuscle.engine.optim import build_optimizer
from corpuscle.engine.plan import Derived, derive
from corpuscle.engine.probe import frozen_features
from corpuscle.engine.schedule import Stage
from corpuscle.engine.stopping import listening
from corpuscle.nets.card import Card, save
from corpuscle.nets.net import Net
from corpuscle.nets.weights import load_weights
from corpuscle.nets.zoo import build, check_plan
from corpuscle.tasks.classify import Classify
from corpuscle.tasks.task import Task


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
    machine = choose_machine(experiment.device)
    progress = call.progress if machine.first else SILENT
    with processes(machine):
        if machine.first:
            run_folder.check(out, experiment)
            data = ready(path, experiment, progress)
            run_folder.begin(out, experiment, data.samples())
        machine.gathered(None)  # the first process fills the cache and makes the folder, the others follow
        if not machine.first:
            data = ready(path, experiment, progress)
        with run_folder.only_writer(out, machine.first):
            return Training.of(out, data, machine, replace(call, progress=progress)).run()


@dataclass
class Training:
    """A training under way."""

    out: Path
    data: Ready
    machine: Machine
    call: Call
    net: Net
    derived: Derived
    state: State

    @classmethod
    def of(cls, out: Path, data: Ready, machine: Machine, call: Call) -> Training:
        """Build the net, from nothing or from starting weights, and settle what the settings left open."""
        experiment = data.experiment
        torch.manual_seed(seed_for(experiment.seed, "weights"))
        net = build(experiment.net, Classify().num_outputs(data.table.classes), experiment.prepare.size)
        published = None
        if experiment.net.weights != "none":
            loaded = load_weights(net, experiment.net.weights)
            call.progress.say(f"weights: {loaded.source}")
            if loaded.mean is not None and loaded.std is not None:
                published = Normalisation(loaded.mean, loaded.std)
        net = net.to(machine.device).to(memory_format=torch.channels_last)
        places = data.places("train")
        measured = measure_normalisation(data.canvases, places, experiment.seed)
        derived = derive(experiment, data.size_why, machine, data.target_N[places], measured, published)
        return cls(out, data, machine, call, net, derived, State())

    def run(self) -> Path:
        """Do what is left of the training, and everything after it."""
        experiment, say = self.data.experiment, self.call.progress.say
        if (self.out / run_folder.METRICS).is_file():
            say(f"{self.out} is finished; name another --out to train again")
            return self.out
        resumed = self._resume()
        self._write_facts()
        for reason in ("prepare.size", "device", "precision"):
            say("{}: {value} ({why})".format(reason, **self.derived.reasons[reason]))
        if resumed:
            say(f"going on from epoch {len(self.state.history) + 1}, step {self.state.place.step + 1}")
        for number in range(self.state.place.stage, len(experiment.stages)):
            self._stage(experiment.stages[number], resumed)
            resumed = None
        if self.machine.first:
            self._finish()
        self.machine.gathered(None)
        return self.out

    def _resume(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
        path = self.out / run_folder.CHECKPOINT
        if not path.is_file():
            return None
        self.state, tensors, plain = load_state(path, self.machine.device)
        self.net.load_state_dict(under("net", tensors, self.machine.device))
        return tensors, plain

    def _stage(self, stage: Stage, resumed: tuple[dict[str, torch.Tensor], dict[str, Any]] | None) -> None:
        """One stage, from where the state stands, and the step to the next."""
        plan, seed, machine = self.data.experiment.fit, self.data.experiment.seed, self.machine
        head_only = stage.train == "head"
        self.net.encoder.requires_grad_(not head_only)
        module = self.net.head if head_only else self.net
        optimizer = build_optimizer(self.data.experiment.optim, module)
        scaler = torch.amp.GradScaler(machine.device.type, enabled=machine.precision == "fp16")
        if resumed:
            restore_optimizer(optimizer, *resumed)
            scaler.load_state_dict(resumed[1].get("scaler", {}))

        def write_state() -> None:
            if machine.first:
                self.out.joinpath("checkpoints").mkdir(exist_ok=True)
                save_state(self.out / run_folder.CHECKPOINT, self.state, self.net, optimizer, scaler)

        def write_history() -> None:
            if machine.first:
                run_folder.write_log(self.out, self.state.history)

        with listening(self.call.progress) as came:
            work = Work(
                net=module,
                whole=self.net,
                prefix="head." if head_only else "",
                task=self._task(),
                train=self._loader("train", stage),
                val=self._loader("val", stage) if len(self.data.places("val")) else None,
                optimizer=optimizer,
                scaler=scaler,
                name_of=self._names,
                save=write_state,
                log=write_history,
                stopping=lambda: came() or self.call.stopping(),
                progress=self.call.progress,
            )
            fit_stage(work, stage, plan, seed, self.state, machine)
            self.net.load_state_dict(self.state.best_weights)
            self.state.average = {}
            self.state.at(stage=self.state.place.stage + 1, epoch=0, step=0)
            optimizer.state.clear()  # the next stage begins with an optimiser of its own
            write_state()

    def _task(self) -> Task:
        weight_K = None
        if self.data.experiment.fit.balance == "weights" and self.derived.weight_K is not None:
            weight_K = torch.tensor(self.derived.weight_K, dtype=torch.float32)
        return Classify(self.data.experiment.fit.label_smoothing, weight_K)

    def _images(self, varied: bool) -> Images:
        experiment, normal = self.data.experiment, self.derived.normalisation
        mean_3, std_3 = np.array(normal.mean), np.array(normal.std)
        augment = experiment.augment if varied else None
        return Images(self.data.canvases, self.data.target_N, mean_3, std_3, augment, experiment.seed)

    def _loader(self, part: str, stage: Stage) -> Loader:
        """Batches of a part for a stage: of images, or of features where the encoder is frozen."""
        machine, places, learns = self.machine, self.data.places(part), part == "train"
        images = self._images(varied=learns)
        dataset: Images | Features = images
        if stage.train == "head":
            views = stage.views if learns else 1
            dataset = frozen_features(self.net, images, places, views, machine, self.call.progress)
        pin = machine.device.type == "cuda"
        if not learns:
            order = Order(places[machine.rank :: machine.world], max(self.derived.batch_size, 32))
            return Loader(dataset, order, machine.workers, pin)
        weight_N = None
        if self.data.experiment.fit.balance == "sampling" and self.derived.weight_K is not None:
            weight_N = self.derived.weight_K[self.data.target_N[places]]
        seed = self.data.experiment.seed
        order = Order(places, self.derived.batch_size, seed, weight_N, machine.rank, machine.world)
        return Loader(dataset, order, machine.workers, pin)

    def _names(self, batch: Batch) -> str:
        images = self.data.table.frame["image"]
        names = [images[int(place)] for place in batch.place_N]
        return f"epoch {len(self.state.history) + 1}, step {self.state.place.step + 1} ({', '.join(names)})"

    def _write_facts(self) -> None:
        """What is known before the first step."""
        if not self.machine.first:
            return
        experiment, normal = self.data.experiment, self.derived.normalisation
        found = self.data.fingerprint() | {"mean": list(normal.mean), "std": list(normal.std)}
        write_json(self.out / run_folder.FINGERPRINT, found)
        run_folder.write_plan(self.out, experiment, self.call.origins, self.derived.reasons)
        write_json(self.out / run_folder.ENVIRONMENT, describe(self.machine, self.call.command, experiment.seed))

    def _finish(self) -> None:
        """Judge the best weights on the parts that were held out, and write all that use needs."""
        experiment, started = self.data.experiment, time.perf_counter()
        parts = {}
        for part in ("val", "test"):
            places = self.data.places(part)
            if len(places):
                views, progress = experiment.score.views, self.call.progress
                probs_NK = predict_places(self.net, self._images(False), places, self.machine, views, progress)
                parts[part] = Scored(self.data.table.frame[places], probs_NK, self.data.target_N[places])
        temperature = choose_temperature(parts)
        card = save(self.out, self.net, self._card(temperature))
        environment = run_folder.read_json(self.out / run_folder.ENVIRONMENT)
        environment["seconds"] = round(self.state.seconds + time.perf_counter() - started, 1)
        environment["weights_digest"] = card.weights_digest
        write_json(self.out / run_folder.ENVIRONMENT, environment)
        run_folder.write_log(self.out, self.state.history)
        write_scores(self.out, parts, self.data.table.classes, experiment.score, experiment.seed, temperature)

    def _card(self, temperature: float) -> Card:
        experiment, normal = self.data.experiment, self.derived.normalisation
        return Card(
            task=experiment.task,
            classes=self.data.table.classes,
            net=experiment.net,
            num_outputs=len(self.data.table.classes),
            size=experiment.prepare.size,
            prepare=experiment.prepare.model_dump(mode="json"),
            read=experiment.read.model_dump(mode="json"),
            mean=normal.mean,
            std=normal.std,
            views=experiment.score.views,
            temperature=temperature,
            trained_on={"images": len(self.data.places("train")), "layout": self.data.table.layout},
        )
