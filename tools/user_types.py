"""Files of users, checked by mypy and pyright with Flax's own types.

    python tools/user_types.py CHECKERS PYTHON...

CHECKERS is the folder of an environment with mypy and pyright, made when it is not
there; PYTHON are the interpreters of environments with Flax. In ``tests/typing/`` a
line that ends in ``# an error`` has to be one to both, and no other line may be.
``nox -s typing`` calls it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts, matrix  # noqa: E402
from tools import environments  # noqa: E402

FILES = ROOT / "tests" / "typing"
MARK = "  # an error"
# With the extra, pyright's node comes from the registry; pyright itself is of the
# version of its wrapper, which installs it from the registry of npm.
CHECKERS = ("mypy==1.18.2", "pyright[nodejs]==1.1.414")

Line = tuple[str, int]


def checkers(folder: Path) -> Path:
    """The folder of mypy and pyright, installed when they are not there.

    On the CPython of the newest release: an older one cannot read the stubs of its jax.
    """
    made, wanted = folder / "made.txt", "\n".join(CHECKERS)
    if not (made.exists() and made.read_text() == wanted):
        newest = matrix.dated(facts.releases()[-1].version)
        python = environments.create(folder, newest.python)
        ran = environments.install(python, *CHECKERS)
        if ran.returncode:
            raise RuntimeError(ran.stderr)
        made.write_text(wanted)
    return folder / ("Scripts" if os.name == "nt" else "bin")


def mypy(tools: Path, python: str, folder: Path) -> dict[Line, str]:
    """What mypy calls an error, by file and line; with its usual settings."""
    version = _output(
        python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"
    ).strip()
    text = _output(
        str(tools / "mypy"), "--config-file=", "--no-error-summary",
        f"--python-executable={python}", f"--python-version={version}",
        f"--cache-dir={tools.parent / 'mypy' / version}", *_names(), at=folder,
    )  # fmt: skip
    found: dict[Line, str] = {}
    for line in text.splitlines():
        match = re.match(r"(.+?):(\d+): (error|note): (.*)", line)
        if match is None:
            raise RuntimeError(text)  # it did not get as far as the files
        if match[3] == "error":
            found.setdefault((match[1], int(match[2])), match[4])
    return found


def pyright(tools: Path, python: str, folder: Path) -> dict[Line, str]:
    """What pyright calls an error, by file and line; with its usual settings."""
    command = (str(tools / "pyright"), "--outputjson", f"--pythonpath={python}")
    text = _output(*command, *_names(), at=folder)
    report = json.loads(text[text.index("{") :])
    if report["summary"]["filesAnalyzed"] != len(_names()):
        raise RuntimeError(text)
    return {
        (Path(one["file"]).name, one["range"]["start"]["line"] + 1): one["message"]
        for one in reversed(report["generalDiagnostics"])
        if one["severity"] == "error"
    }


def _output(*command: str, at: Path | None = None) -> str:
    env = environments.source_on_path()
    env["PYRIGHT_PYTHON_IGNORE_WARNINGS"] = "1"
    ran = subprocess.run(command, cwd=at, env=env, capture_output=True, text=True)
    if ran.returncode not in (0, 1):  # 1: there are errors
        raise RuntimeError(ran.stdout + ran.stderr)
    return ran.stdout


def _names() -> list[str]:
    return sorted(file.name for file in FILES.glob("*.py"))


def marked(folder: Path) -> set[Line]:
    """The lines that have to be errors."""
    return {
        (name, number)
        for name in _names()
        for number, line in enumerate((folder / name).read_text().splitlines(), 1)
        if line.endswith(MARK)
    }


def problems(found: dict[Line, str], wanted: set[Line]) -> list[str]:
    """Errors that are none, and lines that should be one and are not."""
    return [
        f"{file}:{number}: false error: {found[file, number]}"
        if (file, number) in found
        else f"{file}:{number}: no error, and it has to be one"
        for file, number in sorted(found.keys() ^ wanted)
    ]


def main(arguments: list[str]) -> int:
    """Check all files on all environments with both."""
    if len(arguments) < 2:
        print(__doc__)
        return 2
    tools, failed = checkers(Path(arguments[0]).absolute()), False
    with tempfile.TemporaryDirectory() as scratch:
        # a folder of their own: the settings of this repository are not a user's
        folder = Path(scratch).resolve() / "typing"
        shutil.copytree(FILES, folder)
        wanted = marked(folder)
        for python in arguments[1:]:
            flax = "import importlib.metadata as m; print(m.version('flax'))"
            release = _output(python, "-c", flax).strip()
            for check in (mypy, pyright):
                wrong = problems(check(tools, python, folder), wanted)
                failed = failed or bool(wrong)
                good = f"{len(wanted)} errors, all wanted"
                print(
                    f"flax {release}, {check.__name__}:", *(wrong or [good]), sep="\n  "
                )
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
