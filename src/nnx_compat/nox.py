"""Pairs of Flax and jax for the noxfile of a library. Imports neither flax nor jax.

The whole of it, in a ``noxfile.py``::

    import nox
    import nnx_compat.nox

    PAIRS = nnx_compat.nox.pairs(">=0.10", per="minor")

    @nox.session(venv_backend="uv|virtualenv")
    @nox.parametrize(
        "python,pair", [(p.python, p) for p in PAIRS], ids=[p.id for p in PAIRS]
    )
    def tests(session, pair):
        nnx_compat.nox.install(session, pair, ".", "pytest")
        session.run("pytest")

The environment that runs nox needs nnx-compat and packaging alone, no Flax:
``pip install nox packaging`` and ``pip install --no-deps nnx-compat``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

from . import facts, matrix
from .errors import ArgumentValueError
from .matrix import Pair

if TYPE_CHECKING:
    import nox

__all__ = ["Pair", "install", "pairs"]

_T = TypeVar("_T")


def pairs(
    flax: str = "",
    *,
    jax: Literal["each", "oldest", "newest", "dated"] = "dated",
    per: Literal["release", "minor", "revision"] = "release",
) -> tuple[Pair, ...]:
    """The pairs to test a library on, by release, from the oldest jax to the newest.

    Args:
        flax: a PEP 440 specifier of the releases that the library is for; yanked
            releases are not among them.
        jax: the ``dated`` one, which is the newest of three weeks after the release and
            what most people had beside it; the ``oldest`` or ``newest`` measured to
            work; ``each`` of the three.
        per: every ``release``; the newest of each ``minor``; the first and the last of
            each API ``revision``, which are few and where a library breaks if it
            breaks. Counted among the releases in ``flax``.

    Raises:
        ArgumentValueError: an unknown choice, no specifier, or no release in it.

    Example:
        >>> import nnx_compat.nox
        >>> [p.python for p in nnx_compat.nox.pairs(">=0.9,<0.12", per="minor")]
        ['3.11', '3.11', '3.11']
    """
    with_jax = _chosen("jax", jax, _JAX)
    of = _chosen("per", per, _PER)
    found = of(_releases(flax))
    return tuple(matrix.pair(row.version, at) for row in found for at in with_jax(row))


def install(session: nox.Session, pair: Pair, *packages: str) -> None:
    """Install a pair into the environment of a nox session, then what is tested on it.

    With the uv backend, a dated pair takes no companion (optax, orbax, ...) that is
    newer than its date. The packages may be of any date and never move Flax or jax: one
    that requires others is an error of the installer.

    Args:
        session: with an environment of its own, on ``pair.python`` or later.
        pair: one of ``pairs()``.
        *packages: as for ``session.install``, ``"."`` and ``"pytest"`` say.

    Example:
        >>> import nnx_compat.nox
        >>> def tests(session, pair):
        ...     nnx_compat.nox.install(session, pair, ".", "pytest")
        ...     session.run("pytest")
    """
    backend = session.venv_backend
    if backend == "none":
        session.error(
            f"{pair.id} needs an environment of its own, and this session has none\n"
            '  instead: @nox.session(venv_backend="uv|virtualenv")'
        )
    _check_interpreter(session, pair)
    date = pair.uploaded_before if backend == "uv" else ""
    _install(session, pair, *(["--exclude-newer", date] if date else []))
    if packages:
        _install(session, pair, *packages)


# -- choosing -----------------------------------------------------------------------


def _releases(flax: str) -> tuple[facts.Release, ...]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        wanted = SpecifierSet(flax)
    except (InvalidSpecifier, AttributeError, TypeError):
        raise ArgumentValueError(
            f"pairs({flax!r}): not a version specifier",
            instead='nnx_compat.nox.pairs(">=0.10,<0.12")',
        ) from None
    served = facts.releases()
    found = tuple(row for row in served if wanted.contains(row.version))
    if not found:
        raise ArgumentValueError(
            f"pairs({flax!r}): no release of Flax is in it",
            instead=f"a specifier with some of {served[0].version} to "
            f"{served[-1].version}",
        )
    return found


def _newest_of_each_minor(rows: Sequence[facts.Release]) -> Iterable[facts.Release]:
    return {row.version.rpartition(".")[0]: row for row in rows}.values()


def _ends_of_each_revision(rows: Sequence[facts.Release]) -> Iterable[facts.Release]:
    served: dict[str, list[facts.Release]] = {}
    for row in rows:
        served.setdefault(row.revision, []).append(row)
    ends = [row for of in served.values() for row in (of[0], of[-1])]
    return dict.fromkeys(ends)


_PER: dict[str, Callable[[Sequence[facts.Release]], Iterable[facts.Release]]] = {
    "release": lambda rows: rows,
    "minor": _newest_of_each_minor,
    "revision": _ends_of_each_revision,
}
_JAX: dict[str, Callable[[facts.Release], Iterable[str]]] = {
    "each": lambda r: dict.fromkeys((r.jax_oldest, r.jax_dated, r.jax_newest)),
    "oldest": lambda row: (row.jax_oldest,),
    "newest": lambda row: (row.jax_newest,),
    "dated": lambda row: (row.jax_dated,),
}


def _chosen(name: str, choice: str, among: dict[str, _T]) -> _T:
    if choice not in among:
        raise ArgumentValueError(
            f"{name}={choice!r} is no choice",
            instead=" or ".join(f"{name}={known!r}" for known in among),
        )
    return among[choice]


# -- installing ---------------------------------------------------------------------


def _check_interpreter(session: nox.Session, pair: Pair) -> None:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = session.run_install("python", "-c", code, silent=True, log=False)
    if not isinstance(answer, str):
        return  # nox was told to install nothing
    found = answer.strip().splitlines()[-1]
    if tuple(map(int, found.split("."))) < tuple(map(int, pair.python.split("."))):
        session.error(
            f"{pair.id} needs CPython {pair.python} or later, and this session has "
            f"{found}\n  instead: {_PARAMETRIZED}"
        )
    if found != pair.python:
        session.log(f"{pair.id} was measured on CPython {pair.python}, this is {found}")


def _install(session: nox.Session, pair: Pair, *more: str) -> None:
    try:
        session.install(*pair.constraints, *more)
    except Exception as error:
        from nox.command import CommandFailed

        if not isinstance(error, CommandFailed):
            raise
        session.error(
            f"{pair.id} could not be installed, see above. It is known to install on "
            f"CPython {pair.python}, beside packages that admit {pair.constraints[0]} "
            f"and {pair.constraints[1]}\n  instead: {_PARAMETRIZED}"
        )


_PARAMETRIZED = '@nox.parametrize("python,pair", [(p.python, p) for p in PAIRS])'
