"""What is tried of one package on one release, in one process: ``probe.py JOB``.

The job is a JSON file. Run by ``host.py`` in a child of its own, natively or by
``nnx-compat run``, inside a folder that is deleted afterwards. Each item is one line in
the job's result file as soon as it is known, so what a kill leaves is still true.

Items, by their names: ``import MODULE``; for each Module class that a module defines,
``build``, ``split`` (and merge), ``call`` on a small array, ``step`` (gradients, and an
update by them, traced). A later one is tried only when the one before it came out.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tools.corpus import arguments, outcomes
from tools.corpus.lines import Lines

#: CPU time that one item may take, and the memory that all may.
SECONDS = 8
#: Of the tests of one file: those whose names come first by their digests.
TESTS = 8
BYTES = 12 << 30
_NO_MODULES = ("tests", "test", "testing", "conftest", "__main__", "examples")


class Probe:
    """The state of a job: where results go, and whose files are whose."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.root = Path(job["path"])
        self.roots = {job["path"]: "package", **_owners(job)}
        self.out = open(job["out"], "w", buffering=1)  # noqa: SIM115
        self.lines = Lines(job["path"]) if job["lines"] else None

    def say(self, **row: object) -> None:
        """Write one line of the result."""
        self.out.write(json.dumps(row) + "\n")

    def tried(self, item: str, attempt: Callable[[], Any]) -> tuple[bool, Any]:
        """Try one item and write what came of it."""
        try:
            with _limited():
                value = attempt()
        except outcomes.OutOfTime:
            self.say(item=item, time=True)
        except arguments.CannotTell:
            return False, None  # no item: what it would need is not known
        except BaseException as error:  # a module may also call sys.exit
            self.say(item=item, **outcomes.failure(error, self.roots))
        else:
            self.say(item=item)
            return True, value
        return False, None

    def ran(self, subject: str) -> None:
        """Write which lines ran since the last subject."""
        if self.lines is not None:
            files: dict[str, list[int]] = {}
            for file, line in sorted(self.lines.taken()):
                files.setdefault(file, []).append(line)
            self.say(subject=subject, lines=files)


def _owners(job: dict[str, Any]) -> dict[str, str]:
    """Folders of the libraries that an error may end in."""
    import flax
    import jax

    folders = {"flax": flax, "jax": jax}
    found = {str(Path(m.__file__).parent): name for name, m in folders.items()}
    beside = dict.fromkeys(job["on_path"][1:], "beside")
    return {**found, **beside, job["source"] + "/nnx_compat": "ours"}


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """A bound on CPU time, which another process on the machine does not change."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _out_of_time(*_: object) -> None:
    raise outcomes.OutOfTime


def modules(job: dict[str, Any]) -> list[str]:
    """The modules to import, each after the packages it is in."""
    found = []
    root = Path(job["path"])
    for file in root.rglob("*.py"):
        parts = list(file.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        name = ".".join(parts)
        inside = any(f"{name}.".startswith(f"{m}.") for m in job["modules"])
        left = any(f"{name}.".startswith(f"{m}.") for m in job["skip"])
        testing = any(p in _NO_MODULES or p.startswith("test_") for p in parts) or (
            parts and parts[-1].endswith("_test")
        )
        if parts and inside and not left and not testing:
            found.append(name)
    return sorted(found)


def run(job: dict[str, Any]) -> None:
    """Import every module and try every class."""
    probe = Probe(job)
    imported: dict[str, Any] = {}
    failed: set[str] = set()
    for name in modules(job):
        if any(name.startswith(f"{parent}.") for parent in failed):
            continue  # for the same reason
        came, module = probe.tried(
            f"import {name}", partial(importlib.import_module, name)
        )
        probe.ran(f"import {name}")
        if came:
            imported[name] = module
        else:
            failed.add(name)
    for cls in _classes(imported, job["share"]):
        _try_class(probe, cls)
        probe.ran(f"class {_named(cls)}")
    if job["tests"]:
        _run_tests(probe)
        probe.ran("tests")
    probe.say(done=True)


def _run_tests(probe: Probe) -> None:
    """A part of the package's own tests, those that its row names."""
    import pytest

    root = probe.root
    empty = Path("empty.ini").absolute()
    empty.write_text("[pytest]\n")
    options = ["-q", "-p", "no:cacheprovider", "-c", str(empty), "--rootdir", str(root)]
    os.chdir(root)
    files = [file for file in probe.job["tests"] if (root / file).exists()]
    pytest.main([*options, *files], plugins=[_Recorder(probe)])


class _Recorder:
    """Tells the probe what came of each test; chooses them, and bounds them."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the first few of each file, by the digests of their names."""
        by_file: dict[str, list[Any]] = {}
        for item in items:
            by_file.setdefault(item.nodeid.partition("::")[0], []).append(item)
        for file in by_file:
            self._probe.say(item=f"test {file}")  # its tests could be collected
        items[:] = [
            item
            for found in by_file.values()
            for item in sorted(found, key=lambda item: _digest(item.nodeid))[:TESTS]
        ]

    def pytest_runtest_protocol(self) -> Any:
        """Bound one test."""
        with _limited():
            yield

    pytest_runtest_protocol.pytest_impl = {"hookwrapper": True}  # type: ignore[attr-defined]

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        """Write a test that failed, or a file whose tests cannot be collected."""
        error = call.excinfo.value
        if type(error).__name__ == "CollectError" and error.__cause__ is not None:
            error = error.__cause__  # what the file's own line raised: pytest quotes it
        if isinstance(error, outcomes.OutOfTime):
            self._probe.say(item=f"test {node.nodeid}", time=True)
        else:
            found = outcomes.failure(error, self._probe.roots)
            self._probe.say(item=f"test {node.nodeid}", **found)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Write a test that passed."""
        if report.when == "call" and report.passed:
            self._probe.say(item=f"test {report.nodeid}")


def _nnx() -> Any:
    """Flax's NNX, where it is on this release."""
    try:
        return importlib.import_module("flax.nnx")
    except ImportError:
        return importlib.import_module("flax.experimental.nnx")


def _named(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _classes(imported: dict[str, Any], share: int) -> list[type]:
    """The Module classes that the modules define, or that share of them."""
    base = _nnx().Module
    found = {
        _named(value): value
        for name, module in imported.items()
        for value in list(vars(module).values())
        if isinstance(value, type) and value.__module__ == name
        if issubclass(value, base) and not getattr(value, "__abstractmethods__", ())
    }
    return [cls for name, cls in sorted(found.items()) if _chosen(name, share)]


def _chosen(name: str, share: int) -> bool:
    """Whether a name is among that share of 100, on every release alike."""
    return int(_digest(name), 16) % 100 < share


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _try_class(probe: Probe, cls: Any) -> None:
    nnx, name = _nnx(), _named(cls)

    def build() -> Any:
        positional, named = arguments.arguments(cls.__init__, nnx)
        return cls(*positional, **named)

    came, model = probe.tried(f"build {name}", build)
    if not came:
        return
    if not probe.tried(f"split {name}", lambda: _round_trip(nnx, model))[0]:
        return
    came, found = probe.tried(f"call {name}", lambda: _called(nnx, cls, model))
    if came:
        probe.tried(f"step {name}", lambda: _stepped(nnx, cls, model, found))


def _parts(nnx: Any, model: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The state of a model and what makes a model of one, as each release has it."""
    if hasattr(nnx, "split"):
        graphdef, state = nnx.split(model)
        return state, lambda state: nnx.merge(graphdef, state)
    state, static = model.split()
    return state, static.merge


def _round_trip(nnx: Any, model: Any) -> Any:
    state, merged = _parts(nnx, model)
    return merged(state)


def _arrays() -> Iterator[Any]:
    import jax.numpy as jnp

    *floats, whole = arguments.SHAPES
    yield from (jnp.ones(shape) for shape in floats)
    yield jnp.ones(whole, jnp.int32)


def _called(nnx: Any, cls: Any, model: Any) -> Any:
    """The first array that fits, after a call with it; else the error that says most.

    Which one fits is found by tracing, since that compiles nothing.
    """
    import jax

    if not any("__call__" in vars(base) for base in cls.__mro__):
        raise arguments.CannotTell("no call")
    state, merged = _parts(nnx, model)
    errors = []
    for array in _arrays():
        positional, named = arguments.arguments(cls.__call__, nnx, array)
        if not any(value is array for value in [*positional, *named.values()]):
            raise arguments.CannotTell("no parameter for an array")
        try:
            jax.eval_shape(lambda state: merged(state)(*positional, **named), state)  # noqa: B023
        except Exception as error:
            if "Tracer" not in type(error).__name__:
                errors.append(error)
                continue  # what depends on values is called all the same
        model(*positional, **named)
        return array
    raise max(errors, key=lambda error: "nnx" in str(error))


def _stepped(nnx: Any, cls: Any, model: Any, array: Any) -> None:
    """Gradients of the mean square of what comes out, and a step along them.

    Traced as a function of the state, which is how people hand it to ``jax.jit``.
    """
    import jax
    import jax.numpy as jnp

    positional, named = arguments.arguments(cls.__call__, nnx, array)
    state, merged = _parts(nnx, model)

    def loss(model: Any) -> Any:
        leaves = jax.tree_util.tree_leaves(model(*positional, **named))
        floats = [x for x in leaves if jnp.issubdtype(jnp.result_type(x), jnp.floating)]
        return sum((jnp.mean(x**2) for x in floats), jnp.zeros(()))

    def step(state: Any) -> Any:
        model = merged(state)
        value, grads = nnx.value_and_grad(loss)(model)
        whole = hasattr(nnx, "split")
        params = nnx.state(model, nnx.Param) if whole else model.extract(nnx.Param)
        new = jax.tree_util.tree_map(lambda p, g: p - 0.1 * g, params, grads)
        if whole:
            nnx.update(model, new)
        else:
            model.update(new)
        return value

    jax.eval_shape(step, state)


def main(file: str) -> None:
    """Run the job in a file."""
    job = json.loads(Path(file).read_text())
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGPROF, _out_of_time)
    os.environ.update(pair.split("=", 1) for pair in job["env"])
    sys.path[:0] = job["on_path"]
    run(job)


if __name__ == "__main__":
    main(sys.argv[1])
