"""The one door: every command has its help, imports only what it needs, and ends as the door says."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from aslutils import __main__ as door
from aslutils.run.place import KIT
from aslutils.system.errors import TimeLimit, UserError

NAMES = ["demo", "folds", "kaggle", "page", "prepare", "read", "report", "run", "score", "train", "weights"]


def command(*arguments, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "aslutils", *map(str, arguments)], cwd=KIT, capture_output=True, text=True,
                          **options)


def test_help_lists_every_command_and_comes_at_once():
    code = ("import sys, json, aslutils.__main__ as door\ntry: door.main(['--help'])\nexcept SystemExit: pass\n"
            "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))))")
    done = subprocess.run([sys.executable, "-c", code], cwd=KIT, capture_output=True, text=True, check=True)
    told, _, imported = done.stdout.rstrip().rpartition("\n")
    ours = {name for name in json.loads(imported) if not name.startswith(("_", "sitecustomize", "distutils"))}
    assert ours <= {"aslutils", "matplotlib", "google"}           # the latter two: what the environment's .pth files bring
    assert sorted(door.COMMANDS) == NAMES
    for name, (words, *_) in door.COMMANDS.items():
        assert f"{name} " in told and words in told


@pytest.mark.parametrize("name", [*NAMES, "kaggle kernels", "kaggle download", "kaggle publish"])
def test_each_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as ended:
        door.main([*name.split(), "--help"])
    assert ended.value.code == 0 and f"aslutils {name}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments, words", [
    ([], "required: COMMAND"), (["reed"], "invalid choice: 'reed'"), (["--fast", "read"], "unrecognized arguments: --fast"),
    (["page", "OUT", "--port", "99999"], "'99999' is not a whole number of at least 0 and at most 65535"),
    (["read"], "required: file"), (["train", "round3"], "invalid choice: 'round3'"), (["train"], "required: round"),
])
def test_wrong_options_end_with_2(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        door.main(arguments)
    assert ended.value.code == 2 and words in capsys.readouterr().err


def ending(monkeypatch, error) -> int:
    """How the door ends when a command raises `error`."""
    def do(options):
        raise error
    monkeypatch.setitem(door.COMMANDS, "report", ("write", lambda parser: None, do, "start it again"))
    return door.main(["report"])


@pytest.mark.parametrize("error, code, words", [
    (UserError("a.csv lacks the column path; add it"), 1, "a.csv lacks the column path; add it"),
    (FileNotFoundError(2, "No such file or directory", "a.csv"), 1, "a.csv: No such file or directory"),
    (OSError(28, "no space left while writing a.csv"), 1, "no space left while writing a.csv"),
    (FileNotFoundError("there is no submission a.zip"), 1, "there is no submission a.zip"),
    (TimeLimit("stopped with a checkpoint"), 3, "stopped with a checkpoint"),
    (KeyboardInterrupt(), 130, "Interrupted; start it again."),
])
def test_what_a_person_can_put_right_is_one_line(error, code, words, monkeypatch, capsys):
    assert ending(monkeypatch, error) == code
    assert capsys.readouterr().err == words + "\n"


@pytest.mark.parametrize("error", [ValueError("operands could not be broadcast"), KeyError("path"), ImportError("no name 'x'")])
def test_a_bug_is_a_traceback(error, monkeypatch):
    with pytest.raises(type(error)):
        ending(monkeypatch, error)


def test_a_reader_that_goes_away_is_no_error():
    for closing in ("| head -1", ">&-", "2>&- | head -1"):
        script = f"set -o pipefail; {sys.executable} -m aslutils --help {closing}"
        done = subprocess.run(["bash", "-c", script], cwd=KIT, capture_output=True, text=True)
        assert "Error" not in done.stderr and done.returncode in (0, 141), closing
    lines = (f"import sys, aslutils.__main__ as door\ndoor.COMMANDS['report'] = ('x', lambda parser: None, {_MANY}, '')\n"
             "sys.exit(door.main(['report']))")
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {sys.executable} -c \"$CODE\" | head -1"], cwd=KIT,
                          capture_output=True, text=True, env={**os.environ, "CODE": lines})
    assert done.returncode == 141 and done.stderr == "" and done.stdout == "line\n"


_MANY = "lambda options: [print('line') for _ in range(200000)]"


@pytest.mark.slow
def test_ctrl_c_is_one_line_that_says_how_to_go_on(tmp_path):
    command = [sys.executable, "-m", "aslutils", "demo", str(tmp_path / "out"), "--sequences", "4000"]
    process = subprocess.Popen(command, cwd=KIT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("out/train_landmarks/.*.part")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and said.rstrip().endswith("Interrupted; start the same command again to go on.")
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_package_installs_the_command_and_says_what_needs_the_notebooks(tmp_path):
    source, target = tmp_path / "kit", tmp_path / "site"
    shutil.copytree(KIT / "aslutils", source / "aslutils", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(KIT / "pyproject.toml", source)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(source)],
                   check=True, capture_output=True)

    def installed(*arguments):
        return subprocess.run([str(target / "bin" / "aslutils"), *arguments], capture_output=True, text=True, cwd=tmp_path,
                              env={**os.environ, "PYTHONPATH": str(target)})

    assert "read landmark files" in installed("--help").stdout
    without_notebooks = installed("train", "round1")
    assert without_notebooks.returncode == 1 and "run this from the kit's own folder" in without_notebooks.stderr
    without_profiles = installed("run")
    assert without_profiles.returncode == 2 and "params: run this from the kit's own folder" in without_profiles.stderr
