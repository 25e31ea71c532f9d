"""``pytest -p nnx_compat.pytest_install``: run a test-suite with ``install()``."""

import nnx_compat

nnx_compat.install()


def pytest_report_header() -> str:
    """Say so, with what was added."""
    added = len(nnx_compat.installed_names())
    return (
        f"nnx-compat: install() added {added} names to flax {nnx_compat.flax_version}"
    )
