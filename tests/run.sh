#!/usr/bin/env bash
# All checks of the kit: sets up the environment once (as run_all.sh does), lints, runs the tests.
# Arguments go to pytest: tests/run.sh tests/test_augment.py -k mirror
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$here/run_all.sh" --setup
cd "$here"
export OMP_WAIT_POLICY=passive
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest "$@"
