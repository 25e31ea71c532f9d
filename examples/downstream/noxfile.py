"""The tests on the first and the last release of every revision of Flax's API."""

import nox

import nnx_compat.nox

nox.options.default_venv_backend = "uv|virtualenv"

PAIRS = nnx_compat.nox.pairs(">=0.8", per="revision")


@nox.session
@nox.parametrize(
    "python,pair", [(p.python, p) for p in PAIRS], ids=[p.id for p in PAIRS]
)
def tests(session: nox.Session, pair: nnx_compat.nox.Pair) -> None:
    """The library's own tests on one pair."""
    nnx_compat.nox.install(session, pair, ".", "pytest>=8")
    session.run("pytest", *session.posargs)
