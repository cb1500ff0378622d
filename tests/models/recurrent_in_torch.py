"""The recurrent models of `test_models.py` in PyTorch, on parameters in our layout."""

import torch
from torch.nn.functional import linear, relu
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

LAYERS = {1: torch.nn.RNN, 3: torch.nn.GRU, 4: torch.nn.LSTM}  # by the number of gates


def dense(x, kernel, bias=None):
    return linear(x, kernel.T, bias)


def cells(params, x, lengths=None):
    """Outputs of the last layer and, for each of its directions, its last output."""
    names = [name for name in params if name.startswith("layer")]
    first = params["layer1"]["forward"]
    hidden, gates = first["hidden"]["kernel"].shape
    both = "backward" in params["layer1"]
    stack = LAYERS[gates // hidden](
        x.shape[-1], hidden, len(names), bidirectional=both, batch_first=True
    )
    weights = {}
    for number, name in enumerate(names):
        for direction, suffix in (("forward", ""), ("backward", "_reverse"))[: 1 + both]:
            for layer, kind in (("input", "ih"), ("hidden", "hh")):
                own, end = params[name][direction][layer], f"{kind}_l{number}{suffix}"
                weights[f"weight_{end}"] = own["kernel"].T
                weights[f"bias_{end}"] = own.get("bias", torch.zeros(gates))
    if lengths is not None:
        x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    outputs, last = torch.func.functional_call(stack, weights, (x,))
    if lengths is not None:
        outputs, _ = pad_packed_sequence(outputs, batch_first=True)
    hidden = last[0] if isinstance(last, tuple) else last
    return outputs, torch.cat(list(hidden[-(1 + both) :]), -1)


def lengths_of(tokens):
    return (tokens != 0).sum(1)


def last_of_cells(params, state, tokens, train):
    x = params["embedding"]["embedding"][tokens]
    return dense(cells(params, x, lengths_of(tokens))[1], **params["head"]), {}


def mean_of_cells(params, state, tokens, train):
    x, lengths = params["embedding"]["embedding"][tokens], lengths_of(tokens)
    outputs, _ = cells(params, x, lengths)  # zero in the padding
    return dense(outputs.sum(1) / lengths[:, None], **params["head"]), {}


def maximum_of_cells(params, state, tokens, train):
    x, lengths = params["embedding"]["embedding"][tokens], lengths_of(tokens)
    outputs, _ = cells(params, x, lengths)
    largest = torch.stack([o[:n].amax(0) for o, n in zip(outputs, lengths, strict=True)])
    return dense(largest, **params["head"]), {}


def mean_embedding(params, state, tokens, train):
    found = params["embedding"]["embedding"][tokens]
    means = torch.stack([x[:n].mean(0) for x, n in zip(found, lengths_of(tokens), strict=True)])
    return dense(relu(dense(means, **params["dense1"])), **params["head"]), {}


def regressor(params, state, x, train):
    return dense(cells(params, x)[0], **params["head"]), {}


def language_model(params, state, tokens, train):
    x = params["embedding"]["embedding"][tokens]
    return dense(cells(params, x)[0], **params["head"]), {}
