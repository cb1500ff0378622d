"""Attention, positions and recurrent cells."""

from functools import partial

import numpy as np
from hypothesis import strategies as st

from dl_jax import functional as f
from tests.functional.harness import Case, Edge, Operation, booleans, sizes, torch

# References.


def attention(query, key, value, *, mask=None):
    scores = np.einsum("bthd,bshd->bhts", query, key) / np.sqrt(query.shape[-1])
    weights = np.exp(scores) * (1 if mask is None else mask)
    total = weights.sum(-1, keepdims=True)
    return np.einsum("bhts,bshv->bthv", weights / np.where(total == 0, 1, total), value)


def multi_head(x, params, context=None, *, mask=None, rotary=False, positions=None):
    def project(equation, x, kernel, bias=0.0):
        return np.einsum(equation, x, kernel) + bias

    source = x if context is None else context
    query = project("btf,fhd->bthd", x, **params["query"])
    key, value = (project("bsf,fhd->bshd", source, **params[name]) for name in ("key", "value"))
    if rotary:
        steps = np.arange(x.shape[1]) if positions is None else positions
        query = rotated(query, steps)
        key = rotated(key, steps if context is None else np.arange(source.shape[1]))
    attended = attention(query, key, value, mask=mask)
    return project("bthd,hdf->btf", attended, **params["out"])


def rotated(x, positions, base=10_000.0):
    """Halves as coordinates of complex numbers, which are turned by multiplication."""
    half = x.shape[-1] // 2
    angles = positions[..., None] / base ** (np.arange(half) / half)  # [(B,) T, D / 2]
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)[..., None, :]
    return np.concatenate([turned.real, turned.imag], -1)


def sinusoidal(length, features, base=10_000.0):
    code = np.zeros((length, features))
    for t in range(length):
        for i in range(features // 2):
            angle = t / base ** (2 * i / features)
            code[t, 2 * i : 2 * i + 2] = np.sin(angle), np.cos(angle)
    return code


def causal(time, source=None):
    ahead = (time if source is None else source) - time
    rows = [[j <= i + ahead for j in range(time + ahead)] for i in range(time)]
    return np.array(rows)[None, None]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gates(params, hidden, inputs, count):
    """What each gate gets from the input, and from the hidden state."""

    def dense(x, kernel, bias=0.0):
        return np.split(x @ kernel + bias, count, -1)

    return dense(inputs, **params["input"]), dense(hidden, **params["hidden"])


def rnn(params, h, x):
    (a,), (b,) = gates(params, h, x, 1)
    h = np.tanh(a + b)
    return h, h


def reset_rnn(params, h, x):
    (reset, new), (reset_h, new_h) = gates(params, h, x, 2)
    h = np.tanh(new + sigmoid(reset + reset_h) * new_h)
    return h, h


def gru(params, h, x):
    (reset, update, new), (reset_h, update_h, new_h) = gates(params, h, x, 3)
    keep = sigmoid(update + update_h)
    h = keep * h + (1 - keep) * np.tanh(new + sigmoid(reset + reset_h) * new_h)
    return h, h


def lstm(params, carry, x):
    c, h = carry
    i, j, g, o = (a + b for a, b in zip(*gates(params, h, x, 4), strict=True))
    c = sigmoid(j) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (c, h), h


CELLS = {  # ours, the reference, its number of gates
    "rnn": (f.rnn_cell, rnn, 1),
    "gru": (f.gru_cell, gru, 3),
    "lstm": (f.lstm_cell, lstm, 4),
    "reset_rnn": (f.reset_rnn_cell, reset_rnn, 2),
}


def scan(params, carry, inputs, *, cell, lengths=None, resets=None, reverse=False, plain=False):
    """Each sequence alone, without its padding."""
    batch, time, _ = inputs.shape
    lasts, outputs = [], np.zeros((batch, time, params["hidden"]["kernel"].shape[0]))
    for b in range(batch):
        own = tuple(c[b : b + 1] for c in carry) if cell == "lstm" else carry[b : b + 1]
        steps = range(time if lengths is None else lengths[b])
        for t in reversed(steps) if reverse else steps:
            if resets is not None and resets[b, t]:
                own = tuple(0 * c for c in own) if cell == "lstm" else 0 * own
            own, outputs[b, t] = CELLS[cell][1](params, own, inputs[b : b + 1, t])
        lasts.append(own)
    if cell == "lstm":
        return tuple(np.concatenate(parts) for parts in zip(*lasts, strict=True)), outputs
    return np.concatenate(lasts), outputs


# PyTorch has heads before time.


def attention_in_torch(query, key, value, *, mask):
    heads = (x.transpose(1, 2) for x in (query, key, value))
    mask = None if mask is None else torch.tensor(mask)
    return torch.nn.functional.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(1, 2)


def scan_in_torch(params, carry, inputs, *, cell):
    """PyTorch's layer, whose LSTM has its state as (h, c)."""
    hidden, features = params["hidden"]["kernel"].shape[0], inputs.shape[-1]
    layer = getattr(torch.nn, cell.upper())(features, hidden, batch_first=True)
    weights = {}
    for name, end in (("input", "ih_l0"), ("hidden", "hh_l0")):
        weights[f"weight_{end}"] = params[name]["kernel"].T
        weights[f"bias_{end}"] = params[name]["bias"]
    state = (carry[1][None], carry[0][None]) if cell == "lstm" else carry[None]
    outputs, last = torch.func.functional_call(layer, weights, (inputs, state))
    return (last[1][0], last[0][0]) if cell == "lstm" else last[0], outputs


# Cases.


def mask_of(draw, random, batch, heads, time, source):
    """Some queries may see nothing."""
    kind = draw(st.sampled_from(("random", "causal", "padding", None)))
    if kind is None:
        return None
    if kind == "random":
        return random.random((batch, heads, time, source)) < 0.6
    padding = np.arange(source) < random.integers(1, source + 1, batch)[:, None, None, None]
    causal_part = np.arange(source) <= np.arange(time)[:, None] + source - time
    return padding if kind == "padding" else padding & causal_part[None, None]


def attention_case(draw, random):
    batch, time, heads = draw(st.sampled_from((2, 1, 3))), draw(sizes), draw(sizes)
    source, size = time + draw(st.integers(0, 2)), draw(st.sampled_from((4, 1, 2)))
    query = random.normal(size=(batch, time, heads, size))
    key = random.normal(size=(batch, source, heads, size))
    value = random.normal(size=(batch, source, heads, draw(sizes)))
    return Case(query, key, value, mask=mask_of(draw, random, batch, heads, time, source))


def multi_head_case(crossed):
    def case(draw, random):
        batch, time, features, heads = 2, draw(sizes), draw(sizes), draw(st.sampled_from((3, 1)))
        size, biased = draw(st.sampled_from((4, 2))), draw(booleans)

        def projection(inputs, outputs):
            kernel = {"kernel": random.normal(size=(*inputs, *outputs)) / 2}
            return kernel | ({"bias": random.normal(size=outputs)} if biased else {})

        params = {
            "query": projection([features], [heads, size]),
            "key": projection([features + crossed], [heads, size]),
            "value": projection([features + crossed], [heads, size]),
            "out": projection([heads, size], [features]),
        }
        operands = [random.normal(size=(batch, time, features)), params]
        source = draw(st.integers(1, 5)) if crossed else time
        if crossed:
            operands.append(random.normal(size=(batch, source, features + 1)))
        shape = draw(st.sampled_from(((batch, time), (time,), None)))
        return Case(
            *operands,
            mask=mask_of(draw, random, batch, heads, time, source),
            rotary=draw(booleans),
            positions=None if shape is None else random.integers(0, 9, shape),
        )

    return case


def rotary_case(draw, random):
    batch, time = 2, draw(sizes)
    shape = draw(st.sampled_from(((batch, time), (time,))))
    x = random.normal(size=(batch, time, draw(sizes), draw(st.sampled_from((4, 2, 6)))))
    return Case(x, positions=random.integers(0, 50, shape), base=draw(st.sampled_from((1e4, 30.0))))


def parameters(random, count, features, hidden, biased):
    params = {}
    for name, inputs in (("input", features), ("hidden", hidden)):
        params[name] = {"kernel": random.normal(size=(inputs, count * hidden))}
        if biased:
            params[name]["bias"] = random.normal(size=count * hidden)
    return params


def start(random, cell, batch, hidden):
    carry = [random.normal(size=(batch, hidden)) for _ in range(2)]
    return tuple(carry) if cell == "lstm" else carry[0]


def cell_case(cell):
    def case(draw, random):
        batch, features, hidden = draw(sizes), draw(sizes), draw(sizes)
        params = parameters(random, CELLS[cell][2], features, hidden, draw(booleans))
        carry = start(random, cell, batch, hidden)
        return Case(params, carry, random.normal(size=(batch, features)))

    return case


def sequences(draw, random, cells, biased):
    cell, batch = draw(st.sampled_from(cells)), draw(st.sampled_from((2, 1, 3)))
    time = draw(st.sampled_from((35, 1, 3, 5)))  # a block of 32 steps, and more
    features, hidden = draw(sizes), draw(st.sampled_from((4, 1, 2)))
    params = parameters(random, CELLS[cell][2], features, hidden, biased)
    params["hidden"]["kernel"] /= 1 + hidden  # errors do not grow with the steps
    inputs = random.normal(size=(batch, time, features))
    return Case(params, start(random, cell, batch, hidden), inputs, cell=cell)


def scan_case(draw, random):
    case = sequences(draw, random, ("lstm", "gru", "rnn", "reset_rnn"), draw(booleans))
    batch, time, _ = case.operands[2].shape
    if draw(booleans):
        case.options["lengths"] = random.integers(0, time + 1, batch)
    if draw(booleans):
        case.options["resets"] = random.random((batch, time)) < 0.3
    case.options |= {"reverse": draw(booleans), "plain": draw(st.sampled_from((False, True)))}
    return case


def scanned(params, carry, inputs, *, cell, **options):
    return f.scan_cell(CELLS[cell][0], params, carry, inputs, **options)


def multi_head_attention(x, params, context=None, **options):
    return f.multi_head_attention(x, context, **params, **options)


# Edges.

HEADS = np.ones((2, 3, 1, 4))
NO_STEPS, NO_KEYS = np.ones((2, 0, 1, 4)), np.zeros((2, 3, 1, 4))
ATTENTION = {
    "everything masked": Edge(
        Case(HEADS, HEADS, HEADS, mask=np.zeros((1, 1, 3, 3), bool)), 0 * HEADS,
        (0 * HEADS, 0 * HEADS, 0 * HEADS),
    ),
    "large scores": Edge(Case(1e4 * HEADS, HEADS, HEADS), HEADS),
    "large scores, masked": Edge(
        Case(1e4 * HEADS, HEADS, HEADS, mask=np.tri(3, dtype=bool)[None, None]), HEADS
    ),
    "no queries": Edge(Case(NO_STEPS, HEADS, HEADS), NO_STEPS),
    "no keys": Edge(Case(HEADS, NO_STEPS, NO_STEPS), 0 * HEADS),
}  # fmt: skip

ROWS = {
    "dot_product_attention": Operation(
        f.dot_product_attention, attention, attention_case, attention_in_torch, ATTENTION
    ),
    "blocked_attention": Operation(
        f.blocked_attention, attention, attention_case, attention_in_torch, ATTENTION
    ),
    "blocked_attention of several blocks": Operation(
        partial(f.blocked_attention, block=2),
        attention,
        attention_case,
        attention_in_torch,
        ATTENTION,
    ),
    "multi_head_attention": Operation(multi_head_attention, multi_head, multi_head_case(False)),
    "multi_head_attention of a context": Operation(
        multi_head_attention, multi_head, multi_head_case(True)
    ),
    "causal_mask": Operation(
        f.causal_mask,
        causal,
        lambda draw, random: Case(
            time=(time := draw(sizes)),
            source=draw(st.sampled_from((time + 2, None, time, time + 1))),
        ),
    ),
    "padding_mask": Operation(
        f.padding_mask,
        lambda lengths, max_length: (np.arange(max_length) < lengths[:, None])[:, None, None],
        lambda draw, random: Case(
            lengths=random.integers(0, 6, draw(sizes)), max_length=draw(st.integers(1, 6))
        ),
        edges={"nothing": Edge(Case(lengths=np.array([0]), max_length=2))},
    ),
    "sinusoidal_positions": Operation(
        f.sinusoidal_positions,
        sinusoidal,
        lambda draw, random: Case(
            length=draw(st.sampled_from((50, 1, 3))), features=draw(st.sampled_from((6, 2, 4)))
        ),
        half=np.float32,
    ),
    "rotary_positions": Operation(f.rotary_positions, rotated, rotary_case),
    **{
        f"{cell}_cell": Operation(ours, reference, cell_case(cell))
        for cell, (ours, reference, _) in CELLS.items()
    },
    "scan_cell": Operation(
        scanned,
        scan,
        scan_case,
        edges={
            "nan in the padding": Edge(
                Case(
                    parameters(np.random.default_rng(0), 1, 2, 3, True),
                    np.ones((2, 3)),
                    np.where(np.tri(2, 4, 2)[..., None] == 1, np.ones((2, 4, 2)), np.nan),
                    cell="rnn",
                    lengths=np.array([3, 4]),
                )
            ),
        },
    ),
    "scan_cell of PyTorch": Operation(
        scanned,
        scan,
        lambda draw, random: sequences(draw, random, ("lstm", "gru", "rnn"), True),
        scan_in_torch,
    ),
}
