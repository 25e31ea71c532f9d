#!/usr/bin/env python3
"""``nnx-compat`` from a checkout, without installing Flax, jax or numpy.

    tools/standalone.py check .

For check, fix, explain and upgrade, which need the package ``packaging`` alone (and
``tomli`` on CPython 3.10). Where the running Python lacks it, it is installed once into
a folder beside this checkout. The pre-commit hook and the GitHub Action call this.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("check", "fix", "explain", "upgrade")


def main(arguments: list[str]) -> int:
    """Run a command; 2 for one that needs Flax."""
    if arguments[:1] and arguments[0] not in COMMANDS:
        print(
            f"standalone.py: {arguments[0]} needs Flax\n"
            f"  instead: {', '.join(COMMANDS)}\n"
            "  or:      pip install nnx-compat",
            file=sys.stderr,
        )
        return 2
    needed = ["packaging"] + ["tomli"] * (sys.version_info < (3, 11))
    beside = ROOT / ".standalone" / "python{}.{}".format(*sys.version_info)
    sys.path.insert(0, str(beside))
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        command = [sys.executable, "-m", "pip", "install", "-q", "--target"]
        ran = subprocess.run([*command, str(beside), *missing])
        if ran.returncode:
            text = f"standalone.py: needs {' and '.join(missing)}, see above"
            print(
                f"{text}\n  instead: pip install {' '.join(missing)}", file=sys.stderr
            )
            return 2
        importlib.invalidate_caches()
    sys.path.insert(0, str(ROOT / "src"))
    from nnx_compat.cli import main as command_line

    return command_line(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
