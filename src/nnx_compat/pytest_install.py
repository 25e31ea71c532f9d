"""``pytest -p nnx_compat.pytest_install``: run a test-suite with ``install()``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nnx_compat

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nnx-fast``."""
    parser.getgroup("nnx-compat").addoption(
        "--nnx-fast",
        action="store_true",
        help="with nnx_compat.jit in the place of nnx.jit",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any file of the suite is imported, its conftest.py included."""
    nnx_compat.install(fast=early_config.known_args_namespace.nnx_fast)


def pytest_report_header() -> str:
    """Say so, with how much was added."""
    added = len(nnx_compat.installed_names())
    return (
        f"nnx-compat: install() added {added} names to flax {nnx_compat.flax_version}"
    )
