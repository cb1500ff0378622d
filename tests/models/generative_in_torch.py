"""Generators, critics and autoencoders in PyTorch, on parameters and inputs in our layouts."""

import torch
from torch.nn.functional import batch_norm as torch_batch_norm
from torch.nn.functional import conv2d, conv_transpose2d, leaky_relu, linear, relu


def dense(x, kernel, bias=None):
    return linear(x, kernel.T, bias)


def down(x, kernel, bias):
    """A convolution of 4x4 that halves an image."""
    return conv2d(x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1), bias, 2, 1).permute(0, 2, 3, 1)


def up(x, kernel, bias=None):
    """Its transpose; our kernels are rotated."""
    kernel = kernel.flip(0, 1).permute(2, 3, 0, 1)
    return conv_transpose2d(x.permute(0, 3, 1, 2), kernel, bias, 2, 1).permute(0, 2, 3, 1)


def normalized(x, params, state, train):
    mean, var = state["mean"].clone(), state["var"].clone()
    arguments = params["scale"], params["bias"], train, 0.1, 1e-5
    y = torch_batch_norm(x.movedim(-1, 1), mean, var, *arguments).movedim(1, -1)
    if train:
        elements, kept = x[..., 0].numel(), 0.9 * state["var"]
        var = kept + (var - kept) * (elements - 1) / elements
    return y, {"mean": mean, "var": var}


def told(x, params, labels):
    """An embedding of the label behind a vector, or as one more channel."""
    embedding = params["embedding"][labels.long()]
    return torch.cat([x, embedding.reshape(*x.shape[:-1], -1)], -1)


def generator(params, state, x, train):
    new = {}
    if "inputs" in params:
        x = told(x[0], params["inputs"], x[1])
    if "hidden" in params:
        x = relu(dense(x, **params["hidden"]))
    channels = params.get("deconv1", params["head"])["kernel"].shape[2]
    x = dense(x, **params["project"]).reshape(len(x), 4, 4, channels)
    for number in range(8):
        if f"deconv{number}" in params:
            x = up(x, **params[f"deconv{number}"])
        name = f"norm{number}"
        if name in params:
            x, new[name] = normalized(x, params[name], state[name], train)
        if number == 0 or f"deconv{number}" in params:
            x = relu(x)
    return torch.tanh(up(x, **params["head"])), new


def critic(params, state, x, train):
    if "inputs" in params:
        x = told(x[0], params["inputs"], x[1])
    for name in params:
        if name.startswith("conv"):
            x = leaky_relu(down(x, **params[name]), 0.2)
    x = x.flatten(1)
    if "hidden" in params:
        x = leaky_relu(dense(x, **params["hidden"]), 0.2)
    return dense(x, **params["head"])[:, 0], {}


def dense_critic(params, state, x, train):
    x = told(x[0], params["inputs"], x[1])
    return hidden(params, x)[:, 0], {}


def dense_generator(params, state, x, train):
    return hidden(params, x), {}


def hidden(params, x):
    for name in params:
        if name.startswith("dense"):
            x = relu(dense(x, **params[name]))
    return dense(x, **params["head"])


def dense_autoencoder(params, state, x, train):
    y = encoded(params["encoder"], x)
    return decoded(params["decoder"], y).reshape(x.shape), {}


def variational(params, state, x, train):
    y = encoded(params["encoder"], x)
    return decoded(params["decoder"], y[:, : y.shape[1] // 2]).reshape(x.shape), {}


def encoded(params, x):
    y = x.flatten(1)
    for name in ("level1", "level2"):
        y = relu(dense(y, **params[name]["map"]))
    return dense(y, **params["latent"]["map"])


def decoded(params, y):
    y = relu(dense(y, **params["latent"]["map"]))
    y = relu(dense(y, **params["level2"]["map"]))
    return dense(y, **params["level1"]["map"])


def convolutional_autoencoder(params, state, x, train):
    encoder, decoder = params["encoder"], params["decoder"]
    for name in ("level1", "level2"):
        x = relu(down(x, **encoder[name]["map"]))
    y = dense(x.flatten(1), **encoder["latent"]["map"])
    y = relu(dense(y, **decoder["latent"]["map"])).reshape(x.shape)
    return up(relu(up(y, **decoder["level2"]["map"])), **decoder["level1"]["map"]), {}
