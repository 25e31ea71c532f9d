"""NC405: a keyword that a method takes for one of its own on some releases only."""

from __future__ import annotations

from ... import facts
from .. import events, kinds, masks, releases
from ..findings import Problem
from . import Rule


def find(event: events.Call) -> Problem | None:
    """``metric.update(values=x, mask=m)``, where ``**kwargs`` swallow the mask."""
    if event.path == "nnx.Sequential.__call__" and event.keywords:
        return _of_sequential(event)
    call = facts.call(event.path)
    if call is None or event.path.count(".") < 2:
        return None
    for keyword in sorted(event.keywords):
        if keyword not in call.named:
            continue
        ignores = releases.of(call.swallows) & ~releases.of(call.named[keyword])
        if ignores and not kinds.is_module_type(event.path):
            return Problem(
                f"`{event.path.removeprefix('nnx.')}({keyword}=)` is ignored on flax "
                f"{releases.spelled(ignores)}",
                ignores,
                certain=False,
                instead="nnx.metrics of nnx_compat's namespace",
            )
    return None


def _of_sequential(event: events.Call) -> Problem:
    reaches = masks.behaviour("sequential-hands-keywords-to-all")
    first = masks.on("nnx.Sequential") & ~reaches
    keyword = min(event.keywords)
    return Problem(
        f"`{keyword}=` reaches the first layer of a Sequential only on flax "
        f"{releases.spelled(first)}",
        first,
        certain=False,
        instead="nnx.Sequential of nnx_compat's namespace",
    )


RULE = Rule(
    code="NC405",
    title="an argument that is ignored",
    why=(
        "`update` of a metric takes any keyword, since metrics are updated together. "
        "What is a parameter on newer releases, `mask`, is taken and ignored before."
    ),
    before="""\
import jax.numpy as jnp
from flax import nnx

metric = nnx.metrics.Average()
metric.update(values=jnp.array([1.0, 9.0]), mask=jnp.array([True, False]))
assert float(metric.compute()) == 1.0
""",
    after="""\
import jax.numpy as jnp
from nnx_compat import nnx

metric = nnx.metrics.Average()
metric.update(values=jnp.array([1.0, 9.0]), mask=jnp.array([True, False]))
assert float(metric.compute()) == 1.0
""",
    remedy="`from nnx_compat import nnx`, whose metrics know masks everywhere.",
    event=events.Call,
    find=find,
)
