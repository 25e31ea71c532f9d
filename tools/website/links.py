"""Whether every link of a built site leads somewhere, anchors included."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The ids of a page, and what it links to or loads."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = {"", "__top"}
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key in ("id", "name") and value:
                self.ids.add(value)
            if key in ("href", "src") and value:
                self.links.add(value)


@cache
def _read(file: Path) -> _Page:
    page = _Page()
    page.feed(file.read_text(encoding="utf-8"))
    return page


def broken(folder: Path) -> Iterator[str]:
    """A line for each link that leads nowhere.

    Args:
        folder: of a built site. Links to other hosts are not followed; a page that
            loads something from one is named.
    """
    root = folder.resolve()
    for file in sorted(root.rglob("*.html")):
        if file.name == "404.html":  # whose links are from the root of the host
            continue
        for link in sorted(_read(file).links):
            found = urlsplit(link)
            if found.scheme or found.netloc:
                continue
            target = file if not found.path else file.parent / unquote(found.path)
            target = target.resolve()
            target = target / "index.html" if target.is_dir() else target
            at = f"{file.relative_to(root)}: {link}"
            if not target.is_relative_to(root) or not target.exists():
                yield f"{at} leads nowhere"
            elif target.suffix == ".html" and not _has(target, found.fragment):
                yield f"{at} has no such anchor"


def _has(file: Path, fragment: str) -> bool:
    return unquote(fragment) in _read(file).ids
