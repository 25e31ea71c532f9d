"""The room that knows the installed Flax: true of it, never idle, and the only one."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import nnx_compat as nc
from nnx_compat import _release, facts
from nnx_compat.revisions import bound, nnx

SOURCE = Path(nc.__file__).parent

# -- what differs inside Flax, each proved on the installed release -------------------

BASE = nnx.Module.__mro__[1]
REGISTRY = sys.modules[
    (nnx.split if hasattr(nnx, "split") else nnx.GraphDef).__module__
]


class Holder(nnx.Module):
    def __init__(self):
        self.a = nnx.Param(1.0)


def registry_tells_graph_nodes():
    return hasattr(REGISTRY, "is_graph_node")


def node_dict_is_bare():
    return hasattr(REGISTRY.get_node_impl(Holder()), "node_dict")


def tuples_with_names_are_no_nodes():
    import optax

    return not REGISTRY.is_node(optax.ScaleByScheduleState(count=0))


def objects_derive_from_module_only():
    return not hasattr(BASE, "_graph_node_flatten")


def data_names_are_pytree_nodes():
    return hasattr(nnx.Module, "_pytree__nodes")


def data_names_are_object_nodes():
    return not hasattr(nnx.Module, "_pytree__nodes") and hasattr(
        nnx.Module, "_object__nodes"
    )


def class_takes_pytree():
    kind = nnx.Module if objects_derive_from_module_only() else BASE
    return "pytree" in inspect.signature(kind.__init_subclass__).parameters


def flatten_returns_variables():
    found = getattr(getattr(REGISTRY, "flatten", None), "__kwdefaults__", None)
    return "return_variables" in (found or {})


def unflatten_copies_variables():
    found = getattr(getattr(REGISTRY, "unflatten", None), "__kwdefaults__", None)
    return "copy_variables" in (found or {})


def axis_hooks_take_the_name_first():
    return list(inspect.signature(nnx.Variable.add_axis).parameters)[1] == "axis_name"


def scan_puts_the_carry_first():
    return isinstance(inspect.signature(nnx.scan).parameters["out_axes"].default, int)


def custom_vjp_takes_arrays():
    if not hasattr(nnx, "custom_vjp"):
        return False
    double = nnx.custom_vjp(lambda x: 2 * x)
    double.defvjp(lambda x: (double(x), ()), lambda residual, g: (100 * g[1],))
    try:
        return jax.grad(double)(1.0) == 100
    except ValueError:
        return False


def lora_param_is_no_param():
    found = getattr(nnx, "LoRAParam", nnx.Param)
    return not issubclass(found, nnx.Param)


def sequential_is_a_list():
    if not (hasattr(nnx, "Sequential") and hasattr(nnx, "List")):
        return False
    return issubclass(nnx.Sequential, nnx.List)


def annotated():
    """The metadata of a Variable that was annotated for a mesh that is not there."""
    init = nnx.with_partitioning(lambda: jnp.ones(2), ("data",), eager_sharding=False)
    return bound.metadata(nnx.Param(init()))


def annotation_is_sharding():
    return "sharding" in annotated()


def annotation_is_sharding_names():
    return "sharding_names" in annotated()


@pytest.mark.parametrize("id", facts.internals())
def test_what_differs_inside_flax_is_so_on_this_release(id):
    row = facts.internals()[id]
    assert globals()[row.probe]() == row.holds(nc.flax_version), row.text


def test_the_registry_is_where_module_is_a_leaf_or_not():
    assert jax.tree_util.all_leaves([nnx.Module()]) != _release.here.module_is_a_pytree


# -- its law ------------------------------------------------------------------------


@pytest.mark.parametrize("answer", vars(_release.here))
def test_each_answer_varies_over_the_served_releases(answer):
    found = {getattr(_release.Answers(r.version), answer) for r in facts.releases()}
    assert len(found) > 1, f"{answer} is {found.pop()!r} on all releases: delete it"


def test_every_answer_is_asked_for():
    text = "".join(
        file.read_text() for file in SOURCE.rglob("*.py") if file.name != "_release.py"
    )
    idle = [answer for answer in vars(_release.here) if f"here.{answer}" not in text]
    assert idle == []


ASK = """
import json, sys, warnings
warnings.simplefilter("ignore")
import nnx_compat as nc
if sys.argv[1] == "install":
    nc.install()
from nnx_compat._release import here, native
print(json.dumps([vars(here), sorted(native)]))
"""


def test_every_answer_is_the_same_after_install():
    plain, installed = (
        subprocess.run(
            [sys.executable, "-c", ASK, way], capture_output=True, text=True, check=True
        ).stdout
        for way in ("plain", "install")
    )
    assert json.loads(plain) == json.loads(installed)


# -- the only one -------------------------------------------------------------------


def questions(file: Path) -> list[str]:
    """Where a file asks a native object what it has: ``hasattr`` and its like.

    Native is ``nnx``, ``flax``, what is imported from Flax, and every name that a file
    assigns from an expression with one of them in it.
    """
    tree = ast.parse(file.read_text())
    known = {"nnx", "flax", "native", "native_in"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flax"):
            known |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _speaks_of(value, known):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known |= {t.id for t in targets if isinstance(t, ast.Name)}
    return [
        f"{file.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if _is_question(node, known)
    ]


def _speaks_of(node: ast.AST | None, known: set[str]) -> bool:
    return node is not None and any(
        isinstance(inner, ast.Name) and inner.id in known for inner in ast.walk(node)
    )


def _is_question(node: ast.AST, known: set[str]) -> bool:
    if isinstance(node, ast.Attribute) and node.attr in (
        "__kwdefaults__",
        "__defaults__",
    ):
        return _speaks_of(node.value, known)
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "sys.modules":
        return _speaks_of(node.slice, known)
    if not (isinstance(node, ast.Call) and node.args):
        return False
    called = ast.unparse(node.func)
    if called in ("hasattr", "issubclass") or (called, len(node.args)) == (
        "getattr",
        3,
    ):
        return _speaks_of(node.args[0], known)
    return called.endswith("signature") and _speaks_of(node.args[0], known)


#: Files that may ask: the room itself, and the revisions, which it stands on.
ROOMS = ("_release.py", "revisions")


def test_only_the_room_asks_what_the_installed_flax_has():
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        place = file.relative_to(SOURCE).as_posix()
        if not place.startswith(ROOMS):
            found += questions(file)
    assert found == []


def test_a_question_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    file = tmp_path / "asks.py"
    file.write_text(
        "from .revisions import nnx\n"
        "Base = nnx.Rngs\n"
        "def f(value):\n"
        "    hasattr(value, 'shape')\n"
        "    hasattr(Base, 'fork')\n"
        "    return getattr(nnx, 'List', None)\n"
    )
    assert [line.split(":")[1] for line in questions(file)] == ["5", "6"]
