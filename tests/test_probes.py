"""The probes of the band, on the installed pair: they say what the record says."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import nnx_compat as nc
from nnx_compat import band

PAIR = band.measured(nc.flax_version, nc.jax_version)


@pytest.mark.skipif(PAIR is None, reason="the band has no such pair")
def test_the_probes_say_natively_of_this_pair_what_the_record_says():
    forms = band.forms(nc.flax_version)
    job = json.dumps([{"path": "", "forms": forms, "ways": ["native"]}])
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "nnx_compat.band.run", job],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(ran.stdout)["results"]["native"]
    wrong = {name: text for name, text in found.items() if text != "ok"}
    assert wrong == PAIR.results["native"]
