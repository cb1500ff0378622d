"""What is measured, by subject."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from benchmarks import ours
from benchmarks.harness import Contender, Workload

EPOCH = 60_000


def mlp() -> list[Workload]:
    """MLP 784-512-512-10, batch 128: a step, a whole epoch, eight seeds."""
    one, eight = ours.learner_of(ours.mlp_model()), ours.learner_of(ours.mlp_model(), 8)
    flops = ours.flops(one)
    return [
        Workload(
            "MLP, 20 steps",
            [ours.stepper("dl_jax", one, 20), *_torch_steps("mlp", 20)],
            20 * flops,
            target=0.95,
        ),
        Workload(
            "MLP, epoch of 60,000 resident examples",
            [ours.epoch_runner("dl_jax", one, EPOCH, None), *_torch_epochs("mlp", EPOCH)],
            EPOCH // ours.BATCH * flops,
            target=1.2,
        ),
        Workload(
            "MLP, 3 steps of eight seeds",
            [
                ours.stepper("dl_jax, over_seeds", eight, 3),
                *_torch_steps("mlp", 3, networks=8),
                _torch_vmap("mlp", 3, networks=8),
            ],
            3 * ours.flops(eight),
            target=1.5,
        ),
    ]


def cnn() -> list[Workload]:
    """CNN of mnist_cnn, batch 128: a step, an epoch, four seeds."""
    one, four = ours.learner_of(ours.cnn_model()), ours.learner_of(ours.cnn_model(), 4)
    flops, count = ours.flops(one), 50 * ours.BATCH
    return [
        Workload(
            "CNN, 3 steps",
            [ours.stepper("dl_jax", one, 3), *_torch_steps("cnn", 3)],
            3 * flops,
            target=0.75,
        ),
        Workload(
            "CNN, epoch of 6,400 resident examples",
            [ours.epoch_runner("dl_jax", one, count, None), *_torch_epochs("cnn", count)],
            50 * flops,
        ),
        Workload(
            "CNN, step of four seeds",
            [
                ours.stepper("one seed", one, 1, ours=False),
                ours.stepper("four seeds", four, 1),
            ],
            reads="four seeds / one",
            most=4.5,
        ),
    ]


def resnet18() -> Iterator[Workload]:
    """ResNet18 on 32x32 pixels, batches of 128 and of 32, in float32 and in bfloat16."""
    for dtype, target in (("float32", 0.95), ("bfloat16", None)):
        learner = ours.learner_of(ours.resnet18_model(dtype))
        for count in (128, 32):
            batch = ours.examples(count, shape=ours.COLOR)
            yield Workload(  # one after the other: all together they would fill the memory
                f"ResNet18, step of {count} in {dtype}",
                [
                    ours.stepper("dl_jax", learner, 1, batches=[batch]),
                    *_torch_steps("resnet18", 1, count=count, shape=ours.COLOR, dtype=dtype),
                ],
                ours.flops(learner, batch),
                target=target,
            )


def recurrent() -> Iterator[Workload]:
    """LSTM, GRU and plain cells on texts of 256 tokens and of real lengths; inference; seeds."""
    from benchmarks.recurrent import recurrent as every

    return every()


def transformer() -> Iterator[Workload]:
    """Training steps of a small GPT, and how compilation grows with depth."""
    from benchmarks.transformers import transformer as every

    return every()


def attention() -> Iterator[Workload]:
    """Causal attention by itself, forward and back, at several lengths."""
    from benchmarks.transformers import attention as every

    return every()


def generation() -> Iterator[Workload]:
    """256 tokens after a prompt of one, by the small GPT."""
    from benchmarks.transformers import generation as every

    return every()


def wgan_gp() -> Iterator[Workload]:
    """WGAN-GP on images of 32x32 pixels: a step of each network, and compilation."""
    from benchmarks.generative import wgan_gp as every

    return every()


def autoencoders() -> Iterator[Workload]:
    """A convolutional autoencoder of MNIST's images."""
    from benchmarks.generative import autoencoders as every

    return every()


def operations() -> list[Workload]:
    """Convolutions, max-pool and batch normalization, alone, with their derivatives."""
    from benchmarks.operations import operations as every

    return every()


def loops() -> list[Workload]:
    """Steps called from Python against steps in one compiled loop, for an MLP and a CNN."""
    return [
        Workload(
            f"{name}, {count:,} resident examples",
            [
                ours.epoch_runner(label, ours.learner_of(model), count, looped, ours=looped)
                for label, looped in (("from Python", False), ("compiled loop", True))
            ],
            reads="from Python / compiled loop",
        )
        for name, model, count in (
            ("MLP", ours.mlp_model(), 12_800),
            ("CNN", ours.cnn_model(), 2 * ours.BATCH),
        )
    ]


def _torch_steps(network: str, calls: int, networks: int = 1, **options: Any) -> list[Contender]:
    from benchmarks import theirs  # PyTorch: slow to import, and not needed to list the subjects

    module = theirs.MODULES[network]
    return [
        theirs.stepper(name, module, calls, compile_module, networks, **options)
        for name, compile_module in (("torch eager", False), ("torch.compile", True))
    ]


def _torch_vmap(network: str, calls: int, networks: int) -> Contender:
    from benchmarks import theirs

    return theirs.vmapped_stepper("torch.func.vmap", theirs.MODULES[network], calls, networks)


def _torch_epochs(network: str, count: int) -> list[Contender]:
    from benchmarks import theirs

    module = theirs.MODULES[network]
    return [
        theirs.epoch_runner(name, module, count, compile_module)
        for name, compile_module in (("torch eager", False), ("torch.compile", True))
    ]


SUBJECTS: dict[str, Callable[[], Iterable[Workload]]] = {
    "mlp": mlp,
    "cnn": cnn,
    "resnet18": resnet18,
    "operations": operations,
    "recurrent": recurrent,
    "transformer": transformer,
    "attention": attention,
    "generate": generation,
    "wgan_gp": wgan_gp,
    "autoencoder": autoencoders,
    "loops": loops,
}
