"""Every public name is documented, and its example runs on the installed release."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import nnx_compat as nc
from nnx_compat import facts
from nnx_compat.stable import v1

ROOT = Path(__file__).parent.parent
FUNCTIONS = [n for n in v1.__all__ if inspect.isfunction(getattr(v1, n))]
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(nc.__path__, "nnx_compat.")
    if ".revisions." not in name and not name.endswith("__main__")
]


class Finder(doctest.DocTestFinder):
    """Finds the examples of functions that a decorator has completed, too."""

    def _from_module(self, module, object):
        return super()._from_module(module, inspect.unwrap(object))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_has_a_docstring_with_an_example(name):
    text = inspect.getdoc(getattr(nc, name))
    assert text.splitlines()[0].endswith((".", ".)"))
    assert ">>>" in text


# Flax's own LinearGeneral of the oldest releases calls it
@pytest.mark.filterwarnings("ignore:jax.tree_map is deprecated")
@pytest.mark.parametrize("module", ["nnx_compat", *MODULES])
def test_the_examples_of_a_module_run(module):
    import jax
    import jax.numpy as jnp
    import numpy as np

    loaded = importlib.import_module(module)
    runner = doctest.DocTestRunner()
    more = {"jax": jax, "jnp": jnp, "np": np}
    for examples in Finder(exclude_empty=True).find(loaded, extraglobs=more):
        runner.run(examples)
    assert runner.failures == 0


def test_the_example_of_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_names_are_completed_and_unknown_ones_refused():
    assert set(nc.__all__) <= set(dir(nc))
    assert set(v1.__all__) | {"checkpoint", "errors", "facts", "pure"} == set(
        nc.__all__
    )
    with pytest.raises(AttributeError, match="has no attribute 'spilt'"):
        _ = nc.spilt
    for name in v1.__all__:
        assert getattr(nc, name) is getattr(v1, name)


def test_what_is_a_name_of_nnx_is_shown_where_it_is():
    with pytest.raises(AttributeError, match=r"instead: nnx_compat\.nnx\.Linear"):
        _ = nc.Linear
    with pytest.raises(AttributeError) as caught:
        _ = nc.spilt
    assert "instead" not in str(caught.value)


FROZEN = {
    "audit": "(model, /)",
    "clone": "(node, /)",
    "compile_step": "(fn, /, *nodes, donate=True, static_argnums=(), pack=False, **jit_options)",
    "filter_state": "(state, /, first, *filters)",
    "from_flat_state": "(flat, /)",
    "from_pure_dict": "(template, nested, /)",
    "get_metadata": "(variable, name='', default=None, /)",
    "get_value": "(variable, /)",
    "graphdef": "(node, /)",
    "install": "(*, fast=False, meaning='native')",
    "installed": "(*, meaning='native')",
    "installed_names": "()",
    "is_variable": "(value, /)",
    "iter_graph": "(node, /)",
    "iter_modules": "(node, /)",
    "jit": "(fun=None, *, in_shardings=None, out_shardings=None, static_argnums=None, "
    "static_argnames=None, donate_argnums=None, donate_argnames=None, keep_unused=False, "
    "device=None, backend=None, inline=False, graph=None, graph_updates=None)",
    "map_state": "(fn, state, /)",
    "merge": "(graphdef, state, /, *states)",
    "merge_state": "(state, /, *states)",
    "pop": "(node, /, *filters)",
    "pure_state_update": "(seed, x, features, scale)",
    "reproducible_init": "()",
    "set_metadata": "(variable, /, **metadata)",
    "set_value": "(variable, value, /)",
    "split": "(node, /, *filters)",
    "split_state": "(state, /, first, *filters)",
    "state": "(node, /, *filters)",
    "supports": "(name, parameter=None, /)",
    "to_flat_state": "(state, /)",
    "to_pure_dict": "(state, /)",
    "uninstall": "()",
    "update": "(node, state, /, *states)",
    "variable_type": "(variable, /)",
    "variables": "(node, /, *filters)",
}


def test_names_and_signatures_of_v1_are_frozen():
    found = {}
    for name in FUNCTIONS:
        signature = inspect.signature(getattr(v1, name))
        plain = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        found[name] = str(inspect.Signature(plain))
    assert found == FROZEN
    assert set(v1.__all__) == set(FROZEN) | {
        "flax_version", "jax_version", "nnx", "revision",
    }  # fmt: skip


def test_no_version_is_written_outside_the_facts():
    minors = {r.version.rpartition(".")[0] for r in facts.releases(yanked=True)}
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, minors))})\.(\d+|x)\b")
    source = ROOT / "src" / "nnx_compat"
    for file in source.rglob("*.py"):
        room = file.relative_to(source).parts[0]
        if room == "facts":
            continue
        text = file.read_text(encoding="utf-8")
        if room == "matrix":  # whose examples are of its data
            text = re.sub(r'""".*?"""', "", text, flags=re.DOTALL)
        assert not [line for line in text.splitlines() if pattern.search(line)], file


def _run(tree):
    """The nodes of a file, without what is there for type checkers alone."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield from _run(child)


def test_only_the_revisions_import_flax():
    source = ROOT / "src" / "nnx_compat"
    importing = {
        file.relative_to(source).parts[0]
        for file in source.rglob("*.py")
        for node in _run(ast.parse(file.read_text()))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and re.match(r"(import|from) flax", ast.unparse(node))
    }
    assert importing <= {"revisions", "_nnx", "_install"}
