"""Convolution, pooling and augmentation of images."""

import jax
import numpy as np
from hypothesis import strategies as st

from dl_jax import functional as f
from tests.functional.harness import Case, Edge, Operation, booleans, sizes, torch

KEY = jax.random.key(0)
flip = jax.jit(lambda x: f.random_horizontal_flip(x, key=KEY))
crop = jax.jit(lambda x, pixels: f.random_crop(x, pixels, key=KEY), static_argnums=1)


# References: loops over pixels.


def pair(value):
    return (value, value) if isinstance(value, int) else tuple(value)


def pads_of(padding, sizes, reaches, strides):
    """`((top, bottom), (left, right))`, as TensorFlow defines SAME and VALID."""
    if padding == "VALID":
        return (0, 0), (0, 0)
    if padding != "SAME":
        return tuple(pair(side) for side in pair(padding))
    totals = [
        max((-(-size // stride) - 1) * stride + reach - size, 0)
        for size, reach, stride in zip(sizes, reaches, strides, strict=True)
    ]
    return tuple((total // 2, (total + 1) // 2) for total in totals)


def reach_of(window, dilation=1):
    return [(taps - 1) * step + 1 for taps, step in zip(window, pair(dilation), strict=True)]


def patches(x, reach, stride, dilation, pads, fill):
    """The patch `[batch, i, j, channels]` that each output pixel sees, by row and column."""
    x = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    (rows, columns), (s, t), (d, e) = reach, pair(stride), pair(dilation)
    return [
        [x[:, p : p + rows : d, q : q + columns : e]
         for q in range(0, x.shape[2] - columns + 1, t)]
        for p in range(0, x.shape[1] - rows + 1, s)
    ]  # fmt: skip


def over_patches(function, patches):
    """`function` of each patch, as an image `[batch, rows, columns, channels]`."""
    return np.stack([np.stack([function(p) for p in row], 1) for row in patches], 1)


def conv2d(x, kernel, bias=0.0, *, stride=1, padding="SAME", dilation=1, groups=1):
    reach = reach_of(kernel.shape[:2], dilation)
    pads = pads_of(padding, x.shape[1:3], reach, pair(stride))
    outputs = []
    for part, own in zip(np.split(x, groups, -1), np.split(kernel, groups, -1), strict=True):
        seen = patches(part, reach, stride, dilation, pads, 0.0)
        outputs.append(over_patches(lambda p, own=own: np.einsum("bijc,ijco->bo", p, own), seen))
    return np.concatenate(outputs, -1) + bias


def conv2d_transpose(x, kernel, bias=0.0, *, stride=1, padding="SAME", dilation=1):
    """Each pixel adds the kernel, turned by 180 degrees, to a canvas that is cut to size."""
    (batch, height, width, _), reach = x.shape, reach_of(kernel.shape[:2], dilation)
    (s, t), (d, e), (rows, columns) = pair(stride), pair(dilation), reach
    full = (height - 1) * s + rows, (width - 1) * t + columns
    canvas = np.zeros((batch, full[0] + s, full[1] + t, kernel.shape[-1]))
    for p in range(height):
        for q in range(width):
            patch = canvas[:, p * s : p * s + rows : d, q * t : q * t + columns : e]
            patch += np.einsum("bc,ijco->bijo", x[:, p, q], kernel[::-1, ::-1])
    if padding == "SAME":
        size = height * s, width * t
        (top, _), (left, _) = pads_of("SAME", size, reach, (s, t))
    elif padding == "VALID":
        size, top, left = (max(full[0], height * s), max(full[1], width * t)), 0, 0
    else:
        (top, bottom), (left, right) = pads_of(padding, None, reach, (s, t))
        size = full[0] - top - bottom, full[1] - left - right
    return canvas[:, top : top + size[0], left : left + size[1]] + bias


def pool(function, fill):
    def pooled(x, window, *, stride=None, padding="VALID"):
        window, stride = pair(window), pair(window if stride is None else stride)
        pads = pads_of(padding, x.shape[1:3], window, stride)
        seen = patches(x, window, stride, 1, pads, fill)
        return over_patches(lambda p: function(p, (1, 2)), seen)

    return pooled


def rearranged(x, function, *options):
    """`function` with pixels taken from where it takes those of an image of numbers."""
    places = np.arange(1.0, x.size + 1, dtype=np.float32).reshape(x.shape)
    return np.concatenate([[0], x.ravel()])[np.asarray(function(places, *options), int)]


# PyTorch has channels first, and kernels `[out, in, height, width]`.


def permuted(x, *axes):
    """A copy: PyTorch's gradients of convolutions need it contiguous."""
    return x.permute(axes).clone(memory_format=torch.contiguous_format)


def nchw(function):
    return lambda x, *a, **options: permuted(
        function(permuted(x, 0, 3, 1, 2), *a, **options), 0, 2, 3, 1
    )


def padded_in_torch(x, padding, window, stride, dilation=1, fill=0.0):
    """Padded by hand: PyTorch knows no padding that differs from side to side."""
    pads = pads_of(padding, x.shape[2:], reach_of(window, dilation), pair(stride))
    return torch.nn.functional.pad(x, (*pads[1], *pads[0]), value=fill)


@nchw
def conv2d_in_torch(x, kernel, bias=None, *, padding, **options):
    x = padded_in_torch(x, padding, kernel.shape[:2], options["stride"], options["dilation"])
    return torch.nn.functional.conv2d(x, permuted(kernel, 3, 2, 0, 1), bias, **options)


@nchw
def conv2d_transpose_in_torch(x, kernel, bias=None, **options):
    turned = permuted(kernel.flip(0, 1), 2, 3, 0, 1)
    return torch.nn.functional.conv_transpose2d(x, turned, bias, **options)


@nchw
def max_pool_in_torch(x, *, window, stride=None, padding="VALID"):
    stride = window if stride is None else stride
    x = padded_in_torch(x, padding, pair(window), stride, fill=-np.inf)
    return torch.nn.functional.max_pool2d(x, window, stride)


@nchw
def avg_pool_in_torch(x, *, window, stride=None, padding="VALID"):
    stride = window if stride is None else stride
    x = padded_in_torch(x, padding, pair(window), stride)
    return torch.nn.functional.avg_pool2d(x, window, stride)


# Cases.

strides = st.sampled_from(((2, 1), 1, 2, (1, 3), 3))
dilations = st.sampled_from(((1, 2), 1, 2, (3, 1)))
paddings = st.sampled_from(("SAME", "VALID", 1, (2, 0), ((0, 2), (1, 0)), ((1, 0), (2, 3))))
windows = st.tuples(st.sampled_from((3, 2, 1, 4)), st.sampled_from((2, 1, 3)))


def convolution_case(draw, random):
    """Images of one to three channels take the path of patches, wider ones do not."""
    window, dilation = draw(windows), draw(dilations)
    groups, per_group = draw(st.sampled_from(((1, 3), (1, 5), (2, 2), (1, 1), (3, 2), (1, 4))))
    size = [reach + draw(st.integers(0, 4).map(lambda less: 4 - less))
            for reach in reach_of(window, dilation)]  # fmt: skip
    outputs = groups * draw(st.sampled_from((2, 1, 3)))
    operands = [
        random.normal(size=(draw(st.sampled_from((2, 1))), *size, groups * per_group)),
        random.normal(size=(*window, per_group, outputs)),
        random.normal(size=outputs),
    ]
    return Case(
        *operands[: 3 if draw(booleans) else 2],
        stride=draw(strides), padding=draw(paddings), dilation=dilation, groups=groups,
    )  # fmt: skip


def halving_case(draw, random):
    """Kernels of 4x4 with stride 2 take the path of blocks where the padded image is even."""
    height, width, channels = draw(st.sampled_from(((6, 8, 5), (4, 6, 2), (7, 6, 4), (8, 4, 1))))
    return Case(
        random.normal(size=(2, height, width, channels)),
        random.normal(size=(4, 4, channels, draw(st.sampled_from((3, 2))))),
        stride=2, padding=draw(st.sampled_from(("SAME", 1, "VALID", ((2, 0), (1, 3))))),
        dilation=1, groups=1,
    )  # fmt: skip


def transpose_case(paddings):
    def case(draw, random):
        inputs, outputs = draw(st.sampled_from((3, 5, 1))), draw(st.sampled_from((4, 2)))
        x = random.normal(size=(2, draw(st.sampled_from((4, 3))), draw(sizes) + 2, inputs))
        kernel = random.normal(size=(*draw(windows), inputs, outputs))
        return Case(
            x, kernel, random.normal(size=outputs),
            stride=draw(strides), padding=draw(paddings), dilation=draw(dilations),
        )  # fmt: skip

    return case


def images_without_ties(draw, random, channels=2):
    shape = 1, draw(st.integers(6, 9)), draw(st.integers(5, 8)), channels
    return (random.permutation(np.prod(shape)) - 70.0).reshape(shape)


def pooling_case(draw, random):
    window = draw(st.sampled_from((2, (3, 2), 3, (1, 4), (4, 3))))
    stride = draw(st.sampled_from((None, (1, 2), 2, 3, (2, 1))))
    paddings = ["VALID", "SAME", ((1, 0), (0, 1))][: 2 if 1 in pair(window) else 3]
    x = images_without_ties(draw, random)
    return Case(x, window=window, stride=stride, padding=draw(st.sampled_from(paddings)))


# Edges.


def image(values, *shape):
    return np.asarray(values, float).reshape(1, *shape, 1)


def convolution_edge(shape, window, **options):
    random = np.random.default_rng(0)
    return Edge(Case(random.normal(size=shape), random.normal(size=window), **options))


CONVOLUTION = {
    f"{name}, {channels} channels": convolution_edge(
        (*shape, channels), (*window, channels, 2), **options
    )
    for channels in (2, 4)
    for name, shape, window, options in (
        ("one pixel", (1, 1, 1), (1, 1), {}),
        ("a kernel larger than the image", (1, 2, 2), (4, 4), {}),
        ("pixels that no output sees", (2, 6, 5), (1, 1), {"stride": 4}),
        ("no images", (0, 4, 4), (3, 3), {"padding": 1}),
        ("outputs that see padding alone", (1, 3, 3), (2, 2), {"padding": 5}),
    )
}
lowest = np.finfo(np.float32).min
first = image([1, 0, 0, 0], 2, 2)
POOLING = {
    "ties": Edge(Case(np.zeros((1, 2, 4, 1))), gradients=(np.concatenate([first, first], 2),)),
    "a tie of the last two": Edge(Case(image([0, 1, 2, 2], 2, 2)), image([2], 1, 1),
                                  (image([0, 0, 1, 0], 2, 2),)),
    **{f"nan at {place}": Edge(
        Case(image(np.where(np.arange(4) == place, np.nan, np.arange(4)), 2, 2)),
        image([np.nan], 1, 1),
    ) for place in range(4)},
    "padding is never the maximum": Edge(
        Case(np.full((1, 3, 3, 1), lowest), window=2, padding=1), np.full((1, 2, 2, 1), lowest),
        (image([1, 1, 0, 1, 1, 0, 0, 0, 0], 3, 3),),
    ),
    "one pixel": Edge(Case(image([5], 1, 1), window=1)),
    "no images": Edge(Case(np.ones((0, 4, 4, 1)), window=2), np.ones((0, 2, 2, 1))),
}  # fmt: skip

ROWS = {
    "conv2d": Operation(f.conv2d, conv2d, convolution_case, conv2d_in_torch, CONVOLUTION),
    "conv2d of 4x4 with stride 2": Operation(f.conv2d, conv2d, halving_case, conv2d_in_torch),
    "conv2d_transpose": Operation(
        f.conv2d_transpose, conv2d_transpose,
        transpose_case(st.sampled_from(("SAME", "VALID", ((0, 1), (1, 0))))),
        edges={**{f"a stride larger than the kernel, {padding}": convolution_edge(
                   (1, 2, 3, 2), (2, 1, 2, 3), stride=4, padding=padding
               ) for padding in ("SAME", "VALID")},
               "one pixel": Edge(Case(np.ones((1, 1, 1, 2)), np.ones((1, 1, 2, 3)))),
               "no images": Edge(Case(np.ones((0, 4, 4, 1)), np.ones((3, 3, 1, 2))))},
    ),
    "conv2d_transpose with padding": Operation(
        f.conv2d_transpose, conv2d_transpose,
        transpose_case(st.sampled_from((1, 0, (1, 0)))), conv2d_transpose_in_torch,
    ),
    "max_pool": Operation(
        f.max_pool, lambda x, window=2, **options: pool(np.max, -np.inf)(x, window, **options),
        pooling_case, max_pool_in_torch, POOLING,
    ),
    "avg_pool": Operation(
        f.avg_pool, lambda x, window=2, **options: pool(np.mean, 0.0)(x, window, **options),
        pooling_case, avg_pool_in_torch,
        {"padding counts as zeros": Edge(Case(np.ones((1, 2, 2, 1)), window=2, padding=1),
                                         np.full((1, 2, 2, 1), 0.25)),
         "no images": Edge(Case(np.ones((0, 4, 4, 1)), window=2), np.ones((0, 2, 2, 1)))},
    ),
    "global_avg_pool": Operation(
        f.global_avg_pool, lambda x: x.mean((1, 2)),
        lambda draw, random: Case(random.normal(size=(2, draw(sizes), draw(sizes), 3))),
        edges={"no images": Edge(Case(np.ones((0, 4, 4, 1))))},
    ),
    "global_max_pool": Operation(
        f.global_max_pool, lambda x: x.max((1, 2)),
        lambda draw, random: Case(images_without_ties(draw, random, 3)),
        edges={"ties": Edge(Case(np.zeros((1, 2, 2, 1))), np.zeros((1, 1)), (first,))},
    ),
    "random_horizontal_flip": Operation(
        lambda x: f.random_horizontal_flip(x, key=KEY),
        lambda x: rearranged(x, flip),
        lambda draw, random: Case(random.normal(size=(draw(sizes), 2, draw(sizes), 3))),
    ),
    "random_crop": Operation(
        lambda x, pixels: f.random_crop(x, pixels, key=KEY),
        lambda x, pixels: rearranged(x, crop, pixels),
        lambda draw, random: Case(
            random.normal(size=(draw(sizes), 3, draw(sizes), 2)),
            pixels=draw(st.sampled_from((1, 0, 3))),
        ),
    ),
}  # fmt: skip
