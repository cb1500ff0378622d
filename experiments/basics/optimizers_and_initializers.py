"""Every optimizer with every initializer, at several depths: a sweep in one compiled program.

All points of the grid train on the same batches under `vmap`. The optimizers are one update rule
whose coefficients are swept; so are the initializer and the depth (deeper layers are skipped). The
best combination is chosen by validation accuracy and reported with its test accuracy. The standard
deviations of activations and gradients at initialization are drawn layer by layer.
Command: python -m experiments.basics.optimizers_and_initializers
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from dl_jax import functional, optim, plots
from dl_jax.data import ImageData, ImageDataset, image_statistics
from dl_jax.errors import UsageError, check_integer
from dl_jax.functional import cross_entropy, dense, tanh
from dl_jax.learners import Learner, over_hyperparameters, product, supervised
from dl_jax.models import Model, chain, flatten, linear, on_images, standardize
from dl_jax.optim import Moments, UpdateRule, descent
from dl_jax.optim.rules import B1, B2, EPSILON, MOMENTUM
from dl_jax.reports import data_figure, mean_and_std, save_figures, write_result
from dl_jax.runs import Run, RunOptions, launch, open_run
from dl_jax.training import FitConfig, Fitted, fit, fit_each, make_evaluate

MakeLearner = Callable[..., Learner]
Measured = dict[str, np.ndarray]


class UpdateCoefficients(NamedTuple):
    """The coefficients that make an optimizer of the general update rule.

    m = decay * m + gain * g
    s = square_decay * s + (1 - square_decay) * g^2
    m^, s^ = m / (1 - decay^t), s / (1 - square_decay^t)  if bias_corrected, else m, s
    n = g + decay * m  if nesterov, else m^
    d = n / (sqrt(s^ + inner_epsilon) + epsilon)  if adaptive, else n
    theta' = theta - learning_rate * (d + weight_decay * theta)
    """

    learning_rate: float
    weight_decay: float = 0.0
    decay: float = 0.0
    gain: float = 1.0
    nesterov: bool = False
    adaptive: bool = False
    square_decay: float = 0.0
    bias_corrected: bool = False
    inner_epsilon: float = 0.0
    epsilon: float = 0.0


MOMENTUM_SGD = UpdateCoefficients(0.02, decay=MOMENTUM)
ADAM = UpdateCoefficients(
    2e-3, decay=B1, gain=1 - B1, adaptive=True, square_decay=B2, bias_corrected=True,
    epsilon=EPSILON,
)  # fmt: skip
OPTIMIZERS = {
    "sgd": UpdateCoefficients(0.1),
    "momentum": MOMENTUM_SGD,
    "nesterov": MOMENTUM_SGD._replace(nesterov=True),
    "rmsprop": UpdateCoefficients(
        1e-3, adaptive=True, square_decay=MOMENTUM, inner_epsilon=EPSILON
    ),
    "adam": ADAM,
    "adamw": ADAM._replace(weight_decay=0.1),
}


def general_optimizer(coefficients: UpdateCoefficients) -> optax.GradientTransformation:
    """The optimizer with these coefficients, which may be traced.

    Sources: see the optimizers in `dl_jax.optim.optimizers`.
    """
    c = coefficients

    def init(params):
        return Moments(*(jax.tree.map(jnp.zeros_like, params) for _ in range(2)))

    def direction(gradient, moments, t):
        mean = jax.tree.map(lambda m, g: c.decay * m + c.gain * g, moments.mean, gradient)
        square = jax.tree.map(
            lambda s, g: c.square_decay * s + (1 - c.square_decay) * g**2, moments.square, gradient
        )
        mean_scale = jnp.where(c.bias_corrected, 1 - c.decay**t, 1.0)
        square_scale = jnp.where(c.bias_corrected, 1 - c.square_decay**t, 1.0)

        def update(g, m, s):
            numerator = jnp.where(c.nesterov, g + c.decay * m, m / mean_scale)
            root = jnp.sqrt(s / square_scale + c.inner_epsilon) + c.epsilon
            return jnp.where(c.adaptive, numerator / root, numerator)

        return jax.tree.map(update, gradient, mean, square), Moments(mean, square)

    return descent(UpdateRule(init, direction), c.learning_rate, weight_decay=c.weight_decay)


def standard_optimizer(name: str) -> optax.GradientTransformation:
    """The same optimizer from `dl_jax.optim`."""
    rate, decay = OPTIMIZERS[name][:2]
    return getattr(optim, name)(rate, **({"weight_decay": decay} if decay else {}))


def small_normal(key, shape):
    """Normal with standard deviation 0.01, whatever the fan-in."""
    return 0.01 * jax.random.normal(key, shape)


INITIALIZERS = {
    "small_normal": small_normal,
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
    """Train the points of the sweep one after the other, each compiled on its own."""
    data: ImageData = ImageData("digits")
    fit: FitConfig = FitConfig(epochs=15, batch_size=64, stop_on_nonfinite=False)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        for depth in self.depths or (0,):
            check_integer("depths", depth, low=1, high=1000)
        if len(set(self.depths)) < len(self.depths):
            raise UsageError(f"depths are {self.depths}, expected each once")
        check_integer("width", self.width, low=1)


def tanh_network(
    inputs: int, width: int, max_depth: int, classes: int, depth: Any, initializer: Any
) -> Model:
    """An MLP with parameters for `max_depth` hidden layers, of which it uses the first `depth`."""

    def initial(key, shape):
        branches = [partial(initialize, shape=shape) for initialize in INITIALIZERS.values()]
        return jax.lax.switch(initializer, branches, key)

    layers = {
        f"dense{i}": linear(inputs if i == 1 else width, width, kernel_init=initial)
        for i in range(1, max_depth + 1)
    }
    layers["head"] = linear(width, classes, kernel_init=initial)

    def apply(params, state, inputs, *, train, key=None):
        del train, key
        x = flatten(inputs)
        for i in range(1, max_depth + 1):
            if isinstance(depth, int) and i > depth:
                break
            y = tanh(dense(x, **params[f"dense{i}"]))
            x = y if i == 1 else jnp.where(i <= depth, y, x)
        return dense(x, **params["head"]), state

    return Model(chain(layers).init, apply)


def learner_maker(config: Config, train: ImageDataset) -> MakeLearner:
    """`make_learner(depth, optimizer, initializer)`, of indices that may be traced."""
    statistics = image_statistics(train)
    sizes = int(np.prod(train.image_shape)), config.width, max(config.depths), train.num_classes
    columns = [jnp.array(column) for column in zip(*OPTIMIZERS.values(), strict=True)]

    def make_learner(depth: Any, optimizer: Any, initializer: Any) -> Learner:
        if isinstance(optimizer, int):
            update = standard_optimizer(list(OPTIMIZERS)[optimizer])
        else:
            update = general_optimizer(UpdateCoefficients(*(c[optimizer] for c in columns)))
        model = on_images(tanh_network(*sizes, depth, initializer), statistics)
        return supervised(model, cross_entropy, update)

    return make_learner


def train_sweep(
    make_learner: MakeLearner, grid: Mapping, data: Mapping, config: FitConfig, run: Run
) -> tuple[Measured, float]:
    """Metrics of each point by name, and the seconds of training: one compiled program."""
    learner = over_hyperparameters(make_learner, grid)
    fitted = fit(learner, data, config, run)
    return measure(learner, fitted, data, config), fitted.seconds


def train_in_turn(
    make_learner: MakeLearner, grid: Mapping, data: Mapping, config: FitConfig, run: Run
) -> tuple[Measured, float]:
    """As `train_sweep`, but one point after the other, with the optimizers of `dl_jax.optim`."""
    points = zip(*(np.asarray(values).tolist() for values in grid.values()), strict=True)
    learners = {
        f"point {i}": make_learner(**dict(zip(grid, point, strict=True)))
        for i, point in enumerate(points)
    }
    fitted = fit_each(learners, data, config, run)
    each = [measure(learner, fitted[name], data, config) for name, learner in learners.items()]
    seconds = sum(one.seconds for one in fitted.values())
    return {metric: np.array([one[metric] for one in each]) for metric in each[0]}, seconds


def measure(learner: Learner, fitted: Fitted, data: Mapping, config: FitConfig) -> Measured:
    """Metrics of the best parameters of each point; NaN for a point that diverged."""
    evaluate = make_evaluate(learner, config.evaluation_batch_size)
    return {
        f"{split}_{metric}": values
        for split in ("validation", "test")
        for metric, values in evaluate(fitted.best, data[split]).means().items()
    }


def initial_scales(
    train: ImageDataset, width: int, depth: int, initial: Callable
) -> dict[str, np.ndarray]:
    """Standard deviation of activations and of their gradients at initialization, `[1, depth]`."""
    batch = train.take(256).arrays
    images, labels = (jnp.asarray(batch[name][:]) for name in ("image", "label"))
    x = standardize(*image_statistics(train))(images).reshape(len(images), -1)
    *keys, last = jax.random.split(jax.random.key(0), depth + 1)
    sizes = [x.shape[-1], *[width] * (depth - 1)]
    kernels = [initial(k, (n, width)) for k, n in zip(keys, sizes, strict=True)]
    head = initial(last, (width, train.num_classes))

    def loss(offsets):
        """Zeros added to the activations: their gradients are those of the activations."""
        y, activations = x, []
        for kernel, offset in zip(kernels, offsets, strict=True):
            y = tanh(y @ kernel) + offset
            activations.append(y)
        return cross_entropy(y @ head, labels).mean(), activations

    gradients, activations = jax.grad(loss, has_aux=True)([jnp.zeros((len(x), width))] * depth)
    both = {"activations": activations, "gradients": gradients}
    return {name: np.array([[each.std() for each in layers]]) for name, layers in both.items()}


def choose(tables: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The combination with the best validation accuracy (of equal ones, the lowest loss)."""
    accuracy, loss = tables["validation_accuracy"], tables["validation_loss"]
    order = np.lexsort((loss.ravel(), -accuracy.ravel()))  # NaN comes last
    best = np.unravel_index(order[0], accuracy.shape)
    return {
        "optimizer": list(OPTIMIZERS)[best[0]],
        "initializer": list(INITIALIZERS)[best[1]],
        **{metric: float(table[best]) for metric, table in tables.items()},
    }


def by_name(table: np.ndarray, *axes: Sequence[str]) -> Any:
    """Nested dicts of the entries of a table, with None for NaN."""
    if not axes:
        return None if np.isnan(table) else float(table)
    return {name: by_name(row, *axes[1:]) for name, row in zip(axes[0], table, strict=True)}


def main(config: Config) -> None:
    """Train all combinations, choose and draw."""
    data = config.data.load()
    depths = [f"{n} hidden layer{'s' if n > 1 else ''}" for n in config.depths]
    axes = depths, list(OPTIMIZERS), list(INITIALIZERS)
    shape = tuple(len(names) for names in axes)
    grid = product(
        {"depth": config.depths, "optimizer": range(shape[1]), "initializer": range(shape[2])}
    )
    make_learner = learner_maker(config, data["train"])
    run = open_run("optimizers_and_initializers", config, config.run)
    train_all = train_in_turn if config.in_turn else train_sweep
    measured, seconds = train_all(make_learner, grid, data, config.fit, run)

    tables = {metric: values.reshape(shape) for metric, values in measured.items()}
    chosen = {
        depth: choose({metric: table[i] for metric, table in tables.items()})
        for i, depth in enumerate(depths)
    }
    result = {
        "headline": "accuracy",
        "test": {
            k: {"accuracy": mean_and_std(best["test_accuracy"])} for k, best in chosen.items()
        },
        "test_evaluations": 1,
        "chosen": chosen,
        **{metric: by_name(table, *axes) for metric, table in tables.items()},
    }
    write_result(run, result, seconds)

    def heat_maps(metric: str) -> Any:
        panels = dict(zip(depths, tables[metric], strict=True))
        return plots.heat_maps(panels, *axes[1:], value=metric.replace("_", " "))

    layers = np.arange(1, max(config.depths) + 1)
    scales = {
        name: initial_scales(data["train"], config.width, len(layers), initial)
        for name, initial in INITIALIZERS.items()
    }

    def lines(of: str, y: str) -> Any:
        curves = {name: (layers, scale[of]) for name, scale in scales.items()}
        return plots.named_lines(curves, x="layer", y=y, log_scale=True)

    figures = {
        "data": data_figure(data),
        "validation_accuracy": partial(heat_maps, "validation_accuracy"),
        "test_accuracy": partial(heat_maps, "test_accuracy"),
        "activations": partial(lines, "activations", "standard deviation of activations"),
        "gradients": partial(lines, "gradients", "standard deviation of gradients of activations"),
    }
    save_figures(run, figures)
    for depth, best in chosen.items():
        print(
            f"{depth}: {best['optimizer']} with {best['initializer']} is best on validation "
            f"({best['validation_accuracy']:.4f}) and has test accuracy {best['test_accuracy']:.4f}"
        )
    print(f"{np.prod(shape)} points in {seconds:.1f} s; figures and result.json in {run.directory}")


if __name__ == "__main__":
    launch(Config, main)
