"""Chains: against the same written by hand and torch's modules; paths, keys, scopes."""

from functools import partial
from zlib import crc32

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import batch_norm, conv2d, dense, dropout, max_pool, relu
from dl_jax.models import (
    Model,
    chain,
    conv,
    drop,
    features,
    flatten,
    from_function,
    linear,
    norm,
)
from tests.models.randomized import randomized

KEY = jax.random.key(7)
IMAGES = jnp.asarray(np.random.default_rng(0).normal(1, 2, (6, 9, 8, 2)), jnp.float32)


def named(key, name):
    return jax.random.fold_in(key, crc32(name.encode()))


def network():
    return chain(
        {
            "conv1": conv(2, 4, stride=2, padding=1),
            "norm1": norm(4, momentum=0.8, epsilon=1e-3),
            "relu1": relu,
            "pool1": partial(max_pool, window=2),
            "flatten": flatten,
            "drop1": drop(0.4),
            "top": chain({"dense": linear(16, 5, bias=False), "norm": norm(5), "tanh": jnp.tanh}),
            "head": linear(5, 3),
        }
    )


def by_hand(params, state, x, *, train, key):
    new = {"top": {}}
    x = conv2d(x, **params["conv1"], stride=2, padding=1)
    x, new["norm1"] = batch_norm(
        x, **params["norm1"], **state["norm1"], train=train, momentum=0.8, epsilon=1e-3
    )
    x = max_pool(relu(x), 2)
    x = x.reshape(x.shape[0], -1)
    if train:
        x = dropout(x, 0.4, key=named(key, "drop1"))
    x = dense(x, **params["top"]["dense"])
    x, new["top"]["norm"] = batch_norm(
        x, **params["top"]["norm"], **state["top"]["norm"], train=train
    )
    return dense(jnp.tanh(x), **params["head"]), new


def value_and_gradients(apply, train):
    """Output and state, and the gradients of a random sum, at random parameters and statistics."""
    params, state = randomized(jax.eval_shape(network().init, jax.random.key(0)))

    def loss(params, x):
        output, new = apply(params, state, x, train=train, key=KEY)
        return (output * jnp.arange(18.0).reshape(6, 3)).sum(), (output, new)

    return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, IMAGES)


@pytest.mark.parametrize("train", [False, True])
def test_equals_the_same_written_by_hand(train):
    actual = value_and_gradients(network().apply, train)
    expected = value_and_gradients(by_hand, train)
    chex.assert_trees_all_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("train", [False, True])
def test_equals_modules_of_torch(train):
    torch = pytest.importorskip("torch")
    model = network()
    params, state = randomized(jax.eval_shape(model.init, jax.random.key(0)))
    ours = value_and_gradients(model.apply, train)
    (_, (output, new)), (gradients, input_gradient) = ours
    dropped = features(model, ["drop1"]).apply(params, state, IMAGES, train=train, key=KEY)[0]

    class Dropout(torch.nn.Module):
        """Torch's own, with the elements that ours has dropped."""

        def forward(self, x):
            x = x.permute(0, 2, 3, 1).flatten(1)
            mask = torch.tensor(np.asarray(dropped["drop1"]) != 0)
            # Where relu gave zero, either is right.
            return x * mask / (1 - 0.4) if self.training else x

    modules = {
        "conv1": torch.nn.Conv2d(2, 4, 3, stride=2, padding=1),
        "norm1": torch.nn.BatchNorm2d(4, momentum=0.2, eps=1e-3),
        "relu1": torch.nn.ReLU(),
        "pool1": torch.nn.MaxPool2d(2),
        "drop1": Dropout(),
        "top": torch.nn.Sequential(
            torch.nn.Linear(16, 5, bias=False), torch.nn.BatchNorm1d(5), torch.nn.Tanh()
        ),
        "head": torch.nn.Linear(5, 3),
    }
    paired = [  # a module, its parameters, gradients and statistics of ours
        (modules[name], params[name], gradients[name], state.get(name), new.get(name))
        for name in ("conv1", "norm1", "head")
    ] + [
        (modules["top"][i], params["top"][name], gradients["top"][name],
         state["top"].get(name), new["top"].get(name))
        for i, name in enumerate(("dense", "norm"))
    ]  # fmt: skip

    def to_torch(leaf):
        axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[leaf.ndim]
        return torch.tensor(np.asarray(leaf).transpose(axes))

    def weights(own):
        return {"weight": own.get("kernel", own.get("scale")), "bias": own.get("bias")}

    for module, own, _, statistics, _ in paired:
        for name, leaf in weights(own).items():
            if leaf is not None:
                getattr(module, name).data = to_torch(leaf)
        if statistics:
            module.running_mean.copy_(to_torch(statistics["mean"]))
            module.running_var.copy_(to_torch(statistics["var"]))
    theirs = torch.nn.Sequential(*modules.values()).train(train)
    x = torch.tensor(np.asarray(IMAGES).transpose(0, 3, 1, 2), requires_grad=True)
    expected = theirs(x)
    (expected * torch.arange(18.0).reshape(6, 3)).sum().backward()

    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-3)
    close(output, expected.detach(), atol=1e-5)
    close(input_gradient.transpose(0, 3, 1, 2), x.grad)
    for module, _, gradient, before, after in paired:
        for name, leaf in weights(gradient).items():
            if leaf is not None:
                close(to_torch(leaf), getattr(module, name).grad)
        if before is None:
            continue
        close(after["mean"], module.running_mean, atol=1e-6)
        # Torch's running variance is the unbiased one: of n - 1.
        elements, kept = (6 * 5 * 4, 0.8) if module is modules["norm1"] else (6, 0.9)
        ours = after["var"] - kept * before["var"] if train else after["var"]
        scale = elements / (elements - 1) if train else 1
        theirs = module.running_var - (kept * to_torch(before["var"]) if train else 0)
        close(ours * scale, theirs, atol=1e-5)


def test_parameters_and_state_are_nested_dicts_of_what_has_any():
    params, state = network().init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, params) == {
        "conv1": {"kernel": (3, 3, 2, 4), "bias": (4,)},
        "norm1": {"scale": (4,), "bias": (4,)},
        "top": {"dense": {"kernel": (16, 5)}, "norm": {"scale": (5,), "bias": (5,)}},
        "head": {"kernel": (5, 3), "bias": (3,)},
    }
    statistics = {
        "norm1": {"mean": (4,), "var": (4,)},
        "top": {"norm": {"mean": (5,), "var": (5,)}},
    }
    assert jax.tree.map(jnp.shape, state) == statistics
    for train in (False, True):
        after = network().apply(params, state, IMAGES, train=train, key=KEY)[1]
        assert jax.tree.map(jnp.shape, after) == statistics


def test_initial_values_of_a_layer_depend_on_its_name_alone():
    first = chain({"a": linear(4, 4), "b": linear(4, 4)}).init(KEY)[0]
    layers = {"new": linear(4, 4), "b": linear(4, 4), "relu": relu, "a": linear(4, 4)}
    second = chain(layers).init(KEY)[0]
    chex.assert_trees_all_equal(first, {name: second[name] for name in first})
    kernels = [np.asarray(layer["kernel"]) for layer in second.values()]
    assert not any(np.array_equal(kernels[i], kernels[j]) for i in range(3) for j in range(i))
    expected = linear(4, 4).init(named(KEY, "a"))[0]
    chex.assert_trees_all_equal(first["a"], expected)


def test_draws_of_a_layer_depend_on_its_name_alone():
    ones = jnp.ones((8, 8))
    alone = chain({"drop1": drop(0.5)}).apply({}, {}, ones, train=True, key=KEY)[0]
    layers = {"drop2": drop(0.5), "fill": jnp.ones_like, "drop1": drop(0.5)}
    after = features(chain(layers), ["drop1", "drop2"])
    found = after.apply({}, {}, ones, train=True, key=KEY)[0]
    np.testing.assert_array_equal(found["drop1"], alone)
    assert not np.array_equal(found["drop2"], alone)


def test_layers_have_scopes_of_their_names():
    model = chain({"block": chain({"dense1": linear(4, 3)}), "relu1": relu})
    params, _ = model.init(KEY)
    apply = jax.jit(lambda params, x: model.apply(params, {}, x, train=False)[0])
    text = apply.lower(params, jnp.ones((2, 4))).as_text(debug_info=True)
    assert "block/dense1/" in text
    assert "/relu1/" in text


def test_later_changes_of_the_dict_change_nothing():
    layers = {"double": from_function(lambda x: 2 * x)}
    model = chain(layers)
    layers["more"] = from_function(lambda x: x + 1)
    assert model.apply({}, {}, 3.0, train=False)[0] == 6
    with pytest.raises(TypeError):
        model.layers["more"] = model.layers["double"]


def test_a_model_has_no_layers_and_no_stepper_unless_given():
    model = Model(lambda key: ({}, {}), lambda *_, **__: (None, {}))
    assert (dict(model.layers), model.stepper) == ({}, None)
    with pytest.raises(TypeError):
        model.layers["a"] = model
