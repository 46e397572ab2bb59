#!/usr/bin/env bash
# All checks of the kit: sets up once what they need (.venv as run_all.sh does, .venv-video for videos, chromium and npm for the
# page), lints, runs the tests.
#   tests/run.sh              everything
#   tests/run.sh --quick      what a change needs first, in under 90 s; says what it left out
#   tests/run.sh tests/data/test_augment.py -k mirror      other arguments go to pytest
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
unset PYTHONDONTWRITEBYTECODE              # some images set it: every process would compile torch and TensorFlow anew
cd "$here"

set_up_video() {
  if cmp -s requirements-video.txt .venv-video/requirements.installed; then return; fi
  while [ ! -x .venv/bin/python ] && kill -0 $$ 2>/dev/null; do sleep 1; done
  if [ ! -x .venv/bin/python ]; then return; fi
  echo "Setting up .venv-video (once; about 1 GB, under a minute) ..."
  .venv/bin/python -m venv .venv-video &&
    .venv-video/bin/python -m pip install --quiet --quiet --no-compile --disable-pip-version-check --requirement requirements-video.txt &&
    cp requirements-video.txt .venv-video/requirements.installed &&
    echo "Set up .venv-video in $SECONDS s." || echo "MediaPipe cannot be installed here: the tests that read videos are skipped." >&2
}
set_up_browser() {
  local name missing=()
  for name in chromium npm; do command -v "$name" >/dev/null || missing+=("$name"); done
  if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing ${missing[*]} (once; up to 600 MB) ..."
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}") >/dev/null 2>&1 || true
  fi
  if command -v chromium >/dev/null && command -v npm >/dev/null; then return; fi
  echo "chromium or npm is missing (apt-get install chromium npm): the tests of the page in a browser are skipped." >&2
}

if [ "${1:-}" != "--quick" ]; then set_up_browser & set_up_video & fi    # while .venv is set up
./run_all.sh --setup
wait

export OMP_WAIT_POLICY=passive
if [ $# = 0 ]; then
  export OMP_NUM_THREADS=1                 # every core has a process of tests already
  # One process more than cores, at most 4: tests also wait, for what they start.
  set -- --numprocesses $(($(nproc) + 1)) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
fi
.venv/bin/python -m ruff check .
.venv/bin/lint-imports --no-logo --no-cache
exec .venv/bin/python -m pytest "$@"
