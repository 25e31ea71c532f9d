"""What is true of each Flax release: data and its queries. Imports no flax, no jax.

Ten files hold the facts: ``releases.toml`` (one row a release, with the jax range
measured to work), ``names.json`` (generated: every public NNX name, member and
parameter with its intervals of releases, and the home of each name),
``behaviours.toml`` (one entry per change of meaning), ``symptoms.toml`` (what each
raises), ``internals.toml`` (what differs inside Flax, where the backports have to know
it), ``faults.toml`` (what a newer jax broke in an older Flax, and which door repairs
it), ``spellings.toml`` (how each stable
operation is written natively), ``namespace.toml`` (what the drop-in namespace does with
a name), ``backports.json`` (rendered: which file builds it) and ``uses.json``
(generated: members of instances, calls, bases, names of flax outside of NNX and of the
modules inside it). Each fact is
proved by a probe of the test-suite on every release of the matrix.

    >>> from nnx_compat import facts
    >>> facts.release("0.9.0").revision
    'variable_state'
    >>> facts.worded(facts.name("nnx.Data").intervals)
    'from 0.11.0'
    >>> facts.behaviour("split-shares-variables").holds("0.10.7")
    False
"""

from __future__ import annotations

from ._behaviours import (
    Behaviour,
    Spelling,
    behaviour,
    behaviours,
    internals,
    spellings,
)
from ._faults import Argument, Fault, Gone, arguments, fault, faults, gone
from ._intervals import Interval, spanning, within, worded
from ._names import Name, name, names
from ._namespace import (
    Feature,
    OlderMeaning,
    Parameter,
    Setting,
    Treatment,
    backports,
    features,
    older,
    older_meanings,
    parameters,
    resolved,
    settings,
    treatment,
    treatments,
)
from ._releases import (
    Companion,
    Interpreter,
    Release,
    Revision,
    companions,
    interpreters,
    nearest,
    release,
    releases,
    revisions,
)
from ._symptoms import Symptom, symptoms
from ._uses import Call, bases, call, inside, instance_member, module, outside, reads

__all__ = [
    "Argument",
    "Behaviour",
    "Call",
    "Companion",
    "Fault",
    "Feature",
    "Gone",
    "Interpreter",
    "Interval",
    "Name",
    "OlderMeaning",
    "Parameter",
    "Release",
    "Revision",
    "Setting",
    "Spelling",
    "Symptom",
    "Treatment",
    "arguments",
    "backports",
    "bases",
    "behaviour",
    "behaviours",
    "call",
    "companions",
    "fault",
    "faults",
    "features",
    "gone",
    "inside",
    "instance_member",
    "internals",
    "interpreters",
    "module",
    "name",
    "names",
    "nearest",
    "older",
    "older_meanings",
    "outside",
    "parameters",
    "reads",
    "release",
    "releases",
    "resolved",
    "revisions",
    "settings",
    "spanning",
    "spellings",
    "symptoms",
    "treatment",
    "treatments",
    "within",
    "worded",
]
