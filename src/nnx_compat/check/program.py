"""The files that are checked, as one program: which imports which, and what is where.

Nothing is imported. A file is found by its path, as Python would find it from the
folder of the file that imports it, from the folders above, and from ``src`` in those.
Files that cannot meet NNX, themselves or through what they import, are not read.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

from .modules import is_of_others
from .sources import Source, SourceError
from .syntax import FunctionNode, all_statements
from .turns import Reader, Turn
from .values import ClassInfo, Function, Value

if TYPE_CHECKING:
    from .reader.reading import Reading

__all__ = ["Program", "Unit"]

_T = TypeVar("_T")


@dataclass(eq=False)
class Unit:
    """A file of the program.

    Attributes:
        source: the file.
        tree: its syntax tree.
        parts: its path without the ending, in parts.
        imports: the files of the program that it imports.
        importers: the files that import it.
        users: what has asked for its names.
        exports: what its names stand for once it has been read.
        reading: how it was read last.
    """

    source: Source
    tree: ast.Module
    parts: tuple[str, ...]
    imports: list[Unit] = field(default_factory=list)
    importers: set[Unit] = field(default_factory=set)
    users: set[Reader] = field(default_factory=set)
    exports: dict[str, Value] = field(default_factory=dict)
    reading: Reading | None = None

    @cached_property
    def folder(self) -> tuple[str, ...]:
        """The parts of the folder that it is in; of a package, the package."""
        return self.parts if self.is_package else self.parts[:-1]

    @cached_property
    def globals(self) -> frozenset[str]:
        """The names of the module that functions in it bind: what they are is open."""
        if not re.search(r"\bglobal\s", self.source.text):
            return frozenset()
        nodes = (n for n in ast.walk(self.tree) if isinstance(n, ast.Global))
        return frozenset(name for node in nodes for name in node.names)

    @cached_property
    def is_package(self) -> bool:
        """Whether it is the ``__init__`` of a package."""
        return PurePath(self.source.path).stem == "__init__"


_MESH = re.compile(
    r"Mesh\(|\b(?:set|use|make|create|with)_mesh|\bwith\s[^:\n]*mesh|always_shard_variable"
)

#: What makes a BatchNorm, or a Dropout, one that changes nothing when it is run.
_MODE = re.compile(
    r"\.eval\(|use_running_average|deterministic|set_attributes|\bview\(|training"
)
_INSTALLS = re.compile(
    r"\b(?:nnx_compat|nc)\.install\(|\bfrom\s+nnx_compat\s+import\s[^\n]*\binstall\b"
)
_CHANGES = re.compile(r"\b(?:BatchNorm|Dropout|SpectralNorm)\b")
_HOLDING = re.compile(r"\bModelAndOptimizer\b")


class Program:
    """All files of a check.

    Args:
        sources: the files.

    Attributes:
        units: those that can meet NNX, each after what it imports.
        unread: those that are no Python, and why.
        turn: what is being read.
        stale: that for which something has become known since it was read.
        own_names: the names of all methods of the program's classes.
        given: the names of what is assigned to attributes of Modules of Flax.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self.unread: dict[str, str] = {}
        self.turn = Turn()
        self.stale: set[Reader] = set()
        self.own_names: set[str] = set()
        self.given: set[str] = set()
        self._holders: dict[str, set[ClassInfo]] = {}
        self._askers: dict[str, set[Reader]] = {}
        self.functions: dict[ast.AST, Function] = {}
        self.classes: dict[ast.ClassDef, ClassInfo] = {}
        self._by_parts: dict[tuple[str, ...], Unit] = {}
        self._found: dict[tuple[tuple[str, ...], str], Unit | None] = {}
        self.units = self._wanted(list(sources))

    def _speaks_of(self, pattern: re.Pattern[str]) -> bool:
        return any(pattern.search(unit.source.text) for unit in self.units)

    @cached_property
    def is_meshless(self) -> bool:
        """Whether nothing in it speaks of a mesh."""
        # a mesh, or the setting that makes one needless, is rarely where it matters
        return not self._speaks_of(_MESH)

    @cached_property
    def is_moded(self) -> bool:
        """Whether something in it says in which mode layers run."""
        return self._speaks_of(_MODE)

    @cached_property
    def is_installed(self) -> bool:
        """Whether it puts nnx_compat in the place of NNX itself."""
        return self._speaks_of(_INSTALLS)

    @cached_property
    def has_changing(self) -> bool:
        """Whether there are layers in it that change when they are run."""
        return self._speaks_of(_CHANGES)

    @cached_property
    def has_holding_optimizers(self) -> bool:
        """Whether there are Optimizers in it that hold their model."""
        return self._speaks_of(_HOLDING)

    def _wanted(self, sources: list[Source]) -> list[Unit]:
        """The files that meet NNX, or import one that does, in order."""
        speaking = any(source.speaks_of_nnx() for source in sources)
        if not speaking:
            return []
        units = []
        for source in sources:
            try:
                tree = source.tree()
            except SourceError as error:
                if source.speaks_of_nnx():
                    self.unread[source.path] = str(error)
                continue
            path = PurePath(source.path)
            parts = path.with_suffix("").parts
            unit = Unit(source, tree, parts[:-1] if path.stem == "__init__" else parts)
            units.append(unit)
            self._by_parts.setdefault(unit.parts, unit)
        for unit in units:
            unit.imports = list(self._imports(unit))
        meeting = _reaching(units)
        return [unit for unit in _in_order(units) if unit in meeting]

    # -- imports ------------------------------------------------------------------

    def _imports(self, unit: Unit) -> Iterator[Unit]:
        for node in all_statements(unit.tree.body):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found = self.module(unit, alias.name)
                    if found is not None:
                        yield found
            elif isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                found = self.module(unit, base)
                if found is not None:
                    yield found
                for alias in node.names:
                    inside = self.submodule(unit, base, alias.name)
                    if inside is not None:
                        yield inside

    def module(self, unit: Unit, dotted: str) -> Unit | None:
        """The file that an import statement names, dots ahead for a relative one."""
        if not self._by_parts or is_of_others(dotted):
            return None
        key = unit.folder, dotted
        if key not in self._found:
            self._found[key] = self._find(unit.folder, dotted)
        return self._found[key]

    def submodule(self, unit: Unit, base: str, name: str) -> Unit | None:
        """The file ``name`` of the package that ``base`` names."""
        dotted = f"{base}{name}" if base.endswith(".") else f"{base}.{name}"
        return self.module(unit, dotted)

    def _find(self, folder: tuple[str, ...], dotted: str) -> Unit | None:
        name = dotted.lstrip(".")
        wanted = tuple(name.split(".")) if name else ()
        level = len(dotted) - len(name)
        if level:
            at = folder[: len(folder) - level + 1]
            return self._by_parts.get((*at, *wanted))
        for depth in range(len(folder), -1, -1):
            at = folder[:depth]
            for roots in (at, (*at, "src")):
                found = self._by_parts.get((*roots, *wanted))
                if found is not None:
                    return found
        return None

    # -- what is known of functions and classes -------------------------------------

    def function(self, node: FunctionNode | ast.Lambda, unit: Unit | None) -> Function:
        """What is known of a function, by its definition."""
        found = self.functions.get(node)
        if found is None:
            found = self.functions[node] = Function(node, unit, turn=self.turn)
        return found

    def is_own(self, name: str) -> bool:
        """Whether a class of the program has a method of this name."""
        return name in self._asked(name, self.own_names)

    def add_own(self, name: str) -> None:
        """Note that a class of the program has a method of this name."""
        self._add(name, name, self.own_names)

    def is_given(self, name: str) -> bool:
        """Whether something is assigned to such an attribute of a Module of Flax."""
        return name in self._asked(name, self.given)

    def add_given(self, name: str) -> None:
        """Note that something is assigned to such an attribute of a Module of Flax."""
        self._add(name, name, self.given)

    def having(self, name: str) -> Iterator[ClassInfo]:
        """The classes that have an attribute themselves, and those that inherit it."""
        for holder in self._asked(name, self._holders.get(name, set())):
            yield holder
            for heir in holder.heirs:
                if holder in heir.families():
                    yield heir

    def add_holder(self, name: str, info: ClassInfo) -> None:
        """Note that a class has an attribute of this name itself."""
        self._add(name, info, self._holders.setdefault(name, set()))

    def _asked(self, name: str, known: set[_T]) -> set[_T]:
        """What is known of a name; what is being read asks for it."""
        self.turn.note(self._askers.setdefault(name, set()))
        return known

    def _add(self, name: str, new: _T, known: set[_T]) -> None:
        """Add to what is known of a name, for which all is read again that asked."""
        if new not in known:
            known.add(new)
            self.stale |= self._askers.get(name, set())

    def class_info(self, node: ast.ClassDef) -> ClassInfo:
        """What is known of a class, by its definition."""
        found = self.classes.get(node)
        if found is None:
            found = self.classes[node] = ClassInfo(node.name, turn=self.turn)
        return found


def _reaching(units: list[Unit]) -> set[Unit]:
    """The units that meet NNX, and all that import one of those, however far."""
    for unit in units:
        for imported in unit.imports:
            imported.importers.add(unit)
    waiting = [unit for unit in units if unit.source.speaks_of_nnx()]
    found = set(waiting)
    while waiting:
        for unit in waiting.pop().importers:
            if unit not in found:
                found.add(unit)
                waiting.append(unit)
    # and what those hand objects to, if it can do anything with them
    handed = (unit for importer in tuple(found) for unit in importer.imports)
    return found | {unit for unit in handed if _HANDLES.search(unit.source.text)}


#: Members that differ between releases, and containers.
_HANDLES = re.compile(r"\.(?:update|value|[gs]et_value|[gs]et_metadata|append|state)\b")


def _in_order(units: list[Unit]) -> list[Unit]:
    """Each unit after those that it imports, but where they import each other."""
    ordered: dict[Unit, None] = {}
    begun = set[Unit]()
    for start in units:
        waiting = [(start, iter(start.imports))]
        begun.add(start)
        while waiting:
            unit, rest = waiting[-1]
            following = next((u for u in rest if u not in begun), None)
            if following is None:
                ordered[unit] = None
                waiting.pop()
            else:
                begun.add(following)
                waiting.append((following, iter(following.imports)))
    return list(ordered)
