"""``nnx-compat fix``: the rewrites that the rules propose, applied to the source.

Only the tokens that change are replaced; every other one, spaces and comments
included, stays where it is. A change shows further ones (a guard that is always true
once its import has changed), so the file is read again until nothing is left to do;
what comes out is parsed before it is given to anybody.
"""

from __future__ import annotations

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from . import check_source, declared, members, releases, sources
from .findings import Finding
from .reader import Guard, Reader
from .rewrites import Rewrite

__all__ = ["Fixed", "fix_source"]

_ROUNDS = 8  # each round may show more to do; none of the rules' needs more than four


@dataclass
class Fixed:
    """What became of one source.

    Attributes:
        text: the new source; the old one where nothing is changed.
        changes: how many places were changed, by code.
        left: findings that are still there, with why where it is known.
    """

    text: str
    changes: dict[str, int] = field(default_factory=dict)
    left: list[tuple[Finding, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Edit:
    """A range of the source, and what is to stand there.

    Attributes:
        start: an index into the text.
        end: the index behind it.
        template: the new text; fields in braces are parts that stay as they are.
        parts: the range of each field.
        code: what it is done for.
    """

    start: int
    end: int
    template: str
    parts: Mapping[str, tuple[int, int]]
    code: str


class _Refused(Exception):
    """A change cannot be made without losing something; the text says what."""


def fix_source(
    source: sources.Source,
    to: str = "portable",
    *,
    only: Iterable[str] = (),
    unsafe: bool = False,
) -> Fixed:
    r"""Rewrite one Python source.

    Args:
        source: of a ``.py`` file.
        to: ``"portable"``, to run on every release with nnx_compat; ``"newest"``, to
            run on the newest release as it is; or a PEP 440 specifier of Flax, to run
            on all of its releases as it is.
        only: the codes of rules to mend; all when there are none. ``GUARD`` stands for
            guards that have become needless.
        unsafe: make changes too that can mean something else for some values.

    Raises:
        SourceError: the source is no Python, or ``to`` is no range of releases.

    Example:
        >>> from nnx_compat.check.fixing import fix_source
        >>> from nnx_compat.check.sources import Source
        >>> script = "from flax import nnx\nw = nnx.Param(1.0)\nprint(w.value)  # one\n"
        >>> print(fix_source(Source("a.py", script)).text, end="")
        import nnx_compat as nc
        from nnx_compat import nnx
        w = nnx.Param(1.0)
        print(nc.get_value(w))  # one
    """
    aim = _Aim(to, frozenset(only), unsafe)
    source.tree()  # says which file it is, if it is no Python
    fixed = Fixed(source.text)
    if not source.speaks_of_nnx():
        return fixed
    refused: dict[tuple[int, int], str] = {}
    for _ in range(_ROUNDS):
        once = _Round(fixed.text, aim, refused)
        if not once.edits:
            break
        text = once.apply()
        ast.parse(text)
        fixed.text = text
        for edit in once.edits:
            fixed.changes[edit.code] = fixed.changes.get(edit.code, 0) + 1
    for finding in check_source(sources.Source(source.path, fixed.text)):
        if (finding.excluded | finding.warns) & aim.mask:
            fixed.left.append(
                (finding, refused.get((finding.line, finding.column), ""))
            )
    return fixed


class _Aim:
    """What the new source is to run on, and what may be done for it."""

    def __init__(self, to: str, only: frozenset[str], unsafe: bool) -> None:
        self.portable = to == "portable"
        self.only, self.unsafe = only, unsafe
        if self.portable:
            self.mask = releases.ALL
        elif to == "newest":
            self.mask = 1 << releases.ALL.bit_length() - 1
        else:
            self.mask = declared.target(to).mask

    def wants(self, code: str) -> bool:
        return not self.only or code in self.only

    def template(self, rewrite: Rewrite) -> str:
        """The form of a rewrite that runs where it is to run, ``""`` for none."""
        if rewrite.unsafe and not self.unsafe:
            return ""
        if self.portable:
            return rewrite.portable
        return rewrite.native if not self.mask & ~rewrite.since else ""


class _Round:
    """One reading of the source, and what is to change in it."""

    def __init__(
        self, text: str, aim: _Aim, refused: dict[tuple[int, int], str]
    ) -> None:
        self.text, self.aim, self.refused = text, aim, refused
        self.lines = text.splitlines(keepends=True)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        self.source = sources.Source("", text)
        self.tree = self.source.tree()
        self.names = _Names(self.tree)
        self.comments = _comments(text)
        self.needs: set[str] = set()
        self.edits: list[_Edit] = []
        reader = Reader("", self.tree)
        for edit in self._wanted(reader):
            self._keep(edit)
        if self.needs:
            self._import(self.needs)

    def apply(self) -> str:
        """The text with all edits made."""
        return self._render(0, len(self.text), sorted(self.edits, key=_order))

    # -- places ---------------------------------------------------------------------

    def at(self, line: int, column: int) -> int:
        """The index of a place that ``ast`` gives: it counts bytes of UTF-8."""
        encoded = self.lines[line - 1].encode()[:column] if self.lines else b""
        return self.starts[line - 1] + len(encoded.decode())

    def range(self, node: ast.AST) -> tuple[int, int]:
        """From where to where a node goes."""
        where: ast.expr = node  # type: ignore[assignment]
        end_line, end_column = where.end_lineno, where.end_col_offset
        assert end_line is not None
        assert end_column is not None
        return self.at(where.lineno, where.col_offset), self.at(end_line, end_column)

    # -- what is wanted -------------------------------------------------------------

    def _wanted(self, reader: Reader) -> Iterator[_Edit]:
        findings = self.source.kept(sorted(set(reader.findings)))
        if self.aim.portable:
            yield from self._imports()
        yield from self._rewrites(findings)
        if self.aim.wants("GUARD"):
            yield from self._guards(reader.guards)

    def _rewrites(self, findings: list[Finding]) -> Iterator[_Edit]:
        old_optimizers = _all_or_none(findings)
        for finding in findings:
            rewrite, code = finding.rewrite, finding.code
            if rewrite is None or not self.aim.wants(code):
                continue
            if not (finding.excluded | finding.warns) & self.aim.mask:
                continue
            if code in ("NC310", "NC311") and not old_optimizers:
                continue
            template = self.aim.template(rewrite)
            context = getattr(rewrite.whole, "ctx", None)
            if template and isinstance(context, (ast.Load, type(None))):
                try:
                    yield self._edit(rewrite.whole, template, rewrite.parts, code)
                except _Refused as refused:
                    place = finding.line, finding.column
                    self.refused[place] = str(refused)

    def _edit(
        self, whole: ast.AST, template: str, parts: Mapping[str, ast.AST], code: str
    ) -> _Edit:
        used = {n: p for n, p in parts.items() if f"{{{n}}}" in template}
        start, end = self.range(whole)
        ranges = {name: self.range(part) for name, part in used.items()}
        lost = [
            c
            for c in self.comments
            if start <= c < end and not any(a <= c < b for a, b in ranges.values())
        ]
        if lost:
            raise _Refused("a comment is in the way")
        template = self._named(template)
        for name, (a, b) in ranges.items():
            if not _is_one_argument(self.text[a:b], used[name]):
                template = template.replace(f"{{{name}}}", f"({{{name}}})")
        return _Edit(start, end, template, ranges, code)

    def _named(self, template: str) -> str:
        for short, module in (("nc", "nnx_compat"), ("nnx", "nnx_compat.nnx")):
            if f"{{{short}}}" in template:
                name = self.names.of(module)
                if not name:
                    self.needs.add(module)
                    name = self.names.free(short)
                template = template.replace(f"{{{short}}}", name)
        return template

    def _keep(self, edit: _Edit) -> None:
        """Take an edit, unless another one has the same place or cuts through it."""
        for other in self.edits:
            apart = edit.end <= other.start or other.end <= edit.start
            if not apart and not _inside(edit, other) and not _inside(other, edit):
                return
        self.edits.append(edit)

    # -- imports --------------------------------------------------------------------

    def _imports(self) -> Iterator[_Edit]:
        if not (self.aim.wants("NC104") or self.aim.wants("NC101")):
            return
        shims = {id(s) for node in ast.walk(self.tree) for s in _shim(node)}
        for node in ast.walk(self.tree):
            if id(node) in shims:
                continue
            text = ""
            if isinstance(node, ast.Try) and (inside := _shim(node)):
                text = _portable_import(inside[0])
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                text = _portable_import(node)
            elif isinstance(node, ast.Attribute) and _is_flax_nnx(node, self.names):
                text = self._named("{nnx}")
            if text:
                start, end = self.range(node)
                if any(start <= c < end for c in self.comments):
                    continue
                indent = self._indent(node)
                text = text.replace("\n", "\n" + indent)
                yield _Edit(start, end, _escaped(text), {}, "NC104")

    def _indent(self, node: ast.AST) -> str:
        line = self.lines[node.lineno - 1]  # type: ignore[attr-defined]
        return line[: len(line) - len(line.lstrip())]

    def _import(self, modules: set[str]) -> None:
        lines = {
            "nnx_compat": f"import nnx_compat as {self.names.free('nc')}",
            "nnx_compat.nnx": "from nnx_compat import nnx",
        }
        if self.names.free("nc") == "nnx_compat":
            lines["nnx_compat"] = "import nnx_compat"
        wanted = "".join(lines[module] + "\n" for module in sorted(modules))
        at = self._place_of_imports()
        self.edits.append(_Edit(at, at, _escaped(wanted), {}, "import"))

    def _place_of_imports(self) -> int:
        """Before the first statement that imports NNX; else before the first one."""
        body = self.tree.body
        first = next((s for s in body if _meets_nnx(s)), None)
        if first is None:
            ahead = [
                s.end_lineno or 0 for s in body if _is_docstring(s) or _is_future(s)
            ]
            return self.starts[max(ahead, default=0)]
        return self.starts[first.lineno - 1]

    # -- guards ---------------------------------------------------------------------

    def _guards(self, guards: list[Guard]) -> Iterator[_Edit]:
        for guard in guards:
            true, false = guard.true & self.aim.mask, guard.false & self.aim.mask
            if bool(true) == bool(false):
                continue
            try:
                yield self._guard_dropped(guard.node, bool(true))
            except _Refused:
                continue  # the guard stays, which is right on every release

    def _guard_dropped(self, node: ast.If | ast.IfExp, holds: bool) -> _Edit:
        if isinstance(node, ast.IfExp):
            chosen = node.body if holds else node.orelse
            return self._edit(node, "{x}", {"x": chosen}, "GUARD")
        start, end = self.range(node)
        if self.text[start : start + 4] == "elif":
            raise _Refused("it is one of several branches")
        body = node.body if holds else node.orelse
        indent = self._indent(node)
        if not body:
            if not self._is_alone(node):
                first, last = node.lineno - 1, node.end_lineno or node.lineno
                return _Edit(self.starts[first], self.starts[last], "", {}, "GUARD")
            kept = "pass"
        elif self.text[(at := self.range(body[0])[0]) :][:4] == "elif":
            kept = self.text[at + 2 : end]
        else:
            kept = self._dedented(node, body, indent)
        return _Edit(start, end, _escaped(kept), {}, "GUARD")

    def _is_alone(self, node: ast.stmt) -> bool:
        """Whether it is the only statement of its block."""
        for parent in ast.walk(self.tree):
            for block in ("body", "orelse", "finalbody", "handlers"):
                statements = getattr(parent, block, None)
                if isinstance(statements, list) and node in statements:
                    return len(statements) == 1
        return False

    def _dedented(self, node: ast.If, body: list[ast.stmt], indent: str) -> str:
        last = body[-1].end_lineno or body[-1].lineno
        first = body[0].lineno
        if self._indent(body[0]) == indent:  # on the line of the condition
            return self.text[self.range(body[0])[0] : self.range(body[-1])[1]]
        if any(a < last and b > first for a, b in _long_strings(self.text)):
            raise _Refused("a string over several lines is in the way")
        while first - 1 > node.lineno and self.lines[first - 2].lstrip()[:1] == "#":
            first -= 1  # comments ahead of the first statement
        text = "".join(self.lines[first - 1 : last]).rstrip("\r\n")
        return textwrap.indent(textwrap.dedent(text), indent)[len(indent) :]

    # -- writing --------------------------------------------------------------------

    def _render(self, start: int, end: int, edits: list[_Edit]) -> str:
        """A range of the source with the edits inside it made, outermost first."""
        done, at = [], start
        for edit in edits:
            if edit.start < at or edit.end > end:
                continue  # inside one that was made, which takes care of it
            done.append(self.text[at : edit.start])
            inside = [e for e in edits if _inside(e, edit)]
            fields = {
                name: self._render(a, b, inside) for name, (a, b) in edit.parts.items()
            }
            done.append(edit.template.format(**fields))
            at = edit.end
        done.append(self.text[at:end])
        return "".join(done)


def _order(edit: _Edit) -> tuple[int, bool, int]:
    """What is inserted goes ahead of what is replaced, the outer ahead of the inner."""
    return edit.start, edit.start != edit.end, -edit.end


def _inside(one: _Edit, other: _Edit) -> bool:
    """Whether an edit lies in one of the parts that another one keeps."""
    return any(a <= one.start and one.end <= b for a, b in other.parts.values()) and (
        (one.start, one.end) != (other.start, other.end)
    )


def _is_one_argument(text: str, part: ast.AST) -> bool:
    """Whether code is one argument of a call without further parentheses."""
    if isinstance(part, (ast.Slice, ast.keyword)):
        return True
    try:
        call = ast.parse(f"f({text}\n)", mode="eval").body
    except SyntaxError:
        return isinstance(part, ast.Tuple) and any(
            isinstance(element, ast.Slice) for element in part.elts
        )
    assert isinstance(call, ast.Call)
    return len(call.args) == 1 and not call.keywords


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _all_or_none(findings: list[Finding]) -> bool:
    """Whether every ``update(grads)`` can be given its model."""
    updates = [f for f in findings if f.code == "NC310"]
    return all(f.rewrite is not None for f in updates)


def _comments(text: str) -> list[int]:
    """Where comments begin."""
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return [
        starts[token.start[0] - 1] + token.start[1]
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]


def _long_strings(text: str) -> list[tuple[int, int]]:
    """The first and the last line of strings that go over several."""
    tree = ast.parse(text)
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.JoinedStr))
        and (node.end_lineno or node.lineno) > node.lineno
        and isinstance(getattr(node, "value", ""), (str, bytes))
    ]


# -- imports ------------------------------------------------------------------------


class _Names:
    """What the file calls the modules that rewrites need."""

    def __init__(self, tree: ast.Module) -> None:
        self.modules: dict[str, str] = {}
        self.taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.taken.add((alias.asname or alias.name).split(".")[0])
                    if alias.asname or "." not in alias.name:
                        self._note(alias.name, alias.asname or alias.name)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self.taken.add(alias.asname or alias.name)
                    path = f"{node.module}.{alias.name}"
                    self._note(path, alias.asname or alias.name)

    def _note(self, path: str, name: str) -> None:
        if members.module_path(path) in members.ROOTS:
            path = "nnx_compat.nnx"  # where it will come from, or what stands for it
        self.modules.setdefault(path, name)

    def of(self, module: str) -> str:
        """The name of a module in the file, ``""`` when it is not imported."""
        return self.modules.get(module, "")

    def free(self, name: str) -> str:
        """The name for an import that has to be added."""
        if name == "nc" and "nc" in self.taken and "nnx_compat" not in self.modules:
            return "nnx_compat"
        return name


def _portable_import(node: ast.Import | ast.ImportFrom) -> str:
    """The statement with NNX taken from nnx_compat, ``""`` when it stays."""
    if isinstance(node, ast.Import):
        if len(node.names) != 1 or not node.names[0].asname:
            return ""
        path = members.module_path(node.names[0].name)
        if path not in members.ROOTS:
            return ""
        alias = node.names[0].asname
        return "from nnx_compat import nnx" + f" as {alias}" * (alias != "nnx")
    if node.level:
        return ""
    if node.module in ("flax", "flax.experimental"):
        ours = [alias for alias in node.names if alias.name == "nnx"]
        rest = [alias for alias in node.names if alias.name != "nnx"]
        if not ours:
            return ""
        parts = [ast.ImportFrom(node.module, rest, 0)] if rest else []
        parts.append(ast.ImportFrom("nnx_compat", ours, 0))
        return "\n".join(map(ast.unparse, parts))
    if node.module in members.ROOTS:
        given = all(
            members.provided(f"nnx.{alias.name}") == releases.ALL
            for alias in node.names
        )
        return (
            ast.unparse(ast.ImportFrom("nnx_compat.nnx", node.names, 0))
            if given
            else ""
        )
    return ""


def _shim(node: ast.AST) -> list[ast.Import | ast.ImportFrom]:
    """The imports of a ``try`` that only finds NNX, by one path or another."""
    if not isinstance(node, ast.Try) or node.orelse or node.finalbody:
        return []
    blocks = [node.body, *(handler.body for handler in node.handlers)]
    found = [
        b[0]
        for b in blocks
        if len(b) == 1
        and isinstance(b[0], (ast.Import, ast.ImportFrom))
        and _portable_import(b[0])
    ]
    texts = {_portable_import(statement) for statement in found}
    return found if len(found) == len(blocks) and len(texts) == 1 else []


def _is_flax_nnx(node: ast.Attribute, names: _Names) -> bool:
    return (
        node.attr == "nnx"
        and isinstance(node.value, ast.Name)
        and names.of("flax") == node.value.id
    )


def _meets_nnx(statement: ast.stmt) -> bool:
    return any(
        isinstance(n, (ast.Import, ast.ImportFrom)) and "nnx" in ast.unparse(n)
        for n in ([statement] if not isinstance(statement, ast.Try) else
                  ast.walk(statement))
    ) or (
        isinstance(statement, ast.Import)
        and any(alias.name == "flax" for alias in statement.names)
    )  # fmt: skip


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_future(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
