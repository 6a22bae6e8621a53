"""What each score is called, what it means in one line, and how it is written; by task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Unit = Literal["share", "number", "count", "signed"]  # a percentage, a plain number, objects, objects with their sign


@dataclass(frozen=True)
class ScoreWords:
    """A score's name, its meaning in one line, and how it is written."""

    title: str
    meaning: str
    unit: Unit = "share"


CLASSIFY_SCORES = {
    "accuracy": ScoreWords("Accuracy", "images named correctly"),
    "balanced_accuracy": ScoreWords(
        "Balanced accuracy", "the same, averaged over the classes: a rare class counts as much as a common one"
    ),
    "recall_macro": ScoreWords("Recall, macro", "of each class, how much is found; mean over classes"),
    "f1_macro": ScoreWords("F1, macro", "balance of finding a class and being right when naming it; mean over classes"),
    "f1_weighted": ScoreWords("F1, weighted", "the same, weighted by the classes' numbers of images"),
    "auroc": ScoreWords(
        "AUROC", "chance that an image of a class scores higher for it than one of another class", "number"
    ),
    "kappa": ScoreWords(
        "Cohen's kappa", "agreement with the labels beyond chance; 0 is chance, 1 is perfect", "number"
    ),
    "ece": ScoreWords(
        "Calibration error, raw", "mean gap between stated probability and share correct, as the net says"
    ),
    "ece_calibrated": ScoreWords("Calibration error", "the same after temperature scaling: what predictions carry"),
    "nll": ScoreWords("Negative log-likelihood", "mean surprise at the true class, in nats", "number"),
}
COUNT_SCORES = {
    "mae": ScoreWords("Mean absolute error", "how many objects the count of an image is off by, on average", "count"),
    "rmse": ScoreWords(
        "Root mean square error", "the same, where one large error weighs more than many small ones", "count"
    ),
    "r": ScoreWords("Pearson r", "how straight a line the counts make against the true ones; 1 is a line", "number"),
    "r2": ScoreWords(
        "R²", "share of the spread of the true counts that is explained; 0 is no better than their mean", "number"
    ),
    "bias": ScoreWords("Bias", "mean of counted less true: above 0 it counts too many, below 0 too few", "signed"),
    "kappa": ScoreWords(
        "Quadratic kappa",
        "agreement beyond chance in the bins 0, 1–5, 6–10, 11–20, 21–50, 51–200 and more; far misses weigh most",
        "number",
    ),
    "coverage": ScoreWords("Coverage", "images whose interval holds the true count"),
    "width": ScoreWords("Width of the intervals", "from the low end to the high one, on average", "count"),
    "dot_precision": ScoreWords("Precision of the dots", "of the dots that are found, how many lie on a true one"),
    "dot_recall": ScoreWords("Recall of the dots", "of the true dots, how many are found"),
    "dot_f1": ScoreWords("F1 of the dots", "balance of the two: 1 is every dot found and none invented"),
}
SEGMENT_SCORES = {
    "mean_dice": ScoreWords(
        "Mean Dice", "shared pixels over the mean of true and predicted ones; mean over the classes"
    ),
    "mean_iou": ScoreWords("Mean IoU", "shared pixels over those of either mask; mean over the classes"),
    "mean_iou_objects": ScoreWords("Mean IoU of objects", "the same without the background"),
    "pixel_accuracy": ScoreWords(
        "Pixel accuracy", "pixels named correctly; the background, where it fills most, decides"
    ),
    "boundary_f1": ScoreWords(
        "Boundary F1", "how well the outlines agree, the background's left out; mean over the classes"
    ),
    "image_dice": ScoreWords("Dice an image", "Dice of each image over the classes it shows; mean over the images"),
    "iou": ScoreWords("IoU", "pixels that the true and the predicted mask share, of those in either"),
    "dice": ScoreWords("Dice", "the same, where what is shared counts twice"),
    "precision": ScoreWords("Precision", "of the pixels given this name, how many are correct"),
    "recall": ScoreWords("Recall", "of the pixels of this class, how many are found"),
}
CLUSTER_SCORES = {
    "distortion": ScoreWords("Distortion", "how far squares lie from the nearest word; near 1 without words", "number"),
}
CONTRAST_SCORES = {
    "retrieval": ScoreWords("Retrieval", "views whose nearest neighbour in the batch is of the same image"),
    "loss": ScoreWords("Loss", "mean surprise at which view is of the same image, in nats", "number"),
}
RECONSTRUCT_SCORES = {
    "ssim": ScoreWords("SSIM", "how alike image and remade image are in their structure; 1 is equal", "number"),
    "mae": ScoreWords("Mean absolute error", "difference of the pixels, in grey levels from 0 to 1", "number"),
}
SCORE_WORDS = {
    "classify": CLASSIFY_SCORES,
    "count": COUNT_SCORES,
    "segment": SEGMENT_SCORES,
    "cluster": CLUSTER_SCORES,
    "contrast": CONTRAST_SCORES,
    "reconstruct": RECONSTRUCT_SCORES,
}
MAIN_SCORES = {
    "classify": ("balanced_accuracy", "accuracy", "auroc", "ece_calibrated"),
    "cluster": ("distortion",),
    "contrast": ("retrieval", "loss"),
    "count": ("mae", "bias", "coverage", "dot_f1", "kappa", "r2"),
    "reconstruct": ("ssim", "mae"),
    "segment": ("mean_dice", "mean_iou", "boundary_f1", "pixel_accuracy"),
}
DRAWN_SCORES = {
    "classify": ("accuracy", "balanced_accuracy", "f1_macro", "f1_weighted", "auroc", "kappa"),
    "cluster": (),
    "contrast": ("retrieval",),
    "count": ("kappa", "r", "r2", "dot_precision", "dot_recall", "dot_f1"),
    "reconstruct": ("ssim",),
    "segment": ("mean_dice", "image_dice", "mean_iou", "mean_iou_objects", "boundary_f1", "pixel_accuracy"),
}


def words_of(score: str, task: str = "classify") -> ScoreWords | None:
    """The words of a score: those of the task, else of any task that knows it."""
    found = (words[score] for words in (SCORE_WORDS.get(task, {}), *SCORE_WORDS.values()) if score in words)
    return next(found, None)


def title_of(score: str, task: str = "classify") -> str:
    """What a score is called.

    >>> title_of("f1_macro"), title_of("mae", "count"), title_of("my_score")
    ('F1, macro', 'Mean absolute error', 'my score')
    """
    words = words_of(score, task)
    return words.title if words else score.replace("_", " ")


def meaning_of(score: str, task: str = "classify") -> str:
    """What a score means in one line; nothing where it is not known."""
    words = words_of(score, task)
    return words.meaning if words else ""


def unit_of(score: str, task: str = "classify") -> Unit:
    """How a score is written."""
    words = words_of(score, task)
    return words.unit if words else "number"


def in_sentence(score: str, task: str = "classify") -> str:
    """A score's name inside a sentence.

    >>> in_sentence("balanced_accuracy"), in_sentence("auroc"), in_sentence("mean_iou", "segment")
    ('balanced accuracy', 'AUROC', 'mean IoU')
    """
    title = title_of(score, task)
    is_name = title[:2].isupper() or title.startswith(("Cohen", "Pearson", "F1", "R²", "IoU", "Dice"))
    return title if is_name else title[0].lower() + title[1:]
