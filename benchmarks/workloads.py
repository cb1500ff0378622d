"""What is measured, by subject."""

from collections.abc import Callable

from benchmarks import ours
from benchmarks.harness import Contender, Workload

EPOCH = 60_000


def mlp() -> list[Workload]:
    """MLP 784-512-512-10, batch 128: a step, a whole epoch, eight seeds."""
    step, flops = ours.stepper(ours.learner_of(ours.mlp_model()), calls=20)
    eight, eight_flops = ours.stepper(ours.learner_of(ours.mlp_model(), 8), calls=3)
    return [
        Workload(
            "MLP, 20 steps",
            [Contender("dl_jax", True, step), *_torch_steps("mlp", 20)],
            20 * flops,
            target=1.0,
        ),
        Workload(
            "MLP, epoch of 60,000 resident examples",
            [
                Contender(
                    "dl_jax",
                    True,
                    ours.epoch_runner(ours.learner_of(ours.mlp_model()), EPOCH, compiled_loop=None),
                ),
                *_torch_epochs("mlp", EPOCH),
            ],
            EPOCH // ours.BATCH * flops,
            target=2.0,
        ),
        Workload(
            "MLP, 3 steps of eight seeds",
            [
                Contender("dl_jax, over_seeds", True, eight),
                *_torch_steps("mlp", 3, networks=8),
            ],
            3 * eight_flops,
            target=1.3,
        ),
    ]


def cnn() -> list[Workload]:
    """CNN of mnist_cnn, batch 128: a step, an epoch, four seeds."""
    step, flops = ours.stepper(ours.learner_of(ours.cnn_model()), calls=3)
    four, _ = ours.stepper(ours.learner_of(ours.cnn_model(), 4), calls=1)
    one, _ = ours.stepper(ours.learner_of(ours.cnn_model()), calls=1)
    count = 50 * ours.BATCH
    return [
        Workload(
            "CNN, 3 steps",
            [Contender("dl_jax", True, step), *_torch_steps("cnn", 3)],
            3 * flops,
            target=0.8,
        ),
        Workload(
            "CNN, epoch of 6,400 resident examples",
            [
                Contender(
                    "dl_jax",
                    True,
                    ours.epoch_runner(ours.learner_of(ours.cnn_model()), count, compiled_loop=None),
                ),
                *_torch_epochs("cnn", count),
            ],
            50 * flops,
        ),
        Workload(
            "CNN, step of four seeds",
            [Contender("one seed", False, one), Contender("four seeds", True, four)],
            reads="four seeds / one",
            most=4.6,
        ),
    ]


def loops() -> list[Workload]:
    """Steps called from Python against steps in one compiled loop, for an MLP and a CNN."""
    return [
        Workload(
            f"{name}, {count:,} resident examples",
            [
                Contender(label, looped, ours.epoch_runner(ours.learner_of(model), count, looped))
                for label, looped in (("from Python", False), ("compiled loop", True))
            ],
            reads="from Python / compiled loop",
        )
        for name, model, count in (
            ("MLP", ours.mlp_model(), 12_800),
            ("CNN", ours.cnn_model(), 2 * ours.BATCH),
        )
    ]


def _torch_steps(network: str, calls: int, networks: int = 1) -> list[Contender]:
    from benchmarks import theirs  # PyTorch: slow to import, and not needed to list the subjects

    module = theirs.MODULES[network]
    return [
        Contender(name, False, theirs.stepper(module, calls, compile_module, networks))
        for name, compile_module in (("torch eager", False), ("torch.compile", True))
    ]


def _torch_epochs(network: str, count: int) -> list[Contender]:
    from benchmarks import theirs

    module = theirs.MODULES[network]
    return [
        Contender(name, False, theirs.epoch_runner(module, count, compile_module))
        for name, compile_module in (("torch eager", False), ("torch.compile", True))
    ]


SUBJECTS: dict[str, Callable[[], list[Workload]]] = {"mlp": mlp, "cnn": cnn, "loops": loops}
