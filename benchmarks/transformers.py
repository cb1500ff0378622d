"""Transformers: training, attention by itself, and generation.

The language model has six layers of 384 features and six heads, a context of 256, 65 different
tokens and batches of 12 texts. PyTorch's has the same layers with its own attention
(`scaled_dot_product_attention`) and its fused AdamW; it is measured as it is and compiled.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch import nn
from torch.nn import functional

from benchmarks import ours
from benchmarks.harness import Contender, Workload
from benchmarks.theirs import clear
from dl_jax.compilation import jit
from dl_jax.decoding import generate
from dl_jax.functional import dot_product_attention
from dl_jax.functional.attention.dot_product import Way
from dl_jax.learners import Learner, language_model
from dl_jax.models import Model, transformer_lm, with_compute_dtype

VOCABULARY, CONTEXT, WIDTH, HEADS, LAYERS, BATCH = 65, 256, 384, 6, 6, 12
WRITTEN = 256


def transformer() -> Iterator[Workload]:
    """Training steps of a small GPT, and how compilation grows with depth."""
    random = np.random.default_rng(0)
    tokens = random.integers(1, VOCABULARY, (BATCH, CONTEXT + 1), np.int32)
    for dtype, target in (("float32", 0.85), ("bfloat16", 0.75)):
        if dtype == "bfloat16" and not has_narrow_products():
            continue
        yield Workload(
            f"transformer, step, {dtype}",
            [
                ours.stepper("dl_jax", our_learner(dtype), 1, batches=[{"tokens": tokens}]),
                *(Gpt(compiled).stepper(tokens, dtype) for compiled in (False, True)),
            ],
            flops(),
            target=target,
        )
    yield Workload(
        "transformer, compilation of 24 layers",
        [
            ours.compilation(
                f"{layers} layers",
                partial(our_learner, "float32", layers),
                {"tokens": tokens},
                ours=layers == 24,
            )
            for layers in (LAYERS, 24)
        ],
        reads="24 layers / 6",
        most=1.5,
    )


def attention() -> Iterator[Workload]:
    """Causal attention by itself, forward and back, at several lengths."""
    for batch, time in ((12, 256), (4, 1024), (1, 4096)):
        random = np.random.default_rng(0)
        arrays = [
            random.standard_normal((batch, time, HEADS, WIDTH // HEADS), np.float32)
            for _ in range(4)
        ]
        ways: tuple[Way, ...] = ("plain", "blocked")
        yield Workload(
            f"attention, {batch} of {time}",
            [*(our_attention(way, arrays) for way in ways), their_attention(arrays)],
            # Two products forward and five back, half of which causality spares.
            7 * batch * HEADS * time**2 * (WIDTH // HEADS),
        )


def generation() -> Iterator[Workload]:
    """256 tokens after a prompt of one, by the small GPT."""
    model = transformer_lm(VOCABULARY, WRITTEN + 1, width=WIDTH, num_heads=HEADS,
                           num_layers=LAYERS)  # fmt: skip
    for batch, target in ((1, 2.5), (16, None)):
        yield Workload(
            f"generation of {WRITTEN} tokens, batch {batch}",
            [
                our_writer(model, batch),
                *(Gpt(compiled).writer(batch) for compiled in (False, True)),
            ],
            2.0 * 12 * LAYERS * WIDTH**2 * WRITTEN * batch,
            target=target,
        )


def has_narrow_products() -> bool:
    """Whether the processor multiplies bfloat16 faster than float32."""
    with open("/proc/cpuinfo", encoding="utf-8") as flags:
        return "amx_bf16" in flags.read()


def flops() -> float:
    """Of one step: forward, and twice as much back, of all products."""
    each = 12 * WIDTH**2 + 2 * CONTEXT * WIDTH  # half of the attention is masked: 4 T W / 2
    return 3.0 * 2 * BATCH * CONTEXT * (LAYERS * each + VOCABULARY * WIDTH)


# Our side.


def our_learner(dtype: str, layers: int = LAYERS) -> Learner:
    """A language model with AdamW."""
    model = transformer_lm(VOCABULARY, CONTEXT, width=WIDTH, num_heads=HEADS, num_layers=layers)
    return language_model(with_compute_dtype(model, dtype), optax.adamw(1e-3))


def our_attention(way: Way, arrays: list[np.ndarray]) -> Contender:
    """Outputs and gradients."""
    query, key, value, weights = map(jnp.asarray, arrays)

    def loss(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
        return (dot_product_attention(query, key, value, causal=True, way=way) * weights).sum()

    step = jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    return Contender(f"dl_jax, {way}", True, lambda: jax.block_until_ready(step(query, key, value)))


def our_writer(model: Model, batch: int) -> Contender:
    """The most likely token, again and again."""
    params = jit(model.init)(jax.random.key(0))[0]
    prompts = np.ones((batch, 1), np.int32)

    def run() -> None:
        assert model.stepper is not None
        jax.block_until_ready(generate(model.stepper, params, prompts, WRITTEN))

    return Contender("dl_jax", True, run)


# PyTorch's side.


class Block(nn.Module):
    """Norms first, GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.dense_norm = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.inside, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.dense = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(
        self,
        x: torch.Tensor,
        cache: tuple[torch.Tensor, torch.Tensor] | None = None,
        at: torch.Tensor | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """All steps causally, or one step with a cache of `[batch, heads, steps, features]`."""
        batch, time, _ = x.shape
        parts = self.inside(self.attention_norm(x)).view(batch, time, 3, HEADS, WIDTH // HEADS)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        if cache is not None:
            key, value = (
                entries.index_copy_(2, at, new)
                for entries, new in zip(cache, (key, value), strict=True)
            )
        seen = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, is_causal=cache is None
        )
        x = x + self.out(seen.transpose(1, 2).reshape(batch, time, WIDTH))
        return x + self.dense(self.dense_norm(x))


class Gpt(nn.Module):
    """The same network in PyTorch."""

    def __init__(self, compiled: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.name = "torch, compiled" if compiled else "torch"
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(max(CONTEXT, WRITTEN + 1), WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.call: Callable[..., torch.Tensor] = torch.compile(self) if compiled else self

    def forward(
        self,
        tokens: torch.Tensor,
        at: torch.Tensor,
        caches: list[tuple[torch.Tensor, torch.Tensor]] | None = None,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Logits of every step."""
        x = self.embedding(tokens) + self.positions(at)
        for number, block in enumerate(self.blocks):
            x = block(x) if caches is None else block(x, caches[number], at, mask)
        return self.norm(x) @ self.embedding.weight.T

    def stepper(self, tokens: np.ndarray, dtype: str) -> Contender:
        """A training step."""
        given, at = torch.from_numpy(tokens).long(), torch.arange(CONTEXT)
        optimizer = torch.optim.AdamW(self.parameters(), lr=1e-3, fused=True)
        initial = [parameter.detach().clone() for parameter in self.parameters()]

        def run() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                logits = self.call(given[:, :-1], at)
                loss = functional.cross_entropy(
                    logits.flatten(0, 1).float(), given[:, 1:].flatten()
                )
            loss.backward()
            optimizer.step()

        def reset() -> None:
            with torch.no_grad():
                for parameter, first in zip(self.parameters(), initial, strict=True):
                    parameter.copy_(first)
            clear(optimizer)

        return Contender(self.name, False, run, reset)

    def writer(self, batch: int) -> Contender:
        """The most likely token, again and again, with a cache of fixed size."""
        shape = batch, HEADS, WRITTEN + 1, WIDTH // HEADS
        entries: list[Any] = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(LAYERS)]
        places = torch.arange(WRITTEN + 1)

        def run() -> None:
            token = torch.ones(batch, 1, dtype=torch.long)
            with torch.inference_mode():
                for step in range(WRITTEN):
                    at = places[step : step + 1]
                    mask = (places <= step)[None, None, None]
                    token = self.call(token, at, entries, mask)[:, -1:].argmax(-1)

        return Contender(self.name, False, run)


def their_attention(arrays: list[np.ndarray]) -> Contender:
    """Outputs and gradients, of `[batch, heads, time, features]`."""
    query, key, value, weights = (torch.from_numpy(array.swapaxes(1, 2).copy()) for array in arrays)
    leaves = [tensor.requires_grad_() for tensor in (query, key, value)]

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        averages = functional.scaled_dot_product_attention(*leaves, is_causal=True)
        (averages * weights).sum().backward()

    return Contender("torch", False, run)
