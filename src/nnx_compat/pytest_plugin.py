"""The pytest plugin, loaded by itself where nnx-compat is installed; silent until used.

* ``@pytest.mark.flax(">=0.11")`` and ``@pytest.mark.jax("<0.7")`` skip a test where the
  installed release is not in the specifier (PEP 440; a dev or rc build of X counts as
  X). Several marks must all hold; ``reason="..."`` is added to the reason of the skip.
  A mark without a specifier is somebody else's and is left alone.
* ``--nnx-deprecations=error|warn|ignore`` decides on every deprecation that Flax
  emits, at the line that caused it, be it a ``UserWarning``, one without a
  ``stacklevel``, or a line of the log. It is the last line of ``filterwarnings``:
  ``-W`` and a mark still win.
* the fixture ``nnx_release``: what the facts know of the installed Flax.
* a section under a failed test whose native error the facts know: what it is about, on
  which releases, and what to write instead.
* one line on what is installed, when any of the first three is used.

``pytest -p no:nnx_compat`` turns it off.

It is loaded in every run, so it imports nothing but what pytest has imported already;
the facts come when a test or an option needs them, Flax and jax with the tests.
"""

from __future__ import annotations

import logging
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pytest

if TYPE_CHECKING:
    import argparse

    from . import facts

    _Action: TypeAlias = Literal["error", "warn", "ignore"]
    _Filter: TypeAlias = Literal["error", "always", "ignore"]

__all__ = ["FlaxDeprecationWarning", "FlaxUserDeprecationWarning", "nnx_release"]

_MARKS = ("flax", "jax")
_OFF = "-p no:nnx_compat, where the mark is another plugin's"


class FlaxDeprecationWarning(DeprecationWarning):
    """A deprecation that Flax emits, at the line that caused it."""


class FlaxUserDeprecationWarning(FlaxDeprecationWarning, UserWarning):
    """One that Flax emits as a ``UserWarning``."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--nnx-deprecations``."""
    parser.getgroup("nnx-compat").addoption(
        "--nnx-deprecations",
        choices=("error", "warn", "ignore"),
        help="what to do with deprecations of Flax, hidden ones included, at the line "
        "that caused them",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Watch from before the first conftest.py on."""
    _watch_if_wanted(early_config, early_config.known_args_namespace)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    for mark, example in (("flax", ">=0.11"), ("jax", "<0.7")):
        config.addinivalue_line(
            "markers",
            f"{mark}(specifier, reason=''): skip where the installed {mark} is not in "
            f'it, as "{example}" (nnx-compat).',
        )
    _watch_if_wanted(config, config.option)  # when a conftest.py loaded the plugin


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say what is installed, when the option is used."""
    return [_installed()] if _action(config) and not _quiet(config) else []


def pytest_report_collectionfinish(
    config: pytest.Config, items: Sequence[pytest.Item]
) -> list[str]:
    """Say it here when only the tests show that the plugin is used."""
    if _action(config) or _quiet(config) or not any(map(_uses, items)):
        return []
    return [_installed()]


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Skip what the installed releases are not for.

    Raises:
        UsageError: a mark with something other than a specifier.
    """
    wrong: dict[str, str] = {}
    for item in items:
        for mark in _marks(item):
            try:
                reason = _reason_to_skip(mark)
            except ValueError as error:
                wrong[item.nodeid] = f"{item.nodeid}: {error}"
                continue
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))
    if not wrong:
        return
    if hasattr(config, "workerinput"):  # where xdist has no word for a usage error
        config.pluginmanager.register(_Wrong(wrong))
        return
    raise pytest.UsageError(*wrong.values())


class _Wrong:
    """Fails the tests whose marks are wrong."""

    def __init__(self, wrong: dict[str, str]) -> None:
        self.wrong = wrong

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.nodeid in self.wrong:
            pytest.fail(self.wrong[item.nodeid], pytrace=False)


@pytest.fixture(scope="session")
def nnx_release() -> facts.Release:
    """What the facts know of the installed Flax: its revision, date, jax range, ...

    A build of no release gets that of the newest one which is not newer.

    Example:
        >>> def test_it_trains(nnx_release):
        ...     if nnx_release.revision == "variable_state": ...
    """
    from . import facts
    from .errors import UnsupportedFlaxError

    version = _version("flax")
    if version is None:
        oldest = facts.releases()[0].version
        raise UnsupportedFlaxError(
            "nnx_release is of the installed flax, and flax is not installed",
            instead=f"pip install 'flax>={oldest}'",
        )
    return facts.release(facts.nearest(version))


# -- native errors ------------------------------------------------------------------


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:
    """Add what the facts know of the error of a failed test."""
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed and call.excinfo is not None:
        text = _known(call.excinfo.value)
        if text:
            report.sections.append(("what nnx-compat knows of this error", text))


def _known(error: BaseException) -> str:
    """What is known of an error; nothing is imported where Flax is not."""
    version = _version("flax") if "flax" in sys.modules else None
    if version is None or not isinstance(error, Exception):
        return ""
    from . import explain, facts
    from .errors import UnknownFactError

    try:
        return explain.note(error, facts.nearest(version))
    except UnknownFactError:  # a Flax from before NNX
        return ""


# -- what is installed --------------------------------------------------------------


def _version(package: str) -> str | None:
    """Of the imported one, else of the installed one, which is not imported for it."""
    imported = getattr(sys.modules.get(package), "__version__", None)
    if imported is not None:
        return str(imported)
    import importlib.metadata

    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _installed() -> str:
    """One line: flax, jax, the revision, whether the pair is measured."""
    from . import facts
    from .errors import UnknownFactError

    flax, jax = _version("flax"), _version("jax")
    text = f"nnx-compat: flax {flax or 'not installed'}, jax {jax or 'not installed'}"
    if flax is None:
        return text
    try:
        row = facts.release(facts.nearest(flax))
    except UnknownFactError:
        return f"{text}, older than every release that is served"
    text += f", revision {row.revision}"
    if jax is None:
        return text
    if row.measured(jax) and row.version == flax:
        return f"{text}, a measured pair"
    return (
        f"{text}, not measured: flax {row.version} was with jax {row.jax_oldest} to "
        f"{row.jax_newest}"
    )


def _quiet(config: pytest.Config) -> bool:
    return bool(config.getoption("verbose") < 0)


# -- marks --------------------------------------------------------------------------


def _marks(item: pytest.Item) -> Iterator[pytest.Mark]:
    for mark in item.iter_markers():
        if mark.name in _MARKS and mark.args:
            yield mark


def _uses(item: pytest.Item) -> bool:
    fixtures: Sequence[str] = getattr(item, "fixturenames", ())
    return "nnx_release" in fixtures or any(True for _ in _marks(item))


def _reason_to_skip(mark: pytest.Mark) -> str:
    """Why this mark skips its test here, or ``""``.

    Raises:
        ArgumentValueError: it has something other than one specifier and a reason.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import Version

    wanted = _specifier(mark)
    found = _version(mark.name)
    because = mark.kwargs.get("reason", "")
    because = f": {because}" if because else ""
    if found is None:
        return f"needs {mark.name} {wanted}, which is not installed{because}"
    # a dev or rc build has the code of its release, as in facts.nearest
    if SpecifierSet(wanted).contains(Version(found).base_version):
        return ""
    return f"needs {mark.name} {wanted}, found {found}{because}"


def _specifier(mark: pytest.Mark) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    from .errors import ArgumentValueError

    written = ", ".join(
        [*map(repr, mark.args), *(f"{k}={v!r}" for k, v in mark.kwargs.items())]
    )
    first = mark.args[0]
    example = f">={first}" if str(first)[:1].isdigit() else ">=0.11"
    try:
        if len(mark.args) > 1 or not isinstance(first, str) or not first.strip():
            raise InvalidSpecifier
        if set(mark.kwargs) - {"reason"}:
            raise InvalidSpecifier
        return str(SpecifierSet(first))
    except InvalidSpecifier:
        raise ArgumentValueError(
            f"@pytest.mark.{mark.name}({written}) is not one version specifier",
            instead=f'@pytest.mark.{mark.name}("{example}")',
            otherwise=_OFF,
        ) from None


# -- deprecations -------------------------------------------------------------------

#: Frames between a deprecation of Flax and the line that caused it: Flax itself, jax,
#: which calls back the function it traces, and what calls on behalf of others.
_PASSED = frozenset({
    "flax", "jax", "jaxlib", "nnx_compat",
    "absl", "logging", "importlib", "functools", "contextlib", "dataclasses",
})  # fmt: skip
#: Nothing behind these is the user's: pytest called Flax itself.
_END = frozenset({"_pytest", "pluggy"})
_watching: weakref.WeakSet[pytest.Config] = weakref.WeakSet()


def _action(config: pytest.Config) -> _Action | None:
    """What ``--nnx-deprecations`` says, if it is given."""
    action: _Action | None = config.getoption("nnx_deprecations", None)
    return action


def _watch_if_wanted(config: pytest.Config, options: argparse.Namespace) -> None:
    action: _Action | None = getattr(options, "nnx_deprecations", None)
    if action is None or config in _watching:
        return
    if config.pluginmanager.is_blocked("warnings"):
        raise pytest.UsageError(
            "--nnx-deprecations works through pytest's own warnings plugin\n"
            "  instead: leave out -p no:warnings"
        )
    _watching.add(config)
    filtered: _Filter = "always" if action == "warn" else action
    category = f"{__name__}.{FlaxDeprecationWarning.__name__}"
    config.addinivalue_line("filterwarnings", f"{filtered}::{category}")
    # pytest read its filters before it came here: this one is for the conftest.py
    warnings.simplefilter(filtered, FlaxDeprecationWarning)
    config.add_cleanup(_watch())


def _watch() -> Callable[[], None]:
    """Move deprecations to the lines that caused them.

    Returns:
        What ends it.
    """
    original, log = warnings.warn, _Log()
    warn = _moving(original)
    warnings.warn = warn
    logging.getLogger().addHandler(log)

    def end() -> None:
        logging.getLogger().removeHandler(log)
        if warnings.warn is warn:  # else somebody has wrapped it in turn
            warnings.warn = original

    return end


def _moving(original: Callable[..., None]) -> Callable[..., None]:
    """``warnings.warn``, but for deprecations of Flax, which it moves and names."""

    def warn(
        message: Warning | str,
        category: type[Warning] | None = None,
        stacklevel: int = 1,
        source: object = None,
        **more: tuple[str, ...],
    ) -> None:
        __tracebackhide__ = True
        caller = sys._getframe(1)
        kind = type(message) if isinstance(message, Warning) else category
        if _package(caller) == "flax" and _deprecates(str(message), kind):
            cause = _cause(caller)
            if cause is not None:
                _emit(str(message), kind, cause)
                return
        prefixes = more.get("skip_file_prefixes", ())
        if prefixes:
            stacklevel = max(2, stacklevel)
        if not prefixes or not caller.f_code.co_filename.startswith(prefixes):
            stacklevel = max(1, stacklevel) + 1  # for this frame
        original(message, category, stacklevel, source, **more)

    return warn


class _Log(logging.Handler):
    """What Flax says in the log: that an old module path is deprecated."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "absl" or not _deprecates(record.getMessage(), UserWarning):
            return
        frame: FrameType | None = sys._getframe(1)
        while frame and _package(frame) in ("logging", "absl"):
            frame = frame.f_back
        if frame is not None and _package(frame) == "flax":
            cause = _cause(frame)
            if cause is not None:
                _emit(record.getMessage(), UserWarning, cause)


def _deprecates(text: str, category: type[Warning] | None) -> bool:
    known = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
    if category is not None and issubclass(category, known):
        return True
    return "deprecat" in text.lower()


def _package(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__") or ""
    return name.partition(".")[0]


def _cause(frame: FrameType | None) -> FrameType | None:
    """The frame of the line that caused what Flax says, if it is the user's."""
    while frame is not None:
        package = _package(frame)
        if package in _END:
            return None
        if package not in _PASSED:
            return frame
        frame = frame.f_back
    return None


def _emit(text: str, category: type[Warning] | None, cause: FrameType) -> None:
    """Warn, or raise, as the filters say for this line."""
    __tracebackhide__ = True
    as_user = category is None or not issubclass(category, DeprecationWarning)
    warnings.warn_explicit(
        text,
        FlaxUserDeprecationWarning if as_user else FlaxDeprecationWarning,
        filename=cause.f_code.co_filename,
        lineno=cause.f_lineno,
        module=cause.f_globals.get("__name__"),
        registry=cause.f_globals.setdefault("__warningregistry__", {}),
    )
