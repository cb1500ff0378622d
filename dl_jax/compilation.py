"""What the platform needs to be fast: compiler options of `jax.jit`, and loops that it can bear."""

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import jax

from dl_jax.folders import cache_folder
from dl_jax.types import Tree

# On CPU, XLA sends convolutions to a slow fusion by default; with this they go to Eigen, up to five
# times faster in the gradient of the kernel. Experimental in XLA, and unknown to some versions.
CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
}


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit(function, **options)`, with the compiler options of the present platform."""
    return jax.jit(function, compiler_options=_platform_options(), **options)


@cache
def _platform_options() -> dict[str, str] | None:
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda x: x, compiler_options=CPU_OPTIONS).lower(0.0).compile()
    except Exception:  # this version does not know the option: slower, not wrong
        return None
    return CPU_OPTIONS


def keep_compiled_programs() -> None:
    """Keep compiled programs on disk, so that the next start of a script need not compile again.

    `$JAX_COMPILATION_CACHE_DIR` has precedence over `cache_folder()`, and
    `$JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS` over half a second.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    if not os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def sums_rows_slowly() -> bool:
    """Whether a sum over the rows of `[rows, channels]` is better made in two steps: on CPU."""
    return jax.default_backend() == "cpu"


def rolled_loop_is_fast(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether `function(*arguments)` is as fast inside a compiled loop as outside of one.

    It is, on every platform, with one exception: on CPU a convolution inside a compiled loop runs
    some thirty times slower than outside (docs/performance.md).

    Args:
        function: is traced, not computed.
        arguments: arrays, or their shapes and types (`jax.ShapeDtypeStruct`).
    """
    return jax.default_backend() != "cpu" or not holds_convolution(function, *arguments)


def scan(body: Callable[..., tuple[Tree, Tree]], carry: Tree, xs: Tree) -> tuple[Tree, Tree]:
    """`jax.lax.scan(body, carry, xs)`, unrolled where a compiled loop would be slow.

    For loops whose body may hold a convolution.
    """
    first = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), xs)
    return jax.lax.scan(body, carry, xs, unroll=not rolled_loop_is_fast(body, carry, first))


def holds_convolution(function: Callable[..., Any], *arguments: Any) -> bool:
    """Whether a convolution is among the operations of `function(*arguments)`.

    Args:
        function: is traced, not computed.
        arguments: arrays, or their shapes and types (`jax.ShapeDtypeStruct`).
    """
    return _is_among("conv_general_dilated", jax.make_jaxpr(function)(*arguments).jaxpr)


def _is_among(primitive: str, jaxpr: Any) -> bool:
    """Whether a primitive occurs in a jaxpr, or in one that its equations call."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == primitive:
            return True
        for leaf in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(leaf) and _is_among(primitive, getattr(leaf, "jaxpr", leaf)):
                return True
    return False


def _is_jaxpr(value: Any) -> bool:
    return hasattr(value, "eqns")
