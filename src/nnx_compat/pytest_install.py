"""``pytest -p nnx_compat.pytest_install``: run a test-suite with ``install()``."""

import nnx_compat


def pytest_load_initial_conftests() -> None:
    """Before any file of the suite is imported, its conftest.py included."""
    nnx_compat.install()


def pytest_report_header() -> str:
    """Say so, with how much was added."""
    added = len(nnx_compat.installed_names())
    return (
        f"nnx-compat: install() added {added} names to flax {nnx_compat.flax_version}"
    )
