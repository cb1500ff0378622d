"""The same classifier three times: gradients by hand, by jax.grad, and as a Flax module.

One hidden layer, or with --filters convolutions and a max-pool before it. Initial parameters and
batches are the same, so the three losses coincide if all gradients are correct. (They round
differently, and long training amplifies rounding errors.)
Command: python -m experiments.basics.three_ways
"""

from dataclasses import dataclass

from flax import linen

from dl_jax import backprop, plots
from dl_jax.backprop import Op, chain
from dl_jax.data import ImageData, image_statistics
from dl_jax.errors import check_integer
from dl_jax.functional import cross_entropy
from dl_jax.learners import manual_backprop, over_seeds, supervised
from dl_jax.models import cnn, from_linen, mlp, standardize, with_preprocessing
from dl_jax.optim import OptimizerConfig, make_optimizer
from dl_jax.reports import data_figure, report_each
from dl_jax.runs import RunOptions, launch, open_run
from dl_jax.training import FitConfig, fit_each, make_evaluate, metric_curve


@dataclass(frozen=True)
class Config:
    """One network, three ways to compute its gradient."""

    width: int = 64
    """Units of the hidden layer."""
    filters: tuple[int, ...] = ()
    """Filters of 3x3 convolutions before the hidden layer, followed by a 2x2 max-pool; none is an
    MLP."""
    seeds: int = 3
    """Independent replicas of each way, trained side by side in one compiled program."""
    data: ImageData = ImageData("digits")
    optimizer: OptimizerConfig = OptimizerConfig(optimizer="momentum", learning_rate=0.05)
    fit: FitConfig = FitConfig(epochs=10, batch_size=32, log_every=10)
    run: RunOptions = RunOptions()

    def __post_init__(self) -> None:
        check_integer("width", self.width, low=1)
        check_integer("filters", min(self.filters, default=1), low=1)


class FlaxNetwork(linen.Module):
    """The network in Flax."""

    filters: tuple[int, ...]
    width: int
    classes: int

    @linen.compact
    def __call__(self, images):
        """Logits of a batch."""
        x = images
        for c, filters in enumerate(self.filters, 1):
            x = linen.relu(linen.Conv(filters, (3, 3), name=f"conv1_{c}")(x))
        if self.filters:
            x = linen.max_pool(x, (2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        x = linen.relu(linen.Dense(self.width, name="dense1")(x))
        return linen.Dense(self.classes, name="head")(x)


def manual_network(convolutions: int, preprocess) -> Op:
    """The network as a chain of forward and backward passes."""
    layers = {"preprocess": Op(lambda x: (preprocess(x), None), lambda _, g: (g,))}  # no gradient
    for c in range(1, convolutions + 1):
        layers |= {f"conv1_{c}": backprop.conv2d(), f"relu1_{c}": backprop.relu()}
    if convolutions:
        layers["pool"] = backprop.max_pool(2)
    layers |= {"flatten": backprop.flatten(), "dense1": backprop.dense(), "relu": backprop.relu()}
    return chain({**layers, "head": backprop.dense()})


def main(config: Config) -> None:
    """Train three times, compare and draw."""
    data = config.data.load()
    train, statistics = data["train"], image_statistics(data["train"])
    shape, classes, preprocess = train.image_shape, train.num_classes, standardize(*statistics)
    optimizer = make_optimizer(config.optimizer, config.fit.updates(train))

    kind = "cnn" if config.filters else "mlp"
    network = {"input_shape": shape, "num_classes": classes, "widths": (config.width,)}
    network |= {"blocks": [config.filters]} if config.filters else {}
    plain = {"cnn": cnn, "mlp": mlp}[kind](**network)
    flax = from_linen(
        FlaxNetwork(config.filters, config.width, classes), shape, train_argument=None
    )
    flax = flax._replace(init=plain.init)  # the same initial parameters: they have the same names
    manual = manual_network(len(config.filters), preprocess)
    ways = {
        "by hand": manual_backprop(plain.init, manual, backprop.cross_entropy(), optimizer),
        "jax.grad": supervised(with_preprocessing(plain, preprocess), cross_entropy, optimizer),
        "Flax module": supervised(with_preprocessing(flax, preprocess), cross_entropy, optimizer),
    }
    learners = {name: over_seeds(way, config.seeds) for name, way in ways.items()}
    run = open_run("three_ways", config, config.run)
    for name in learners:
        run.part(name).describe(kind, network, statistics=statistics)
    fitted, measured = fit_each(learners, data, config.fit, run), {}
    for name, learner in learners.items():
        evaluate = make_evaluate(learner, config.fit.evaluation_batch_size)
        measured[name] = evaluate(fitted[name].best, data["test"]).means()

    losses = {name: metric_curve(each, "loss", "train") for name, each in fitted.items()}
    reference = losses["jax.grad"][1]
    differences = {name: float(abs(loss - reference).max()) for name, (_, loss) in losses.items()}
    figures = {
        "data": data_figure(data),
        "losses": lambda: plots.named_lines(losses, x="step", y="training loss", log_scale=True),
    }
    report_each(run, fitted, measured, figures, extras={"largest_loss_difference": differences})
    print(f"training losses are within {max(differences.values()):.2g} of jax.grad's")


if __name__ == "__main__":
    launch(Config, main)
