#!/usr/bin/env bash
# All checks of the kit: sets up the environments once (.venv as run_all.sh does, .venv-video for videos), lints, runs the tests.
#   tests/run.sh              everything
#   tests/run.sh --quick      what a change needs first, in under 90 s; says what it left out
#   tests/run.sh tests/data/test_augment.py -k mirror      other arguments go to pytest
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$here/run_all.sh" --setup
cd "$here"

set_up_video() {
  if cmp -s requirements-video.txt .venv-video/requirements.installed; then return; fi
  echo "Setting up .venv-video (once; about 1 GB, under a minute) ..."
  .venv/bin/python -m venv .venv-video &&
    .venv-video/bin/python -m pip install --quiet --quiet --disable-pip-version-check --requirement requirements-video.txt &&
    cp requirements-video.txt .venv-video/requirements.installed &&
    echo "Set up in $SECONDS s." || echo "MediaPipe cannot be installed here: the tests that read videos are skipped." >&2
}
[ "${1:-}" = "--quick" ] || set_up_video

export OMP_WAIT_POLICY=passive
.venv/bin/python -m ruff check .
.venv/bin/lint-imports --no-logo --no-cache
[ $# -gt 0 ] || set -- --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
exec .venv/bin/python -m pytest "$@"
