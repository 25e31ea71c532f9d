"""Sessions: ``nox`` runs the tests on the newest pair that the running Python admits.

    nox                                     the tests
    nox -s matrix                           every pair of the matrix, recorded
    nox -s "matrix(flax-0.10.7__jax-0.7.0)" one pair
    nox -t edges                            first and last release of every revision
    nox -t between -- --suite smoke         pure_state_update on all the others
    nox -s band [-- --flax 0.12.12]         each release beside each jax; resumable
    nox -s facts [-- --write]               survey all releases, compare names.json
    nox -s conformance -- --source CHECKOUT --tests-of 0.12.7
    nox -s checkpoints                      written and read on every release
    nox -s pickles                          the same for pickles, read as data
    nox -s readers                          our file, opened by other tools
    nox -s corpus [-- --package bijx]   published packages, natively and with us
    nox -s downstream [-- -l]               the example library, through its own noxfile
    nox -s release -- 0.13.0                a new Flax: its row, measured and recorded
    nox -s promises                         add a release and drop the oldest, on a copy
    nox -s records                          records of an older source, and their times
    nox -s site [-- --lighthouse]      the site, tried in a browser; --no-browser
    nox -s lint types typing metadata render bench plot

Environments of pairs are made by tools/environments.py: with uv when it is there, and
with interpreters that need not be on PATH. A pair whose CPython is missing is reported
as not run; ``-- --require-all`` makes that an error.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import nox

ROOT = Path(__file__).parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from nnx_compat import facts, matrix  # noqa: E402
from tools import environments, records  # noqa: E402

nox.options.sessions = ["tests"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True

# what Flax's own tests import besides what Flax needs
JUDGE = ("pytest>=8", "cloudpickle>=3", "absl-py>=2")
TOOLS = environments.TOOLS
WHOLE = (
    "tests",
    *(f"--ignore=tests/test_{name}.py" for name in environments.ABOUT_THE_REPOSITORY),
)
CONTRACT = ("tests/test_contract.py", "tests/test_pure_state_update.py")
SUITES: dict[str, tuple[str, ...]] = {
    "full": WHOLE,
    "edges": WHOLE,  # the same, leaving no record
    "contract": CONTRACT,
    "smoke": CONTRACT[1:],
}


def _newest_here() -> facts.Release:
    """The newest release that the running Python admits."""
    for release in reversed(facts.releases()):
        if tuple(map(int, release.python.split("."))) <= sys.version_info[:2]:
            return release
    raise LookupError("no release of Flax runs on this Python")


@nox.session
def tests(session: nox.Session) -> None:
    """The whole suite on the newest pair that the running Python admits."""
    release = _newest_here()
    session.install(
        f"flax=={release.version}",
        # the newest of the measured ones that has wheels for this Python
        f"jax>={release.jax_oldest},<={release.jax_newest}",
        *TOOLS,
        "jsonschema>=4.18",  # of tests/test_site.py, which no pair runs
    )
    session.install(".[checkpoint,completion]")
    session.run("pytest", "-n", "2", *session.posargs)


def _ends() -> list[tuple[str, str]]:
    """The first and the last release of every revision."""
    ends = []
    for revision in facts.revisions():
        served = [r.version for r in facts.releases() if r.revision == revision.name]
        ends.append((served[0], served[-1]))
    return ends


def _parameters() -> list[Any]:
    edges = {version for ends in _ends() for version in ends}
    found = []
    for pair in matrix.pairs():
        dated = pair == matrix.dated(pair.flax)
        where = "edges" if pair.flax in edges else "between"
        tags = ["dated", where] * dated
        found.append(nox.param(pair, id=pair.id, tags=tags))
    return found


@nox.session(name="matrix", venv_backend="none")
@nox.parametrize("pair", _parameters())
def run_matrix(session: nox.Session, pair: matrix.Pair) -> None:
    """One pair: the suite on a dated pair, the contract on the ends of a range."""
    dated = pair == matrix.dated(pair.flax)
    usual = "full" if dated else "contract"
    suite = _option(session, "--suite") or usual
    if environments.interpreter(pair.python) is None:
        text = f"not run: {pair.id} needs CPython {pair.python}"
        if "--require-all" in session.posargs:
            session.error(text)
        session.skip(text)
    python = environments.ensure(ROOT / ".nox" / "pairs" / pair.id, pair, TOOLS)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2"]
    command += ["--suite", suite]
    if not dated:  # Flax itself calls what a jax from years later has deprecated
        command += ["-W", "ignore::DeprecationWarning"]
    if suite == usual:
        command += ["--record", str(matrix.RESULTS / f"{pair.id}.json")]
    env = environments.source_on_path()
    session.run(*command, *SUITES[suite], env=env, external=True)


def _option(session: nox.Session, name: str) -> str | None:
    arguments = session.posargs
    return arguments[arguments.index(name) + 1] if name in arguments else None


@nox.session(venv_backend="none")
def band(session: nox.Session) -> None:
    """Which jax works with which Flax, natively and through us. See tools/band.py.

    What the record has of this source is not run again. ``-- --flax 0.12.12`` is one
    release, ``--jax``, ``--ways native`` choose likewise, ``--write`` puts the ends of
    the ranges into the facts.
    """
    env = environments.source_on_path()
    session.run(sys.executable, "tools/band.py", *session.posargs, env=env)


@nox.session(venv_backend="none")
def doctors(session: nox.Session) -> None:
    """Is `nnx-compat doctor` right on 20 installed pairs? See tools/doctors.py."""
    env = environments.source_on_path()
    session.run(sys.executable, "tools/doctors.py", *session.posargs, env=env)


@nox.session(name="facts", venv_backend="none")
def survey(session: nox.Session) -> None:
    """Survey every release and compare with names.json and uses.json, or write them."""
    names = ROOT / "src/nnx_compat/facts/names.json"
    _surveyed(session, "tools/survey.py", names, str(names))
    _surveyed(session, "tools/survey_uses.py", names.with_name("uses.json"))


def _surveyed(session: nox.Session, tool: str, facts_file: Path, *known: str) -> None:
    env = environments.source_on_path()
    with tempfile.TemporaryDirectory() as folder:
        for release in facts.releases():
            pair = matrix.dated(release.version)
            at = ROOT / ".nox" / "pairs" / pair.id
            python = str(environments.ensure(at, pair, TOOLS))
            out = str(Path(folder, f"{release.version}.json"))
            session.run(python, tool, "look", *known, out, env=env, external=True)
        merged = Path(folder, "merged")
        merge = (tool, "merge", folder, str(merged))
        session.run(sys.executable, *merge, env=env, external=True)
        text = merged.read_text()
    if "--write" in session.posargs:
        environments.write_atomically(facts_file, text)
    elif facts_file.read_text() != text:
        session.error(f"{facts_file.name} is stale\n  instead: nox -s facts -- --write")


@nox.session(venv_backend="none")
def conformance(session: nox.Session) -> None:
    """Flax's own tests on other releases, natively and through the drop-in namespace.

    ``-- --source CHECKOUT --tests-of 0.12.7`` is a checkout of Flax at that tag;
    ``--flax 0.10.7,0.12.0`` chooses the releases, ``--only rngs_test.py`` one file (and
    records nothing). ``--fast`` runs the tests of transforms with ``nc.jit`` for
    ``nnx.jit``, which records nothing either and fails where that passes fewer of them.
    ``--examples`` runs the checkout's toy examples instead, on every
    release; with ``--flax`` on these, and records nothing.
    """
    source, tests_of = _option(session, "--source"), _option(session, "--tests-of")
    if source is None or tests_of is None:
        session.error("-- --source CHECKOUT --tests-of RELEASE are needed")
    stated = Path(source, "flax", "version.py").read_text()
    if tests_of not in stated.replace("'", '"').split('"'):
        session.error(
            f"{source} is not flax {tests_of}\n  instead: git checkout its tag"
        )
    asked = _option(session, "--flax")
    chosen = asked.split(",") if asked else [last for _, last in _ends()]
    fast = "--fast" in session.posargs
    only = "transforms_test.py" if fast else _option(session, "--only")
    with tempfile.TemporaryDirectory() as folder:

        def run(flax: str, way: str, *more: str) -> str:
            pair = matrix.dated(flax)
            at = ROOT / ".nox" / "conformance" / pair.id
            python = environments.ensure(at, pair, JUDGE)
            out = str(Path(folder, f"{flax}-{way}.json"))
            session.run(
                str(python), "tools/conformance.py", "run", "--source", source,
                "--through", way, "--out", out, *more,
                *(["--only", only] if only else []),
                env=environments.source_on_path(), external=True,
            )  # fmt: skip
            return f"{way}={out}"

        if "--examples" in session.posargs:
            every = [release.version for release in facts.releases()]
            record = matrix.EXAMPLES / f"{tests_of}.json"
            if asked or only:
                record = Path(folder, record.name)
            with records.measuring(record, "src"):
                outcomes = [
                    f"{flax}:{run(flax, way, '--examples')}"
                    for flax in (sorted({tests_of, *chosen}) if asked else every)
                    for way in ("native", "install")
                ]
                session.run(
                    sys.executable, "tools/conformance.py", "judge",
                    "--tests-of", tests_of, "--out", str(record), *outcomes,
                    env=environments.source_on_path(), external=True,
                )  # fmt: skip
            for flax, row in json.loads(record.read_text())["releases"].items():
                session.log(f"{flax}: natively {row['native']}, {row['install']}")
            return
        watched = run(tests_of, "watch")
        for flax in chosen:
            judged = ("--judged", watched.removeprefix("watch="))
            record = matrix.CONFORMANCE / f"{tests_of}-on-{flax}.json"
            if only:
                record = Path(folder, record.name)
            ways = ("native", "drop-in", "install", *(["fast"] if fast else []))
            with records.measuring(record, "src"):
                outcomes = [run(flax, way, *judged) for way in ways]
                session.run(
                    sys.executable, "tools/conformance.py", "judge",
                    "--tests-of", tests_of, "--flax", flax, "--out", str(record),
                    watched, *outcomes,
                    env=environments.source_on_path(), external=True,
                )  # fmt: skip
            found = json.loads(record.read_text())
            session.log(matrix.summary(found))
            if fast and found["lost"]["fast"]:
                session.error(f"lost by nc.jit: {', '.join(found['lost']['fast'])}")


@nox.session(venv_backend="none")
def checkpoints(session: nox.Session) -> None:
    """Checkpoints written on every release, read on every release.

    ``-- --flax 0.8.0,0.12.12`` chooses some, ``--again`` forgets what is there. See
    tools/checkpoints.py.
    """
    command = (sys.executable, "tools/checkpoints.py", *session.posargs)
    session.run(*command, env=environments.source_on_path())


@nox.session(venv_backend="none")
def pickles(session: nox.Session) -> None:
    """Pickles written on every release, read on every release.

    ``-- --readers 0.8.0,0.12.12`` chooses some. See tools/pickled.py.
    """
    command = (sys.executable, "tools/pickled.py", "pairs", *session.posargs)
    session.run(*command, env=environments.source_on_path())


@nox.session(venv_backend="none")
def readers(session: nox.Session) -> None:
    """The file of checkpoint.save, opened by safetensors, torch and orbax as it stands.

    See tools/checkpoint_readers.py; torch is a large download.
    """
    command = (sys.executable, "tools/checkpoint_readers.py", *session.posargs)
    session.run(*command, env=environments.source_on_path())


@nox.session(name="corpus", venv_backend="none")
def run_corpus(session: nox.Session) -> None:
    """Published packages on releases of Flax, natively and with us, as records.

    ``-- --package bijx,cax-0.2.1 --flax 0.10.7 --ways native,run,fix`` chooses; what is
    recorded of this source already is not measured again. See tools/corpus.
    """
    env = environments.source_on_path()
    session.run(sys.executable, "-m", "tools.corpus", *session.posargs, env=env)


@nox.session
def downstream(session: nox.Session) -> None:
    """The example library through its own noxfile, as its author would run it.

    nnx-compat is installed from a wheel of this source, and without Flax where nox is.
    What follows ``--`` goes to that nox: ``-l``, or ``-s "tests(flax-...)"``.
    """
    folder = str(Path(session.create_tmp()).resolve())
    env = environments.certificates()
    session.install("nox>=2024.10.9", "uv", "build", "packaging", env=env)
    build = ("python", "-m", "build", "--wheel", "--outdir", folder, str(ROOT))
    session.run_install(*build, env=env, silent=True)
    wheel = str(max(Path(folder).glob("nnx_compat-*.whl")))
    session.install("--no-deps", "--force-reinstall", wheel, env=env)
    env.update(UV_FIND_LINKS=folder, PIP_FIND_LINKS=folder)
    # interpreters that need not be on PATH, as for the matrix
    known = map(environments.interpreter, sorted({p.python for p in matrix.pairs()}))
    folders = [str(Path(python).parent) for python in known if python]
    env["PATH"] = os.pathsep.join([env.get("PATH", ""), *folders])
    file = "examples/downstream/noxfile.py"
    session.run("nox", "-f", file, *session.posargs, env=env)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, as linter and as formatter."""
    session.install("ruff==0.14.0")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Mypy, strict."""
    session.install("mypy==1.18.2", "packaging", "numpy", "nox", "pytest>=8")
    session.run("mypy")


@nox.session
def metadata(session: nox.Session) -> None:
    """Build both archives; are they and pyproject.toml valid?"""
    session.install(
        "build>=1.2", "twine>=6.1", "check-wheel-contents>=0.6",
        "validate-pyproject[all]>=0.24",
    )  # fmt: skip
    session.run("validate-pyproject", "pyproject.toml")
    made = Path(session.create_tmp(), "dist")
    shutil.rmtree(made, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(made), silent=True)
    archives = [str(file) for file in sorted(made.iterdir())]
    session.run("twine", "check", "--strict", *archives)
    session.run("check-wheel-contents", *(a for a in archives if a.endswith(".whl")))


@nox.session(venv_backend="none")
def typing(session: nox.Session) -> None:
    """Files of users, by mypy and pyright, on the last release of the newest revisions.

    Flax has types worth the name from the third revision on. ``-- --flax 0.12.7``
    chooses other releases.
    """
    asked = _option(session, "--flax")
    chosen = asked.split(",") if asked else [last for _, last in _ends()[2:]]
    pairs = [matrix.dated(version) for version in chosen]
    pythons = [
        str(environments.ensure(ROOT / ".nox" / "pairs" / pair.id, pair, TOOLS))
        for pair in pairs
    ]
    checkers = str(ROOT / ".nox" / "typing")
    session.run(
        sys.executable, "tools/user_types.py", checkers, *pythons, external=True
    )


@nox.session
def render(session: nox.Session) -> None:
    """Render compat_matrix.md, nnx.pyi and docs/rules; ``-- --check`` compares only."""
    session.install("packaging")
    what = "--check" if "--check" in session.posargs else "--write"
    session.run(
        "python", "-m", "nnx_compat.matrix.render", what, "compat_matrix.md",
        env=environments.source_on_path(),
    )  # fmt: skip
    session.run("python", "tools/rendered.py", what)


@nox.session
def site(session: nox.Session) -> None:
    """The site into build/site; its links are followed, and a browser tries it.

    ``-- --no-browser`` only builds. ``-- --lighthouse`` also asks Lighthouse. The
    browser comes from npm, or is the one that the variable CHROMIUM names. See
    tools/website.
    """
    session.install(
        "mkdocs==1.6.1", "mkdocs-material==9.8.2", "mkdocstrings==1.0.8",
        "mkdocstrings-python==2.0.11", "packaging",
    )  # fmt: skip
    env = environments.source_on_path()
    env.update(NO_MKDOCS_2_WARNING="1", SITE="build/site", SHOTS="build/screenshots")
    built = ("python", "-m", "tools.website")
    session.run(*built, "sources", "build/pages", env=env)
    session.run("mkdocs", "build", "-q", "-f", "tools/website/mkdocs.yml", env=env)
    session.run(*built, "links", env["SITE"], env=env)
    if "--no-browser" in session.posargs:
        return
    if not (shutil.which("node") and shutil.which("npm")):
        session.error(
            "no Node.js with npm, which the browser comes from\n"
            "  instead: install Node.js 20.11 or later\n"
            "  or:      nox -s site -- --no-browser, which tries nothing"
        )
    folder = "tools/website/browser"
    session.run("npm", "ci", "--prefix", folder, env=env, external=True)
    tests = ("--test", "--test-reporter=spec", f"{folder}/site.test.mjs")
    session.run("node", *tests, env=env, external=True)
    if "--lighthouse" in session.posargs:
        # beside the lock: a dependency of its asks for the latest of another package
        wanted = ("--no-save", "--prefix", folder, "lighthouse@12.8.2")
        session.run("npm", "install", *wanted, env=env, external=True)
        session.run("node", f"{folder}/lighthouse.mjs", env=env, external=True)


@nox.session(venv_backend="none")
def promises(session: nox.Session) -> None:
    """On a copy: add the next Flax with one row, and drop the oldest revision.

    ``-- add`` or ``-- drop`` is one of the two. See tools/promises.py.
    """
    pair = matrix.dated(facts.releases()[-1].version)
    python = environments.ensure(ROOT / ".nox" / "pairs" / pair.id, pair, TOOLS)
    command = (str(python), "tools/promises.py", *session.posargs)
    session.run(*command, env=environments.source_on_path(), external=True)


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """All that a new Flax needs but judgement: ``-- 0.13.0``. See tools/release.py.

    A release that is there already is left as it is; ``--again`` measures it anew.
    """
    command = (sys.executable, "tools/release.py", *session.posargs)
    session.run(*command, env=environments.source_on_path())


@nox.session(name="records", venv_backend="none")
def list_records(session: nox.Session) -> None:
    """The records that are of an older source, and how long renewing each takes."""
    env = environments.source_on_path()
    session.run(sys.executable, "tools/records.py", *session.posargs, env=env)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """The benchmarks, one process each, on the newest release of every revision.

    ``-- --flax 0.8.5,0.11.2`` chooses other releases, ``-- --part dispatch`` one part,
    ``-- --part names`` what each name of the drop-in namespace costs over Flax's own.
    """
    asked = _option(session, "--flax")
    chosen = asked.split(",") if asked else [last for _, last in _ends()]
    parts = _option(session, "--part") or "overhead,dispatch,bandwidth"
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    for pair in map(matrix.dated, chosen):
        if environments.interpreter(pair.python) is None:
            session.warn(f"not run: {pair.id} needs CPython {pair.python}")
            continue
        python = environments.ensure(ROOT / ".nox" / "pairs" / pair.id, pair, TOOLS)
        for part in parts.split(","):
            if part == "dispatch" and not facts.name("nnx.Optimizer").on(pair.flax):
                session.log(f"no {part} on {pair.flax}: it has no nnx.Optimizer")
                continue
            if part == "bandwidth" and pair.flax != chosen[-1]:
                continue  # the same programs everywhere: the last one will do
            session.run(
                str(python), f"benchmarks/{part}.py",
                "--json", str(results / f"{part}-{pair.flax}.json"),
                env=environments.source_on_path(), external=True,
            )  # fmt: skip


@nox.session
def plot(session: nox.Session) -> None:
    """Draw benchmarks/dispatch.svg from the newest result of ``bench``."""
    session.install("matplotlib>=3.8")
    session.run("python", "benchmarks/plot.py", env=environments.source_on_path())
