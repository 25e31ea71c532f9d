"""Whether a rewrite is certain, by the code around it: else it is left, with a reason.

The rules say what a line is to become for what they know of its values. A rewrite also
writes a name where it was not written, or changes what a container is, and both are
other code where that name is another thing by then, or the container is used as a list.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

from ..findings import Finding
from ..syntax import Located, dotted

__all__ = ["Around"]

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module, ast.ListComp,
           ast.SetComp, ast.DictComp, ast.GeneratorExp)  # fmt: skip
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.comprehension)


class _Names(NamedTuple):
    """The names of a scope.

    Attributes:
        bound: what binds each.
        outer: those that are declared to be of a scope around it.
    """

    bound: dict[str, list[ast.AST]]
    outer: set[str]

    @classmethod
    def of(cls, scope: ast.AST) -> _Names:
        """The names of a function, a comprehension or a module."""
        found = cls({}, set())
        for node in _within(scope):
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                found.outer.update(node.names)
            elif name := _bound_by(node):
                found.bound.setdefault(name, []).append(node)
        return found


class Around:
    """What is around the places of one file.

    Args:
        tree: of the file.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._known: dict[ast.AST, _Names] = {}

    @cached_property
    def _parents(self) -> dict[ast.AST, ast.AST]:
        return {
            child: node
            for node in ast.walk(self._tree)
            for child in ast.iter_child_nodes(node)
        }

    def doubt(self, finding: Finding) -> str:
        """Why the rewrite of a finding is not certain, ``""`` where it is."""
        rewrite = finding.rewrite
        if rewrite is None:
            return ""
        if finding.code == "NC310":
            written = rewrite.portable.partition(",")[0]
            return self._of_model(rewrite.whole, written)
        if finding.code == "NC320":
            return self._of_container(rewrite.whole, rewrite.portable)
        return ""

    def _above(self, node: ast.AST) -> Iterator[ast.AST]:
        while (above := self._parents.get(node)) is not None:
            yield above
            node = above

    # -- the model of an Optimizer ----------------------------------------------------

    def _of_model(self, gradients: Located, written: str) -> str:
        """Whether ``written`` is here what the Optimizer was made with."""
        above = list(self._above(gradients))
        call = above[0]
        assert isinstance(call, ast.Call)
        root, _, rest = written.partition(".")
        if self._goes_round(call.func, above):
            return "it is not known which Optimizer this is"
        bound = self._bindings(root, above)
        if not bound and root not in self._bound:
            return ""  # by a star import, which is read or is not: one thing anyway
        if len(bound) != 1 or root in self._rebound:
            return f"`{root}` is not one thing here"
        loops = {one for one in self._above(bound[0]) if isinstance(one, _LOOPS)}
        if not loops <= set(above):
            return f"`{root}` is another thing each time round its loop"
        if rest and self._is_set_again(written.rpartition(".")[2], above):
            return f"`{written}` is set more than once"
        return ""

    def _goes_round(self, receiver: ast.expr, above: list[ast.AST]) -> bool:
        """Whether it stands for one after the other."""
        while isinstance(receiver, (ast.Attribute, ast.Subscript)):
            if isinstance(receiver, ast.Subscript) and not isinstance(
                receiver.slice, ast.Constant
            ):
                return True
            receiver = receiver.value
        if not isinstance(receiver, ast.Name):
            return False
        return any(self._is_target(one) for one in self._bindings(receiver.id, above))

    def _is_target(self, node: ast.AST) -> bool:
        """Whether a loop binds it."""
        for above in self._above(node):
            if isinstance(above, (ast.For, ast.AsyncFor, ast.comprehension)):
                return node is above.target
            if not isinstance(above, (ast.Tuple, ast.List, ast.Starred)):
                return False
            node = above
        return False

    def _bindings(self, name: str, above: list[ast.AST]) -> list[ast.AST]:
        """What binds a name in the innermost scope that does, of those around."""
        found: list[ast.AST] = []
        for scope in above:
            if isinstance(scope, _SCOPES):
                here = self._names(scope)
                found += here.bound.get(name, ())
                if found and name not in here.outer:
                    break
        return found

    def _names(self, scope: ast.AST) -> _Names:
        if scope not in self._known:
            self._known[scope] = _Names.of(scope)
        return self._known[scope]

    @cached_property
    def _bound(self) -> frozenset[str]:
        """All names that something in the file binds."""
        return frozenset(map(_bound_by, self._parents))

    @cached_property
    def _rebound(self) -> frozenset[str]:
        """The names that functions set for those around."""
        inner = [
            self._names(next(s for s in self._above(node) if isinstance(s, _SCOPES)))
            for node in self._parents
            if isinstance(node, (ast.Global, ast.Nonlocal))
        ]
        return frozenset().union(*(one.outer & one.bound.keys() for one in inner))

    def _is_set_again(self, attribute: str, above: list[ast.AST]) -> bool:
        """Whether an attribute is assigned twice, in this class or in this file."""
        within = next((one for one in above if isinstance(one, ast.ClassDef)), None)
        return self._stores[within, attribute] > 1

    @cached_property
    def _stores(self) -> Counter[tuple[ast.AST | None, str]]:
        """How often each attribute is assigned, by class and in all."""
        found = Counter[tuple[ast.AST | None, str]]()
        for node in self._parents:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found[None, node.attr] += 1
                for above in self._above(node):
                    if isinstance(above, ast.ClassDef):
                        found[above, node.attr] += 1
        return found

    # -- containers -------------------------------------------------------------------

    def _of_container(self, value: Located, template: str) -> str:
        """Whether a List or a Dict does what the plain container does here."""
        statement = self._parents[value]
        keys = ".Dict(" in template
        if isinstance(value, ast.Name) and self._is_used_later(value):
            return f"`{value.id}` is used beside it"
        if keys and not _has_names_as_keys(value):
            return "keys of nnx.Dict are names, and these may be others"
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        for target in targets:
            if isinstance(target, ast.Attribute):
                uses = [self._plain_uses.get(target.attr, 0)]
                uses += [self._keys_set.get(target.attr, 0)] if keys else []
                if line := max(uses):
                    return f"line {line} uses it as Python's own container"
        return ""

    def _is_used_later(self, name: ast.Name) -> bool:
        above = list(self._above(name))
        scope = next(one for one in above if isinstance(one, _SCOPES))
        in_loop = any(isinstance(one, _LOOPS) for one in above)
        return any(
            one is not name
            and isinstance(one.ctx, ast.Load)
            and (in_loop or one.lineno > name.lineno)
            and scope in self._above(one)
            for one in self._loads.get(name.id, ())
        )

    @cached_property
    def _loads(self) -> dict[str, list[ast.Name]]:
        found: dict[str, list[ast.Name]] = {}
        for node in self._parents:
            if isinstance(node, ast.Name):
                found.setdefault(node.id, []).append(node)
        return found

    @cached_property
    def _plain_uses(self) -> dict[str, int]:
        """The attributes that are used as NNX's containers cannot be, and a line."""
        return {
            node.attr: node.lineno
            for node in self._parents
            if isinstance(node, ast.Attribute) and self._is_plain_use(node)
        }

    @cached_property
    def _keys_set(self) -> dict[str, int]:
        """The attributes that get a key which may be no string, and a line."""
        return {
            node.attr: node.lineno
            for node in self._parents
            if isinstance(node, ast.Attribute) and self._sets_a_key(node)
        }

    def _is_plain_use(self, use: ast.expr) -> bool:
        """Whether ``nnx.List`` and ``nnx.Dict`` do not do that."""
        above = self._parents[use]
        if isinstance(above, ast.BinOp):
            return True
        if isinstance(above, ast.Attribute):
            return above.attr in _ONLY_PLAIN
        if not isinstance(above, ast.Call) or use not in above.args:
            return False
        name = dotted(above.func)
        return name in _ASK_FOR_PLAIN or name.startswith(("jax.tree", "nnx.List"))

    def _sets_a_key(self, use: ast.expr) -> bool:
        """Whether it gets a key that may be no string."""
        above = self._parents[use]
        return (
            isinstance(above, ast.Subscript)
            and isinstance(above.ctx, ast.Store)
            and not _is_string(above.slice)
        )


#: Methods of Python's containers that those of NNX lack on some release.
_ONLY_PLAIN = frozenset(("copy", "sort", "fromkeys"))
#: What tells Python's containers from others.
_ASK_FOR_PLAIN = frozenset(("isinstance", "json.dumps", "type"))


def _has_names_as_keys(value: Located) -> bool:
    """Whether the keys of a dict are strings, as far as that is written out."""
    if isinstance(value, ast.Call):
        return not value.args and dotted(value.func) == "dict"
    if isinstance(value, ast.DictComp):
        return _is_string(value.key) or _is_one_of_strings(value)
    keys = value.keys if isinstance(value, ast.Dict) else [None]
    return all(map(_is_string, keys))


def _is_string(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return dotted(node.func) == "str"
    return isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _is_one_of_strings(made: ast.DictComp) -> bool:
    """``{name: ... for name in ("a", "b")}``."""
    key = dotted(made.key)
    for generator in made.generators:
        if key and dotted(generator.target) == key:
            some = generator.iter
            if isinstance(some, (ast.Tuple, ast.List, ast.Set)):
                return all(map(_is_string, some.elts))
            return isinstance(some, ast.Constant) and isinstance(some.value, str)
    return False


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope, and those that open one inside of it."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_SCOPES, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _bound_by(node: ast.AST) -> str:
    """The name that a node binds, ``""`` for none."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else ""
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.alias):
        return (node.asname or node.name).partition(".")[0]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return node.name
    return node.name or "" if isinstance(node, ast.ExceptHandler) else ""
