"""dl_jax's side: learners on random examples of MNIST's shape."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax.compilation import jit
from dl_jax.data import Dataset
from dl_jax.functional import cross_entropy
from dl_jax.learners import Learner, over_seeds, supervised
from dl_jax.models import Model, cnn, mlp
from dl_jax.training.chunk import make_train_chunk

BATCH = 128


def mlp_model() -> Model:
    """784-512-512-10."""
    return mlp((28, 28, 1), (512, 512), 10)


def cnn_model() -> Model:
    """The network of `experiments.vision.mnist_cnn`."""
    return cnn((28, 28, 1), [(32, 32)], 10)


def learner_of(model: Model, seeds: int | None = None) -> Learner:
    """Cross-entropy and Adam; `seeds` replicas side by side if given."""
    learner = supervised(model, cross_entropy, optax.adam(1e-3))
    return learner if seeds is None else over_seeds(learner, seeds)


def examples(count: int, streams: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Random images and labels."""
    random = np.random.default_rng(0)
    return {
        "image": random.standard_normal((*streams, count, 28, 28, 1), np.float32),
        "label": random.integers(0, 10, (*streams, count), np.int32),
    }


def stepper(learner: Learner, calls: int) -> tuple[Callable[[], None], float]:
    """A function that makes `calls` training steps, and the operations of one step."""
    state = jit(learner.init)(jax.random.key(0))
    batch = jax.tree.map(jnp.asarray, examples(BATCH, learner.streams))
    cost = jax.jit(learner.train_step).lower(state, batch).cost_analysis()
    step = jit(learner.train_step, donate_argnums=0)

    def run() -> None:
        nonlocal state
        for _ in range(calls):
            state, _ = step(state, batch)
        jax.block_until_ready(state)

    return run, float(cost["flops"])


def epoch_runner(learner: Learner, count: int, compiled_loop: bool | None) -> Callable[[], None]:
    """A function that trains one epoch over `count` resident examples, shuffled."""
    state = jit(learner.init)(jax.random.key(0))
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

    return run
