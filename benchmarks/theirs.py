"""PyTorch's side: the same networks, with its fused optimizer and its fastest memory format."""

from collections.abc import Callable

import torch
from torch import nn

from benchmarks.ours import BATCH, examples


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


MODULES = {"mlp": mlp_module, "cnn": cnn_module}


def tensors(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The examples that dl_jax trains on, as `[N, 1, 28, 28]` in channels-last order."""
    batch = examples(count)
    images = torch.from_numpy(batch["image"]).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=torch.channels_last)
    return images, torch.from_numpy(batch["label"]).long()


def step_function(
    make_module: Callable[[], nn.Module], compile_module: bool
) -> Callable[[torch.Tensor, torch.Tensor], None]:
    """One training step of a new network: gradients, fused Adam."""
    torch.manual_seed(0)
    module = make_module()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=True)
    forward = torch.compile(module) if compile_module else module

    def step(images: torch.Tensor, labels: torch.Tensor) -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(forward(images), labels).backward()
        optimizer.step()

    return step


def stepper(
    make_module: Callable[[], nn.Module], calls: int, compile_module: bool, networks: int = 1
) -> Callable[[], None]:
    """A function that makes `calls` training steps of one network after the other."""
    steps = [step_function(make_module, compile_module) for _ in range(networks)]
    batch = tensors(BATCH)

    def run() -> None:
        for step in steps:
            for _ in range(calls):
                step(*batch)

    return run


def epoch_runner(
    make_module: Callable[[], nn.Module], count: int, compile_module: bool
) -> Callable[[], None]:
    """A function that trains one epoch in a plain loop over preloaded, shuffled tensors."""
    step = step_function(make_module, compile_module)
    images, labels = tensors(count)

    def run() -> None:
        order = torch.randperm(count)
        for start in range(0, count - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            step(images[chosen], labels[chosen])

    return run
