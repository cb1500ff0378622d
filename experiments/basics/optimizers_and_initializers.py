"""Every optimizer with every initializer, in networks of several depths: one compiled sweep.

All runs are one program under `vmap`. The optimizers are one rule with different numbers, which
are mapped over; so are the initializer and the depth: layers beyond it are left out. Beside the
accuracies, the size of activations and gradients is drawn layer by layer, as it is before training.
Command: python -m experiments.basics.optimizers_and_initializers
Known: 60 runs in 8.4 s on 2 cores of an AMD EPYC; docs/performance.md compares them with the same
runs one after the other, which is what --in-turn is for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from dl_jax import functional, optim, plots
from dl_jax.data import image_statistics, load_splits
from dl_jax.errors import UsageError, check_choice, check_range
from dl_jax.functional import cross_entropy, dense, tanh
from dl_jax.learners import over_hyperparameters, product, supervised
from dl_jax.models import Model, standardize, with_preprocessing
from dl_jax.optim.optimizers import Moments, Rule, descent
from dl_jax.reports import save_figures, write_result
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit, fit_each, make_evaluate
from dl_jax.types import Tree

Number: TypeAlias = float | Float[Array, ""]
Flag: TypeAlias = bool | Bool[Array, ""]


class UpdateCoefficients(NamedTuple):
    """An optimizer as numbers; arrays of them, one entry a run, are mapped over.

    m = decay * m + gain * g
    s = square_decay * s + (1 - square_decay) * g^2
    m^, s^ = m / (1 - decay^t), s / (1 - square_decay^t) if corrected, else m, s
    n = g + decay * m  if it looks ahead, else m^
    d = n / (sqrt(s^ + inner) + outer)  if adaptive, else n
    theta' = theta - learning_rate * (d + weight_decay * theta)
    """

    learning_rate: Number
    weight_decay: Number = 0.0
    decay: Number = 0.0
    gain: Number = 1.0
    nesterov: Flag = False
    adaptive: Flag = False
    square_decay: Number = 0.0
    corrected: Flag = False
    inner: Number = 0.0
    outer: Number = 0.0


ADAM = UpdateCoefficients(
    1.0, decay=0.9, gain=0.1, adaptive=True, square_decay=0.999, corrected=True, outer=1e-8
)
NUMBERS = {
    "sgd": UpdateCoefficients(1.0),
    "momentum": UpdateCoefficients(1.0, decay=0.9),
    "nesterov": UpdateCoefficients(1.0, decay=0.9, nesterov=True),
    "rmsprop": UpdateCoefficients(1.0, adaptive=True, square_decay=0.9, inner=1e-8),
    "adam": ADAM,
    "adamw": ADAM,
}


def update_coefficients(
    name: str, learning_rate: Number, weight_decay: Number = 0.0
) -> UpdateCoefficients:
    """The numbers of an optimizer of `dl_jax.optim`, with its default decays.

    Raises:
        UsageError: the name is unknown.
    """
    check_choice("optimizer", name, NUMBERS)
    return NUMBERS[name]._replace(learning_rate=learning_rate, weight_decay=weight_decay)


def general_optimizer(numbers: UpdateCoefficients) -> optax.GradientTransformation:
    """The optimizer that these numbers make; they may be traced, and differ from run to run.

        columns = [jnp.array(column) for column in zip(*rows)]       # of UpdateCoefficients
        optimizer = general_optimizer(UpdateCoefficients(*(column[which] for column in columns)))

    The sources are those of the optimizers, in `dl_jax.optim.optimizers`.
    """
    decay, rho = numbers.decay, numbers.square_decay

    def init(params: Tree) -> Moments:
        return Moments(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def direction(gradient: Tree, memory: Moments, t: Array) -> tuple[Tree, Moments]:
        mean = jax.tree.map(lambda m, g: decay * m + numbers.gain * g, memory.mean, gradient)
        square = jax.tree.map(lambda s, g: rho * s + (1 - rho) * g**2, memory.square, gradient)
        mean_scale = jnp.where(numbers.corrected, 1 - decay**t, 1.0)
        square_scale = jnp.where(numbers.corrected, 1 - rho**t, 1.0)

        def toward(g: Array, m: Array, s: Array) -> Array:
            n = jnp.where(numbers.nesterov, g + decay * m, m / mean_scale)
            root = jnp.sqrt(s / square_scale + numbers.inner) + numbers.outer
            return jnp.where(numbers.adaptive, n / root, n)

        return jax.tree.map(toward, gradient, mean, square), Moments(mean, square)

    rule = Rule(init, direction)
    return descent(rule, numbers.learning_rate, weight_decay=numbers.weight_decay)


OPTIMIZERS = {  # learning rate and weight decay
    "sgd": (0.1, 0.0),
    "momentum": (0.02, 0.0),
    "nesterov": (0.02, 0.0),
    "rmsprop": (1e-3, 0.0),
    "adam": (2e-3, 0.0),
    "adamw": (2e-3, 0.1),
}


def small(key, shape):
    """Normal with deviation 0.01, as was usual before anyone did the sum."""
    return 0.01 * jax.random.normal(key, shape)


INITIALIZERS = {
    "small": small,
    "xavier_uniform": functional.xavier_uniform,
    "lecun_normal": functional.lecun_normal,
    "he_normal": functional.he_normal,
    "orthogonal": functional.orthogonal,
}


@dataclass(frozen=True)
class Config:
    """Optimizers, initializers and depths in one sweep."""

    depths: tuple[int, ...] = (2, 8)
    """Hidden layers."""
    width: int = 64
    """Units of each hidden layer."""
    in_turn: bool = False
    """Train the same runs one after the other, each compiled on its own."""
    dataset: str = "digits"
    """`digits` (comes with the installation), or the TFDS name of a dataset such as `mnist`."""
    fit: FitConfig = FitConfig(epochs=15, batch_size=64, stop_on_nonfinite=False)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_range("depths", min(self.depths, default=0), low=1)
        if len(set(self.depths)) < len(self.depths):
            raise UsageError(f"depths are {self.depths}, expected each once")
        check_range("width", self.width, low=1)


def chosen(index: Any, branches: Sequence[Callable], *operands: Any) -> Any:
    """Branch `index`; where that is traced, it may differ from run to run."""
    if isinstance(index, int):
        return branches[index](*operands)
    return jax.lax.switch(index, branches, *operands)


def deep(
    inputs: int, width: int, deepest: int, classes: int, depth: Any, initializer: Any
) -> Model:
    """`depth` hidden layers of tanh, of `deepest` that the parameters have room for."""
    branches = list(INITIALIZERS.values())

    def layer(key, fan_in, units):
        def make(initial: Callable) -> Callable:
            return lambda key: initial(key, (fan_in, units))

        kernel = chosen(initializer, [make(initial) for initial in branches], key)
        return {"kernel": kernel, "bias": jnp.zeros(units)}

    def init(key):
        keys = jax.random.split(key, deepest + 1)
        sizes = [inputs, *[width] * deepest]
        params = {f"dense{i + 1}": layer(keys[i], sizes[i], width) for i in range(deepest)}
        return {**params, "head": layer(keys[-1], width, classes)}, {}

    def apply(params, state, inputs, *, train, key=None):
        del train, key
        x = inputs.reshape(inputs.shape[0], -1)
        for i in range(1, deepest + 1):
            if isinstance(depth, int) and i > depth:
                break
            y = tanh(dense(x, **params[f"dense{i}"]))
            x = y if i == 1 else jnp.where(i <= depth, y, x)
        return dense(x, **params["head"]), state

    return Model(init, apply)


def magnitudes(
    data: Any, width: int, depth: int, initial: Callable
) -> tuple[np.ndarray, np.ndarray]:
    """Deviation of activations and of their cotangents, layer by layer, before training."""
    batch = data["train"].batch(np.arange(256))
    x = standardize(*image_statistics(data["train"]))(jnp.asarray(batch["image"]))
    x = x.reshape(256, -1)
    keys = jax.random.split(jax.random.key(0), depth + 1)
    sizes = [x.shape[-1], *[width] * depth]
    kernels = [initial(k, (n, width)) for k, n in zip(keys, sizes[:-1], strict=False)]
    head = initial(keys[-1], (width, data["train"].num_classes))

    def loss(offsets):
        """Offsets of zero, added to each activation: their gradients are the cotangents."""
        y, activations = x, []
        for kernel, offset in zip(kernels, offsets, strict=True):
            y = tanh(y @ kernel) + offset
            activations.append(y)
        return cross_entropy(y @ head, jnp.asarray(batch["label"])).mean(), activations

    zeros = [jnp.zeros((256, width))] * depth
    cotangents, activations = jax.grad(loss, has_aux=True)(zeros)
    return (
        np.array([float(a.std()) for a in activations]),
        np.array([float(g.std()) for g in cotangents]),
    )


def main(config: Config) -> None:
    """Sweep and draw."""
    data = load_splits(config.dataset, config.run.data_dir)
    train = data["train"]
    inputs, classes = int(np.prod(train.image_shape)), train.num_classes

    def make_learner(optimizer, initializer, depth):
        model = deep(inputs, config.width, max(config.depths), classes, depth, initializer)
        model = with_preprocessing(model, standardize(*image_statistics(train)))
        if isinstance(optimizer, int):
            name, (rate, decay) = list(OPTIMIZERS.items())[optimizer]
            options = {"weight_decay": decay} if decay else {}
            return supervised(model, cross_entropy, getattr(optim, name)(rate, **options))
        rows = [update_coefficients(name, *values) for name, values in OPTIMIZERS.items()]
        numbers = [jnp.array(column)[optimizer] for column in zip(*rows, strict=True)]
        return supervised(model, cross_entropy, general_optimizer(UpdateCoefficients(*numbers)))

    grid = product(
        {
            "depth": list(config.depths),
            "optimizer": list(range(len(OPTIMIZERS))),
            "initializer": list(range(len(INITIALIZERS))),
        }
    )
    runs, size = len(grid["depth"]), config.fit.evaluation_batch_size
    run = open_run("optimizers_and_initializers", config, config.run)
    if config.in_turn:
        learners = {
            f"run {i}": make_learner(**{name: int(values[i]) for name, values in grid.items()})
            for i in range(runs)
        }
        fitted = fit_each(learners, data, config.fit, run)
        accuracy = np.array(
            [
                make_evaluate(learner, size)(fitted[name].best, data["test"]).means()["accuracy"]
                for name, learner in learners.items()
            ]
        )
        seconds = sum(each.seconds for each in fitted.values())
    else:
        sweep = over_hyperparameters(make_learner, grid)
        result = fit(sweep, data, config.fit, run)
        accuracy = make_evaluate(sweep, size)(result.best, data["test"]).means()["accuracy"]
        seconds = result.seconds

    table = accuracy.reshape(len(config.depths), len(OPTIMIZERS), len(INITIALIZERS))
    tables = {f"{d} hidden layers": table[i] for i, d in enumerate(config.depths)}
    deepest = max(config.depths)
    sizes = {
        name: magnitudes(data, config.width, deepest, initial)
        for name, initial in INITIALIZERS.items()
    }
    layers = np.arange(1, deepest + 1)
    summary = {
        "test": {
            name: {
                optimizer: dict(zip(INITIALIZERS, row.tolist(), strict=True))
                for optimizer, row in zip(OPTIMIZERS, values, strict=True)
            }
            for name, values in tables.items()
        }
    }
    write_result(run, summary, seconds)
    save_figures(
        run,
        {
            "accuracies": lambda: plots.heat_maps(
                tables, list(OPTIMIZERS), list(INITIALIZERS), value="test accuracy"
            ),
            "activations": lambda: plots.named_lines(
                {name: (layers, a[None]) for name, (a, _) in sizes.items()},
                x="layer",
                y="deviation of the activations",
                log_scale=True,
            ),
            "gradients": lambda: plots.named_lines(
                {name: (layers, g[None]) for name, (_, g) in sizes.items()},
                x="layer",
                y="deviation of the loss's gradients",
                log_scale=True,
            ),
        },
    )
    for name, values in tables.items():
        at = np.unravel_index(values.argmax(), values.shape)
        print(f"{name}: best {values.max():.4f} with {list(OPTIMIZERS)[at[0]]} and "
              f"{list(INITIALIZERS)[at[1]]}, worst {values.min():.4f}")  # fmt: skip
    print(f"{runs} runs in {seconds:.1f} s; figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
