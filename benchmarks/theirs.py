"""PyTorch's side: the same networks, with its fused optimizer and its fastest memory format.

Denormal numbers are flushed to zero, as XLA does: PyTorch computes slowly with them.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmarks.harness import Contender
from benchmarks.ours import BATCH, GRAY, Shape, examples

torch.set_flush_denormal(True)


def mlp_module() -> nn.Module:
    """784-512-512-10."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )


def cnn_module() -> nn.Module:
    """Two 3x3 convolutions of 32 filters, a pool and a dense layer, channels last."""
    module = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(14 * 14 * 32, 10),
    )
    return module.to(memory_format=torch.channels_last)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs: int, filters: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The branch's sum with the shortcut."""
        return torch.relu(self.branch(x) + self.shortcut(x))


def resnet18_module() -> nn.Module:
    """ResNet18 with the stem for CIFAR, channels last."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
    ]  # fmt: skip
    inputs = 64
    for filters, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(inputs, filters, stride), BasicBlock(filters, filters, 1)]
        inputs = filters
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


MODULES = {"mlp": mlp_module, "cnn": cnn_module, "resnet18": resnet18_module}


def tensors(
    count: int, streams: tuple[int, ...] = (), shape: Shape = GRAY
) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples that dl_jax trains on, `[*streams, N, channels, rows, columns]`, channels last.

    What is stacked for several networks is in the plain order.
    """
    batch = examples(count, streams, shape)
    images = torch.from_numpy(batch["image"]).movedim(-1, -3)
    if not streams:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.from_numpy(batch["label"]).long()


class Training:
    """A network, its fused Adam, and the step that trains it."""

    def __init__(
        self, make_module: Callable[[], nn.Module], compile_module: bool, dtype: str = "float32"
    ) -> None:
        torch.manual_seed(0)
        self.module = make_module()
        self.optimizer = torch.optim.Adam(self.module.parameters(), lr=1e-3, fused=True)
        self.forward = torch.compile(self.module) if compile_module else self.module
        self.initial = {name: p.detach().clone() for name, p in self.module.named_parameters()}
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16")

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Gradients of a batch, and an update."""
        self.optimizer.zero_grad()
        with self.autocast:
            loss = nn.functional.cross_entropy(self.forward(images), labels)
        loss.backward()
        self.optimizer.step()

    def reset(self) -> None:
        """Fresh parameters and moments, in place: nothing is compiled again."""
        with torch.no_grad():
            for name, parameter in self.module.named_parameters():
                parameter.copy_(self.initial[name])
        clear(self.optimizer)


def clear(optimizer: torch.optim.Optimizer) -> None:
    """Zeros in the place of an optimizer's moments and counts."""
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()


def stepper(
    name: str, make_module: Callable[[], nn.Module], calls: int, compile_module: bool,
    networks: int = 1, *, count: int = BATCH, shape: Shape = GRAY, dtype: str = "float32",
) -> Contender:  # fmt: skip
    """`calls` training steps, of `count` examples, of one network after the other."""
    trainings = [Training(make_module, compile_module, dtype) for _ in range(networks)]
    batch = tensors(count, shape=shape)

    def run() -> None:
        for training in trainings:
            for _ in range(calls):
                training.step(*batch)

    def reset() -> None:
        for training in trainings:
            training.reset()

    return Contender(name, False, run, reset)


def vmapped_stepper(
    name: str, make_module: Callable[[], nn.Module], calls: int, networks: int
) -> Contender:
    """`calls` training steps of all networks at once, each on its own batch: `torch.func`."""
    torch.manual_seed(0)
    modules = [make_module() for _ in range(networks)]
    stacked, _ = torch.func.stack_module_state(modules)  # type: ignore[arg-type]
    parameters = {k: v.detach().clone().requires_grad_() for k, v in stacked.items()}
    initial = {k: v.detach().clone() for k, v in parameters.items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=1e-3, fused=True)
    skeleton = make_module()

    def loss(own: dict[str, Any], images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits = torch.func.functional_call(skeleton, own, (images,))
        return nn.functional.cross_entropy(logits, labels)

    gradients_of = torch.func.vmap(torch.func.grad(loss))
    batch = tensors(BATCH, (networks,))

    def run() -> None:
        for _ in range(calls):
            gradients = gradients_of({k: v.detach() for k, v in parameters.items()}, *batch)
            for key, parameter in parameters.items():
                parameter.grad = gradients[key]
            optimizer.step()

    def reset() -> None:
        with torch.no_grad():
            for key, parameter in parameters.items():
                parameter.copy_(initial[key])
        clear(optimizer)

    return Contender(name, False, run, reset)


def epoch_runner(
    name: str, make_module: Callable[[], nn.Module], count: int, compile_module: bool
) -> Contender:
    """One epoch in a plain loop over preloaded, shuffled tensors."""
    training = Training(make_module, compile_module)
    images, labels = tensors(count)

    def run() -> None:
        order = torch.randperm(count)
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            training.step(images[chosen], labels[chosen])

    return Contender(name, False, run, training.reset)
