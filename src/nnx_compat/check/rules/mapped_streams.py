"""NC341, NC406: random streams where a function is mapped: ``vmap``, ``scan``."""

from __future__ import annotations

import ast

from .. import events, kinds, masks, releases
from ..findings import Problem
from ..syntax import is_none
from ..values import ClassInfo, Instance, Keys, Several, Value
from . import Rule


def _is_whole(event: events.Mapped) -> bool:
    return event.axis is not None and is_none(event.axis)


def find(event: events.Mapped) -> Problem | None:
    """Streams without an axis where there has to be one, or with one in the way."""
    axis = event.axis
    plain = axis is None or (isinstance(axis, ast.Constant) and axis.value == 0)
    if not plain or (axis is None and event.path == "nnx.scan"):
        return None
    if "nnx.Rngs" in kinds.of(event.value):
        return _of_rngs(event)
    return _of_dropout(event) if holds_dropout(event.value, set()) else None


def _of_rngs(event: events.Mapped) -> Problem | None:
    if event.split or event.path not in ("nnx.vmap", "nnx.pmap"):
        return None
    splits = masks.behaviour("vmap-splits-the-rngs")
    if isinstance(event.value, Instance) and event.value.mapped:
        refused = masks.on(event.path) & splits
        if event.compat:  # where streams are no state, there is nothing to map over
            refused = masks.behaviour("split-is-a-method")
        return Problem(
            f"`{event.path}` takes no Rngs of many keys on flax "
            f"{releases.spelled(refused)}",
            refused,
            error="TypeError" if event.compat else "ValueError",
            instead="a function of the keys, which makes a Rngs of each",
        )
    if event.compat:
        return None
    return Problem(
        f"`{event.path}` splits the keys of a Rngs on flax {releases.spelled(splits)}",
        masks.on(event.path) & ~splits & ~masks.behaviour("split-is-a-method"),
        error="ValueError",
        instead="nnx.split_rngs(splits=n) around it",
    )


def _of_dropout(event: events.Mapped) -> Problem | None:
    native = holds_dropout(event.value, set(), native=True)
    if not native and not event.split:
        return None
    if isinstance(event.value, Instance) and event.value.mapped:
        return None  # with no Rngs from outside there is a stream for each layer
    has_split = of_state() if event.compat else masks.on("nnx.split_rngs")
    forks = masks.behaviour("dropout-forks-its-rngs") if native else of_state()
    excluded = forks & has_split if event.split else has_split & ~forks
    how = "split keys around" if event.split else "no nnx.split_rngs around"
    change = "without" if event.split else "with"
    there, left = releases.spelled(excluded), has_split & ~excluded
    return Problem(
        f"`{event.path}` over layers with a Dropout, and {how} it, runs on "
        + (f"flax {releases.spelled(left)}" if left else "no release of flax"),
        excluded,
        error="ValueError",
        instead=f"the same {change} nnx.split_rngs on flax {there}",
    )


def of_state() -> int:
    """Where random streams are state: there nnx_compat's Dropout forks one."""
    return releases.ALL & ~masks.behaviour("split-is-a-method")


def holds_dropout(value: Value, seen: set[int], *, native: bool = False) -> bool:
    """Whether a Module certainly has a Dropout, itself or in one of its Modules.

    Args:
        value: what is known of the Module.
        seen: the classes that were looked at.
        native: whether only Flax's own Dropout counts.
    """
    if isinstance(value, (Keys, Several)):
        return any(holds_dropout(one, seen, native=native) for one in value.all())
    if not isinstance(value, Instance):
        return False
    if value.kind == "nnx.Dropout":
        return not (native and value.compat)
    if not isinstance(value.kind, ClassInfo) or id(value.kind) in seen:
        return False
    seen.add(id(value.kind))
    inside = (v for one in value.kind.families() for v in one.attributes.values())
    return any(holds_dropout(v, seen, native=native) for v in inside)


def find_same(event: events.Mapped) -> Problem | None:
    """A constructor that is mapped over a Rngs that all layers are given whole."""
    if not _is_whole(event) or event.split or "nnx.Rngs" not in kinds.of(event.value):
        return None
    if not kinds.is_module(event.gives):
        return None
    splits = masks.behaviour("vmap-splits-the-rngs")
    same = masks.on(event.path) & ~splits & ~masks.behaviour("split-is-a-method")
    return Problem(
        f"all layers begin with the same weights on flax {releases.spelled(same)}",
        same,
        certain=False,
        instead="nnx.split_rngs(splits=n) around it, and in_axes=0",
    )


RULE = Rule(
    code="NC341",
    title="a function that is mapped over random streams",
    why=(
        "A Dropout kept the Rngs that it was given, and mapping over it needed "
        "`nnx.split_rngs` around; newer ones keep a stream of their own, and splitting "
        "that again is an error. `nnx.vmap` of a constructor once split by itself."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx


class Layer(nnx.Module):
    def __init__(self, rngs):
        self.linear = nnx.Linear(2, 2, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.linear(x))


@nnx.split_rngs(splits=3)
@nnx.vmap(in_axes=0, out_axes=0)
def make(rngs):
    return Layer(rngs)


@nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
def forward(layer, x):
    return layer(x)


assert forward(make(nnx.Rngs(0)), jnp.ones((1, 2))).shape == (1, 2)
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx

rngs = nnx.Rngs(0)
layers = nnx.List([nnx.Linear(2, 2, rngs=rngs) for _ in range(3)])
x = jnp.ones((1, 2))
for layer in layers:
    x = layer(x)
assert x.shape == (1, 2)
""",
    remedy=(
        "Keep the Dropout out of what is mapped, or loop over the layers in an "
        "`nnx.List`."
    ),
    event=events.Mapped,
    find=find,
    compat=True,
)

SAME = Rule(
    code="NC406",
    title="a constructor that is mapped, and gives the same layer each time",
    why=(
        "With `in_axes=None` the mapped constructor is given one Rngs. The first "
        "releases split its keys, so that each layer was another; since, all are one."
    ),
    before="""\
import jax.numpy as jnp
from flax.experimental import nnx


def make(rngs):
    return nnx.Linear(2, 2, rngs=rngs)


if hasattr(nnx, "split"):
    stack = nnx.vmap(make, in_axes=None, axis_size=2)(nnx.Rngs(0))
    kernel = stack.kernel.value
    assert not bool(jnp.allclose(kernel[0], kernel[1]))
""",
    after="""\
import jax.numpy as jnp
import nnx_compat as nc
from nnx_compat import nnx

rngs = nnx.Rngs(0)
first, second = nnx.Linear(2, 2, rngs=rngs), nnx.Linear(2, 2, rngs=rngs)
same = jnp.allclose(nc.get_value(first.kernel), nc.get_value(second.kernel))
assert not bool(same)
""",
    remedy="`nnx.split_rngs(splits=n)` around `nnx.vmap`, or a loop.",
    event=events.Mapped,
    find=find_same,
)
