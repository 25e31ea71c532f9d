"""Which releases a condition is true on: the guards that people write.

A guard is evaluated as it stands, once for every release, with ``flax.__version__``,
``hasattr(nnx, ...)`` and signatures answered from the facts. Whatever else it needs is
unknown, and then both branches are taken to be possible.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from types import EllipsisType
from typing import Any

from packaging.version import Version

from .. import kinds, releases
from ..modules import importable, module_path
from ..syntax import dotted
from ..values import Dotted, Function, Value

__all__ = ["Evaluation", "Unknown"]


class Unknown(Exception):
    """The condition needs something that only running the code would tell."""


class _Present:
    """An object that exists and is not None, of which no more is known."""


#: What a part of a condition can be. Lists are tuples here, and sets are frozen.
Known = (
    str | bytes | int | float | complex | None | EllipsisType | Version | _Present
    | tuple["Known", ...] | frozenset["Known"]
)  # fmt: skip

_PRESENT = _Present()
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt,
    ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
    ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
_BUILTINS: dict[str, Callable[..., Known]] = {
    "int": int, "str": str, "len": len, "bool": bool, "tuple": tuple, "list": tuple,
    "any": any, "all": all, "min": min, "max": max, "set": frozenset,
}  # fmt: skip
_VERSIONS = (
    "packaging.version.Version", "packaging.version.parse",
    "packaging.version.parse_version", "pkg_resources.parse_version",
    "distutils.version.LooseVersion", "distutils.version.StrictVersion",
    "looseversion.LooseVersion",
)  # fmt: skip
_INSTALLED = ("importlib.metadata.version", "importlib_metadata.version")
_METHODS = ("split", "startswith", "endswith", "strip", "partition", "keys", "replace")


class Evaluation:
    """The value of an expression on a release; nothing in it is run.

    Args:
        version: of Flax.
        infer: what is known of an expression.
        define: the expression last assigned to a name on a release.
        elsewhere: for a name that comes from another file, an evaluation in that one.

    Attributes:
        is_about_releases: whether the answer depends on the release.
        name: what a name is called in the file that this is an evaluation in.
    """

    name = ""

    def __init__(
        self,
        version: str,
        infer: Callable[[ast.expr], Value],
        define: Callable[[str, str], ast.expr | None],
        elsewhere: Callable[[str], Evaluation | None] = lambda name: None,
    ) -> None:
        self.version = version
        self.infer = infer
        self.define = define
        self.elsewhere = elsewhere
        self.bound: dict[str, Known] = {}
        self.depth = 0
        self.is_about_releases = False

    def value(self, node: ast.expr) -> Known:
        """Evaluate.

        Raises:
            Unknown: it cannot be told; any failure in it is unknown, too.
        """
        method = getattr(self, f"_{type(node).__name__}", None)
        if method is None or self.depth > 20:
            raise Unknown
        self.depth += 1
        try:
            found: Known = method(node)
            return found
        except (TypeError, ValueError, AttributeError, KeyError, IndexError):
            raise Unknown from None
        finally:
            self.depth -= 1

    def _Constant(self, node: ast.Constant) -> Known:
        return node.value

    def _Tuple(self, node: ast.Tuple) -> Known:
        return tuple(map(self.value, node.elts))

    _List = _Set = _Tuple

    def _Name(self, node: ast.Name) -> Known:
        if node.id in self.bound:
            return self.bound[node.id]
        found = self.infer(node)
        if isinstance(found, Dotted):
            return self._known(found)
        defined = self.define(node.id, self.version)
        if defined is not None and defined is not node:
            return self.value(defined)
        return self._from_elsewhere(node.id)

    def _from_elsewhere(self, name: str) -> Known:
        other = self.elsewhere(name)
        if other is None:
            raise Unknown
        other.depth = self.depth + 1
        found = other.value(ast.Name(other.name or name, ast.Load()))
        self.is_about_releases = self.is_about_releases or other.is_about_releases
        return found

    def _known(self, found: Dotted) -> Known:
        if found.path in ("flax.__version__", "flax.version.__version__"):
            self.is_about_releases = True
            return self.version
        if found.path == "typing.TYPE_CHECKING":
            return False
        if kinds.exists(found, self.version):
            self.is_about_releases = True
            return _PRESENT
        raise Unknown

    def _Attribute(self, node: ast.Attribute) -> Known:
        found = self.infer(node)
        if isinstance(found, Dotted):
            return self._known(found)
        if node.attr == "parameters" and isinstance(node.value, ast.Call):
            return self._signature(node.value)
        owner = self.value(node.value)
        if isinstance(owner, Version) and not node.attr.startswith("_"):
            part: Known = getattr(owner, node.attr)
            return part
        raise Unknown

    def _signature(self, call: ast.Call) -> frozenset[Known]:
        called = self.infer(call.func)
        if not isinstance(called, Dotted) or called.path != "inspect.signature":
            raise Unknown
        parameters = kinds.parameters(call.args[0], self.infer, self.version)
        if parameters is None:
            raise Unknown
        self.is_about_releases = True
        return parameters

    def _Call(self, node: ast.Call) -> Known:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:
            owner = self.value(function.value)
            if function.attr == "keys" and isinstance(owner, frozenset):
                return owner
            if not isinstance(owner, str):
                raise Unknown
            found = getattr(owner, function.attr)(*map(self.value, node.args))
            return tuple(found) if isinstance(found, list) else found
        called = self.infer(function)
        if isinstance(called, Dotted):
            return self._called(called.path, node)
        if isinstance(called, Function):
            return self._returned(called, node)
        if isinstance(function, ast.Name):
            return self._builtin(function.id, node)
        raise Unknown

    def _called(self, path: str, node: ast.Call) -> Known:
        if path in _VERSIONS:
            return Version(self._text(node.args[0]))
        if path in _INSTALLED and self.value(node.args[0]) == "flax":
            self.is_about_releases = True
            return self.version
        if path == "importlib.util.find_spec":
            module = module_path(self._text(node.args[0]))
            if module is not None:
                self.is_about_releases = True
                there = releases.has(importable(module), self.version)
                return _PRESENT if there else None
        raise Unknown

    def _returned(self, function: Function, call: ast.Call) -> Known:
        """Of a function of one ``return``; one of another file is evaluated there."""
        if isinstance(function.node, ast.Lambda):
            return self.value(function.node.body)
        body = [s for s in function.node.body if not isinstance(s, ast.Expr)]
        if len(body) != 1 or not isinstance(body[0], ast.Return) or not body[0].value:
            raise Unknown
        there = (
            self.elsewhere(call.func.id) if isinstance(call.func, ast.Name) else None
        )
        if there is None:
            return self.value(body[0].value)
        there.depth = self.depth + 1
        found = there.value(body[0].value)
        self.is_about_releases = self.is_about_releases or there.is_about_releases
        return found

    def _builtin(self, name: str, node: ast.Call) -> Known:
        if name in ("hasattr", "getattr"):
            owner, wanted = self.infer(node.args[0]), self._text(node.args[1])
            has = kinds.has(owner, wanted, self.version)
            if has is None:
                raise Unknown
            self.is_about_releases = True
            if name == "hasattr":
                return has
            return _PRESENT if has else self.value(node.args[2])
        if name == "callable":
            return self.value(node.args[0]) is _PRESENT
        if name == "map":
            function = _BUILTINS[dotted(node.args[0])]
            return tuple(map(function, self._several(node.args[1])))
        if name in _BUILTINS:
            return _BUILTINS[name](*map(self.value, node.args))
        raise Unknown

    def _GeneratorExp(self, node: ast.GeneratorExp | ast.ListComp) -> Known:
        (generator,) = node.generators
        if not isinstance(generator.target, ast.Name) or generator.ifs:
            raise Unknown
        name, found = generator.target.id, list[Known]()
        for item in self._several(generator.iter):
            self.bound[name] = item
            found.append(self.value(node.elt))
        del self.bound[name]
        return tuple(found)

    _ListComp = _GeneratorExp

    def _Subscript(self, node: ast.Subscript) -> Known:
        owner = self.value(node.value)
        if not isinstance(owner, (str, bytes, tuple)):
            raise Unknown
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            return owner[slice(*map(self._index, parts))]
        index = self._index(node.slice)
        if index is None:
            raise Unknown
        return owner[index]

    def _index(self, node: ast.expr | None) -> int | None:
        found = None if node is None else self.value(node)
        if found is None or isinstance(found, int):
            return found
        raise Unknown

    def _text(self, node: ast.expr) -> str:
        found = self.value(node)
        if isinstance(found, str):
            return found
        raise Unknown

    def _several(self, node: ast.expr) -> Iterable[Known]:
        found = self.value(node)
        if isinstance(found, (str, bytes, tuple, frozenset)):
            return found
        raise Unknown

    def _UnaryOp(self, node: ast.UnaryOp) -> Known:
        operand = self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return not operand
        if isinstance(node.op, ast.USub) and isinstance(operand, (int, float, complex)):
            return -operand
        raise Unknown

    def _BoolOp(self, node: ast.BoolOp) -> Known:
        # False and unknown is False; True and unknown is unknown
        deciding, unknown = isinstance(node.op, ast.Or), False
        for operand in node.values:
            try:
                if bool(self.value(operand)) is deciding:
                    return deciding
            except Unknown:
                unknown = True
        if unknown:
            raise Unknown
        return not deciding

    def _IfExp(self, node: ast.IfExp) -> Known:
        return self.value(node.body if self.value(node.test) else node.orelse)

    def _NamedExpr(self, node: ast.NamedExpr) -> Known:
        return self.value(node.value)

    def _Compare(self, node: ast.Compare) -> Known:
        left = self.value(node.left)
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if _PRESENT in (left, right) and not isinstance(op, (ast.Is, ast.IsNot)):
                raise Unknown
            if isinstance(left, Version) and isinstance(right, str):
                right = Version(right)
            if not _COMPARE[type(op)](left, right):
                return False
            left = right
        return True
