"""Build the site, or a part of it.

    python -m tools.website table FOLDER    the table alone: a page, its files, JSON
    python -m tools.website sources FOLDER  what mkdocs makes the site of
    python -m tools.website links FOLDER    do the links of a built site lead anywhere

``nox -s site`` does it all.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from . import data, links, pages, table

ASSETS = Path(__file__).parent / "assets"


def write_table(folder: Path) -> None:
    """The table, into a folder that is made."""
    folder.mkdir(parents=True, exist_ok=True)
    document = data.document()
    template = (ASSETS / "table.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(table.page(document, template), "utf-8")
    (folder / "nnx.json").write_text(json.dumps(document), "utf-8")
    for name in ("table.css", "table.js", "nnx.schema.json"):
        shutil.copyfile(ASSETS / name, folder / name)


def main(arguments: list[str]) -> int:
    """Do one part."""
    match arguments:
        case ["table", folder]:
            write_table(Path(folder))
            return 0
        case ["sources", folder]:
            shutil.rmtree(folder, ignore_errors=True)
            pages.sources(Path(folder))
            for name in ("pages.css", "pages.js"):
                shutil.copyfile(ASSETS / name, Path(folder, name))
            write_table(Path(folder, "table"))
            return 0
        case ["links", folder]:
            found = list(links.broken(Path(folder)))
            print("\n".join(found) or "every link leads somewhere")
            return 1 if found else 0
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
