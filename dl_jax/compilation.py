"""What the platform needs to be fast: compiler options of `jax.jit`, and loops that it can bear."""

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax

from dl_jax.folders import cache_folder
from dl_jax.types import Tree

# Which operations XLA gives to its library YNNPACK on CPU. By default convolutions are among them,
# and several times slower in the gradient of the kernel than with Eigen, which gets them with
# either of these. Products alone: fastest where each stands for itself. Sums alone, which leaves
# products to Eigen: faster in loops, those of cells and of transformer blocks. Experimental in XLA,
# and unknown to some versions.
CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}
CPU_OPTIONS_LOOP = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


def jit(function: Callable[..., Any], **options: Any) -> Any:
    """`jax.jit(function, **options)`, with the compiler options of the present platform.

    They depend on what the function does, and are chosen when it is first called.
    """
    if _platform_options() is None:
        return jax.jit(function, **options)
    compiled = None

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        nonlocal compiled
        if compiled is None:
            # The trace is kept by JAX: the function is not traced again.
            jaxpr = jax.jit(function, **options).trace(*arguments, **named).jaxpr.jaxpr
            loops = _holds(jaxpr, lambda equation: equation.params.get("name") == LOOPED_PRODUCTS)
            chosen = CPU_OPTIONS_LOOP if loops else CPU_OPTIONS
            compiled = jax.jit(function, compiler_options=chosen, **options)
        return compiled(*arguments, **named)

    return call


LOOPED_PRODUCTS = "looped_products"


def looped_products(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, marked for `jit`: it is a loop of matrix products."""

    def looped_products(*arguments: Any) -> Any:
        return function(*arguments)

    return jax.jit(looped_products)


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
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    return _holds(jaxpr, lambda equation: equation.primitive.name == "conv_general_dilated")


def _holds(jaxpr: Any, wanted: Callable[[Any], bool]) -> bool:
    """Whether a wanted equation is in a jaxpr, or in one that its equations call."""
    for equation in jaxpr.eqns:
        if wanted(equation):
            return True
        for value in equation.params.values():  # a jaxpr, or several, as the branches of `cond`
            for part in value if isinstance(value, list | tuple) else (value,):
                if hasattr(part, "eqns") and _holds(part, wanted):
                    return True
    return False
