"""Losses and accuracy."""

import numpy as np
import scipy.special
from hypothesis import strategies as st

from dl_jax import functional as f
from tests.functional.harness import Case, Edge, Operation, leading, sizes, torch

nan, inf = np.nan, np.inf


# References.


def masked(losses, mask):
    return losses if mask is None else np.where(mask, losses, 0.0)


def cross_entropy(logits, targets, *, label_smoothing=0.0, mask=None):
    classes = logits.shape[-1]
    if targets.dtype.kind in "iu":
        targets = np.eye(classes)[targets]
    targets = (1 - label_smoothing) * targets + label_smoothing / classes
    return masked(-(targets * scipy.special.log_softmax(logits, -1)).sum(-1), mask)


def cross_entropy_in_torch(logits, targets, *, label_smoothing, mask):
    shape, classes = logits.shape[:-1], logits.shape[-1]
    if isinstance(targets, np.ndarray):
        targets = torch.tensor(targets.reshape(-1))
    else:
        targets = targets.reshape(-1, classes)
    losses = torch.nn.functional.cross_entropy(
        logits.reshape(-1, classes), targets, reduction="none", label_smoothing=label_smoothing
    )
    losses = losses.reshape(shape)
    return losses if mask is None else losses * torch.tensor(mask)


def binary_cross_entropy(logits, targets, *, mask=None):
    likelihood = targets * scipy.special.log_expit(logits)
    return masked(-likelihood - (1 - targets) * scipy.special.log_expit(-logits), mask)


def binary_cross_entropy_in_torch(logits, targets, *, mask):
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return losses if mask is None else losses * torch.tensor(mask)


def huber_loss(predictions, targets, *, delta=1.0):
    distance = np.abs(predictions - targets)
    far = delta * (distance - delta / 2)
    return np.where(distance <= delta, distance**2 / 2, far).sum(-1)


def correct(logits, *, labels):
    hits = (logits.argmax(-1) == labels).astype(float)
    return np.where(np.isnan(logits).any(-1), nan, hits)


def binary_correct(logits, *, labels, threshold=0.0):
    hits = ((logits > threshold) == (labels > 0.5)).astype(float)
    return np.where(np.isnan(logits), nan, hits)


# Cases.


def mask_of(draw, random, shape):
    kind = draw(st.sampled_from((bool, np.int32, None, float)))
    return None if kind is None else np.asarray(random.random(shape) < 0.6, kind)


def logits_case(draw, random):
    batch, classes = draw(leading), 1 + draw(sizes)
    smoothing = draw(st.sampled_from((0.1, 0.0, 1.0)))
    return Case(
        3 * random.normal(size=(*batch, classes)),
        targets=np.asarray(random.integers(0, classes, batch)),
        label_smoothing=smoothing,
        mask=mask_of(draw, random, batch),
    )


def distributions_case(draw, random):
    case = logits_case(draw, random)
    (logits,), options = case.operands, case.options
    *batch, classes = logits.shape
    del options["targets"]
    return Case(logits, random.dirichlet(np.ones(classes), batch), **options)


def log_odds(draw, random):
    shape = draw(leading)
    return Case(3 * random.normal(size=shape), random.random(shape),
                mask=mask_of(draw, random, shape))  # fmt: skip


def predictions(draw, random, **options):
    shape = *draw(leading), draw(sizes)
    return Case(2 * random.normal(size=shape), random.normal(size=shape), **options)


def scores_and_labels(draw, random):
    batch, classes = draw(leading), 1 + draw(sizes)
    logits = random.permutation(np.prod(batch, dtype=int) * classes).reshape(*batch, classes)
    return Case(logits - 7.0, labels=np.asarray(random.integers(0, classes, batch), np.int8))


def scores_and_truths(draw, random):
    shape, kind = draw(leading), draw(st.sampled_from((bool, np.int8, float)))
    truths = np.asarray(random.random(shape) < 0.5, kind)
    threshold = draw(st.sampled_from((0.5, -1.0)))
    return Case(random.normal(size=shape), labels=truths, threshold=threshold)


# Edges.

logits = np.array([[1.0, 2.0, 3.0], [nan, nan, nan], [4.0, -1.0, 0.0]])
log_of_three = np.log(np.exp([1.0, 2.0, 3.0]).sum())
CROSS_ENTROPY = {
    "extremes": Edge(
        Case(1e6 * np.array([[1, -1, 0], [-1, 1, 1], [1, 1, 1]]), targets=np.array([1, 1, 2])),
        np.array([2e6, np.log(2), np.log(3)]),
        (np.array([[1, -1, 0], [0, -0.5, 0.5], [1 / 3, 1 / 3, -2 / 3]]),),
    ),
    "smoothed extremes": Edge(
        Case(np.array([[1e4, -1e4, 0.0]]), targets=np.array([0]), label_smoothing=0.3),
        np.array([0.1 * 3e4]),
    ),
    "certain and right": Edge(
        Case(np.array([[1e4, -1e4, 0]]), targets=np.array([0])), np.zeros(1), (np.zeros((1, 3)),)
    ),
    "masked nan": Edge(
        Case(logits, targets=np.array([2, 0, 0]), mask=np.array([1, 0, 0])),
        np.array([log_of_three - 3, 0, 0]),
    ),
    "everything masked": Edge(
        Case(logits, targets=np.array([2, 0, 0]), mask=np.zeros(3, bool)),
        np.zeros(3),
        (np.zeros((3, 3)),),
    ),
    "a class of logit minus infinity": Edge(
        Case(np.array([[1, -inf, 2]]), targets=np.array([0])), np.array([np.log(1 + np.e)])
    ),
    "labels outside the classes": Edge(
        Case(np.zeros((4, 3)), targets=np.array([-1, 3, -100, 2])),
        np.array([nan, nan, nan, np.log(3)]),
    ),
    "masked labels outside the classes": Edge(
        Case(np.zeros((3, 3)), targets=np.array([-1, 3, 2]), mask=np.array([0, 0, 1])),
        np.array([0, 0, np.log(3)]),
    ),
    "one class": Edge(Case(np.ones((2, 1)), targets=np.zeros(2, int))),
    "empty": Edge(Case(np.ones((0, 3)), targets=np.zeros(0, int))),
}
DISTRIBUTIONS = {
    "certain and right": Edge(
        Case(np.array([[1e4, -1e4, 0]]), np.eye(3)[:1]), np.zeros(1), (np.zeros((1, 3)), None)
    ),
    "a class of logit minus infinity": Edge(
        Case(np.array([[1, -inf, 2]]), np.eye(3)[:1]),
        np.array([np.log(1 + np.e)]),
        (np.array([[-np.e, 0, np.e]]) / (1 + np.e), None),
    ),
}
BINARY = {
    "zero": Edge(
        Case(np.zeros(2), np.array([0.0, 1])), gradients=(np.array([0.5, -0.5]), np.zeros(2))
    ),
    "sure and right": Edge(Case(np.array([10.0, 20, 40, -10, -40]), np.array([1.0, 1, 1, 0, 0]))),
    "extremes": Edge(Case(np.array([1e4, 1e30, -1e30]), np.array([0.0, 1, 0]))),
    "masked nan": Edge(Case(np.array([nan, 1.0]), np.ones(2), mask=np.array([0, 1]))),
    "empty": Edge(Case(np.zeros(0), np.zeros(0))),
}
DISTANCES = {
    "equal": Edge(
        Case(np.ones((2, 3)), np.ones((2, 3))), np.zeros(2), (np.zeros((2, 3)), np.zeros((2, 3)))
    ),
    "far and near": Edge(Case(np.array([[5.0, 0.5], [-5, 1]]), np.zeros((2, 2)))),
    "no features": Edge(Case(np.ones((2, 0)), np.ones((2, 0)))),
}
CORRECT = {
    "ties": Edge(Case(np.zeros((3, 3)), labels=np.arange(3)), np.array([1.0, 0, 0])),
    "nan": Edge(
        Case(np.array([[1, 0], [nan, 0], [0, nan]]), labels=np.zeros(3, np.uint8)),
        np.array([1, nan, nan]),
    ),
    "empty": Edge(Case(np.ones((0, 3)), labels=np.zeros(0, int))),
}
BINARY_CORRECT = {
    "a threshold of one half": Edge(
        Case(np.array([-1, 0.2, 0.7, 0.7]), labels=np.array([0, 0, 1, 0]), threshold=0.5),
        np.array([1.0, 1, 1, 0]),
    ),
    "at the threshold": Edge(
        Case(np.array([0.0, 0.0, nan]), labels=np.array([0, 1, 1])), np.array([1, 0, nan])
    ),
}

ROWS = {
    "cross_entropy": Operation(
        f.cross_entropy,
        cross_entropy,
        logits_case,
        cross_entropy_in_torch,
        CROSS_ENTROPY,
        half=np.float32,
    ),
    "cross_entropy of distributions": Operation(
        f.cross_entropy,
        cross_entropy,
        distributions_case,
        cross_entropy_in_torch,
        DISTRIBUTIONS,
        half=np.float32,
    ),
    "binary_cross_entropy": Operation(
        f.binary_cross_entropy,
        binary_cross_entropy,
        log_odds,
        binary_cross_entropy_in_torch,
        BINARY,
        half=np.float32,
    ),
    "l2_loss": Operation(
        f.l2_loss,
        lambda predictions, targets: ((predictions - targets) ** 2).sum(-1) / 2,
        predictions,
        edges=DISTANCES,
        half=np.float32,
    ),
    "huber_loss": Operation(
        f.huber_loss,
        huber_loss,
        lambda draw, random: predictions(draw, random, delta=draw(st.sampled_from((0.5, 3.0)))),
        lambda a, b, delta: torch.nn.functional.huber_loss(a, b, "none", delta).sum(-1),
        DISTANCES,
        half=np.float32,
    ),
    "correct": Operation(f.correct, correct, scores_and_labels, edges=CORRECT, half=np.float32),
    "binary_correct": Operation(
        f.binary_correct, binary_correct, scores_and_truths, edges=BINARY_CORRECT, half=np.float32
    ),
}
