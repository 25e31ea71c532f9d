#!/usr/bin/env bash
# What action.yml runs: check, with annotations beside the lines of a pull request.
set -euo pipefail
options=(--format github)
if [ -n "${NNX_COMPAT_TARGET:-}" ]; then options+=(--target "$NNX_COMPAT_TARGET"); fi
if [ -n "${NNX_COMPAT_BASELINE:-}" ]; then options+=(--baseline "$NNX_COMPAT_BASELINE"); fi
# the paths are a list: several are given with spaces between them
# shellcheck disable=SC2086
exec python3 "$(dirname "$0")/standalone.py" check "${options[@]}" ${NNX_COMPAT_PATHS:-.}
