"""``pytest -p nnx_compat.pytest_install``: run a test-suite with the newest meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nnx_compat

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--nnx-fast`` and ``--nnx-native-meaning``."""
    group = parser.getgroup("nnx-compat")
    group.addoption(
        "--nnx-fast",
        action="store_true",
        help="with nnx_compat.jit in the place of nnx.jit",
    )
    group.addoption(
        "--nnx-native-meaning",
        action="store_true",
        help="add what the installed Flax lacks, and replace nothing that it has",
    )


def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Before any file of the suite is imported, its conftest.py included."""
    options = early_config.known_args_namespace
    nnx_compat.install(
        fast=options.nnx_fast,
        meaning="native" if options.nnx_native_meaning else "newest",
    )


def pytest_report_header() -> str:
    """Say so, with how much was added."""
    added = len(nnx_compat.installed_names())
    return (
        f"nnx-compat: install() added or replaced {added} names of "
        f"flax {nnx_compat.flax_version}"
    )
