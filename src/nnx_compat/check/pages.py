"""The page of a rule: what, on which releases, why, and what to write instead."""

from __future__ import annotations

from typing import Any

from . import check_source, releases
from .fixing import fix_source
from .rules import RULES, Rule
from .sources import Source

__all__ = ["page", "pages"]


def concerned(rule: Rule[Any]) -> tuple[int, int]:
    """The releases that the rule's own example is excluded from, and warns on."""
    excluded = warns = 0
    for finding in check_source(Source(rule.code, rule.before)):
        if finding.code == rule.code:
            excluded |= finding.excluded
            warns |= finding.warns
    return excluded, warns


def page(rule: Rule[Any]) -> str:
    """The page, in Markdown.

    Example:
        >>> from nnx_compat.check import pages, rules
        >>> print(pages.page(rules.by_code("NC101")).splitlines()[0])
        # NC101: a name that some releases do not have
    """
    excluded, warns = concerned(rule)
    where = f"breaks on flax {releases.spelled(excluded)}" if excluded else (
        f"warns on flax {releases.spelled(warns)}"
    )  # fmt: skip
    parts = [
        f"# {rule.code}: {rule.title}",
        rule.why,
        f"This {where}:",
        f"```python\n{rule.before}```",
        f"How to fix it: {rule.remedy}",
    ]
    after = rule.after or fix_source(Source(rule.code, rule.before)).text
    parts.append(f"```python\n{after}```")
    if not rule.after:
        parts.append("`nnx-compat fix` writes it so.")
    parts.append(f"To leave one line as it is: `# nnx-compat: ignore[{rule.code}]`")
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """All pages, by the name of their file in ``docs/rules/``, and an index."""
    found = {f"{rule.code}.md": page(rule) for rule in RULES}
    rows = "".join(f"| [{r.code}]({r.code}.md) | {r.title} |\n" for r in RULES)
    found["README.md"] = (
        "# The rules of `nnx-compat check`\n\nRendered by `nox -s render` from "
        "`src/nnx_compat/check/rules/`; `nnx-compat explain CODE` prints a page.\n\n"
        f"| code | what |\n| --- | --- |\n{rows}"
    )
    return found
