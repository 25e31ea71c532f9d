"""What mkdocs makes the site of: the documents of the repository, and what facts give.

The documents keep their places, so that the links between them hold here as on a host
of repositories. A page for each error, change of meaning and release is made here, from
the same texts as ``nnx-compat explain`` and ``nnx-compat upgrade``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

from nnx_compat import errors, facts, upgrade
from nnx_compat.explain import explain

from .data import given

ROOT = Path(__file__).parents[2]
#: What is copied; a page may link to nothing else.
_COPIED = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "compat_matrix.md",
           "docs/**/*.md", "benchmarks/*.svg")  # fmt: skip
#: The rooms whose docstrings are the reference, in its order.
_REFERENCE = {
    "operations": ("The stable operations", "nnx_compat.functional", (
        "split", "merge", "state", "graphdef", "update", "clone", "pop", "iter_graph",
        "iter_modules", "variables", "is_variable", "variable_type", "get_value",
        "set_value", "get_metadata", "set_metadata", "to_flat_state",
        "from_flat_state", "to_pure_dict", "from_pure_dict", "filter_state",
        "split_state", "merge_state", "map_state", "reproducible_init", "supports",
    )),
    "jit": ("nc.jit", "nnx_compat._jit", ("jit",)),
    "pure": ("New models from old ones, and the compiled step", "nnx_compat.pure", ()),
    "install": ("The door that touches Flax", "nnx_compat._install", (
        "install", "installed", "installed_names", "uninstall",
    )),
    "audit": ("What no static look can see", "nnx_compat.auditing", ("audit",)),
    "checkpoint": ("Checkpoints", "nnx_compat.checkpoint", ()),
    "facts": ("The facts", "nnx_compat.facts", ()),
    "nox": ("For noxfiles", "nnx_compat.nox", ()),
    "errors": ("Errors and warnings", "nnx_compat.errors", ()),
}  # fmt: skip
_LINK = re.compile(r"(!?)\[([^\]\n]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")
_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def sources(folder: Path) -> None:
    """Write all of it into a folder.

    Raises:
        SystemExit: a document links to what is not in the repository.
    """
    made = dict(_made())
    copied = {
        str(file.relative_to(ROOT)): file
        for pattern in _COPIED
        for file in sorted(ROOT.glob(pattern))
    }
    there = {*made, *copied, "table/index.html"}
    for name, text in made.items():
        _write(folder / name, _nested(text))
    for name, file in copied.items():
        if file.suffix == ".md":
            text = _nested(file.read_text(encoding="utf-8"))
            _write(folder / name, _outside_blocks(text, name, there))
        else:
            _write(folder / name, file.read_text(encoding="utf-8"))


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _nested(text: str) -> str:
    """A list in a list is set in by four spaces here, and by two elsewhere."""
    return re.sub(r"^  - ", "    - ", text, flags=re.MULTILINE)


def _outside_blocks(text: str, name: str, there: set[str]) -> str:
    """The text with the links that lead somewhere, outside of blocks of code."""
    parts, at = [], 0
    for block in _BLOCK.finditer(text):
        parts += [_linked(text[at : block.start()], name, there), block[0]]
        at = block.end()
    return "".join([*parts, _linked(text[at:], name, there)])


def _linked(text: str, name: str, there: set[str]) -> str:
    """Links to files that are not on the site become their words."""

    def link(found: re.Match[str]) -> str:
        _, words, target, _ = found.groups()
        if "://" in target:
            return found[0]
        file = (ROOT / name).parent.joinpath(target).resolve()
        # the site alone has this one; links are written for where the document is
        path = str(file.relative_to(ROOT))
        if path in there:
            return found[0]
        if file.exists():
            return words
        raise SystemExit(f"{name} links to {target}, which is not there")

    return _LINK.sub(link, text)


def _made() -> Iterator[tuple[str, str]]:
    yield from _errors()
    yield from _behaviours()
    yield from _releases()
    yield from _reference()


def _errors() -> Iterator[tuple[str, str]]:
    rows = []
    for name in errors.__all__:
        kind = getattr(errors, name)
        coded = issubclass(kind, errors.NnxCompatError)
        code = kind.code if coded else name
        yield f"errors/{code}.md", explain(name)
        first = (kind.__doc__ or "").strip().splitlines()[0]
        shown = f"{code}: `{name}`" if coded else f"`{name}`"
        rows.append(f"| [{shown}]({code}.md) | {first} |")
    yield (
        "errors/README.md",
        "# Errors and warnings\n\nEvery error has a stable code, is also the builtin "
        "that a caller would expect, and says behind `instead:` what to write.\n\n"
        + _table("error", "what it says", sorted(rows)),
    )


def _behaviours() -> Iterator[tuple[str, str]]:
    rows = []
    for row in facts.behaviours():
        yield (
            f"behaviours/{row.id}.md",
            f"{explain(row.id)}\n[In the table](../table/index.html#{row.id}), beside "
            "the releases. Proved on every release by "
            f"`{row.probe}` in `tests/test_behaviours.py`.\n",
        )
        where = facts.worded(row.intervals)
        rows.append(f"| [{row.id}]({row.id}.md) | {row.area} | {row.text} | {where} |")
    yield (
        "behaviours/README.md",
        "# Changes of meaning\n\nThe same call does something else on other releases. "
        "`nnx-compat explain ID` prints a page.\n\n"
        + _table("change | area | what holds", "releases", rows),
    )


def _table(first: str, last: str, rows: Iterable[str]) -> str:
    columns = f"{first} | {last}"
    line = " | ".join("---" for _ in columns.split(" | "))
    return "\n".join([f"| {columns} |", f"| {line} |", *rows]) + "\n"


def _releases() -> Iterator[tuple[str, str]]:
    every = facts.releases()
    rows = [
        f"| [{row.version}]({row.version}.md) | {row.date} | {row.python} "
        f"| {row.jax_oldest} to {row.jax_newest} | {row.revision} |"
        for row in reversed(every)
    ]
    yield (
        "releases/README.md",
        "# The releases of Flax that ship NNX\n\n**jax**: the oldest and the newest "
        "beside which all of NNX was measured to work natively.\n\n"
        + _table("flax | date | Python from | jax", "revision", rows),
    )
    yield f"releases/{every[0].version}.md", _release(every[0])
    for before, row in pairwise(every):
        text = upgrade.markdown(upgrade.between(before.version, row.version))
        came = text.partition("\n")[2].replace("\n## ", "\n### ")
        title = f"\n## What changes from {before.version}\n"
        yield f"releases/{row.version}.md", _release(row) + title + came + "\n"


def _release(row: facts.Release) -> str:
    version = row.version
    lines = [
        f"# Flax {version}",
        "",
        f"Of {row.date}, for Python {row.python} or later. All of NNX works with jax "
        f"{row.jax_oldest} to {row.jax_newest}, and the stable operations of "
        f"nnx-compat with {' to '.join(row.jax_ends)}. Its API revision is "
        f"`{row.revision}`.",
        "",
        f"    pip install 'flax=={version}' 'jax=={row.jax_newest}'",
        "",
        f"`from nnx_compat import nnx` has {len(facts.resolved(version))} of the "
        f"{len(facts.resolved(facts.releases()[-1].version))} public names of the "
        "newest release there.",
    ]
    tops = [path for path in facts.names() if path.count(".") == 1]
    for kind, title in (
        ("backported", "Built by nnx-compat"),
        ("replaced", "Replaced, having an older meaning"),
        ("refused", "Refused"),
    ):
        some = [path for path in tops if given(path, version) == kind]
        if some:
            listed = ", ".join(
                f"[`{path[4:]}`](../table/index.html#{path})" for path in some
            )
            lines += ["", f"## {title} ({len(some)})", "", listed + "."]
    holds = [
        f"- [{b.id}](../behaviours/{b.id}.md): {b.text}"
        for b in facts.behaviours(version)
    ]
    lines += ["", f"## What holds ({len(holds)})", "", *holds]
    return "\n".join(lines) + "\n"


def _reference() -> Iterator[tuple[str, str]]:
    for name, (title, room, members) in _REFERENCE.items():
        options = "    options:\n      members:\n" if members else ""
        options += "".join(f"      - {member}\n" for member in members)
        yield f"reference/{name}.md", f"# {title}\n\n::: {room}\n{options}"
