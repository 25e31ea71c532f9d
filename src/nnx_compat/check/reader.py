"""Reads one file, top to bottom, as Python would, and shows the rules what it meets.

Nothing is imported or run. What is known of values is in ``values``; which releases a
line is reached on is ``mask``: guards narrow it (``conditions``), and a ``try`` takes
the failures that its handlers catch. Bodies of functions are read after the module, as
they are called after it.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import conditions, events, members, releases
from .findings import Finding, Problem
from .rules import RULES, Rule
from .values import ClassInfo, Dotted, Function, Instance, Several, Value

__all__ = ["Guard", "Reader"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_NESTED = 4  # conditions within conditions within ...: more is not written by hand
#: Attributes of NNX's own layers that are Variables.
_PARAMETERS = ("kernel", "bias", "scale", "embedding", "mean", "var")


@dataclass
class _Scope:
    """The names of a module, a class body or a function.

    Attributes:
        values: what is known of each.
        definitions: for guards: what was assigned, and on which releases, newest last.
        owner: in a method, the class, and the name of its first parameter.
    """

    parent: _Scope | None = None
    is_class: bool = False
    values: dict[str, Value] = field(default_factory=dict)
    definitions: dict[str, list[tuple[int, ast.expr]]] = field(default_factory=dict)
    owner: ClassInfo | None = None
    self_name: str = ""
    treated: events.Treated | None = None
    plain_lists: dict[str, ast.expr] = field(default_factory=dict)

    def chain(self) -> Iterator[_Scope]:
        """This scope and those around it, class bodies left out as Python does."""
        scope: _Scope | None = self
        while scope is not None:
            if scope is self or not scope.is_class:
                yield scope
            scope = scope.parent


@dataclass
class _Try:
    """A ``try`` whose body is being read, and the releases on which it has failed."""

    caught: frozenset[str]
    failed: int = 0

    def catches(self, error: str) -> bool:
        return bool(error) and not self.caught.isdisjoint(_ANCESTORS[error])


@dataclass(frozen=True)
class Guard:
    """An ``if``, or a conditional expression, that tells releases apart.

    Attributes:
        node: the whole of it.
        true: the releases on which its condition may be true, as bits.
        false: the releases on which it may be false.
    """

    node: ast.If | ast.IfExp
    true: int
    false: int


_ANCESTORS = {
    error: frozenset({error, *more, "Exception", "BaseException"})
    for error, more in {
        "AttributeError": (),
        "ImportError": ("ModuleNotFoundError",),
        "TypeError": (),
        "ValueError": (),
        "NotImplementedError": ("RuntimeError",),
        "RuntimeError": (),
    }.items()
}


class Reader(ast.NodeVisitor):
    """Reads one module.

    Args:
        path: of the file, for the findings.
        tree: its syntax tree.
    """

    def __init__(self, path: str, tree: ast.Module) -> None:
        self.path = path
        self.mask = releases.ALL
        self.scope = _Scope()
        self.tries: list[_Try] = []
        self.findings: list[Finding] = []
        self.quiet = 0
        self.guards: list[Guard] = []
        self._statement: ast.stmt | None = None
        self._asking = 0
        self._calls: dict[int, ast.Call] = {}
        self._deferred: list[tuple[FunctionNode | ast.Lambda, _Scope, int]] = []
        self._rules: dict[type, list[Rule]] = {}
        for rule in RULES:
            self._rules.setdefault(rule.event, []).append(rule)
        self._lazy_annotations = any(
            isinstance(s, ast.ImportFrom)
            and s.module == "__future__"
            and any(a.name == "annotations" for a in s.names)
            for s in tree.body
        )
        self._block(tree.body)
        while self._deferred:
            self._function_body(*self._deferred.pop(0))

    # -- telling ------------------------------------------------------------------

    def show(self, event: events.Event) -> None:
        """Show an event to the rules, and note what they say."""
        if self.quiet or not self.mask:
            return
        through_us = getattr(event, "compat", False)
        for rule in self._rules.get(type(event), ()):
            if through_us and not rule.compat:
                continue
            problem = rule.find(event)
            if problem is not None:
                self._note(rule, problem.node or event.node, problem)

    def _note(self, rule: Rule, node: Any, problem: Problem) -> None:
        excluded, warns = problem.excluded & self.mask, problem.warns & self.mask
        if not excluded | warns:
            return
        for attempt in reversed(self.tries):
            if attempt.catches(problem.error):
                attempt.failed |= excluded
                self.mask &= ~excluded
                return
        self.findings.append(
            Finding(
                path=self.path, cell=0, line=node.lineno, column=node.col_offset + 1,
                code=rule.code, text=problem.text, excluded=excluded,
                certain=problem.certain, instead=problem.instead, warns=warns,
                end_line=node.end_lineno or node.lineno,
                end_column=(node.end_col_offset or node.col_offset) + 1,
                rewrite=problem.rewrite,
            )
        )  # fmt: skip

    # -- names --------------------------------------------------------------------

    def lookup(self, name: str) -> Value:
        """What is known of a name here."""
        for scope in self.scope.chain():
            if name in scope.values:
                return scope.values[name]
        return None

    def _bind(self, name: str, value: Value, node: ast.expr | None = None) -> None:
        if self.quiet:
            return
        self.scope.values[name] = value
        if node is not None:
            known = self.scope.definitions.setdefault(name, [])
            known.append((self.mask, node))

    def _definition(self, name: str, version: str) -> ast.expr | None:
        for scope in self.scope.chain():
            for mask, node in reversed(scope.definitions.get(name, ())):
                if releases.has(mask, version):
                    return node
            if name in scope.values:
                return None
        return None

    def peek(self, node: ast.expr) -> Value:
        """What is known of an expression, without telling the rules of it."""
        self.quiet += 1
        try:
            return self.value(node)
        finally:
            self.quiet -= 1

    # -- guards -------------------------------------------------------------------

    def true_on(
        self, test: ast.expr, guard: ast.If | ast.IfExp | None = None
    ) -> tuple[int, int]:
        """The releases on which a condition may be true, and may be false.

        Args:
            test: the condition.
            guard: what it decides, to be noted when the condition is about releases.
        """
        if self._asking > _NESTED:  # a name that is defined by itself
            return releases.ALL, releases.ALL
        self._asking += 1
        try:
            return self._true_on(test, guard)
        finally:
            self._asking -= 1

    def _true_on(
        self, test: ast.expr, guard: ast.If | ast.IfExp | None
    ) -> tuple[int, int]:
        versions = releases.listed(releases.ALL)
        true = false = unknown = 0
        asked = False
        # the two ends first: a condition that tells neither apart tells nothing
        for index in (len(versions) - 1, *range(len(versions) - 1)):
            evaluation = conditions.Evaluation(
                versions[index], self.peek, self._definition
            )
            try:
                holds = bool(evaluation.value(test))
            except conditions.Unknown:
                unknown |= 1 << index
                if unknown == (1 << len(versions) - 1 | 1):
                    return releases.ALL, releases.ALL
            else:
                true |= holds << index
                false |= (not holds) << index
                asked = asked or evaluation.asked
        true, false = true | unknown, false | unknown
        if guard is not None and asked and not self.quiet:
            self.guards.append(Guard(guard, true & self.mask, false & self.mask))
        return true, false

    @contextlib.contextmanager
    def _on(self, mask: int) -> Iterator[None]:
        before = self.mask
        self.mask = before & mask
        try:
            yield
        finally:
            self.mask = before

    # -- statements ---------------------------------------------------------------

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            self.visit(statement)

    def visit_If(self, node: ast.If) -> None:
        true, false = self.true_on(node.test, guard=node)
        self.value(node.test)
        before = dict(self.scope.values)
        with self._on(true):
            self._block(node.body)
        first, self.scope.values = self.scope.values, before
        before = dict(self.scope.values)
        with self._on(false):
            self._block(node.orelse)
        ends = _ends(node.body), _ends(node.orelse)
        if ends[0] or not true & self.mask:
            pass
        elif ends[1] or not false & self.mask:
            self.scope.values = first
        else:
            self._join(first)
        if ends[0]:
            self.mask &= false
        if ends[1]:
            self.mask &= true

    def _join(self, other: dict[str, Value]) -> None:
        mine = self.scope.values
        for name in mine.keys() | other.keys():
            if mine.get(name) != other.get(name):
                mine[name] = None

    def visit_Assert(self, node: ast.Assert) -> None:
        true, _ = self.true_on(node.test)
        self.value(node.test)
        self.mask &= true

    def visit_Try(self, node: Any) -> None:
        caught: set[str] = set()
        for handler in node.handlers:
            if not _raises_again(handler.body):
                caught |= self._exceptions(handler.type)
        attempt = _Try(frozenset(caught))
        before, values = self.mask, dict(self.scope.values)
        self.tries.append(attempt)
        self._block(node.body)
        self.tries.pop()
        self._block(node.orelse)
        tried, went_on = self.scope.values, not _ends(node.body)
        mask = self.mask if went_on else 0
        for handler in node.handlers:
            # without a failure that is known, a handler may run anywhere
            self.mask = before & (attempt.failed or releases.ALL)
            self.scope.values = dict(values)
            if handler.name:
                self._bind(handler.name, None)
            self._block(handler.body)
            if not _ends(handler.body):
                mask |= self.mask
                if went_on:
                    self._join(tried)
                tried, went_on = self.scope.values, True
        self.scope.values = tried
        self.mask = mask & before
        self._block(node.finalbody)

    visit_TryStar = visit_Try

    def _exceptions(self, node: ast.expr | None) -> set[str]:
        if node is None:
            return {"BaseException"}
        listed = node.elts if isinstance(node, ast.Tuple) else [node]
        return {n.id for n in listed if isinstance(n, ast.Name)}

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            module = members.module_path(alias.name)
            if module is not None:
                self.show(events.Import(node, module))
            if alias.asname:
                self._bind(alias.asname, _imported(alias.name))
            else:
                top = alias.name.split(".")[0]
                self._bind(top, _imported(top))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = node.module or ""
        if node.level:
            for alias in node.names:
                self._bind(alias.asname or alias.name, None)
            return
        module = members.module_path(source)
        if module is not None:
            self.show(events.Import(node, module))
        for alias in node.names:
            dotted = f"{source}.{alias.name}"
            own = members.module_path(dotted)
            if module is None and own is not None:
                self.show(events.Import(node, own))
            value = _imported(dotted)
            at_root = module in members.ROOTS
            if at_root and isinstance(value, Dotted) and alias.name != "*":
                self.show(events.Name(alias, value.path, by_import=True))
            if source == "nnx_compat.nnx" and isinstance(value, Dotted):
                self.show(events.Name(alias, value.path, by_import=True, compat=True))
            self._bind(alias.asname or alias.name, value)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for decorator in node.decorator_list:
            self.value(decorator)
        bases = tuple(self.value(_unsubscripted(base)) for base in node.bases)
        for keyword in node.keywords:
            self.value(keyword.value)
        said = {k.arg: k.value for k in node.keywords if k.arg is not None}
        pytree = said.get("pytree")
        info = ClassInfo(node.name, bases)
        info.pytree = not (isinstance(pytree, ast.Constant) and pytree.value is False)
        self.show(events.Class(node, info, frozenset(said)))
        self._bind(node.name, info)
        outer, self.scope = self.scope, _Scope(self.scope, is_class=True, owner=info)
        self._attributes(node, info)
        self._block(node.body)
        self.scope = outer

    def _attributes(self, node: ast.ClassDef, info: ClassInfo) -> None:
        """What methods assign to self, before any method is read."""
        for statement in node.body:
            if isinstance(statement, FunctionNode):
                info.own.add(statement.name)
                self._method_attributes(statement, info)
            elif isinstance(statement, ast.AnnAssign) and isinstance(
                statement.target, ast.Name
            ):
                value = self.peek_annotation(statement.annotation)
                info.attributes[statement.target.id] = _as_attribute(value)
            else:
                info.own |= {
                    target.id
                    for target in getattr(statement, "targets", ())
                    if isinstance(target, ast.Name)
                }

    def _method_attributes(self, method: FunctionNode, info: ClassInfo) -> None:
        first = next((a.arg for a in [*method.args.posonlyargs, *method.args.args]), "")
        if not first or _is_static(method):
            return
        outer, self.scope = self.scope, _Scope(self.scope)
        self.scope.values = self._parameters(method.args)
        self.scope.values.pop(first, None)
        for inner in ast.walk(method):
            if not isinstance(inner, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
                continue
            targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
            for target in targets:
                if _is_attribute_of(target, first):
                    self._attribute_of_self(info, target.attr, inner)  # type: ignore[attr-defined]
        self.scope = outer

    def _attribute_of_self(self, info: ClassInfo, name: str, node: Any) -> None:
        if isinstance(node, ast.AnnAssign) and node.value is None:
            value = self.peek_annotation(node.annotation)
        elif isinstance(node, ast.AugAssign):
            return  # it stays what it is, or is no Variable
        else:
            value = self.peek(node.value)
        value = _as_attribute(value)
        if name in info.attributes and info.attributes[name] != value:
            value = None
        info.attributes[name] = value

    def visit_FunctionDef(self, node: FunctionNode) -> None:
        mask = self.mask
        for decorator in node.decorator_list:
            self.value(decorator)
            mask &= self._skipped(decorator)
        arguments = node.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None:
                self.value(default)
        for argument in _all_arguments(arguments):
            self._annotation(argument.annotation)
        self._annotation(node.returns)
        returns = self.peek_annotation(node.returns)
        self._bind(node.name, Function(node, returns))
        self._deferred.append((node, self.scope, mask))

    visit_AsyncFunctionDef = visit_FunctionDef

    def _skipped(self, decorator: ast.expr) -> int:
        """The releases on which a test is not skipped by its decorator."""
        if isinstance(decorator, ast.Call) and decorator.args:
            called = self.peek(decorator.func)
            path = called.path if isinstance(called, Dotted) else ""
            true, false = self.true_on(decorator.args[0])
            if path in ("pytest.mark.skipif", "unittest.skipIf"):
                return false
            if path == "unittest.skipUnless":
                return true
        return releases.ALL

    def _function_body(
        self, node: FunctionNode | ast.Lambda, scope: _Scope, mask: int
    ) -> None:
        self.scope, self.mask, self.tries = _Scope(scope), mask, []
        self.scope.values = self._parameters(node.args)
        if scope.is_class and scope.owner and isinstance(node, FunctionNode):
            names = [a.arg for a in [*node.args.posonlyargs, *node.args.args]]
            if names and not _is_static(node):
                self.scope.owner, self.scope.self_name = scope.owner, names[0]
                self.scope.values[names[0]] = Instance(scope.owner)
        if isinstance(node, ast.Lambda):
            self.value(node.body)
            return
        self.scope.treated = events.Treated(node)
        self._block(node.body)
        self.mask = mask
        self.show(self.scope.treated)

    def _parameters(self, arguments: ast.arguments) -> dict[str, Value]:
        return {
            a.arg: self.peek_annotation(a.annotation) for a in _all_arguments(arguments)
        }

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None:
            self.value(node.value)

    def visit_Global(self, node: ast.Global) -> None:
        for name in node.names:
            self.scope.values[name] = None

    visit_Nonlocal = visit_Global  # type: ignore[assignment]

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self._bind(target.id, None)
            else:
                self.value(target)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        iterated = self.value(node.iter)
        self._assign(node.target, _element(iterated))
        self._block([*node.body, *node.orelse])

    visit_AsyncFor = visit_For

    def visit_While(self, node: ast.While) -> None:
        self.value(node.test)
        self._block([*node.body, *node.orelse])

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        suppressed: set[str] = set()
        for item in node.items:
            entered = self.value(item.context_expr)
            context = item.context_expr
            if isinstance(context, ast.Call):
                called = self.peek(context.func)
                path = called.path if isinstance(called, Dotted) else ""
                if path in ("contextlib.suppress", "pytest.raises"):
                    for argument in context.args:
                        suppressed |= self._exceptions(argument)
            if item.optional_vars is not None:
                self._assign(item.optional_vars, entered)
        self.tries.append(_Try(frozenset(suppressed)))
        before = self.mask
        self._block(node.body)
        self.tries.pop()
        self.mask |= before if suppressed else 0

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.value(node.subject)
        for case in node.cases:
            for inner in ast.walk(case.pattern):
                name = getattr(inner, "name", None)
                if isinstance(name, str):
                    self._bind(name, None)
            self._block(case.body)

    def visit_Expr(self, node: ast.Expr) -> None:
        self.value(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        if self.scope.parent is None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            self.show(events.Refusal(node, _plain(raised) if raised else "", self.mask))
        for part in (node.exc, node.cause):
            if part is not None:
                self.value(part)

    # -- assignments --------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        self._statement = node if len(node.targets) == 1 else None
        for target in node.targets:
            self._assign(target, value, node.value)
        self._statement = None

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        value = None if node.value is None else self.value(node.value)
        if value is None:
            value = self.peek_annotation(node.annotation)
        self._assign(node.target, value, node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.value(node.value)
        target = node.target
        if isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            self.value(target.slice)
            if isinstance(owner, Instance):
                operator = type(node.op).__name__
                self.show(
                    events.Item(
                        node, owner, target.slice, True, operator, node.value, node
                    )
                )
                self._changed(target.value)
            return
        if isinstance(target, ast.Attribute):
            written = self.value(target.value)
            if isinstance(written, Instance) and members.is_variable(written):
                self.show(events.Attribute(target, written, True, node))
                self._changed(target.value)
                return
        owner = self.value(target)
        if isinstance(owner, Instance) and members.is_variable(owner):
            operator = type(node.op).__name__
            self.show(events.Item(node, owner, None, True, operator, node.value, node))
            self._changed(target)
        elif isinstance(target, ast.Attribute):
            self._changed(target.value)

    def _assign(
        self, target: ast.expr, value: Value, node: ast.expr | None = None
    ) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, value, node)
            self._split_into([target], value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, None)
        elif isinstance(target, ast.Attribute):
            self._assign_attribute(target, node)
        elif isinstance(target, ast.Subscript):
            owner = self.value(target.value)
            self.value(target.slice)
            if isinstance(owner, Instance):
                self.show(
                    events.Item(
                        target, owner, target.slice, stored=True, value=node,
                        statement=self._statement,
                    )
                )  # fmt: skip
            self._changed(target.value)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value) -> None:
        many = value if isinstance(value, Several) else Several(())
        starred = False
        for index, element in enumerate(target.elts):
            starred = starred or isinstance(element, ast.Starred)
            self._assign(element, None if starred else many.item(index))

    def _assign_attribute(self, target: ast.Attribute, node: ast.expr | None) -> None:
        owner = self.value(target.value)
        if isinstance(owner, Instance):
            self.show(events.Attribute(target, owner, True, self._statement))
        name = _plain(target.value)
        in_method = name == self.scope.self_name and self.scope.owner is not None
        if in_method and node is not None and self.scope.owner:
            holds = self._holds_modules(node)
            if isinstance(node, (ast.List, ast.ListComp)) and not holds:
                self.scope.plain_lists[target.attr] = node
            self.show(events.Stored(target, self.scope.owner, target.attr, node, holds))
        self._changed(target.value)

    def _holds_modules(self, node: ast.expr) -> bool:
        """Whether it is a plain list or dict with a Module or a Variable in it."""
        if isinstance(node, ast.List):
            inside: list[ast.expr] = list(node.elts)
        elif isinstance(node, ast.ListComp):
            inside = [node.elt]
        elif isinstance(node, ast.Dict):
            inside = list(node.values)
        elif isinstance(node, ast.DictComp):
            inside = [node.value]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mult)):
            return self._holds_modules(node.left) or self._holds_modules(node.right)
        else:
            return False
        return any(self._is_data(part) for part in inside)

    def _is_data(self, node: ast.expr) -> bool:
        value = self.peek(_unstarred(node))
        return members.is_module(value) or members.is_variable(value)

    # -- states, and what happens to the model they were split from ---------------

    def _step(self, kind: str, name: str, node: ast.AST, written: str = "") -> None:
        if self.scope.treated is not None and not self.quiet:
            self.scope.treated.steps.append((kind, name, written, node))

    def _split_into(self, targets: list[ast.Name], value: Value) -> None:
        for target in targets:
            if isinstance(value, Instance) and _is_kept(value):
                self._step("split", target.id, target, value.written)
            else:
                self._step("bind", target.id, target)

    def _changed(self, node: ast.expr) -> None:
        """Note that what is written there has been changed in place."""
        root = node
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        if isinstance(root, ast.Name):
            self._step("change", root.id, node)

    # -- annotations --------------------------------------------------------------

    def _annotation(self, node: ast.expr | None) -> None:
        # under `from __future__ import annotations` nobody evaluates them
        if node is not None and not self._lazy_annotations:
            self.value(node)

    def peek_annotation(self, node: ast.expr | None) -> Value:
        """An instance of what an annotation names, where that is one class."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                node = ast.parse(node.value, mode="eval").body
            except SyntaxError:
                return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            sides = [s for s in (node.left, node.right) if not _is_none(s)]
            return self.peek_annotation(sides[0]) if len(sides) == 1 else None
        if isinstance(node, ast.Subscript):
            named = self.peek(node.value)
            if isinstance(named, Dotted) and named.path == "typing.Optional":
                return self.peek_annotation(node.slice)
            node = node.value
        if node is None:
            return None
        return _made(self.peek(node))

    # -- expressions --------------------------------------------------------------

    def value(self, node: ast.expr) -> Value:
        """Read an expression: show what is in it, and say what is known of it."""
        method = getattr(self, f"_value_{type(node).__name__}", None)
        if method is not None:
            found: Value = method(node)
            return found
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.value(child)
            elif isinstance(child, (ast.keyword, ast.FormattedValue)):
                self.value(child.value)
        return None

    def _value_Constant(self, node: ast.Constant) -> Value:
        return None

    def _value_Name(self, node: ast.Name) -> Value:
        value = self.lookup(node.id)
        if _is_kept(value):
            self._step("use", node.id, node)
        return value

    def _value_Attribute(self, node: ast.Attribute) -> Value:
        owner = self.value(node.value)
        if isinstance(owner, Dotted):
            return self._dotted(node, owner)
        if isinstance(owner, Instance):
            return self._attribute(node, owner)
        return None

    def _dotted(self, node: ast.Attribute, owner: Dotted) -> Value:
        path = f"{owner.path}.{node.attr}"
        if owner.compat:
            through = _through_us(path)
            if through is not None and owner.path == "nnx":
                self.show(events.Name(node, path, compat=True))
            return through
        module = members.module_path(path)
        if module is not None:
            self.show(events.Import(node, module, by_import=False))
            return Dotted("nnx")
        public = owner.path == "nnx" and not node.attr.startswith("_")
        if public or (owner.path.startswith("nnx.") and members.name(path)):
            self.show(events.Name(node, path))
        return Dotted(path)

    def _attribute(self, node: ast.Attribute, owner: Instance) -> Value:
        if isinstance(owner.kind, ClassInfo):
            has, value = owner.kind.attribute(node.attr)
            if has:
                return value
        call = self._calls.get(id(node))
        self.show(events.Attribute(node, owner, called=call))
        if node.attr in _PARAMETERS and members.is_module(owner):
            own = isinstance(owner.kind, str) and owner.kind != "nnx.Module"
            return Instance("nnx.Param", attribute=True) if own else None
        return None

    def _value_Subscript(self, node: ast.Subscript) -> Value:
        owner = self.value(node.value)
        self.value(node.slice)
        if isinstance(owner, Instance) and members.is_variable(owner):
            self.show(events.Item(node, owner, node.slice))
        if isinstance(owner, Several) and isinstance(node.slice, ast.Constant):
            index = node.slice.value
            return owner.item(index) if isinstance(index, int) and index >= 0 else None
        return owner if isinstance(owner, Dotted) else None  # Variable[Array]

    def _value_Call(self, node: ast.Call) -> Value:
        owner: Value = None
        if isinstance(node.func, ast.Attribute):
            owner = self.peek(node.func.value)
            self._calls[id(node.func)] = node
        called = self.value(node.func)
        arguments = tuple(self.value(_unstarred(a)) for a in node.args)
        for keyword in node.keywords:
            self.value(keyword.value)
        path = self._called(node, called, owner)
        if path:
            keywords = frozenset(k.arg for k in node.keywords if k.arg is not None)
            is_open = len(keywords) < len(node.keywords) or any(
                isinstance(a, ast.Starred) for a in node.args
            )
            compat = isinstance(called, Dotted) and called.compat
            call = events.Call(node, path, arguments, keywords, is_open, owner, compat)
            self.show(call)
        self._effects(node, called, owner)
        return self._result(node, called, arguments)

    def _called(self, node: ast.Call, called: Value, owner: Value) -> str:
        if isinstance(called, Dotted):
            return called.path
        if isinstance(called, ClassInfo):
            own_init = "__init__" in called.own
            return "" if own_init else called.native()
        if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
            if owner.compat and not members.is_variable(owner):
                return ""
            name = node.func.attr
            if isinstance(owner.kind, ClassInfo) and owner.kind.attribute(name)[0]:
                return ""
            paths = (members.member(kind, name) for kind in members.kinds(owner))
            return next(filter(None, paths), "")
        return ""

    def _effects(self, node: ast.Call, called: Value, owner: Value) -> None:
        updates = isinstance(called, Dotted) and called.path == "nnx.update"
        if updates and node.args:
            self._changed(node.args[0])
        if isinstance(node.func, ast.Attribute) and isinstance(owner, Instance):
            optimizer = "nnx.Optimizer" in members.kinds(owner)
            if optimizer and node.func.attr == "update" and len(node.args) > 1:
                self._changed(node.args[0])
            if members.is_variable(owner) and node.func.attr == "set_value":
                self._changed(node.func.value)
        self._appends(node)

    def _appends(self, node: ast.Call) -> None:
        """``self.layers.append(Module)`` onto what was a plain list."""
        function = node.func
        if not (
            isinstance(function, ast.Attribute)
            and function.attr == "append"
            and self.scope.owner is not None
            and _is_attribute_of(function.value, self.scope.self_name)
            and len(node.args) == 1
        ):
            return
        name = function.value.attr  # type: ignore[attr-defined]
        if name in self.scope.plain_lists and self._is_data(node.args[0]):
            container = self.scope.plain_lists.pop(name)  # once is enough
            self.show(
                events.Stored(node, self.scope.owner, name, container, True, True)
            )

    def _result(
        self, node: ast.Call, called: Value, arguments: tuple[Value, ...]
    ) -> Value:
        if isinstance(called, ClassInfo):
            return Instance(called)
        if isinstance(called, Function):
            return called.returns
        if not isinstance(called, Dotted):
            return None
        if called.path in ("nnx.split", "nnx.state") and node.args:
            return self._state(node, called, arguments)
        if called.path == "nnx.merge" and arguments:
            graphdef = arguments[0]
            return graphdef.origin if isinstance(graphdef, Instance) else None
        if called.path == "nnx.clone" and arguments:
            return arguments[0]
        made = _made(called)
        if isinstance(made, Instance) and made.kind == "nnx.Optimizer" and node.args:
            return replace(made, written=_plain(node.args[0]))
        return made

    def _state(self, node: ast.Call, called: Dotted, arguments: Any) -> Value:
        origin, written = arguments[0], _plain(node.args[0])
        state = Instance(
            "nnx.State", compat=called.compat, origin=origin,
            written="" if called.compat else written, filtered=len(node.args) > 1,
        )  # fmt: skip
        if called.path == "nnx.state":
            several = len(node.args) > 2
            return Several((), state) if several else state
        graphdef = Instance("nnx.GraphDef", compat=called.compat, origin=origin)
        return Several((graphdef,), state)

    def _value_BoolOp(self, node: ast.BoolOp) -> Value:
        before = self.mask
        for operand in node.values:
            self.value(operand)
            true, false = self.true_on(operand)
            self.mask &= true if isinstance(node.op, ast.And) else false
        self.mask = before
        return None

    def _value_IfExp(self, node: ast.IfExp) -> Value:
        true, false = self.true_on(node.test, guard=node)
        self.value(node.test)
        with self._on(true):
            first = self.value(node.body)
        with self._on(false):
            second = self.value(node.orelse)
        if not true & self.mask:
            return second
        if not false & self.mask or first == second:
            return first
        return None

    def _value_Lambda(self, node: ast.Lambda) -> Value:
        if not self.quiet:
            self._deferred.append((node, self.scope, self.mask))
        return None

    def _value_NamedExpr(self, node: ast.NamedExpr) -> Value:
        value = self.value(node.value)
        self._assign(node.target, value, node.value)
        return value

    def _value_Tuple(self, node: ast.Tuple | ast.List) -> Value:
        if any(isinstance(element, ast.Starred) for element in node.elts):
            for element in node.elts:
                self.value(_unstarred(element))
            return None
        return Several(tuple(self.value(element) for element in node.elts))

    def _value_List(self, node: ast.List) -> Value:
        values = [self.value(_unstarred(element)) for element in node.elts]
        same = bool(values) and all(v == values[0] for v in values)
        return Several((), values[0] if same else None)

    def _value_ListComp(self, node: Any) -> Value:
        outer, self.scope = self.scope, _Scope(self.scope)
        self.scope.owner, self.scope.self_name = outer.owner, outer.self_name
        before = self.mask
        for generator in node.generators:
            iterated = self.value(generator.iter)
            self._assign(generator.target, _element(iterated))
            for test in generator.ifs:
                self.value(test)
                self.mask &= self.true_on(test)[0]
        if isinstance(node, ast.DictComp):
            self.value(node.key)
            self.value(node.value)
            element = None
        else:
            element = self.value(node.elt)
        self.mask, self.scope = before, outer
        return Several((), element)

    _value_GeneratorExp = _value_SetComp = _value_DictComp = _value_ListComp


def _ends(body: Sequence[ast.stmt]) -> bool:
    """Whether what follows a block is not reached after it."""
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        return ast.unparse(last.value.func) in ("sys.exit", "exit", "pytest.skip")
    return isinstance(last, (ast.Return, ast.Raise, ast.Continue, ast.Break))


def _raises_again(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and isinstance(body[-1], ast.Raise)


def _imported(dotted: str) -> Value:
    if dotted == "nnx_compat" or dotted.startswith("nnx_compat."):
        return _through_us(dotted)
    module = members.module_path(dotted)
    if module is None:
        return Dotted(dotted)
    return Dotted("nnx" + members.within(module))


#: Operations of ours whose native counterparts have the same result.
_OURS = ("split", "state", "merge", "clone", "update")


def _through_us(path: str) -> Value:
    """What a path in ``nnx_compat`` names."""
    for root in ("nnx_compat.stable.v1.nnx", "nnx_compat.nnx"):
        if path == root or path.startswith(f"{root}."):
            return Dotted("nnx" + path.removeprefix(root), compat=True)
    last = path.rpartition(".")[2]
    if last in _OURS:
        return Dotted(f"nnx.{last}", compat=True)
    return Dotted(path, compat=True)


def _is_kept(value: Value) -> bool:
    """Whether it is a state of which it is plain what it was split from."""
    is_state = isinstance(value, Instance) and value.kind == "nnx.State"
    return is_state and bool(value.written)  # type: ignore[union-attr]


def _made(called: Value) -> Value:
    """What calling a class gives."""
    if isinstance(called, ClassInfo):
        return Instance(called)
    if not isinstance(called, Dotted) or not called.path.startswith("nnx."):
        return None
    name = called.path.rpartition(".")[2]
    if name[:1].isupper() and called.path.count(".") == 1:
        return Instance(called.path, compat=called.compat)
    return None


def _as_attribute(value: Value) -> Value:
    """What is read back from an attribute that a value was assigned to."""
    if isinstance(value, Instance) and members.is_variable(value):
        return Instance(value.kind, attribute=True, compat=value.compat)
    return value


def _plain(node: ast.expr) -> str:
    """A dotted name as it is written, ``""`` for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := _plain(node.value)):
        return f"{owner}.{node.attr}"
    return ""


def _is_attribute_of(node: ast.expr, name: str) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == name
    )


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _element(value: Value) -> Value:
    """What a loop over a value yields, when that is one kind throughout."""
    return value.rest if isinstance(value, Several) and not value.items else None


def _is_static(node: FunctionNode) -> bool:
    names = {ast.unparse(d) for d in node.decorator_list}
    return bool(names & {"staticmethod", "classmethod"})


def _all_arguments(arguments: ast.arguments) -> list[ast.arg]:
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    more = (arguments.vararg, arguments.kwarg)
    return [*listed, *(a for a in more if a is not None)]


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _unstarred(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Starred) else node
