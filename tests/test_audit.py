"""``audit`` finds each of its cases where the facts have them, and nothing elsewhere."""

from __future__ import annotations

import collections
import copy
import functools
import importlib
import json
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nnx_compat as nc
from nnx_compat import cli, doctor, facts
from nnx_compat.auditing import Finding, _meets
from nnx_compat.errors import NodeTypeError
from nnx_compat.revisions import nnx

from .models import HAS, NODES, Noisy, static_rngs

# after Flax: on some pairs both meet a jax that warns of a setting, and Flax is let off
optax = importlib.import_module("optax")

CHILDREN_ARE_LOST = HAS["module-appended-later-is-lost"]
STATIC_RNGS = HAS["rngs-are-static"]


class Holder(nnx.Module):
    def __init__(self, **attributes):
        for name, value in attributes.items():
            setattr(self, name, value)


def linear():
    return nnx.Linear(2, 2, rngs=nnx.Rngs(0))


def faults(model):
    return [one for one in nc.audit(model) if one.severity != "note"]


def codes(model):
    return [(one.code, one.path) for one in faults(model)]


def notes(model):
    return {one.code: one for one in nc.audit(model) if one.severity == "note"}


def trained(model):
    """The number of leaves in the state, asked of the release."""
    return len(jax.tree_util.tree_leaves(nc.state(model)))


# -- clean models -------------------------------------------------------------------


class Sized(nnx.Module):
    """What attributes may be: settings, functions, classes, initializers."""

    def __init__(self):
        self.layer = linear()
        self.sizes = (1, (2, 3))
        self.name = "sized"
        self.act = jax.nn.relu
        self.compiled = jax.jit(jnp.tanh)
        self.kind = nnx.Linear
        self.initializer = nnx.initializers.lecun_normal()
        self.schedule = optax.cosine_decay_schedule(1.0, 10)
        self.half = functools.partial(jnp.multiply, 0.5)
        self.dtype = jnp.float32
        self.nothing = None


def optimizer(tx):
    return nc.nnx.Optimizer(NODES["batchnorm"](), tx, wrt=nnx.Param)


def grown():
    model = Holder(layers=nc.nnx.List([]), named=nc.nnx.Dict({}))
    model.layers.append(linear())
    model.named["a"] = linear()
    return model


CLEAN = {
    **NODES,
    "settings": Sized,
    "sequential": lambda: nc.nnx.Sequential(linear(), jax.nn.relu, linear()),
    "containers that grew": grown,
    "conv": lambda: nnx.Conv(2, 3, kernel_size=(3,), rngs=nnx.Rngs(0)),
    "embed": lambda: nnx.Embed(4, 2, rngs=nnx.Rngs(0)),
    "layer norm": lambda: nnx.LayerNorm(2, use_bias=False, rngs=nnx.Rngs(0)),
    "attention": lambda: nnx.MultiHeadAttention(
        num_heads=2, in_features=4, qkv_features=4, dropout_rate=0.5, decode=False,
        rngs=nnx.Rngs(0, dropout=1),
    ),
    "cell": lambda: nc.nnx.LSTMCell(2, 2, rngs=nnx.Rngs(0)),
}  # fmt: skip
if nc.supports("nnx.LoRA"):
    CLEAN["lora"] = lambda: nnx.LoRA(2, 1, 2, rngs=nnx.Rngs(0))
if not STATIC_RNGS:
    CLEAN |= {
        "streams": lambda: nnx.Rngs(0, noise=1),
        "rnn": lambda: nc.nnx.RNN(nc.nnx.GRUCell(2, 2, rngs=nnx.Rngs(0))),
        "sgd": lambda: optimizer(optax.sgd(0.1)),
        "adam": lambda: optimizer(optax.MultiSteps(optax.adam(0.1), 2)),
        "metrics": lambda: nnx.MultiMetric(a=nnx.metrics.Average()),
    }
if not HAS["split-refuses-raw-arrays"]:
    CLEAN["array"] = lambda: Holder(table=jnp.ones(2))
if not HAS["list-of-modules-is-refused"]:
    CLEAN["plain containers"] = lambda: Holder(
        a=[linear()], b=(linear(), [linear()]), c={"d": linear()}
    )


def clean(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jax, which Flax was older than, once
        return CLEAN[name]()


def identities(model):
    """Every Variable, its value and the counts of streams that are no Variables."""
    live = nc.variables(model)
    found = [(path, id(v), id(nc.get_value(v))) for path, v in live.items()]
    return found, list(static_rngs(model))


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_lost_or_wrong_in_a_clean_model(name):
    assert faults(clean(name)) == []


# not of an array: all its leaves are arrays, and so are those of a deepcopied state
@pytest.mark.parametrize("name", sorted(set(CLEAN) - {"variable", "array"}))
def test_nothing_is_wrong_in_the_state_of_a_clean_model(name):
    assert faults(nc.state(clean(name))) == []


@pytest.mark.parametrize("name", CLEAN)
def test_an_audit_changes_nothing(name):
    model = clean(name)
    before, graphdef = identities(model), nc.graphdef(model)
    nc.audit(model)
    assert identities(model) == before
    assert STATIC_RNGS or nc.graphdef(model) == graphdef


# -- children that are lost ---------------------------------------------------------


def late_in_a_list(child):
    model = Holder(x=[])
    model.x.append(child)
    return model, ("x", 0)


def late_in_a_dict(child):
    model = Holder(x={})
    model.x["a"] = child
    return model, ("x", "a")


def late_in_a_nested_list(child):
    model = Holder(x=[[], 1])
    model.x[0].append(child)
    return model, ("x", 0, 0)


def late_in_a_list_in_a_dict(child):
    model = Holder(x={"a": []})
    model.x["a"].append(child)
    return model, ("x", "a", 0)


def late_in_a_list_in_a_tuple(child):
    model = Holder(inner=Holder(x=(1, [])))
    model.inner.x[1].append(child)
    return model, ("inner", "x", 1, 0)


LATE = [
    late_in_a_list,
    late_in_a_dict,
    late_in_a_nested_list,
    late_in_a_list_in_a_dict,
    late_in_a_list_in_a_tuple,
]


@pytest.mark.parametrize("put", LATE)
def test_a_module_that_came_late_is_lost_where_the_facts_say(put):
    model, path = put(linear())
    lost = [one for one in faults(model) if one.code == "lost-child"]
    assert [one.path for one in lost] == ([path] if CHILDREN_ARE_LOST else [])
    assert trained(model) == (0 if CHILDREN_ARE_LOST else 2)
    for one in lost:
        assert "a Linear with 2 Variables, is not in the state" in one.text
        assert ("nnx.Dict" if put is late_in_a_dict else "nnx.") in one.remedy


@pytest.mark.parametrize("put", LATE)
def test_a_variable_that_came_late_is_lost_where_the_facts_say(put):
    model, path = put(nnx.Param(jnp.ones(2)))
    lost = [one.path for one in faults(model) if one.severity == "lost"]
    assert lost == ([path] if CHILDREN_ARE_LOST else [])


def test_an_array_that_came_late_is_lost_where_the_facts_say():
    model, path = late_in_a_list(jnp.ones(2))
    if HAS["split-refuses-raw-arrays"] and not HAS["array-appended-later-is-lost"]:
        assert codes(model) == [("split-refuses", ())]
    else:
        found = [one.path for one in faults(model) if one.code == "lost-array"]
        assert found == ([path] if HAS["array-appended-later-is-lost"] else [])


def in_a_set(child):
    return Holder(x={child}), ("x", 0)


def in_a_frozenset(child):
    return Holder(x=frozenset([child])), ("x", 0)


def in_a_deque(child):
    return Holder(x=collections.deque([child])), ("x", 0)


def in_an_object(child):
    return Holder(x=types.SimpleNamespace(layer=child)), ("x", "layer")


def in_a_closure(child):
    return Holder(x=lambda x: child(x)), ("x", "child")


def in_a_default(child):
    def call(x, layer=child):
        return layer(x)

    return Holder(x=call), ("x", "__defaults__", 0)


def behind_a_bound_method(child):
    return Holder(x=child.__call__), ("x", "__self__")


def behind_a_partial(child):
    return Holder(x=functools.partial(child)), ("x", "func")


def behind_a_compiled_method(child):
    return Holder(x=jax.jit(child.__call__)), ("x", "__wrapped__", "__self__")


@pytest.mark.parametrize(
    "put",
    [
        in_a_set, in_a_frozenset, in_a_deque, in_an_object, in_a_closure, in_a_default,
        behind_a_bound_method, behind_a_partial, behind_a_compiled_method,
    ],
)  # fmt: skip
def test_a_module_where_nnx_does_not_look_is_lost_on_every_release(put):
    model, path = put(linear())
    lost = [one for one in faults(model) if one.code == "lost-child"]
    assert [one.path for one in lost] == [path]
    assert "assign it to an attribute of the Module" in lost[0].remedy
    assert trained(model) == 0
    assert HAS["module-in-a-set-is-lost"]


def test_a_module_that_belongs_to_the_class_is_lost_on_every_release():
    class Model(nnx.Module):
        layer = linear()
        layers = (linear(),)

        def __init__(self):
            self.size = 1

    assert codes(Model()) == [
        ("lost-child", ("layer",)),
        ("lost-child", ("layers", 0)),
    ]


def test_a_module_in_the_state_that_a_function_holds_as_well_is_shared():
    class Model(nnx.Module):
        def __init__(self):
            self.layer = linear()
            self.method = self.layer.__call__
            self.whole = lambda x: self.layer(x)

    assert codes(Model()) == [
        ("shared-child", ("method", "__self__")),
        ("shared-child", ("whole", "self")),
    ]


def test_a_module_without_variables_that_came_late_is_shared_where_others_are_lost():
    model, path = late_in_a_list(Holder(rate=0.5))
    found = [one.path for one in faults(model) if one.code == "shared-child"]
    assert found == ([path] if CHILDREN_ARE_LOST else [])


def test_what_split_refuses_is_said_and_not_raised():
    try:
        model = Holder(table=jnp.ones(2))
    except ValueError:
        pytest.skip("an array is refused already when it is assigned")
    refused = HAS["split-refuses-raw-arrays"]
    assert codes(model) == ([("split-refuses", ())] if refused else [])


# -- the hash of the graphdef -------------------------------------------------------


@pytest.mark.parametrize("value", [[1, 2], {"a": 1}, (1, [2]), []], ids=repr)
def test_a_list_leaves_the_graphdef_without_a_hash_where_the_facts_say(value):
    model = Holder(inner=Holder(x=value, y=(1, 2)), layer=linear())
    expected = [("unhashable-graphdef", ("inner", "x"))]
    holds = HAS["graphdef-with-a-list-is-unhashable"]
    assert codes(model) == (expected if holds else [])


@pytest.mark.parametrize(
    "value", [{1}, collections.deque(), types.SimpleNamespace(), ({1},)], ids=repr
)
def test_a_set_leaves_the_graphdef_without_a_hash_where_the_facts_say(value):
    model = Holder(x=value, y=[1], z=frozenset([1]))
    found = [one.path for one in faults(model)]
    if HAS["graphdef-with-a-list-is-unhashable"]:
        assert found == [("x",), ("y",)]
    else:
        assert found == ([("x",)] if HAS["graphdef-with-a-set-is-unhashable"] else [])


def test_metadata_leave_the_graphdef_without_a_hash_where_it_carries_them():
    model = Holder(w=nnx.Param(jnp.ones(2), units=["m"]), v=nnx.Param(1.0, unit="m"))
    expected = [("unhashable-graphdef", ("w",))]
    holds = HAS["graphdef-carries-metadata"]
    assert codes(model) == (expected if holds else [])
    if holds:
        with pytest.raises(TypeError):
            hash(nc.graphdef(model))
        assert "whose metadata units is a list" in faults(model)[0].text


@pytest.mark.skipif(not nc.supports("nnx.MultiMetric"), reason="no nnx.MultiMetric")
def test_what_flax_itself_keeps_in_a_list_is_a_note_where_it_does():
    model = nnx.MultiMetric(loss=nnx.metrics.Average())
    try:
        hash(nc.graphdef(model))
    except TypeError:
        note = notes(model)["unhashable-graphdef"]
        assert note.path == ("_metric_names",)
        assert "of Flax's own" in note.text
    else:
        assert "unhashable-graphdef" not in notes(model)


# -- shardings ----------------------------------------------------------------------


def annotated(eager):
    """A Variable annotated with a sharding, as it is after the mesh is gone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `sharding` is an old name of it
        given = nnx.Param(jnp.ones(2), sharding=("data",), eager_sharding=False)
    variable = nnx.Param(jnp.ones(2))
    nc.set_metadata(variable, **nc.get_metadata(given))
    return variable if eager else given


def test_an_annotation_outside_a_mesh_is_wrong_where_the_facts_say():
    model = Holder(w=annotated(eager=True), v=annotated(eager=True))
    holds = HAS["variable-sharding-needs-a-mesh"]
    for audited in (model, nc.state(model)):
        found = faults(audited)
        expected = [("sharding-without-mesh", ("v",))] if holds else []
        assert [(one.code, one.path) for one in found] == expected
        assert all(" and 1 more, annotated" in one.text for one in found)
    assert "variable-sharding-needs-a-mesh" in notes(model)


def test_an_annotation_that_is_not_eager_is_fine_on_every_release():
    model = Holder(w=annotated(eager=False))
    assert faults(model) == []
    assert "variable-sharding-needs-a-mesh" not in notes(model)


def test_a_variable_that_is_placed_on_a_mesh_is_only_noted():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]), ("data",))
    there = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    model = Holder(w=annotated(eager=True))
    variable = nc.variables(model)["w",]
    nc.set_value(variable, jax.device_put(jnp.ones(2), there))
    assert faults(model) == []
    noted = "sharding-without-mesh" in notes(model)
    assert noted is HAS["variable-sharding-needs-a-mesh"]


# -- counts -------------------------------------------------------------------------


def doubled(model, *names):
    """A blanket map over the state, of all leaves whose path ends in one of these."""

    def double(path, leaf):
        value = nc.get_value(leaf)
        return value * 2.0 if path[-1] in names else value

    nc.update(model, nc.map_state(double, nc.state(model)))
    return model


def test_a_count_of_keys_that_is_a_float_is_wrong_where_counts_are_state():
    model = doubled(Noisy(nnx.Rngs(0, noise=1)), "count", "kernel")
    expected = [
        ("fractional-count", ("rngs", name, "count")) for name in ("default", "noise")
    ]
    assert codes(model) == ([] if STATIC_RNGS else expected)
    assert codes(nc.state(model)) == ([] if STATIC_RNGS else expected)


@pytest.mark.skipif(STATIC_RNGS, reason="there is no key in the state")
def test_a_raw_key_that_is_floats_is_wrong_where_keys_stay_raw():
    model = Noisy(nnx.Rngs(jax.random.PRNGKey(0)))
    if not HAS["rngs-keep-raw-keys"]:
        assert "rngs-keep-raw-keys" not in notes(model)
        with pytest.raises(TypeError):
            doubled(model, "key")
    else:
        assert "rngs-keep-raw-keys" in notes(model)
        key = ("fractional-count", ("rngs", "default", "key"))
        assert codes(doubled(model, "key")) == [key]


@pytest.mark.skipif(not nc.supports("nnx.Optimizer"), reason="no nnx.Optimizer")
def test_steps_of_an_optimizer_that_are_floats_are_wrong():
    model = optimizer(optax.MultiSteps(optax.adam(0.1), 2))
    doubled(model, "step", "count", "mini_step", "mu", "kernel")
    found = faults(model)
    assert {one.path[-1] for one in found} == {"step", "count", "mini_step"}
    assert {one.code for one in found} == {"fractional-count"}
    assert codes(nc.state(model)) == codes(model)


def test_a_count_of_the_users_own_may_be_a_float():
    counts = Holder(count=nnx.Variable(jnp.array(0.5)), step=nnx.Param(jnp.array(0.5)))
    assert faults(counts) == []


# -- states -------------------------------------------------------------------------


def test_a_deepcopied_state_is_wrong_where_the_facts_say():
    found = faults(copy.deepcopy(nc.state(linear())))
    lost = HAS["state-deepcopy-loses-variables"]
    assert [one.code for one in found] == (["bare-arrays"] if lost else [])
    assert all("none of the 2 leaves is a Variable" in one.text for one in found)


def test_an_empty_state_is_fine():
    assert nc.audit(nc.state(Holder(size=1))) == ()


# -- ties ---------------------------------------------------------------------------


def test_tied_weights_are_a_note_on_every_release():
    model = NODES["shared"]()
    tied = [one for one in nc.audit(model) if one.code == "tied"]
    assert {one.severity for one in tied} == {"note"}
    assert [one.path for one in tied] == [("a",), ("a", "kernel")]
    assert "a is one Linear with again" in tied[0].text
    assert "a/kernel is one Param with b/kernel" in tied[1].text


def test_a_shared_stream_of_keys_is_no_tie():
    rngs = nnx.Rngs(0)
    model = Holder(a=Noisy(rngs), b=Noisy(rngs))
    assert "tied" not in notes(model)


# -- what is met on other releases --------------------------------------------------

MEETS = {
    "a plain linear layer": (
        linear,
        {"rngs-hash-their-counts", "threefry-is-partitionable"},
    ),
    "a layer without bias": (
        lambda: nnx.Linear(2, 2, use_bias=False, rngs=nnx.Rngs(0)),
        {"rngs-hash-their-counts", "threefry-is-partitionable",
         "absent-parameter-is-a-variable"},
    ),
    "a Rngs": (
        lambda: Holder(rngs=nnx.Rngs(0)),
        {"rngs-are-static", "merge-shares-stored-rngs", "rngs-hash-their-counts"}
        | (set() if STATIC_RNGS else {
            "split-shares-variables", "merge-shares-variables",
            "merge-cannot-mutate-under-grad", "trace-level-is-unchecked"}),
    ),
    "a BatchStat": (
        lambda: Holder(mean=nnx.BatchStat(jnp.ones(2))),
        {"split-shares-variables", "merge-shares-variables",
         "merge-cannot-mutate-under-grad", "trace-level-is-unchecked"},
    ),
    "a setting": (lambda: Holder(size=1), {"graphdef-equality-ignores-static"}),
    "a list of ints": (
        lambda: Holder(x=[1]), {"graphdef-with-a-list-is-unhashable"}
    ),
    "an empty list": (
        lambda: Holder(x=[]),
        {"graphdef-with-a-list-is-unhashable", "module-appended-later-is-lost"},
    ),
    "metadata": (
        lambda: Holder(w=nnx.Param(jnp.ones(2), unit="m")),
        {"graphdef-carries-metadata"},
    ),
    "a Variable": (lambda: Holder(w=nnx.Param(jnp.ones(2))), set()),
    "a tie": (
        lambda: (lambda w: Holder(a=w, b=w))(nnx.Param(jnp.ones(2))),
        {"tied", "state-tie-is-where-assigned-first"},
    ),
    "nothing": (lambda: Holder(), set()),
    "a List": (
        lambda: Holder(x=nc.nnx.List([nnx.Param(jnp.ones(2))])),
        {"state-list-index-is-text"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MEETS)
def test_the_notes_are_those_of_what_the_model_has(name):
    make, expected = MEETS[name]
    assert set(notes(make())) == expected


@pytest.mark.skipif(HAS["list-of-modules-is-refused"], reason="such a list is refused")
def test_a_plain_list_of_modules_meets_its_behaviours():
    met = notes(Holder(x=[linear()]))
    assert "list-of-modules-is-refused" in met
    assert "module-appended-later-is-lost" in met


@pytest.mark.skipif(HAS["split-refuses-raw-arrays"], reason="split refuses an array")
def test_a_bare_array_meets_its_behaviour():
    assert "split-refuses-raw-arrays" in notes(Holder(table=jnp.ones(2)))
    assert "split-refuses-raw-arrays" not in notes(linear())


def test_a_dropout_with_streams_meets_the_fork():
    met = notes(NODES["dropout"]())
    assert ("dropout-forks-its-rngs" in met) is not STATIC_RNGS
    assert "dropout-forks-its-rngs" not in notes(Holder(drop=nnx.Dropout(0.5)))


def test_hooks_of_a_class_meet_the_release_that_forgets_them():
    class Doubled(nnx.Variable):
        def on_get_value(self, value):
            return value * 2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some warn of hooks
        model = Holder(w=Doubled(jnp.ones(2)))
    assert "variable-class-hooks-are-inert" in notes(model)


def test_a_note_says_where_it_holds_and_whether_here():
    note = notes(Holder(mean=nnx.BatchStat(jnp.ones(2))))["merge-shares-variables"]
    here = "here too" if HAS["merge-shares-variables"] else "not here"
    first = facts.behaviour("merge-shares-variables").intervals[0].first
    assert f"on flax from {first}, {here}: merge puts the state's" in note.text
    assert note.remedy == facts.behaviour("merge-shares-variables").remedy
    assert note.path == ("mean",)


def test_every_behaviour_that_a_feature_names_is_in_the_facts():
    for feature in _meets.FEATURES:
        for id in feature.behaviours:
            assert facts.behaviour(id).id == id


def test_a_state_is_told_what_it_meets_as_well():
    met = notes(nc.state(NODES["batchnorm"]()))
    assert "merge-shares-variables" in met


# -- asking -------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1, jnp.ones(2), object(), None, Holder])
def test_what_is_no_model_is_refused(value):
    with pytest.raises(NodeTypeError, match="instead:"):
        nc.audit(value)


def test_findings_are_ordered_frozen_and_plain():
    model = Holder(x={linear()}, y=[1])
    found = nc.audit(model)
    severities = [one.severity for one in found]
    assert severities == sorted(severities, key=("lost", "wrong", "note").index)
    assert isinstance(found[0], Finding)
    with pytest.raises(AttributeError):
        found[0].path = ()
    assert json.loads(json.dumps(found[0].as_json()))["path"] == ["x", 0]


# -- the command line ---------------------------------------------------------------

SOURCE = """
from nnx_compat import nnx

class Model(nnx.Module):
    def __init__(self):
        self.layer = nnx.Linear(2, 2, rngs=nnx.Rngs(0))

    @classmethod
    def make(cls):
        print("made")
        return cls()

def lost():
    model = Model()
    model.extra = {model.layer, nnx.Linear(2, 2, rngs=nnx.Rngs(0))}
    return model

def fails():
    raise RuntimeError("no data")

def needs(size):
    return Model()

def wrong():
    return 3

ready = Model()
number = 3
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, request):
    name = f"audited_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_broken.py").write_text("import no_such_module_at_all\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(target, *options):
        target = target.replace("app", name, 1)
        code = cli.main(["doctor", "--audit", target, *options])
        captured = capsys.readouterr()
        return (
            code,
            captured.out.replace(name, "app"),
            captured.err.replace(name, "app"),
        )

    return run


@pytest.mark.parametrize("target", ["app:Model", "app:Model.make", "app:ready"])
def test_doctor_audits_a_clean_model_and_exits_0(run, target):
    code, out, _ = run(target)
    assert code == 0
    assert f"flax {nc.flax_version}, jax {nc.jax_version}" in out
    assert "0 lost, 0 wrong," in out.splitlines()[-1]


def test_a_target_leaves_the_notes_that_matter_there(run):
    def notes(*options):
        code, out, _ = run("app:Model", "--json", *options)
        assert code == 0
        return {one["code"] for one in json.loads(out)["audit"]["findings"]}

    everywhere, first = notes(), facts.releases()[0].version
    assert everywhere
    assert notes("--target", "installed") == set()
    there = notes("--target", first)
    assert there <= everywhere
    assert all(
        facts.behaviour(id).holds(first) != facts.behaviour(id).holds(nc.flax_version)
        for id in there
    )
    code, _, err = run("app:Model", "--target", "sometime")
    assert code == 2
    assert "instead: '>=0.10,<0.13'" in err


def test_doctor_exits_1_when_something_is_lost(run):
    code, out, _ = run("app:lost")
    assert code == 1
    assert "│ lost " in out
    assert "│ wrong " in out
    assert out.splitlines()[-1].startswith("1 lost, ")


def test_doctor_audits_as_json(run):
    code, out, err = run("app:Model.make", "--json")
    report = json.loads(out)
    assert code == 0
    assert "made" in err
    assert report["versions"]["flax"] == nc.flax_version
    assert report["audit"]["lost"] == report["audit"]["wrong"] == 0
    assert report["audit"]["findings"][0]["severity"] == "note"
    code, out, _ = run("app:lost", "--json")
    assert code == 1
    assert json.loads(out)["audit"]["findings"][0]["code"] == "lost-child"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("app", "'app' does not name a factory"),
        (":Model", "does not name a factory"),
        ("nowhere_at_all:Model", "there is no module 'nowhere_at_all'"),
        ("app_broken:Model", "cannot be imported: ModuleNotFoundError: No module"),
        ("app:Modle", "app has no attribute 'Modle'"),
        ("app:number", "app:number is an int, which can't be called"),
        ("app:fails", "app:fails failed: RuntimeError: no data ("),
        ("app:needs", "app:needs failed: TypeError: needs() missing"),
        ("app:wrong", "an int is not a node"),
    ],
)
def test_a_target_that_fails_is_exit_2_and_says_why(run, target, said):
    code, out, err = run(target)
    assert code == 2
    assert out == ""
    assert err.startswith("nnx-compat doctor --audit: ")
    assert said in err
    assert "instead: " in err


def test_without_flax_there_is_nothing_to_audit_and_doctor_says_so(run, monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: None)
    code, out, _ = run("app:Model")
    assert code == 1
    assert "problem    flax is not installed" in out
