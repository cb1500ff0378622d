"""Attention with a cache, against attention over the whole sequence, and torch's."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dl_jax.functional import KeyValueCache, causal_mask, empty_cache, multi_head_attention

HEADS, SIZE, FEATURES, LENGTH = 2, 4, 8, 9
both = pytest.mark.parametrize("rotary", [False, True], ids=["plain", "rotary"])


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


PARAMS = {
    **{
        name: {"kernel": normal(i, FEATURES, HEADS, SIZE), "bias": normal(i + 4, HEADS, SIZE)}
        for i, name in enumerate(("query", "key", "value"))
    },
    "out": {"kernel": normal(3, HEADS, SIZE, FEATURES), "bias": normal(7, FEATURES)},
}
attend = jax.jit(partial(multi_head_attention, **PARAMS), static_argnames="rotary")


def empty(batch=1, dtype=jnp.float32):
    return empty_cache(batch, LENGTH, HEADS, SIZE, dtype)


def close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def generated(x, cache, start, **options):
    """The output for steps from `start` on, one in each round of a compiled loop."""

    def step(carry, token):  # [B, F]
        cache, positions = carry
        y, cache = attend(token[:, None], positions=positions, cache=cache, **options)
        return (cache, positions + 1), y[:, 0]

    @partial(jax.jit, donate_argnums=0)
    def loop(cache, start, tokens):
        start = jnp.broadcast_to(start, (len(x), 1))
        return jax.lax.scan(step, (cache, start), tokens)

    (cache, _), outputs = loop(cache, jnp.asarray(start), x.swapaxes(0, 1))
    return outputs.swapaxes(0, 1), cache


@both
@pytest.mark.parametrize("prompt", [0, 1, 4])
def test_a_prompt_and_then_single_tokens_are_causal_attention(rotary, prompt):
    x = normal(10, 3, LENGTH, FEATURES)
    expected = attend(x, mask=causal_mask(LENGTH), rotary=rotary)
    first, cache = attend(
        x[:, :prompt], positions=jnp.arange(prompt), cache=empty(3), rotary=rotary
    )
    rest, _ = generated(x[:, prompt:], cache, prompt, rotary=rotary)
    close(jnp.concatenate([first, rest], 1), expected)


@both
def test_a_prompt_in_two_parts_is_causal_attention(rotary):
    x = normal(10, 2, LENGTH, FEATURES)
    run = partial(attend, rotary=rotary)
    first, cache = run(x[:, :4], positions=jnp.arange(4), cache=empty(2))
    second, _ = run(x[:, 4:], positions=jnp.arange(4, LENGTH), cache=cache)
    expected = attend(x, mask=causal_mask(LENGTH), rotary=rotary)
    close(jnp.concatenate([first, second], 1), expected)


def test_the_cache_is_carried_by_a_loop_of_dynamic_length():
    x = normal(10, 1, 5, FEATURES)

    def step(carry):
        t, cache, y = carry
        token = jax.lax.dynamic_slice_in_dim(x, t, 1, axis=1)
        y, cache = attend(token, positions=t[None], cache=cache)
        return t + 1, cache, y

    @jax.jit
    def run(until):
        start = jnp.asarray(0), empty(), jnp.zeros((1, 1, FEATURES))
        return jax.lax.while_loop(lambda carry: carry[0] < until, step, start)[2]

    expected = attend(x, mask=causal_mask(5))
    for until in (1, 4):
        close(run(until)[:, 0], expected[:, until - 1])


def test_generation_is_torch_attention():
    torch = pytest.importorskip("torch")
    layer = torch.nn.MultiheadAttention(FEATURES, HEADS, batch_first=True)
    torch.nn.init.normal_(layer.in_proj_bias)
    torch.nn.init.normal_(layer.out_proj.bias)
    weights = {name: w.detach().numpy() for name, w in layer.named_parameters()}
    kernels = weights["in_proj_weight"].reshape(3, HEADS, SIZE, FEATURES).transpose(0, 3, 1, 2)
    biases = weights["in_proj_bias"].reshape(3, HEADS, SIZE)
    params = {
        name: {"kernel": kernels[i], "bias": biases[i]}
        for i, name in enumerate(("query", "key", "value"))
    }
    kernel = weights["out_proj.weight"].T.reshape(HEADS, SIZE, FEATURES)
    params["out"] = {"kernel": kernel, "bias": weights["out_proj.bias"]}
    x = normal(10, 2, LENGTH, FEATURES)
    future = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
    theirs = torch.tensor(np.asarray(x))
    with torch.no_grad():
        expected, _ = layer(theirs, theirs, theirs, attn_mask=future, need_weights=False)
    run, cache, outputs = jax.jit(partial(multi_head_attention, **params)), empty(2), []
    for part in (slice(0, 5), slice(5, 6), slice(6, LENGTH)):
        positions = np.arange(LENGTH)[part]
        y, cache = run(x[:, part], positions=positions, cache=cache)
        outputs.append(y)
    close(jnp.concatenate(outputs, 1), expected.numpy())


@both
def test_rows_of_different_lengths_are_each_row_alone(rotary):
    """Padding is overwritten or not seen; rows may be reordered, as beam search does."""
    lengths, more = np.array([2, 5, 4]), 3
    prompts, tokens = normal(11, 3, 5, FEATURES), normal(12, 3, more, FEATURES)
    first, cache = attend(prompts, positions=jnp.arange(5), cache=empty(3), rotary=rotary)
    order = np.array([2, 0, 1])
    cache = jax.tree.map(lambda leaf: leaf[order], cache)
    rest, _ = generated(tokens, cache, lengths[order][:, None], rotary=rotary)
    for row, origin in enumerate(order):
        length = lengths[origin]
        alone = jnp.concatenate([prompts[origin, :length], tokens[row]])[None]
        expected = attend(alone, mask=causal_mask(length + more), rotary=rotary)[0]
        close(first[origin, :length], expected[:length])
        close(rest[row], expected[length:])


def test_positions_outside_the_cache_are_not_written():
    filled = KeyValueCache(*(normal(i, 2, LENGTH, HEADS, SIZE) for i in (13, 14)))
    positions = jnp.array([[1, LENGTH, -1], [LENGTH + 5, -LENGTH, LENGTH - 1]])
    y, cache = attend(normal(15, 2, 3, FEATURES), positions=positions, cache=filled)
    assert jnp.isfinite(y).all()
    written = np.zeros((2, LENGTH), bool)
    written[0, 1] = written[1, -1] = True
    for before, after in zip(filled, cache, strict=True):
        np.testing.assert_array_equal((after != before).any((2, 3)), written)


def test_a_query_depends_on_no_entry_after_its_position():
    filled = KeyValueCache(*(normal(i, 1, LENGTH, HEADS, SIZE) for i in (13, 14)))
    x = normal(15, 1, 2, FEATURES)

    def results(cache):
        y, _ = attend(x, positions=jnp.array([3, 5]), cache=cache)
        return jnp.sin(y[0]).sum(-1)

    gradients = jax.jit(jax.jacrev(results))(filled)
    for t, seen in ((0, {0, 1, 2}), (1, {0, 1, 2, 4})):  # what is overwritten is not seen
        for gradient in gradients:
            assert set(np.flatnonzero(jnp.abs(gradient[t, 0]).max((1, 2)))) == seen


def test_a_mask_restricts_what_is_seen():
    x = normal(10, 2, LENGTH, FEATURES)
    mask = jnp.asarray(np.random.default_rng(1).random((2, HEADS, LENGTH, LENGTH)) < 0.6)
    y, _ = attend(x, positions=jnp.arange(LENGTH), cache=empty(2), mask=mask)
    close(y, attend(x, mask=mask & causal_mask(LENGTH)))


@pytest.mark.parametrize(
    ("dtype", "cached"),
    [("bfloat16", "bfloat16"), ("bfloat16", "float32"), ("float32", "float16")],
)
def test_the_cache_keeps_its_type_and_the_output_is_of_that_of_x(dtype, cached):
    x = normal(10, 2, LENGTH, FEATURES)
    expected = attend(x, mask=causal_mask(LENGTH), rotary=True)
    y, cache = generated(x.astype(dtype), empty(2, cached), 0, rotary=True)
    assert y.dtype == dtype
    assert {leaf.dtype.name for leaf in cache} == {cached}
    scale = float(jnp.abs(expected).max())
    close(y.astype(jnp.float32) / scale, expected / scale, 3e-2)


def test_gradients_through_a_cache_are_those_of_causal_attention():
    x = normal(10, 2, LENGTH, FEATURES)

    def through(x):
        run = partial(attend, rotary=True)
        first, cache = run(x[:, :6], positions=jnp.arange(6), cache=empty(2))
        second, _ = run(x[:, 6:], positions=jnp.arange(6, LENGTH), cache=cache)
        return jnp.sin(jnp.concatenate([first, second], 1)).sum()

    expected = jax.grad(lambda x: jnp.sin(attend(x, mask=causal_mask(LENGTH), rotary=True)).sum())
    close(jax.jit(jax.grad(through))(x), jax.jit(expected)(x), 1e-4)


X = jnp.ones((2, 3, FEATURES))
STEPS = jnp.arange(3)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: attend(X, X, positions=STEPS, cache=empty(2)), "and a context is given"),
        (lambda: attend(X, cache=empty(2)), "a cache needs the positions of the steps of x"),
        (
            lambda: attend(X, positions=STEPS, cache=empty(2), mask=causal_mask(3)),
            "mask is for 3 keys, expected the cache's 9",
        ),
        (
            lambda: attend(X, positions=STEPS, cache=empty(1)),
            r"cache.key has shape \(1, 9, 2, 4\), expected \(2, length, 2, 4\)",
        ),
        (
            lambda: attend(X, positions=STEPS, cache=empty_cache(2, LENGTH, 1, SIZE)),
            r"make it with empty_cache\(2, length, 2, 4\)",
        ),
        (
            lambda: attend(X, positions=STEPS, cache=empty(2)._replace(value=jnp.ones(3))),
            r"cache.value has shape \(3,\)",
        ),
    ],
)
def test_what_cannot_be_cached_is_refused(call, said):
    with pytest.raises(ValueError, match=said):
        call()
