"""Which probes there are, and how a release writes them natively.

Imports neither flax nor jax.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BESIDES_NNX", "NEEDS", "PROBES", "Forms", "forms"]

#: By name, in the order in which they run: each needs what those before it need.
PROBES = (
    "import",
    "call",
    "split and merge",
    "jit",
    "grad",
    "vmap",
    "scan",
    "remat",
    "cond",
    "while_loop",
    "eval_shape",
    "Optimizer",
    "BatchNorm",
    "Dropout",
    "sharding",
    "orbax",
    "linen",
)
#: Those that are about Flax and its companions, and not about NNX.
BESIDES_NNX = ("orbax", "linen")

#: The name in ``nnx`` without which a release cannot be probed, by probe.
NEEDS = {
    "cond": "cond",
    "while_loop": "while_loop",
    "eval_shape": "eval_shape",
    "Optimizer": "Optimizer",
}

Forms = Mapping[str, bool]


def forms(flax: str) -> dict[str, bool]:
    """What decides how a probe is written natively on a release, by name.

    Example:
        >>> from nnx_compat import band, facts
        >>> band.forms(facts.releases()[-1].version)["split is a method"]
        False
    """
    from .. import facts

    def has(name: str, parameter: str | None = None) -> bool:
        return facts.name(f"nnx.{name}").on(flax, parameter)

    def does(behaviour: str) -> bool:
        return facts.behaviour(behaviour).holds(flax)

    return {
        "attributes unwrap": does("attribute-unwraps-the-variable"),
        "get_value": has("Variable.get_value"),
        "split is a method": does("split-is-a-method"),
        "axes by filter": has("StateAxes"),
        "scan returns the carry first": not does("scan-out-axes-hold-the-carry"),
        "Optimizer takes wrt": has("Optimizer", "wrt"),
        "Optimizer.update takes the model": has("Optimizer.update", "model"),
        "Dropout takes rngs": has("Dropout", "rngs"),
        "a mesh shards at once": does("variable-sharding-needs-a-mesh"),
        **{f"no {name}": not has(name) for name in NEEDS.values()},
    }
