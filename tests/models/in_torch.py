"""The models of `test_models.py` in PyTorch, on parameters and images in our layouts."""

from itertools import groupby

import torch
from torch.nn.functional import batch_norm as torch_batch_norm
from torch.nn.functional import conv2d, gelu, linear, max_pool2d, pad, relu

from tests.models.generative_in_torch import (  # noqa: F401
    convolutional_autoencoder,
    critic,
    dense_autoencoder,
    dense_critic,
    dense_generator,
    generator,
    variational,
)
from tests.models.recurrent_in_torch import (  # noqa: F401
    language_model,
    last_of_cells,
    maximum_of_cells,
    mean_embedding,
    mean_of_cells,
    regressor,
)
from tests.models.transformer_in_torch import (  # noqa: F401
    encoder,
    first_transformer_lm,
    seq2seq,
    text_encoder,
    transformer_lm,
)


def mlp(params, state, x, train):
    return _dense_layers(params, x.flatten(1)), {}


def cnn(params, state, x, train):
    names = [name for name in params if name.startswith("conv")]
    for _, block in groupby(names, lambda name: name.split("_")[0]):
        for name in block:
            x = relu(conv(x, **params[name]))
        x = max_pool(x)
    return _dense_layers(params, x.flatten(1)), {}


def nested(params, state, x, train):
    """Convolution, normalization, pool, and a chain of a dense layer and a normalization."""
    new = {"top": {}}
    x = conv(x, **params["conv1"], stride=2)
    x, new["norm1"] = batch_norm(x, params["norm1"], state["norm1"], train, 0.8, 1e-3)
    x = max_pool(relu(x)).flatten(1)
    x = dense(x, **params["top"]["dense"])
    x, new["top"]["norm"] = batch_norm(x, params["top"]["norm"], state["top"]["norm"], train)
    return dense(torch.tanh(x), **params["head"]), new


def residuals(params, state, x, train):
    """Two blocks; the second has a stride, and a convolution and a normalization as shortcut."""
    new = {}
    for name, stride in (("layer1_0", 1), ("layer2_0", 2)):
        own, statistics, after = params[name], state[name], {}
        y = conv(x, **own["conv1"], stride=stride)
        y, after["norm1"] = batch_norm(y, own["norm1"], statistics["norm1"], train)
        y = conv(relu(y), **own["conv2"])
        y, after["norm2"] = batch_norm(y, own["norm2"], statistics["norm2"], train)
        if "shortcut" in own:
            x = conv(x, **own["shortcut"]["conv"], stride=stride)
            before = statistics["shortcut"]["norm"]
            x, norm = batch_norm(x, own["shortcut"]["norm"], before, train)
            after["shortcut"] = {"norm": norm}
        x, new[name] = y + x, after
    return x, new


def dense(x, kernel, bias=None):
    return linear(x, kernel.T, bias)


def conv(x, kernel, bias=None, stride=1):
    """With SAME padding: an odd pixel comes last."""
    margins = []
    for size, width in zip(x.shape[1:3], kernel.shape[:2], strict=True):
        total = max((-(-size // stride) - 1) * stride + width - size, 0)
        margins = [total // 2, total - total // 2, *margins]  # the last axis comes first
    x = pad(x.permute(0, 3, 1, 2), margins)
    return conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride).permute(0, 2, 3, 1)


def max_pool(x):
    return max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)


def batch_norm(x, params, state, train, momentum=0.9, epsilon=1e-5):
    """The output and the running statistics, with the biased variance in place of torch's."""
    mean, var = state["mean"].clone(), state["var"].clone()
    arguments = params["scale"], params["bias"], train, 1 - momentum, epsilon
    y = torch_batch_norm(x.movedim(-1, 1), mean, var, *arguments).movedim(1, -1)
    if train:
        elements, kept = x[..., 0].numel(), momentum * state["var"]
        var = kept + (var - kept) * (elements - 1) / elements
    return y, {"mean": mean, "var": var}


def _dense_layers(params, x):
    for name in params:
        if name.startswith("dense"):
            x = relu(dense(x, **params[name]))
    return dense(x, **params["head"])


def resnet18(params, state, x, train, shortcuts=True):
    """Stages of two basic blocks; the stem is the one that its kernel shows."""
    new, window = {}, len(params["conv1"]["kernel"])
    x = padded_conv(x, **params["conv1"], stride=1 if window == 3 else 2)
    x, new["norm1"] = batch_norm(x, params["norm1"], state["norm1"], train)
    x = relu(x)
    if window == 7:
        x = max_pool2d(x.permute(0, 3, 1, 2), 3, 2, 1).permute(0, 2, 3, 1)
    for name in [name for name in params if name.startswith("layer")]:
        own, statistics, after = params[name], state[name], {}
        inputs, filters = own["conv1"]["kernel"].shape[2:]
        stride = 1 if inputs == filters else 2
        y = padded_conv(x, **own["conv1"], stride=stride)
        y, after["norm1"] = batch_norm(y, own["norm1"], statistics["norm1"], train)
        y = padded_conv(relu(y), **own["conv2"])
        y, after["norm2"] = batch_norm(y, own["norm2"], statistics["norm2"], train)
        x, shortcut = projected(x, own, statistics, stride, train)
        x, new[name] = relu(y + x if shortcuts else y), {**after, **shortcut}
    return dense(x.mean((1, 2)), **params["head"]), new


def plain18(params, state, x, train):
    return resnet18(params, state, x, train, shortcuts=False)


def projected(x, params, state, stride, train):
    """A residual's shortcut: the identity, or a convolution and a normalization."""
    if "shortcut" not in params:
        return x, {}
    x = padded_conv(x, **params["shortcut"]["conv"], stride=stride)
    before = state["shortcut"]["norm"]
    x, norm = batch_norm(x, params["shortcut"]["norm"], before, train)
    return x, {"shortcut": {"norm": norm}}


def wide_resnet(params, state, x, train):
    """Stages of one block each, which changes the shape."""
    new = {}
    x = padded_conv(x, **params["conv1"])
    for name in [name for name in params if name.startswith("layer")]:
        own, statistics, after = params[name], state[name], {}
        stride = 1 if name.startswith("layer1") else 2
        x, after["norm1"] = batch_norm(x, own["norm1"], statistics["norm1"], train)
        x, own, statistics = relu(x), own["block"], statistics["block"]
        y = padded_conv(x, **own["conv1"], stride=stride)
        y, inner = batch_norm(y, own["norm2"], statistics["norm2"], train)
        y = padded_conv(relu(y), **own["conv2"])
        x = y + padded_conv(x, **own["shortcut"], stride=stride)
        new[name] = {**after, "block": {"norm2": inner}}
    x, new["norm1"] = batch_norm(x, params["norm1"], state["norm1"], train)
    return dense(relu(x).mean((1, 2)), **params["head"]), new


def vgg16(params, state, x, train):
    """Blocks of convolutions, and dense layers, without normalization."""
    own = params["features"]
    for _, block in groupby(own, lambda name: name.split("_")[0]):
        for name in block:
            x = relu(padded_conv(x, **own[name]))
        x = max_pool(x)
    x = relu(dense(x.flatten(1), **params["classifier"]["dense1"]))
    return dense(x, **params["head"]), {}


def whitened_cnn(params, state, x, train):
    """The kernel of the first layer is state."""
    new = {"whiten": dict(state["whiten"])}
    kernel = state["whiten"]["kernel"].permute(3, 2, 0, 1)
    x = conv2d(x.permute(0, 3, 1, 2), kernel, params["whiten"]["bias"]).permute(0, 2, 3, 1)
    x = gelu(x)
    for name in [name for name in params if name.startswith("conv")]:
        x = padded_conv(x, **params[name])
        x = max_pool(x) if name.endswith("_1") else x
        norm = name.replace("conv", "norm")
        x, new[norm] = batch_norm(x, params[norm], state[norm], train, momentum=0.6)
        x = gelu(x)
    return dense(x.amax((1, 2)), **params["head"]) / 9, new


def padded_conv(x, kernel, bias=None, stride=1):
    """With half a kernel of padding on all sides."""
    x, window = x.permute(0, 3, 1, 2), kernel.shape[0]
    y = conv2d(x, kernel.permute(3, 2, 0, 1), bias, stride, window // 2)
    return y.permute(0, 2, 3, 1)
