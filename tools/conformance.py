"""Flax's own tests as the judge: run them on another Flax, natively and through us.

    python tools/conformance.py run --source CHECKOUT --through drop-in --out FILE

runs in the environment of a pair and writes the outcome of each test. ``nox -s
conformance`` calls it for each pair and way, and writes what came of it as records.
The checkout is one that the user points at, at the tag of a release. Its test files are
read, run from a folder that is deleted afterwards, and stay where they are: run in
place they would import the checkout's Flax and not the installed one.

Ways: ``native`` leaves the files as they are. ``drop-in`` changes their import lines,
``from flax import nnx`` into ``from nnx_compat import nnx``. ``install`` does both that
and ``nnx_compat.install()``; ``fast`` does so with ``nc.jit`` in the place of
``nnx.jit``. ``watch`` is native and notes which features a test uses,
by the arguments it passes and the names it asks for: on a release that is older than a
feature (``facts.features``), a test that uses it is counted apart, and so is one that
asks for names inside Flax's modules that are not public.

The examples of the checkout are run as well (``--examples``), each a script that must
come to its end. Their plots are stubbed, and so is the one data set that would be
downloaded: noise of the same form.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

#: What is run of a source tree's tests/nnx.
FILES = (
    "graph_utils_test.py",
    "module_test.py",
    "state_test.py",
    "variable_test.py",
    "optimizer_test.py",
    "rngs_test.py",
    "containers_test.py",
    "helpers_test.py",
    "metrics_test.py",
    "filters_test.py",
    "integration_test.py",
    "transforms_test.py",
    "nn",
)
EXAMPLES = Path("examples", "nnx_toy_examples")
WAYS = ("native", "drop-in", "install", "fast", "watch")
SECONDS = 120  # for one test: on some releases a loop over a Variable never ends


def files(source: Path, *, examples: bool = False) -> list[Path]:
    """The test files of a checkout, those of folders included, or its examples."""
    if examples:
        return sorted((source / EXAMPLES).glob("*.py"))
    root = source / "tests" / "nnx"
    found: list[Path] = []
    for name in FILES:
        at = root / name
        found += sorted(at.glob("*_test.py")) if at.is_dir() else [at]
    missing = [str(file) for file in found if not file.is_file()]
    if missing or not found:
        raise FileNotFoundError(
            f"{source} has no {', '.join(missing) or 'tests'}\n"
            "  instead: a checkout of Flax at the tag of a release"
        )
    return found


def with_imports_from(text: str, package: str) -> str:
    """The source with ``nnx`` imported from another package than ``flax``.

    Only import lines change, and only those of ``nnx`` itself and of names in it.

    Example:
        >>> print(with_imports_from("from flax import linen, nnx", "nnx_compat"))
        from flax import linen; from nnx_compat import nnx
    """
    lines = text.splitlines(keepends=True)
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or node.lineno != node.end_lineno:
            continue
        rest = [alias for alias in node.names if alias.name != "nnx"]
        moved = [alias for alias in node.names if alias.name == "nnx"]
        if node.module in ("flax", "flax.experimental") and moved:
            parts = [_import(node.module, rest)] if rest else []
            parts.append(_import(package, moved))
        else:
            continue
        line, start = lines[node.lineno - 1], node.col_offset
        lines[node.lineno - 1] = (
            line[:start] + "; ".join(parts) + line[node.end_col_offset :]
        )
    return "".join(lines)


def _import(module: str, names: list[ast.alias]) -> str:
    return ast.unparse(ast.ImportFrom(module=module, names=names, level=0))


def without_tests(text: str, tests: Iterable[str], left_out: Iterable[str]) -> str:
    r"""The source without the test functions all of whose cases are left out.

    Args:
        text: of a test file.
        tests: the cases in it, ``"Class::test_name0"``.
        left_out: some of these.

    Example:
        >>> text = "def test_a(): pass\ndef test_b(): pass\n"
        >>> print(without_tests(text, ["test_a", "test_b"], ["test_a"]), end="")
        pass
        def test_b(): pass
    """
    functions = _test_functions(text)
    cases: dict[str, set[str]] = {}
    for test in tests:
        cases.setdefault(_function_of(test, functions), set()).add(test)
    lines = text.splitlines(keepends=True)
    for name, node in functions.items():
        if name in cases and cases[name] <= set(left_out):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            last = node.end_lineno or first
            lines[first - 1 : last] = ["\n"] * (last - first + 1)
            lines[first - 1] = " " * node.col_offset + "pass\n"
    return "".join(lines)


def _function_of(test: str, functions: Iterable[str]) -> str:
    """Which function a case is of: the parameters are said behind the name."""
    return max((f for f in functions if test.startswith(f)), key=len, default="")


def _test_functions(text: str) -> dict[str, ast.FunctionDef]:
    """By name as pytest has it, ``"Class::test_name"``."""
    found = {}
    for node in ast.parse(text).body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for child in inside:
            if isinstance(child, ast.FunctionDef) and child.name.startswith("test"):
                found[prefix + child.name] = child
    return found


# -- inside the environment of a pair -----------------------------------------------


def run(
    source: Path,
    way: str,
    out: Path,
    only: Iterable[str] = (),
    jobs: int = 1,
    judged: Path | None = None,
    examples: bool = False,
) -> None:
    """Run the test files, each in a process of its own, and write the outcomes.

    Args:
        source: the checkout.
        way: how, one of ``WAYS``.
        out: the file to write.
        only: names of files; all when there are none.
        jobs: how many processes at a time.
        judged: outcomes of ``watch``: tests that are impossible here are left out, for
            a decorator of one can keep the whole file from being imported.
        examples: run the examples, and no tests.
    """
    import flax

    found_files = files(source, examples=examples)
    wanted = [f for f in found_files if not only or f.name in only]
    watched = json.loads(judged.read_text()) if judged else {}
    outcomes: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        waiting = list(wanted)
        running: dict[Path, tuple[Path, subprocess.Popen[str]]] = {}
        while waiting or running:
            while waiting and len(running) < jobs:
                file = waiting.pop(0)
                at = Path(folder, file.stem)
                at.mkdir()
                tests = watched.get(file.name, {})
                left_out = [
                    test
                    for test, row in tests.items()
                    if impossible(row.get("uses", ()), flax.__version__)
                ]
                text = without_tests(file.read_text(), tests, left_out)
                running[file] = at, _start(file.name, text, at, way)
            file, (at, process) = next(iter(running.items()))
            for other, (_, candidate) in running.items():
                if candidate.poll() is not None:
                    file, (at, process) = other, running[other]
                    break
            try:
                text = process.communicate(timeout=1)[0]
            except subprocess.TimeoutExpired:
                continue
            del running[file]
            found = _outcomes(at / "outcomes.jsonl")
            if not found:
                found = {"(collection)": {"outcome": "failed", "why": text[-2000:]}}
            outcomes[file.name] = found
            passed = sum(row["outcome"] == "passed" for row in found.values())
            print(f"{way} {file.name}: {passed} of {len(found)} passed", flush=True)
    out.write_text(json.dumps(outcomes, indent=1) + "\n")


def _start(name: str, text: str, at: Path, way: str) -> subprocess.Popen[str]:
    package = {"native": "", "watch": "nnx_watched"}.get(way, "nnx_compat")
    copied = at / name
    copied.write_text(with_imports_from(text, package) if package else text)
    command = [sys.executable, __file__, "one", str(copied), way]
    # results are compared, not timed: the compiler need not try hard, at home neither
    quick = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    env = {**os.environ, **quick}
    return subprocess.Popen(
        command, cwd=at, env=env, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _outcomes(file: Path) -> dict[str, Any]:
    """By test; one that was begun and not ended has taken the process with it."""
    found: dict[str, Any] = {}
    for line in file.read_text().splitlines() if file.exists() else ():
        row = json.loads(line)
        found.setdefault(row.pop("test"), {"outcome": "crashed"}).update(row)
    return found


def one(file: Path, way: str) -> int:
    """Run one test file, or one example, in this process."""
    import pytest  # type: ignore[import-not-found, unused-ignore]

    watch = Watch() if way == "watch" else None
    if way in ("install", "fast"):
        import nnx_compat

        nnx_compat.install(fast=way == "fast")
    if not file.name.endswith("_test.py"):
        return example(file)
    code: int = pytest.main(
        ["-q", "-p", "no:cacheprovider", "--tb=short", "-W", "ignore", str(file)],
        plugins=[Reporter(file.with_name("outcomes.jsonl"), watch)],
    )
    return code


def example(file: Path) -> int:
    """Run one example to its end, and write that it came there or why not."""
    import runpy
    import types
    import unittest.mock
    import warnings

    import numpy as np

    def load_dataset(name: str) -> dict[str, dict[str, Any]]:
        noise = np.random.default_rng(0).integers(0, 256, (640, 28, 28), np.uint8)
        return {part: {"image": noise} for part in ("train", "test")}

    warnings.simplefilter("ignore")
    for name in ("matplotlib", "matplotlib.pyplot"):
        sys.modules[name] = unittest.mock.MagicMock()
    sys.modules["datasets"] = types.ModuleType("datasets")
    sys.modules["datasets"].load_dataset = load_dataset  # type: ignore[attr-defined]
    reporter = Reporter(file.with_name("outcomes.jsonl"), None)
    reporter.write(EXAMPLE)  # so that one that takes the process with it has crashed
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(5 * SECONDS)
    try:
        runpy.run_path(str(file), run_name="__main__")
    except Exception as error:
        why = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        reporter.write(EXAMPLE, outcome="failed", why=why)
        return 1
    reporter.write(EXAMPLE, outcome="passed")
    return 0


#: The one test that an example is, as pytest would name it.
EXAMPLE = "::example"


class Reporter:
    """A pytest plug-in: an outcome a line, and no test that runs for ever."""

    def __init__(self, file: Path, watch: Watch | None) -> None:
        self.file, self.watch = file, watch
        self.decorated: dict[str, set[str]] = {}

    def write(self, item: str, **more: Any) -> None:
        """Add a line about a test."""
        test = item.partition("::")[2]
        with self.file.open("a") as stream:
            stream.write(json.dumps({"test": test, **more}) + "\n")

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """A line for each test, so that one that crashes is not forgotten."""
        for item in items:
            self.write(item.nodeid)
        if self.watch and items:
            functions = _test_functions(items[0].path.read_text())
            self.decorated = {name: _decorated(f) for name, f in functions.items()}

    def pytest_runtest_setup(self, item: Any) -> None:
        """Start the clock."""
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(SECONDS)
        if self.watch:
            self.watch.seen = set()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """The outcome, and why."""
        if report.when == "call" or report.outcome != "passed":
            lines = str(report.longrepr).splitlines() if report.failed else []
            why = [line for line in lines if line.startswith("E ")][:3] or lines[-3:]
            self.write(report.nodeid, outcome=report.outcome, why="\n".join(why)[:600])

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Stop the clock."""
        signal.alarm(0)
        if self.watch:
            test = item.nodeid.partition("::")[2]
            named = self.decorated.get(_function_of(test, self.decorated), set())
            self.write(item.nodeid, uses=sorted(self.watch.seen | named))


def _give_up(*_: Any) -> None:
    raise TimeoutError(f"no end after {SECONDS} s")


def _decorated(function: ast.FunctionDef) -> set[str]:
    """The modes that the decorators of a test ask for, before it is run."""
    return {
        f"{keyword.arg}={keyword.value.value!r}"
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
        if keyword.arg in Watch.NOTED and isinstance(keyword.value, ast.Constant)
    }


class Watch:
    """A namespace in place of ``flax.nnx`` that notes what a test asks it for."""

    NOTED = ("graph", "graph_updates", "hijax", "ref", "mutable")

    def __init__(self) -> None:
        import types

        from flax import nnx

        self.native, self.seen = nnx, set[str]()
        package = types.ModuleType("nnx_watched")
        module = types.ModuleType("nnx_watched.nnx")
        module.__getattr__ = self.look  # type: ignore[method-assign]
        package.nnx = module  # type: ignore[attr-defined]
        sys.modules["nnx_watched"] = package
        self.init()

    def init(self) -> None:
        """Watch what is not asked of the namespace: a Variable's own, and settings."""
        import flax

        nnx, update = self.native, flax.config.update
        create = nnx.Variable.__init__

        def setting(name: str, value: Any) -> None:
            if name in ("nnx_graph_mode", "nnx_graph_updates"):
                self.note({name.replace("nnx_", "").replace("_mode", ""): value})
            update(name, value)

        flax.config.update = setting
        self.init_elsewhere()

        def init(variable: Any, *args: Any, **kwargs: Any) -> None:
            self.note(kwargs)
            create(variable, *args, **kwargs)

        nnx.Variable.__init__ = init

    def init_elsewhere(self) -> None:
        """Watch what a test asks of jax and of Linen, which is of the same release."""
        import jax
        from flax import linen

        if hasattr(jax, "set_mesh"):
            jax.set_mesh = self.noting("jax.set_mesh", jax.set_mesh)
        for name in ("ConvTranspose", "Einsum"):
            kind = getattr(linen, name)
            kind.__init__ = self.noting(f"linen.{name}", kind.__init__)

    def noting(self, name: str, function: Any) -> Any:
        """The function, noting that it was called, and with which keywords."""
        import functools

        @functools.wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.seen.add(name)
            self.seen |= {f"{name}({key})" for key in kwargs}
            self.note(kwargs)
            return function(*args, **kwargs)

        return noted

    def look(self, name: str) -> Any:
        """The attribute of the watched namespace."""
        import types

        value = getattr(self.native, name)
        if isinstance(value, types.ModuleType):
            return Inside(self, name, value)
        return self.found(name, value)

    def found(self, name: str, value: Any) -> Any:
        """Note that it was asked for, and in time that it is called."""
        import types

        self.seen.add(name)
        if not isinstance(value, types.FunctionType):
            return value
        return self.noting(name, value)

    def note(self, kwargs: dict[str, Any]) -> None:
        """Note the arguments that ask for a mode."""
        for key in self.NOTED:
            if key in kwargs and isinstance(kwargs[key], bool):
                self.seen.add(f"{key}={kwargs[key]}")


class Inside:
    """A submodule of the watched namespace: what is asked of it is noted too."""

    def __init__(self, watch: Watch, name: str, module: Any) -> None:
        self._watched = watch, name, module

    def __getattr__(self, name: str) -> Any:
        watch, own, module = self._watched
        return watch.found(f"{own}.{name}", getattr(module, name))


# -- what came of it ----------------------------------------------------------------


def judge(outcomes: dict[str, Path], tests_of: str, flax: str) -> dict[str, Any]:
    """The record of one release's tests on another.

    Args:
        outcomes: files that ``run`` wrote: of the tests on their own release, by
            ``watch`` and by each other way ``own-...``; and on ``flax`` by each way.
        tests_of: the release that the tests are of.
        flax: the release that they were run on.
    """
    found = {way: json.loads(file.read_text()) for way, file in outcomes.items()}
    ways = [way for way in WAYS if way in found and way != "watch"]
    rows: dict[str, dict[str, int]] = {}
    failing: dict[str, dict[str, list[str]]] = {}
    apart: dict[str, int] = {}
    for file, tests in found["watch"].items():
        judged = []
        for test, row in tests.items():
            if row["outcome"] != "passed":
                continue
            why = impossible(row.get("uses", ()), flax)
            if why:
                apart[why] = apart.get(why, 0) + 1
            else:
                judged.append(test)
        # a file in a folder is about layers
        counts = {"judged": len(judged), "layers": int(file not in FILES)}
        for way in ways:
            passed = {t for t in judged if _passed(found[way], file, t)}
            counts[way] = len(passed)
            missed = sorted(set(judged) - passed)
            if way != "native" and missed:
                failing.setdefault(way, {})[file] = missed
        rows[file] = counts
    lost = {
        way: sorted(
            f"{file}::{test}"
            for file, tests in found["native"].items()
            for test, row in tests.items()
            if row["outcome"] == "passed" and not _passed(found[way], file, test)
        )
        for way in ways[1:]
    }
    return {
        "tests_of": tests_of,
        "flax": flax,
        "files": rows,
        "apart": apart,
        "lost": lost,
        "failing": failing,
    }


def judge_examples(outcomes: dict[str, Path], tests_of: str) -> dict[str, Any]:
    """What came of the examples of a release: which pass, on each release by each way.

    Args:
        outcomes: files that ``run`` wrote, by release and way, ``"0.8.5:install"``;
            an example is judged when it passes natively on its own release.
        tests_of: the release that they are of.
    """
    found = {key: json.loads(file.read_text()) for key, file in outcomes.items()}
    test = EXAMPLE.removeprefix("::")
    home = found[f"{tests_of}:native"]
    judged = [name for name in home if _passed(home, name, test)]
    releases: dict[str, dict[str, Any]] = {}
    for key, files in found.items():
        flax, way = key.split(":")
        failing = {
            name: files[name][test].get("why", files[name][test]["outcome"])
            for name in judged
            if not _passed(files, name, test)
        }
        row = releases.setdefault(flax, {})
        row[way] = len(judged) - len(failing)
        if way != "native" and failing:
            row["failing"] = failing
    return {"tests_of": tests_of, "judged": judged, "releases": releases}


def _passed(outcomes: dict[str, Any], file: str, test: str) -> bool:
    row = outcomes.get(file, {}).get(test, {})
    return row.get("outcome") in ("passed", "skipped")


def impossible(uses: Iterable[str], flax: str) -> str:
    """The feature a test uses that a release is too old for, or ``""``."""
    from nnx_compat import facts

    order = [release.version for release in facts.releases()]
    for feature in facts.features():
        asked = any(use in feature.uses for use in uses)
        if asked and order.index(flax) < order.index(feature.since):
            return feature.name
    for use in uses:
        module, dot, name = use.partition(".")
        if dot and module in INTERNAL and f"nnx.{name}" not in facts.names():
            return "private internals"
    return ""


#: Modules of Flax whose contents are public only where ``nnx`` has them too.
INTERNAL = ("graphlib", "graph", "extract", "statelib", "variablelib", "rnglib")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("run")
    command.add_argument("--source", type=Path, required=True)
    command.add_argument("--through", choices=WAYS, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--only", nargs="*", default=[], metavar="FILE")
    command.add_argument("--jobs", type=int, default=2)
    command.add_argument("--judged", type=Path, metavar="FILE")
    command.add_argument("--examples", action="store_true")
    command = commands.add_parser("judge")
    command.add_argument("--tests-of", required=True)
    command.add_argument("--flax", help="without it the outcomes are of examples")
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("outcomes", nargs="+", metavar="WAY=FILE")
    command = commands.add_parser("one")
    command.add_argument("file", type=Path)
    command.add_argument("way", choices=WAYS)
    options = parser.parse_args()
    if options.command == "one":
        return one(options.file, options.way)
    if options.command == "judge":
        outcomes = dict(text.split("=", 1) for text in options.outcomes)
        files = {way: Path(file) for way, file in outcomes.items()}
        if options.flax:
            record = judge(files, options.tests_of, options.flax)
        else:
            record = judge_examples(files, options.tests_of)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
        return 0
    run(
        options.source,
        options.through,
        options.out.absolute(),
        options.only,
        options.jobs,
        options.judged,
        options.examples,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
