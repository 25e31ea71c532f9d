"""Compare what `nnx-compat doctor` says with what the probes do, on installed pairs.

    python tools/doctors.py [--folder FOLDER] [--pairs FLAX__JAX,...]

Makes an environment for each pair (one that is in FOLDER already is used), asks
``doctor --json`` there, which knows the record and the facts only, then runs the native
probes, and prints both. Exits with 1 when they disagree on any pair. ``nox -s doctors``
calls this. Needs uv.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import band, facts, matrix  # noqa: E402
from tools import environments  # noqa: E402

_PROBE = """
import json, sys
from nnx_compat.probing import probed
print(json.dumps(probed(sys.argv[1], ["native"])["native"]))
"""


def chosen() -> list[str]:
    """Twenty pairs: ten dated ones, and ten that a resolver admits and that break.

    Those are the first jax beside which a fault of the facts breaks a release.
    """
    served = [release.version for release in facts.releases()]
    healthy = [
        f"{v}__{facts.release(v).jax_dated}" for v in served[:: len(served) // 10]
    ]
    versions = sorted({jax for _, jax in band.pairs()}, key=_key)
    broken = []
    for version in served[:: max(1, len(served) // 14)]:
        first = next((jax for jax in versions if _is_broken(version, jax)), None)
        if first:
            broken.append(f"{version}__{first}")
    return [*healthy[:10], *broken[:10]]


def _key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _is_broken(flax: str, jax: str) -> bool:
    newer = _key(jax) > _key(facts.release(flax).jax_dated)
    return newer and any(
        fault.holds(flax, jax) and {"import", "nnx.jit", "nnx.Module"} & {*fault.breaks}
        for fault in facts.faults().values()
    )


def environment(folder: Path, flax: str, jax: str) -> Path:
    """The interpreter of a pair's environment, made where there is none."""
    pair = matrix.pair(flax, jax)
    at = folder / pair.id / "bin/python"
    return at if at.exists() else environments.ensure(folder / pair.id, pair, ())


def judged(python: Path, flax: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What doctor says on an environment, and what fails of the native probes there."""
    env = environments.source_on_path()
    command = [str(python), "-m", "nnx_compat", "doctor", "--json"]
    said = subprocess.run(command, env=env, capture_output=True, text=True)
    ran = subprocess.run(
        [str(python), "-W", "ignore", "-c", _PROBE, flax],
        env=env, capture_output=True, text=True, check=True,
    )  # fmt: skip
    results = {"native": json.loads(ran.stdout)}
    failing = band.Measured(flax, "", {}, results).failing("native") or {}
    of_nnx = {k: v for k, v in failing.items() if k not in band.BESIDES_NNX}
    return json.loads(said.stdout), of_nnx


def agree(report: dict[str, Any], failing: dict[str, str]) -> bool:
    """Whether the verdict is right, and what it names is what fails."""
    if not failing:
        return bool(report["verdict"] == "healthy")
    named = {name.removeprefix("nnx.") for name in report["failing"]}
    # where no Module can be made, every probe that makes one fails
    return report["verdict"] == "broken" and (
        bool(named & {*failing}) or "Module" in named
    )


def main(arguments: list[str] | None = None) -> int:
    """Judge the pairs, and say on how many the two agree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="of environments, kept")
    parser.add_argument("--pairs", help="FLAX__JAX, with commas")
    options = parser.parse_args(arguments)
    pairs = options.pairs.split(",") if options.pairs else chosen()
    right = broken = 0
    with tempfile.TemporaryDirectory() as scratch:
        for one in pairs:
            flax, _, jax = one.partition("__")
            python = environment(options.folder or Path(scratch), flax, jax)
            report, failing = judged(python, flax)
            agreed = agree(report, failing)
            right, broken = right + agreed, broken + bool(failing)
            outs = ", ".join(out["way"] for out in report["ways_out"])
            print(
                f"{'right' if agreed else 'WRONG'}  flax {flax} jax {jax}: "
                f"{report['verdict']} by {report['source'] or 'nothing'}; "
                f"failing: {', '.join(failing) or 'nothing'}; ways out: {outs or '-'}",
                flush=True,
            )
    print(f"right on {right} of {len(pairs)} pairs, {broken} of them broken")
    return 0 if right == len(pairs) else 1


if __name__ == "__main__":
    sys.exit(main())
