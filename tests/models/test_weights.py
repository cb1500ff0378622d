"""Weights from PyTorch and back: a module's file gives its logits, and ours fills the module."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import chex
import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dl_jax.errors import UsageError
from dl_jax.models import load_weights, resnet18, resnet34, save_weights, vgg16

SMALL = partial(resnet18, 5, width=4)
IMAGES = np.random.default_rng(0).normal(size=(2, 64, 64, 3)).astype(np.float32)
CASES = {  # architecture, torch's module, ours
    "resnet18": ("resnet18", {"width": 4}, SMALL),
    "resnet18 for ImageNet": (
        "resnet18", {"width": 4, "stem": "imagenet"}, partial(SMALL, stem="imagenet"),
    ),
    "resnet34": ("resnet34", {"width": 4, "blocks": (3, 4, 6, 3)}, partial(resnet34, 5, width=4)),
    "vgg16": (
        "vgg16", {"side": 2, "hidden": (6, 4)},
        partial(vgg16, 5, input_shape=(64, 64, 3), classifier=(6, 4)),
    ),
    "vgg16 with normalization, no hidden layers": (
        "vgg16", {"side": 2, "hidden": (), "batch_norm": True},
        partial(vgg16, 5, input_shape=(64, 64, 3), classifier=(), batch_norm=True),
    ),
}  # fmt: skip


def initial(model):
    return jax.tree.map(np.asarray, model.init(jax.random.key(0)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A file of a small ResNet18."""
    path = tmp_path / "ours.safetensors"
    save_weights(path, "resnet18", *initial(SMALL()))
    return path


def changed(path: Path, **tensors) -> Path:
    """The file with some tensors replaced, or left out where None."""
    found = {**load_file(path), **{name.replace("__", "."): t for name, t in tensors.items()}}
    other = path.with_name("changed.safetensors")
    save_file({name: np.ascontiguousarray(t) for name, t in found.items() if t is not None}, other)
    return other


@pytest.mark.parametrize("case", CASES)
def test_a_module_of_torch_and_ours_give_the_same_logits_both_ways(tmp_path: Path, case: str):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    from tests.models.torch_modules import VGG16, ResNet, randomize

    architecture, options, make = CASES[case]
    module_of = partial(VGG16 if architecture == "vgg16" else ResNet, 5, **options)
    module = randomize(module_of())
    save_torch(module.state_dict(), tmp_path / "theirs.safetensors")
    params, state = load_weights(architecture, tmp_path / "theirs.safetensors")
    model = make()
    logits = jax.jit(partial(model.apply, train=False))(params, state, IMAGES)[0]
    theirs = module(torch.tensor(IMAGES.transpose(0, 3, 1, 2)))
    np.testing.assert_allclose(logits, theirs.detach(), rtol=1e-3, atol=1e-4)
    assert np.abs(theirs.detach().numpy()).max() > 0.01

    save_weights(tmp_path / "ours.safetensors", architecture, params, state)
    filled = randomize(module_of(), seed=1)
    filled.load_state_dict(load_torch(tmp_path / "ours.safetensors"))
    for a, b in zip(filled.parameters(), module.parameters(), strict=True):
        assert torch.equal(a, b)
    again = load_weights(architecture, tmp_path / "ours.safetensors")
    chex.assert_trees_all_equal(again, (params, state))


def test_the_spelling_of_timm(tmp_path: Path):
    """Its VGG16 has dense layers as convolutions, under names of their own."""
    model = vgg16(5, input_shape=(64, 64, 3), classifier=(6, 4))
    params, state = initial(model)
    save_weights(tmp_path / "a.safetensors", "vgg16", params, state)
    tensors = load_file(tmp_path / "a.safetensors")
    for ours, theirs in (("0", "pre_logits.fc1"), ("3", "pre_logits.fc2"), ("6", "head.fc")):
        tensors[f"{theirs}.bias"] = tensors.pop(f"classifier.{ours}.bias")
        kernel = tensors.pop(f"classifier.{ours}.weight")
        side = 2 if ours == "0" else 1
        as_convolution = kernel.reshape(len(kernel), -1, side, side)
        tensors[f"{theirs}.weight"] = kernel if ours == "6" else as_convolution
    np.savez(tmp_path / "timm.npz", **tensors)
    chex.assert_trees_all_equal(load_weights("vgg16", tmp_path / "timm.npz"), (params, state))


def test_a_part_may_be_left_out(saved: Path):
    params, state = load_weights("resnet18", saved)
    params.pop("head")
    without = changed(saved, fc__weight=None, fc__bias=None)
    for source in (saved, without):
        found = load_weights("resnet18", source, skip="head/.*")
        chex.assert_trees_all_equal(found, (params, state))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"bn1__bias": None}, "does not fit resnet18: it lacks 'bn1.bias'"),
        ({"extra": np.ones(2)}, "it has 'extra', which resnet18 has not"),
        ({"bn1__bias": None, "extra": np.ones(2)}, "it lacks 'bn1.bias' and it has 'extra'"),
        (
            {"layer1__0__conv2__weight": np.ones((4, 4, 3, 1))},
            "has 'layer1.0.conv2.weight' of shape (4, 4, 3, 1), which is 'layer1_0/conv2/kernel' "
            "of shape (3, 1, 4, 4) here, expected (3, 3, 4, 4)",
        ),
        ({"conv1__weight": None}, "is no resnet18 (there is no 'conv1.weight'): its tensors are"),
        ({"conv1__weight": np.ones(4)}, "is no resnet18 ("),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved: Path, tensors, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        load_weights("resnet18", changed(saved, **tensors))


def test_other_sources_are_refused(saved: Path, tmp_path: Path):
    truncated = tmp_path / "truncated.safetensors"
    truncated.write_bytes(saved.read_bytes()[:-100])
    no_archive = tmp_path / "text.npz"
    no_archive.write_text("no archive")
    pickled = tmp_path / "objects.npz"
    np.savez(pickled, a=np.array([{}], object))
    for source, said in (
        (tmp_path / "model.pt", "is a pickle, which may run any code when loaded: convert it with"),
        (tmp_path / "none.safetensors", "there is no file"),
        ("nothing", "there is no file nothing, expected one that ends in .safetensors or .npz, or"),
        (truncated, "it is damaged, or no .safetensors file"),
        (no_archive, "it is damaged, or no .npz file"),
        (pickled, "Object arrays cannot be loaded"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            load_weights("resnet18", source)
    with pytest.raises(UsageError, match=r"architecture is 'resnet50', expected one of"):
        load_weights("resnet50", saved)
    with pytest.raises(UsageError, match=r"skip is 'fc/.*', which matches none of the paths"):
        load_weights("resnet18", saved, skip="fc/.*")


def test_the_command_that_converts_a_pickle_does(saved: Path, tmp_path: Path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    torch.save(load_torch(saved), tmp_path / "pickled.pt")
    with pytest.raises(UsageError) as refused:
        load_weights("resnet18", tmp_path / "pickled.pt")
    program = str(refused.value).split('python -c "')[1].rstrip('"')
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
    converted = load_weights("resnet18", tmp_path / "pickled.safetensors")
    chex.assert_trees_all_equal(converted, load_weights("resnet18", saved))


@pytest.mark.parametrize("reason", ["no such network", "the package is missing"])
def test_a_network_that_cannot_be_fetched_is_one_sentence(monkeypatch, reason):
    if reason == "the package is missing":
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        said = "for which huggingface_hub is needed: pip install"
    else:
        hub = pytest.importorskip("huggingface_hub")
        monkeypatch.setattr(hub, "hf_hub_download", fail)
        said = "cannot be had from the hub (404: there is no such network): check its name"
    with pytest.raises(UsageError, match=re.escape(said)):
        load_weights("resnet18", "timm/no_such_network")


def fail(*_):
    raise RuntimeError("404: there is no such network\nand more lines")


@pytest.mark.parametrize(
    ("path", "architecture", "spoil", "said"),
    [
        ("a.npz", "resnet18", lambda p: p, "expected one that ends in .safetensors"),
        ("none/a.safetensors", "resnet18", lambda p: p, "cannot be written"),
        ("a.safetensors", "vgg16", lambda p: p, "these are no parameters of a vgg16"),
        ("a.safetensors", "resnet34", lambda p: p, "these are no parameters and state of a"),
        (
            "a.safetensors", "resnet18", lambda p: {k: v for k, v in p.items() if k != "norm1"},
            "'norm1/bias', 'norm1/scale' differ",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_refused(tmp_path: Path, path, architecture, spoil, said):
    params, state = initial(SMALL())
    with pytest.raises(UsageError, match=re.escape(said)):
        save_weights(tmp_path / path, architecture, spoil(params), state)
