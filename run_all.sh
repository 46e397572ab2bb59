#!/usr/bin/env bash
# From landmark files to a scored, packaged TFLite model: sets up .venv once, then runs the five notebooks.
# ./run_all.sh --help lists the options; ./run_all.sh --setup only sets up.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$here/.venv"
done_mark="$venv/requirements.installed"

find_python() {
  if [ -n "${PYTHON:-}" ] && ! command -v "$PYTHON" >/dev/null; then echo "PYTHON=$PYTHON is not there" >&2; exit 1; fi
  for name in "${PYTHON:-}" python3 python3.12 python3.11; do
    if [ -n "$name" ] && "$name" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "Python 3.11 or 3.12 is needed and was not found; install one, or name it: PYTHON=/path/to/python ./run_all.sh" >&2
  exit 1
}

installed() { cat "$here/requirements.txt"; echo "# in $here"; }     # the set-up names its folder: a renamed one is set up again

set_up() {
  if [ "$(installed)" = "$(cat "$done_mark" 2>/dev/null)" ]; then return; fi
  local python
  python=$(find_python)
  echo "Setting up .venv with $("$python" --version) (once; about 3 GB and some minutes) ..."
  rm -f "$done_mark"
  "$python" -m venv "$venv"                       # repairs an interrupted one, leaves a complete one as it is
  # Most modules are never imported; those that are get compiled then, unless that is forbidden.
  local compile=--no-compile
  if [ -n "${PYTHONDONTWRITEBYTECODE:-}" ]; then compile=--compile; fi
  "$venv/bin/python" -m pip install --quiet --quiet "$compile" --disable-pip-version-check --requirement "$here/requirements.txt"
  "$venv/bin/python" -m ipykernel install --prefix "$venv" --name python3 --display-name "Python 3 (aslutils)" >/dev/null
  installed > "$done_mark"
  echo "Set up in $SECONDS s."
}

export ASLUTILS_PROGRAM=run_all.sh PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
case " $* " in
  *" --help "* | *" -h "*) python=$(find_python); exec "$python" -m aslutils run --help ;;
esac
set_up
[ "${1:-}" = "--setup" ] && exit 0
# glibc: keep freed memory for the next batch instead of returning it to the kernel and asking again.
export MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-2000000000}" MALLOC_MMAP_THRESHOLD_="${MALLOC_MMAP_THRESHOLD_:-1000000000}"
exec "$venv/bin/python" -m aslutils run "$@"
