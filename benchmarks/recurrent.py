"""Recurrent networks: embedding, one layer of cells, the last output, a head.

Texts of 256 tokens in batches of 64, and of real lengths: those of the training texts of SST-2 and
of IMDB (words and marks, cut at 256), in batches of similar length as training visits them.
PyTorch takes the same batches, packed, or padded to the longest text of the batch.
"""

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import torch
from torch import nn

from benchmarks import ours
from benchmarks.harness import Contender, Workload
from benchmarks.theirs import clear
from dl_jax.data import GroupedByLength
from dl_jax.models.recurrence import CellName

BATCH = 64
LONG = 256
MEASURED = 8
"""Batches of real lengths in one run."""
# Deciles of the numbers of tokens of training texts, the shortest and the longest among them.
DECILES = {
    "SST-2": (1, 2, 3, 4, 5, 7, 9, 12, 16, 23, 56),
    "IMDB": (11, 109, 138, 155, 174, 203, 242, 256, 256, 256, 256),
}
CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def recurrent() -> Iterator[Workload]:
    """The workloads of this subject, one after the other."""
    whole = [ours.texts(np.full(BATCH, LONG), LONG)]
    targets: dict[CellName, float] = {"lstm": 0.9, "gru": 1.0, "rnn": 1.0}
    for cell, target in targets.items():
        yield training(cell, "texts of 256", whole, target)
    yield inference("lstm", "texts of 256", whole, 1.0)
    for name, target in (("SST-2", 2.0), ("IMDB", None)):
        yield training("lstm", f"texts, {MEASURED} batches of {name}'s lengths", real(name), target)
    learner, eight = (ours.learner_of(ours.recurrent_model("lstm"), seeds, inputs="tokens")
                      for seeds in (None, 8))  # fmt: skip
    yield Workload(
        "LSTM, step of eight seeds",
        [
            ours.stepper("one seed", learner, 1, batches=whole, ours=False),
            ours.stepper(
                "eight seeds", eight, 1, batches=[ours.texts(np.full(BATCH, LONG), LONG, (8,))]
            ),
        ],
        reads="eight seeds / one",
        most=5,
    )


def real(name: str) -> list[dict[str, np.ndarray]]:
    """Batches of texts of similar length, with the lengths of a dataset."""
    random = np.random.default_rng(0)
    places = random.uniform(0, 10, 50 * BATCH)
    lengths = np.round(np.interp(places, np.arange(11), DECILES[name])).astype(int)
    longest, order = max(DECILES[name]), GroupedByLength(lengths, BATCH, 0)
    chosen = np.linspace(0, order.steps_per_epoch - 1, MEASURED).astype(int)
    batches = sorted((lengths[order.batch(step)["index"]] for step in range(50)), key=max)
    return [ours.texts(batches[i], longest) for i in chosen]


def training(
    cell: CellName, described: str, batches: list[dict[str, np.ndarray]], target: float | None
) -> Workload:
    """A training step on each batch."""
    learner = ours.learner_of(ours.recurrent_model(cell), inputs="tokens")
    steps = [np.count_nonzero(batch["tokens"], axis=1).max() for batch in batches]
    gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
    return Workload(
        f"{cell.upper()}, step of {BATCH} {described}",
        [
            ours.stepper("dl_jax", learner, 1, batches=batches),
            *(Theirs(cell, packed).stepper(batches) for packed in (False, True)),
        ],
        3 * 2 * BATCH * float(sum(steps)) * 256 * gates * 128,
        target=target,
    )


def inference(
    cell: CellName, described: str, batches: list[dict[str, np.ndarray]], target: float
) -> Workload:
    """Logits of each batch."""
    tokens = [batch["tokens"] for batch in batches]
    return Workload(
        f"{cell.upper()}, inference of {BATCH} {described}",
        [
            ours.predictor("dl_jax", ours.recurrent_model(cell), tokens),
            *(Theirs(cell, packed).predictor(batches) for packed in (False, True)),
        ],
        2 * BATCH * LONG * 256 * 4 * 128 * len(batches),
        target=target,
    )


class Theirs(nn.Module):
    """The same network in PyTorch, on packed sequences, or padded to the longest of the batch."""

    def __init__(self, cell: str, packed: bool) -> None:
        assert cell in get_args(CellName)
        super().__init__()
        torch.manual_seed(0)
        self.packed = packed
        self.embedding = nn.Embedding(ours.VOCABULARY, 128)
        self.cells = CELLS[cell](128, 128, batch_first=True)
        self.head = nn.Linear(128, 2)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=1e-3, fused=True)
        self.initial = [parameter.detach().clone() for parameter in self.parameters()]

    @property
    def name(self) -> str:
        """In the table."""
        return f"torch, {'packed' if self.packed else 'padded'}"

    def forward(self, tokens: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Logits of the output after each text's last token."""
        x = self.embedding(tokens[:, : int(lengths.max())])
        if not self.packed:
            outputs, _ = self.cells(x)
            return self.head(outputs[torch.arange(len(tokens)), lengths - 1])
        sequence = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=True, enforce_sorted=False
        )
        _, last = self.cells(sequence)
        return self.head((last[0] if isinstance(last, tuple) else last)[0])

    def stepper(self, batches: list[dict[str, np.ndarray]]) -> Contender:
        """A training step on each batch."""
        given = _tensors(batches)

        def run() -> None:
            for tokens, lengths, labels in given:
                self.optimizer.zero_grad()
                nn.functional.cross_entropy(self(tokens, lengths), labels).backward()
                self.optimizer.step()

        return Contender(self.name, False, run, self.reset)

    def predictor(self, batches: list[dict[str, np.ndarray]]) -> Contender:
        """Logits of each batch."""
        given = _tensors(batches)

        def run() -> None:
            with torch.inference_mode():
                for tokens, lengths, _ in given:
                    self(tokens, lengths)

        return Contender(self.name, False, run)

    def reset(self) -> None:
        """Fresh parameters and moments."""
        with torch.no_grad():
            for parameter, initial in zip(self.parameters(), self.initial, strict=True):
                parameter.copy_(initial)
        clear(self.optimizer)


def _tensors(batches: list[dict[str, np.ndarray]]) -> list[tuple[torch.Tensor, ...]]:
    return [
        (
            torch.from_numpy(batch["tokens"]).long(),
            torch.from_numpy(np.count_nonzero(batch["tokens"], axis=1)),
            torch.from_numpy(batch["label"]).long(),
        )
        for batch in batches
    ]
