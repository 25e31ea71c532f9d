"""The house form of errors: code at the end of the first sentence, then what to do."""

from __future__ import annotations

import builtins
import inspect

import pytest

import nnx_compat as nc
from nnx_compat import errors, facts, nnx

CLASSES = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.NnxCompatError)
]


def test_the_code_is_at_the_end_of_the_first_sentence_and_details_follow_a_line_each():
    error = errors.StateStructureError(
        "update: 2 of the leaves do not fit",
        details=["bias: missing", "scale: missing"],
        instead="all of them",
        otherwise="none",
    )
    assert str(error).splitlines() == [
        "update: 2 of the leaves do not fit. [NC010]",
        "    bias: missing",
        "    scale: missing",
        "  instead: all of them",
        "  or:      none",
    ]


def test_ten_details_are_shown_and_the_others_counted():
    error = errors.StateStructureError("no", details=[str(n) for n in range(13)])
    lines = str(error).splitlines()
    assert lines[0] == "no. [NC010]"
    assert lines[1:11] == [f"    {n}" for n in range(10)]
    assert lines[11:] == ["    and 3 more"]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_an_error_is_the_builtin_that_a_caller_expects_and_has_a_code_of_its_own(kind):
    assert [other for other in CLASSES if other.code == kind.code] == [kind]
    assert kind.__bases__[-1] in vars(builtins).values()
    assert f". [{kind.code}]" in str(kind("found"))


def test_a_subclass_has_the_code_of_its_base_until_it_says_another():
    class Same(errors.ArgumentTypeError):
        pass

    class Other(errors.ArgumentTypeError, code="X001"):
        pass

    assert (Same.code, Other.code) == ("NC030", "X001")


class MLP: ...


class UNet: ...


class Encoder: ...


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "an int"),
        ("dense", "a str"),
        (None, "a NoneType"),
        (MLP(), "an MLP"),
        (UNet(), "a UNet"),
        (Encoder(), "an Encoder"),
    ],
)
def test_a_type_is_named_with_its_article(value, said):
    assert errors.kind_of(value) == said


def test_an_array_is_called_an_array():
    import jax.numpy as jnp
    import numpy as np

    assert errors.kind_of(jnp.zeros(2)) == errors.kind_of(np.zeros(2)) == "an array"


def test_what_does_not_fit_is_named_by_its_path_with_what_it_was_and_is():
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    with pytest.raises(errors.StateStructureError) as raised:
        nc.update(model, {"bias": [1.0]})
    assert str(raised.value).splitlines()[:2] == [
        "update: 1 of the leaves do not fit. [NC010]",
        "    bias: shape was (2,), is none (a list)",
    ]


def test_an_int_is_no_node():
    with pytest.raises(errors.NodeTypeError, match="^an int is not a node"):
        nc.split(3)


REFUSED = [
    path
    for path in facts.treatments()
    if (row := facts.treatment(path, nc.flax_version)) and row.treatment == "refused"
]


@pytest.mark.parametrize("path", REFUSED)
def test_a_refusal_says_one_thing_about_the_releases(path):
    row = facts.treatment(path, nc.flax_version)
    with pytest.raises(errors.RefusedNameError) as raised:
        getattr(nnx, path.removeprefix("nnx."))
    first, instead, *rest = str(raised.value).splitlines()
    where = facts.worded(facts.name(path).intervals)
    assert f"is not in flax {nc.flax_version} (it is in flax {where})" in first
    assert first.endswith(f"{row.why}. [NC101]")
    assert instead == f"  instead: {row.instead}"
    last = facts.name(path).intervals[-1]
    upgrade = [f"  or:      pip install 'flax>={last.first}'"]
    assert rest == (upgrade if last.last is None else [])
    # a reason with two cases would leave it to the reader which one is theirs
    assert ", or " not in row.why
