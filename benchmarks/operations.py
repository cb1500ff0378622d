"""Single operations of vision at the shapes of a ResNet18 and a DCGAN, against PyTorch's."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.harness import Contender, Workload
from dl_jax.compilation import jit
from dl_jax.functional import batch_norm, conv2d, conv2d_transpose, max_pool

BATCH = 32
Function = Callable[..., Any]


def operations() -> list[Workload]:
    """All of them, in float32."""
    return [
        *convolutions(64, 64, 1),
        *convolutions(64, 128, 2),
        transposed_convolution(),
        pooling(),
        normalization(),
    ]


def convolutions(inputs: int, filters: int, stride: int, side: int = 32) -> list[Workload]:
    """A 3x3 convolution, and its gradients with respect to the input and to the kernel."""
    x, w = array(BATCH, side, side, inputs), array(3, 3, inputs, filters)
    g = array(BATCH, side // stride, side // stride, filters)
    flops = 2.0 * g.size * 9 * inputs

    def forward(x: Any, w: Any) -> Any:
        return conv2d(x, w, stride=stride, padding=1)

    def to_input(x: Any, w: Any, g: Any) -> Any:
        return jax.vjp(lambda x: forward(x, w), x)[1](g)[0]

    def to_kernel(x: Any, w: Any, g: Any) -> Any:
        return jax.vjp(lambda w: forward(x, w), w)[1](g)[0]

    def their_forward(x: Any, w: Any) -> Any:
        return torch.nn.functional.conv2d(x, w, None, stride, 1)

    def their_gradient(x: Any, w: Any, g: Any, which: int) -> Any:
        wanted = [which == 0, which == 1, False]
        return torch.ops.aten.convolution_backward(
            g, x, w, None, [stride, stride], [1, 1], [1, 1], False, [0, 0], 1, wanted
        )[which]

    name = f"conv2d 3x3, {inputs} to {filters}, stride {stride}"
    images = [images_of(x), kernel_of(w), images_of(g)]
    return [
        against(f"{name}: forward", flops, forward, [x, w], their_forward, images[:2]),
        against(
            f"{name}: to the input", flops, to_input, [x, w, g],
            lambda x, w, g: their_gradient(x, w, g, 0), images,
        ),
        against(
            f"{name}: to the kernel", flops, to_kernel, [x, w, g],
            lambda x, w, g: their_gradient(x, w, g, 1), images,
        ),
    ]  # fmt: skip


def transposed_convolution() -> Workload:
    """4x4 of stride 2, 128 to 64 filters, 8x8 to 16x16 pixels, with both gradients."""
    x, w, g = array(64, 8, 8, 128), array(4, 4, 128, 64), array(64, 16, 16, 64)

    def ours(x: Any, w: Any, g: Any) -> Any:
        y, pull = jax.vjp(lambda x, w: conv2d_transpose(x, w, stride=2), x, w)
        return y, pull(g)

    def theirs(x: Any, w: Any, g: Any) -> Any:
        y = torch.nn.functional.conv_transpose2d(x, w, None, 2, 1)
        return y, torch.autograd.grad(y, (x, w), g)

    kernel = torch.from_numpy(w).permute(2, 3, 0, 1).contiguous().requires_grad_()
    tensors = [images_of(x).requires_grad_(), kernel, images_of(g)]
    flops = 3 * 2.0 * x.size * 16 * 64
    name = "conv2d_transpose 4x4, stride 2: with gradients"
    return against(name, flops, ours, [x, w, g], theirs, tensors, target=1.0)


def pooling() -> Workload:
    """2x2 maxima of 28x28 pixels and 32 features, with the gradient."""
    x, g = array(128, 28, 28, 32), array(128, 14, 14, 32)

    def ours(x: Any, g: Any) -> Any:
        y, pull = jax.vjp(lambda x: max_pool(x, 2), x)
        return y, pull(g)

    def theirs(x: Any, g: Any) -> Any:
        y = torch.nn.functional.max_pool2d(x, 2)
        return y, torch.autograd.grad(y, x, g)

    tensors = [images_of(x).requires_grad_(), images_of(g)]
    return against("max_pool 2x2: with gradient", 0, ours, [x, g], theirs, tensors, target=1.0)


def normalization() -> Workload:
    """Batch normalization in training, 32x32 pixels and 64 features, with all gradients."""
    x, g = array(BATCH, 32, 32, 64), array(BATCH, 32, 32, 64)
    scale, bias, mean, var = (np.ones(64, np.float32) for _ in range(4))

    def ours(x: Any, scale: Any, bias: Any, g: Any) -> Any:
        def normalize(x: Any, scale: Any, bias: Any) -> Any:
            return batch_norm(x, scale=scale, bias=bias, mean=mean, var=var, train=True)

        y, pull, statistics = jax.vjp(normalize, x, scale, bias, has_aux=True)
        return y, pull(g), statistics

    def theirs(x: Any, scale: Any, bias: Any, g: Any) -> Any:
        y = torch.nn.functional.batch_norm(x, *running, scale, bias, training=True)
        return y, torch.autograd.grad(y, (x, scale, bias), g)

    running = [torch.from_numpy(each.copy()) for each in (mean, var)]
    tensors = [
        images_of(x).requires_grad_(),
        *(torch.from_numpy(each.copy()).requires_grad_() for each in (scale, bias)),
        images_of(g),
    ]
    name = "batch_norm: with gradients"
    return against(name, 0, ours, [x, scale, bias, g], theirs, tensors)


def against(
    name: str,
    flops: float,
    ours: Function,
    arrays: Sequence[np.ndarray],
    theirs: Function,
    tensors: Sequence[torch.Tensor],
    *,
    calls: int = 10,
    target: float | None = None,
) -> Workload:
    """`calls` of our function beside as many of theirs, eager and compiled."""
    function, inputs = jit(ours), [jnp.asarray(each) for each in arrays]

    def run() -> None:
        for _ in range(calls):
            jax.block_until_ready(function(*inputs))

    def repeated(function: Function) -> Callable[[], None]:
        def run() -> None:
            for _ in range(calls):
                function(*tensors)

        return run

    contenders = [
        Contender("dl_jax", True, run),
        Contender("torch eager", False, repeated(theirs)),
        Contender("torch.compile", False, repeated(torch.compile(theirs))),
    ]
    return Workload(f"{name}, {calls} times", contenders, calls * flops, target)


def array(*shape: int) -> np.ndarray:
    """Random numbers, the same for both."""
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def images_of(x: np.ndarray) -> torch.Tensor:
    """`[batch, height, width, channels]` as PyTorch has it, channels last in memory."""
    tensor = torch.from_numpy(x).permute(0, 3, 1, 2)
    return tensor.contiguous(memory_format=torch.channels_last)


def kernel_of(w: np.ndarray) -> torch.Tensor:
    """`[height, width, in, out]` as PyTorch has it, channels last in memory."""
    tensor = torch.from_numpy(w).permute(3, 2, 0, 1)
    return tensor.contiguous(memory_format=torch.channels_last)
