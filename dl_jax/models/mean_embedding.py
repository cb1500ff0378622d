"""The mean of a text's embedded words, and dense layers: all that word order is not."""

from collections.abc import Sequence

from dl_jax.functional import Activation, embed, he_normal, relu
from dl_jax.models.chain import chain
from dl_jax.models.mlp import dense_layers
from dl_jax.models.model import Logits, Model, check_sizes, layer_key, uses_dropout
from dl_jax.models.recurrence import drop_inputs
from dl_jax.models.tokens import check_tokens, embedding_of, over_time, token_lengths
from dl_jax.types import Array, Params, PRNGKey, Scalar, State


def mean_embedding_classifier(
    vocab_size: int,
    num_classes: int,
    *,
    embedding_dim: int = 128,
    widths: Sequence[int] = (),
    activation: Activation = relu,
    dropout_rate: Scalar = 0.0,
) -> Model:
    """A text to a class: the mean of its embedded tokens, and dense layers.

    Inputs are tokens, integers `[batch, time]`, 0 being padding behind each text; outputs are
    logits `[batch, num_classes]`, which depend neither on padding nor on the order of the tokens.

    Args:
        vocab_size: number of different tokens, that of padding included.
        num_classes: units of the last layer.
        embedding_dim: features of a token.
        widths: units of each hidden dense layer.
        activation: applied after each hidden layer.
        dropout_rate: probability of dropping a feature of a token or a hidden unit while training,
            in [0, 1).

    Raises:
        UsageError: a size or the rate is out of range; and, when the model is applied, the inputs
            are no tokens.

    Source: the course; Iyyer et al. (2015), "Deep unordered composition rivals syntactic methods
    for text classification".
    """
    sizes = (embedding_dim, *widths, num_classes)
    check_sizes(f"sizes are {vocab_size=}, {embedding_dim=}, {widths=}, {num_classes=}",
                (vocab_size, *sizes))  # fmt: skip
    top = chain(dense_layers(sizes, activation, dropout_rate, he_normal))

    def init(key: PRNGKey) -> tuple[Params, State]:
        params, state = top.init(key)
        embedding = embedding_of(layer_key(key, "embedding"), vocab_size, embedding_dim)
        return {"embedding": embedding, **params}, state

    def apply(
        params: Params, state: State, inputs: Array, *, train: bool, key: PRNGKey | None = None
    ) -> tuple[Logits, State]:
        tokens = check_tokens("mean_embedding_classifier", inputs)
        x = embed(tokens, params["embedding"]["embedding"])
        if train and uses_dropout(dropout_rate):
            x = drop_inputs(x, dropout_rate, False, key=layer_key(key, "embedding"))
        pooled = over_time(x, token_lengths(tokens), "mean")
        return top.apply(params, state, pooled, train=train, key=key)

    return Model(init, apply)
