"""The models of `test_models.py` in PyTorch, on parameters and images in our layouts."""

from itertools import groupby

import torch
from torch.nn.functional import batch_norm as torch_batch_norm
from torch.nn.functional import conv2d, linear, max_pool2d, pad, relu


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
