"""A learner on a mesh of devices: data-parallel, or with its state sharded as well."""

from collections.abc import Callable
from dataclasses import replace

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from dl_jax.errors import UsageError, check_choice
from dl_jax.learners.learner import Learner, TrainState, Weights
from dl_jax.learners.metrics import Metrics
from dl_jax.paths import Rules, match, path_names
from dl_jax.types import Batch, PRNGKey, Tree

Placement = P | Callable[[tuple[int, ...]], P]
"""Mesh axes of a parameter's own axes, or a function from its shape to them."""

REPLICATED: Rules[Placement] = ((".*", P()),)
"""Every device holds all parameters: data-parallel training."""


def local_mesh(axis: str = "data") -> Mesh:
    """All devices of this process along one mesh axis; the compiler chooses other shardings."""
    devices = jax.local_devices()
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((len(devices),), (axis,), axis_types=auto, devices=devices)


def global_mesh(axis: str = "data") -> Mesh:
    """All devices of all processes that train together along one mesh axis."""
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((jax.device_count(),), (axis,), axis_types=auto)


def fully_sharded(mesh: Mesh, axis: str = "data") -> Rules[Placement]:
    """Rules that split each parameter along its longest axis that the devices divide evenly.

    Source: Rajbhandari et al. (2019), arXiv:1910.02054 (ZeRO, stage 3).
    """
    devices = mesh.shape[axis]

    def longest(shape: tuple[int, ...]) -> P:
        candidates = [i for i, size in enumerate(shape) if size >= devices and size % devices == 0]
        if not candidates:
            return P()
        chosen = max(candidates, key=lambda i: shape[i])
        return P(*[axis if i == chosen else None for i in range(len(shape))])

    return ((".*", longest),)


def sharded(
    learner: Learner, mesh: Mesh, rules: Rules[Placement] = REPLICATED, *, axis: str = "data"
) -> Learner:
    """`learner` with batches split along `axis` of the mesh, and its state placed by `rules`.

    The optimizer's arrays go where their parameters go. Placements describe a parameter's own
    axes: the axes of replicas before them are never split.

    Args:
        learner: any learner, also one of several replicas.
        mesh: devices, such as `local_mesh()`.
        rules: ordered patterns over parameter paths (`dl_jax.paths`), each with a placement.
        axis: name of the mesh axis along which batches are split.

    Raises:
        UsageError: the mesh has no such axis; and, when the learner is traced, the devices do not
            divide a batch.
    """

    def place(state: TrainState) -> TrainState:
        specs = _state_specs(state, rules, axis)
        return jax.tree.map(
            lambda leaf, spec: jax.lax.with_sharding_constraint(leaf, NamedSharding(mesh, spec)),
            state,
            specs,
        )

    devices = mesh.shape[check_choice("axis", axis, mesh.shape)]

    def cut(batch: Batch, streams: int, kind: str) -> Batch:
        size = min(array.shape[streams] for array in jax.tree.leaves(batch))
        if size % devices:
            raise UsageError(
                f"{kind} of {size} examples cannot be split over {devices} devices: make "
                f"its size a multiple of {devices}"
            )
        sharding = NamedSharding(mesh, P(*[None] * streams, axis))
        return jax.lax.with_sharding_constraint(batch, sharding)

    def everywhere(metrics: Metrics) -> Metrics:
        """On every device, so that each process can read them."""
        return jax.lax.with_sharding_constraint(metrics, NamedSharding(mesh, P()))

    def init(key: PRNGKey, start: Weights | None = None) -> TrainState:
        return place(learner.init(key, start))

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        state, metrics = learner.train_step(
            place(state), cut(batch, len(learner.streams), "a training batch")
        )
        return place(state), everywhere(metrics)

    def eval_step(state: TrainState, batch: Batch) -> Metrics:
        return everywhere(learner.eval_step(place(state), cut(batch, 0, "an evaluation batch")))

    return learner._replace(init=init, train_step=train_step, eval_step=eval_step)


def _state_specs(state: TrainState, rules: Rules[Placement], axis: str) -> Tree:
    """The sharding of every leaf.

    An optimizer leaf whose path ends in a parameter's path (and has its shape) gets that
    parameter's sharding. The carry is split with the batch; all others are replicated.
    """
    replicas = len(state.replicas)
    carry = jax.tree.map(lambda _: P(*[None] * replicas, axis), state.carry)
    state = replace(state, carry=())
    shapes = [leaf.shape for leaf in jax.tree.leaves(state.params)]
    placements = jax.tree.leaves(
        match(state.params, rules), is_leaf=lambda x: isinstance(x, P) or callable(x)
    )
    specs = {
        (name, shape): P(*[None] * replicas, *_spec(placement, shape[replicas:]))
        for name, shape, placement in zip(path_names(state.params), shapes, placements, strict=True)
    }

    def spec_of(name: str, shape: tuple[int, ...]) -> P:
        parts = name.split("/")
        for start in range(len(parts)):  # the longest suffix first
            spec = specs.get(("/".join(parts[start:]), shape))
            if spec is not None:
                return spec
        return P()

    leaves = [
        spec_of(name, leaf.shape)
        for name, leaf in zip(path_names(state), jax.tree.leaves(state), strict=True)
    ]
    return replace(jax.tree.unflatten(jax.tree.structure(state), leaves), carry=carry)


def _spec(placement: Placement, shape: tuple[int, ...]) -> P:
    return placement if isinstance(placement, P) else placement(shape)
