"""The transformers of `test_models.py` in PyTorch's own layers, on parameters in our layout."""

import torch
from torch.nn.functional import gelu, layer_norm, relu

HEADS = 2


def transformer_lm(params, state, tokens, train):
    """Norms first, learned positions, GELU, the head being the embedding."""
    x = params["embedding"]["embedding"][tokens]
    x = x + params["positions"]["embedding"][: tokens.shape[1]]
    x = blocks(params["blocks"], x, norm_first=True, activation=gelu)
    x = layer_norm(x, x.shape[-1:], params["norm"]["scale"], params["norm"]["bias"], 1e-6)
    return x @ params["embedding"]["embedding"].T, {}


def first_transformer_lm(params, state, tokens, train):
    """As Vaswani et al. have it: norms last, sinusoidal positions, ReLU, a head of its own."""
    table = params["embedding"]["embedding"]
    width, steps = table.shape[1], torch.arange(tokens.shape[1])
    angles = steps[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    codes = torch.stack([angles.sin(), angles.cos()], -1).flatten(1)
    x = table[tokens] * width**0.5 + codes
    x = blocks(params["blocks"], x, norm_first=False, activation=relu)
    return x @ params["head"]["kernel"] + params["head"]["bias"], {}


def blocks(stacked, x, norm_first, activation):
    mask = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1])
    width, hidden = x.shape[-1], stacked["dense1"]["bias"].shape[-1]
    layer = torch.nn.TransformerEncoderLayer(
        width, HEADS, hidden, 0.0, activation, 1e-6, batch_first=True, norm_first=norm_first
    )
    for number in range(len(stacked["dense1"]["bias"])):
        own = {k: {leaf: p[number] for leaf, p in stacked[k].items()} for k in stacked
               if k != "attention"}  # fmt: skip
        heads = {k: {leaf: p[number] for leaf, p in each.items()}
                 for k, each in stacked["attention"].items()}  # fmt: skip
        read = [heads[name] for name in ("query", "key", "value")]
        weights = {
            "self_attn.in_proj_weight": torch.cat([p["kernel"].flatten(1).T for p in read]),
            "self_attn.in_proj_bias": torch.cat([p["bias"].flatten() for p in read]),
            "self_attn.out_proj.weight": heads["out"]["kernel"].flatten(0, 1).T,
            "self_attn.out_proj.bias": heads["out"]["bias"],
            "norm1.weight": own["attention_norm"]["scale"],
            "norm1.bias": own["attention_norm"]["bias"],
            "norm2.weight": own["dense_norm"]["scale"],
            "norm2.bias": own["dense_norm"]["bias"],
            "linear1.weight": own["dense1"]["kernel"].T,
            "linear1.bias": own["dense1"]["bias"],
            "linear2.weight": own["dense2"]["kernel"].T,
            "linear2.bias": own["dense2"]["bias"],
        }
        x = torch.func.functional_call(layer, weights, (x,), {"src_mask": mask})
    return x
