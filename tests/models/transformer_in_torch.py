"""The transformers of `test_models.py` in PyTorch's own layers, on parameters in our layout."""

import torch
from torch.nn.functional import gelu, layer_norm, relu

HEADS = 2


def transformer_lm(params, state, tokens, train):
    """Norms first, learned positions, GELU, the head being the embedding."""
    x = params["embedding"]["embedding"][tokens]
    x = x + params["positions"]["embedding"][: tokens.shape[1]]
    x = blocks(params["blocks"], x, gelu, src_mask=causal(tokens))
    x = normalize(params, x)
    return x @ params["embedding"]["embedding"].T, {}


def first_transformer_lm(params, state, tokens, train):
    """As Vaswani et al. have it: norms last, sinusoidal positions, ReLU, a head of its own."""
    table = params["embedding"]["embedding"]
    width, steps = table.shape[1], torch.arange(tokens.shape[1])
    angles = steps[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    codes = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    x = table[tokens] * width**0.5 + codes
    x = blocks(params["blocks"], x, relu, norm_first=False, src_mask=causal(tokens))
    return x @ params["head"]["kernel"] + params["head"]["bias"], {}


def encoder(params, state, tokens, train):
    """Of each token; padding is seen by none."""
    x = encoded(params, params["embedding"]["embedding"], tokens)
    return x @ params["embedding"]["embedding"].T, {}


def text_encoder(params, state, tokens, train):
    """Of each text, from the mean over its tokens."""
    x = encoded(params, params["embedding"]["embedding"], tokens)
    counts = (tokens != 0)[..., None].to(x.dtype)
    return (x * counts).sum(1) / counts.sum(1) @ params["head"]["kernel"] + params["head"][
        "bias"
    ], {}


def seq2seq(params, state, inputs, train):
    """An encoder, and a decoder that sees it."""
    table, source, target = params["embedding"]["embedding"], inputs["source"], inputs["target"]
    memory = encoded(params["encoder"], table, source)
    own = params["decoder"]
    x = table[target] + own["positions"]["embedding"][: target.shape[1]]
    masks = {"tgt_mask": causal(target), "memory_key_padding_mask": source == 0}
    x = blocks(own["blocks"], x, gelu, memory, **masks)
    return normalize(own, x) @ table.T, {}


def encoded(params, table, tokens):
    x = table[tokens] + params["positions"]["embedding"][: tokens.shape[1]]
    return normalize(params, blocks(params["blocks"], x, gelu, src_key_padding_mask=tokens == 0))


def normalize(params, x):
    return layer_norm(x, x.shape[-1:], params["norm"]["scale"], params["norm"]["bias"], 1e-6)


def causal(tokens):
    return torch.nn.Transformer.generate_square_subsequent_mask(tokens.shape[1])


def blocks(stacked, x, activation, memory=None, norm_first=True, **masks):
    """Torch's layer, or its decoder layer where there is a memory, with each block's parameters."""
    width, hidden = x.shape[-1], stacked["dense1"]["bias"].shape[-1]
    kind = torch.nn.TransformerEncoderLayer if memory is None else torch.nn.TransformerDecoderLayer
    layer = kind(width, HEADS, hidden, 0.0, activation, 1e-6, batch_first=True,
                 norm_first=norm_first)  # fmt: skip
    names = {"attention": "self_attn"} if memory is None else {
        "attention": "self_attn", "cross": "multihead_attn"
    }  # fmt: skip
    for number in range(len(stacked["dense1"]["bias"])):
        own = tree_at(stacked, number)
        weights = {
            "linear1.weight": own["dense1"]["kernel"].T,
            "linear1.bias": own["dense1"]["bias"],
            "linear2.weight": own["dense2"]["kernel"].T,
            "linear2.bias": own["dense2"]["bias"],
        }
        for place, part in enumerate([*names, "dense"], 1):
            weights[f"norm{place}.weight"] = own[f"{part}_norm"]["scale"]
            weights[f"norm{place}.bias"] = own[f"{part}_norm"]["bias"]
        for part, name in names.items():
            read = [own[part][each] for each in ("query", "key", "value")]
            weights |= {
                f"{name}.in_proj_weight": torch.cat([p["kernel"].flatten(1).T for p in read]),
                f"{name}.in_proj_bias": torch.cat([p["bias"].flatten() for p in read]),
                f"{name}.out_proj.weight": own[part]["out"]["kernel"].flatten(0, 1).T,
                f"{name}.out_proj.bias": own[part]["out"]["bias"],
            }
        given = (x,) if memory is None else (x, memory)
        x = torch.func.functional_call(layer, weights, given, masks)
    return x


def tree_at(tree, number):
    if isinstance(tree, dict):
        return {name: tree_at(leaf, number) for name, leaf in tree.items()}
    return tree[number]
