#!/usr/bin/env bash
# All checks of the kit: sets up the environments once (.venv as run_all.sh does, .venv-video for videos), lints, runs the tests.
# Arguments go to pytest: tests/run.sh tests/test_augment.py -k mirror
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
set_up_video

export OMP_WAIT_POLICY=passive
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest "$@"
