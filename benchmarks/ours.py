"""dl_jax's side: learners on random examples."""

from collections.abc import Callable, Sequence
from functools import partial
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.harness import Contender
from dl_jax.compilation import jit
from dl_jax.data import Dataset
from dl_jax.functional import cross_entropy
from dl_jax.functional.convolution import rules
from dl_jax.learners import Learner, over_seeds, supervised
from dl_jax.models import Model, cnn, mlp, recurrent_classifier, resnet18, with_compute_dtype
from dl_jax.models.recurrence import CellName
from dl_jax.training.chunk import make_train_chunk
from dl_jax.types import Batch

BATCH = 128
GRAY = (28, 28, 1)
COLOR = (32, 32, 3)
VOCABULARY = 20_000
Shape = tuple[int, int, int]


def mlp_model() -> Model:
    """784-512-512-10."""
    return mlp(GRAY, (512, 512), 10)


def cnn_model() -> Model:
    """The network of `experiments.vision.mnist_cnn`."""
    return cnn(GRAY, [(32, 32)], 10)


def resnet18_model(dtype: str) -> Model:
    """ResNet18 with the stem for CIFAR."""
    return with_compute_dtype(resnet18(10), dtype)


def recurrent_model(cell: CellName) -> Model:
    """Texts of 20,000 different tokens, embedded in 128 numbers, and 128 hidden units."""
    return recurrent_classifier(cell, VOCABULARY, 2, embedding_dim=128, hidden_dim=128)


def learner_of(model: Model, seeds: int | None = None, *, inputs: str = "image") -> Learner:
    """Cross-entropy and Adam; `seeds` replicas side by side if given."""
    learner = supervised(model, cross_entropy, optax.adam(1e-3), inputs=inputs)
    return learner if seeds is None else over_seeds(learner, seeds)


def examples(
    count: int, streams: tuple[int, ...] = (), shape: Shape = GRAY
) -> dict[str, np.ndarray]:
    """Random images and labels."""
    random = np.random.default_rng(0)
    return {
        "image": random.standard_normal((*streams, count, *shape), np.float32),
        "label": random.integers(0, 10, (*streams, count), np.int32),
    }


def texts(
    lengths: np.ndarray, max_length: int, streams: tuple[int, ...] = ()
) -> dict[str, np.ndarray]:
    """Random tokens, padded with 0 behind each text, and labels."""
    random = np.random.default_rng(0)
    shape = (*streams, len(lengths), max_length)
    tokens = random.integers(1, VOCABULARY, shape, np.int32)
    tokens *= np.arange(max_length) < lengths[:, None]
    return {"tokens": tokens, "label": random.integers(0, 2, shape[:-1], np.int32)}


def stepper(
    name: str, learner: Learner, calls: int, *, batches: Sequence[Batch] = (), ours: bool = True
) -> Contender:
    """`calls` training steps on each batch, or on one of 128 gray images."""
    batches = jax.tree.map(jnp.asarray, batches or [examples(BATCH, learner.streams)])
    init = jit(learner.init)
    state = init(jax.random.key(0))
    step = jit(learner.train_step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        for batch in batches:
            for _ in range(calls):
                state, _ = step(state, batch)
        jax.block_until_ready(state)

    def reset() -> None:
        nonlocal state
        state = jax.block_until_ready(init(jax.random.key(0)))

    return Contender(name, ours, run, reset)


def predictor(name: str, model: Model, batches: Sequence[np.ndarray]) -> Contender:
    """Logits of batches of tokens, one after the other."""
    params, state = jit(model.init)(jax.random.key(0))
    apply = jit(partial(model.apply, train=False))
    inputs = [jnp.asarray(batch) for batch in batches]

    def run() -> None:
        for batch in inputs:
            jax.block_until_ready(apply(params, state, batch))

    return Contender(name, True, run)


def compilation(
    name: str, make_learner: Callable[[], Learner], batch: Batch, *, ours: bool
) -> Contender:
    """Tracing and compiling a training step, from nothing."""

    def run() -> None:
        jax.clear_caches()
        learner = make_learner()
        state = jax.eval_shape(learner.init, jax.random.key(0))
        kept = jax.config.jax_enable_compilation_cache
        jax.config.update("jax_enable_compilation_cache", False)
        try:
            jax.jit(learner.train_step).lower(state, batch).compile()
        finally:
            jax.config.update("jax_enable_compilation_cache", kept)

    return Contender(name, ours, run)


def flops(learner: Learner, batch: Batch | None = None) -> float:
    """Operations of one training step, as XLA counts them.

    Those of a convolution are the products of its definition, not Winograd's fewer.
    """
    batch = examples(BATCH, learner.streams) if batch is None else batch
    state = jax.eval_shape(learner.init, jax.random.key(0))
    with mock.patch.object(rules, "has_fast_tiles", return_value=False):
        # A function of its own: the trace of `train_step` itself would be found again.
        lowered = jax.jit(lambda *given: learner.train_step(*given)).lower(state, batch)
    jax.clear_caches()  # what was traced so must not be measured
    return float(lowered.cost_analysis()["flops"])


def epoch_runner(
    name: str, learner: Learner, count: int, compiled_loop: bool | None, *, ours: bool = True
) -> Contender:
    """One epoch over `count` resident examples, shuffled."""
    init = jit(learner.init)
    state = init(jax.random.key(0))
    dataset = Dataset("random", "train", examples(count))
    order = dataset.order(BATCH, 0, learner.streams)
    train_chunk = make_train_chunk(
        learner, dataset, order, on_device=True, compiled_loop=compiled_loop
    )
    reached = 0

    def run() -> None:
        nonlocal state, reached
        stop = reached + order.steps_per_epoch
        chunk, reached = train_chunk(state, reached, stop, lambda: False)
        state = chunk.state
        jax.block_until_ready(state)

    def reset() -> None:
        nonlocal state, reached
        state, reached = jax.block_until_ready(init(jax.random.key(0))), 0

    return Contender(name, ours, run, reset)
