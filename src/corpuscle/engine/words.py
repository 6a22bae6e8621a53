"""The words of a codebook, found by k-means among squares of the training images: learning without labels or steps."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from corpuscle.core.errors import CorpuscleError
from corpuscle.core.sampling import evenly
from corpuscle.core.seeds import seed_for
from corpuscle.core.stopped import Stopped
from corpuscle.data.loader import Loader, Order
from corpuscle.engine.average import copied
from corpuscle.engine.fit import judged, validate
from corpuscle.engine.log import Epoch, epoch_row, say_row
from corpuscle.nets.codebook import Codebook, Words
from corpuscle.nets.rings import shrunk
from corpuscle.nets.zoo import CODEBOOK

if TYPE_CHECKING:
    from corpuscle.data.loader import Images
    from corpuscle.engine.checkpoint import State
    from corpuscle.engine.experiment import Experiment
    from corpuscle.engine.features import Passing
    from corpuscle.nets.net import Net
    from corpuscle.tasks.task import Task

MOST_IMAGES, SQUARES_AN_IMAGE = 2000, 200
LEAST_VARIANCE = 1e-3  # of a direction of the squares, as a share of the mean one; what varies less is noise
FLAT = 1e-6  # deviation of squares that are all of one colour
AT_ONCE, IMAGES_AT_ONCE = 4096, 64  # squares a step of k-means; images that are cut into squares
ROUNDS = 20


def check_words(experiment: Experiment) -> None:
    """See that words are asked for where there is a codebook to fill, and nowhere else.

    Raises:
        CorpuscleError: another net, another task, other stages, epochs, or weights to start from.
    """
    trains, net = [stage.train for stage in experiment.stages], experiment.net
    if experiment.task != "cluster" and "words" not in trains:
        if net.model == CODEBOOK and net.weights == "none":
            raise CorpuscleError(
                "net.model=codebook expects words, got net.weights=none; find some with --recipe codebook, and pass "
                "--weights RUN"
            )
        return
    told = f"task {experiment.task}, model {net.model}, stages of {', '.join(trains)}"
    if (experiment.task, net.model, trains) != ("cluster", CODEBOOK, ["words"]):
        raise CorpuscleError(
            "task=cluster, net.model=codebook and one stage of words expect one another, got "
            f"{told}; pass --recipe codebook"
        )
    if epochs := experiment.stages[0].epochs:
        raise CorpuscleError(f"words are found in one go and expect no epochs, got {epochs}; leave --epochs at 0")
    if net.weights != "none":
        raise CorpuscleError(
            f"words are found anew and expect net.weights=none, got {net.weights}; leave --weights out, or pass "
            "--recipe few to use its words"
        )


@dataclass(frozen=True)
class Search:
    """What words are found with.

    Attributes:
        net: whose encoder is filled.
        task: says the scores.
        images: as they are.
        train, val: places of the images of either part.
        seed: of the squares and of k-means.
        how: see `Passing`.
    """

    net: Net
    task: Task
    images: Images
    train: np.ndarray
    val: np.ndarray
    seed: int
    how: Passing


def find_words(work: Search, state: State) -> None:
    """Fill the codebook, judge it, and keep it; one row of the log.

    Raises:
        Stopped: someone asked for it; nothing has changed.
        CorpuscleError: fewer squares than words.
    """
    began, how, machine = time.perf_counter(), work.how, work.how.machine
    book, chosen = work.net.encoder, work.train[evenly(len(work.train), MOST_IMAGES)]
    assert isinstance(book, Codebook)
    if machine.first:
        found = list(how.progress.track(_found(work, book, chosen), "words", len(book.sizes)))
        for words, tensors in zip(book.sizes, found, strict=True):
            words.load_state_dict(tensors)
    machine.same(book.state_dict())
    sums = _judged(work, chosen)
    validated = _judged(work, work.val) if len(work.val) else None
    sums |= {"seconds": (time.perf_counter() - began) * machine.world, "wait": 0.0}
    epoch = Epoch(len(state.history) + 1, state.place.stage + 1, "words", None, machine.world)
    row = judged(epoch_row(epoch, work.task, sums, validated), work.task, state)
    copied(state.best_weights, work.net.state_dict())
    state.history.append(row)
    say_row(how.progress, row)


def _judged(work: Search, places: np.ndarray) -> dict[str, Any]:
    """The sums of a part."""
    machine = work.how.machine
    loader = Loader(work.images, Order(places[machine.rank :: machine.world], IMAGES_AT_ONCE), machine.workers)
    return validate(work.net, loader, work.task, machine)


def _found(work: Search, book: Codebook, chosen: np.ndarray) -> Iterator[dict[str, torch.Tensor]]:
    """The tensors of each size of square, from images at some places."""
    alone = work.how.machine.world == 1  # the others wait and cannot be told to stop
    for number, words in enumerate(book.sizes):
        rng = np.random.default_rng(seed_for(work.seed, "squares", number))
        squares = []
        for batch_N in np.array_split(chosen, -(-len(chosen) // IMAGES_AT_ONCE)):
            if alone and (signal := work.how.stopping()):
                raise Stopped(signal)
            squares.append(_squares(work, book, batch_N, words, rng))
        yield words_of(np.concatenate(squares), book.count, seed_for(work.seed, "words", number) % 2**32)


def _squares(work: Search, book: Codebook, batch_N: np.ndarray, words: Words, rng: np.random.Generator) -> np.ndarray:
    """square_PC: some of each image, drawn by chance."""
    all_NPC = words.squares(shrunk(work.images[0, batch_N.tolist()].image_NCHW)).numpy()
    count = all_NPC.shape[1]
    drawn = [rng.choice(count, min(SQUARES_AN_IMAGE, count), replace=False) for _ in batch_N]
    return np.concatenate([all_PC[at] for all_PC, at in zip(all_NPC, drawn, strict=True)])


def words_of(square_PC: np.ndarray, count: int, seed: int) -> dict[str, torch.Tensor]:
    """The state of `Words`: squares are whitened (ZCA), and k-means finds the words among them.

    Args:
        square_PC: flattened, colours first.
        count: of words.
        seed: of k-means.

    Raises:
        CorpuscleError: fewer squares than words.
    """
    from sklearn.cluster import MiniBatchKMeans

    if len(square_PC) < count:
        raise CorpuscleError(
            f"a codebook of {count} words expects as many squares at least, the training part has {len(square_PC)}; "
            "lower net.words, or add images"
        )
    mean_C = square_PC.mean(axis=0, dtype=np.float64)
    variance_C, axis_CC = np.linalg.eigh(np.cov((square_PC - mean_C).T))
    deviation_C = np.sqrt(variance_C.clip(0) + LEAST_VARIANCE * variance_C.mean().clip(0))
    white_CC = (axis_CC / np.where(deviation_C > FLAT, deviation_C, 1.0)) @ axis_CC.T
    white_PC = ((square_PC - mean_C) @ white_CC).astype(np.float32)
    model = MiniBatchKMeans(count, batch_size=AT_ONCE, max_iter=ROUNDS, n_init=1, random_state=seed).fit(white_PC)
    tensors = {"white_DC": white_CC, "mean_C": mean_C, "word_KD": model.cluster_centers_}
    return {name: torch.from_numpy(values).float() for name, values in tensors.items()}
