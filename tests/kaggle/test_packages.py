"""What Kaggle's image may lack: fetched with the real pip, found beside the kit, and only where the image has none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_tflite import frame_count_model

from aslutils.__main__ import main
from aslutils.kaggle.packages import PYTHON, fetch_packages
from aslutils.run.place import KIT
from aslutils.system.packages import PACKAGES

pytestmark = pytest.mark.slow

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def image(tmp_path):
    """Variables under which Python sees all that is installed here, but not PACKAGES, as a Kaggle image that lacks them."""
    folder = tmp_path / "image"
    folder.mkdir()
    (installed,) = {path for path in map(Path, sys.path) if (path / "torch").is_dir()}
    for entry in installed.iterdir():
        if not entry.name.lower().replace("-", "_").startswith(tuple(PACKAGES)):
            (folder / entry.name).symlink_to(entry)
    return {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(folder), "KAGGLE_KERNEL_RUN_TYPE": "Batch"}


def attached(folder: Path) -> Path:
    """The kit as an attached data set, without packages."""
    shutil.copytree(KIT / "aslutils", folder / "aslutils", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def python(code: str, kit: Path, environment: dict, *arguments) -> subprocess.CompletedProcess:
    """Run `code` with the kit on the path, in a Python that has nothing installed but what the environment names."""
    bare = Path(sys.base_prefix) / "bin" / f"python{HERE}"
    return subprocess.run([bare, "-c", f"import sys; sys.path.insert(0, {str(kit)!r})\n{code}", *map(str, arguments)],
                          env=environment, capture_output=True, text=True, cwd=kit)


READ = """
import numpy as np, aslutils, rapidfuzz
from aslutils.task.metric import score
from aslutils.reading.tflite import Model
print(rapidfuzz.__file__, score(["abcd"], ["abcx"]), Model(sys.argv[1])(np.zeros((3, 390), np.float32))["outputs"].shape)
"""


def fetched(folder, **options):
    """The packages, where pip can fetch anything at all: what goes wrong then is a fault."""
    asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder.parent / "asked", "rapidfuzz"]
    if subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("packages can be fetched with internet only, and pip reaches none")
    return fetch_packages(folder, **options)


def test_an_image_that_lacks_them_reads_what_pip_fetched(image, tmp_path):
    kit = attached(tmp_path / "kit")
    fetched(kit / "packages" / HERE, python=HERE)
    (tmp_path / "model.tflite").write_bytes(frame_count_model(390))
    done = python(READ, kit, image, tmp_path / "model.tflite")
    assert done.returncode == 0, done.stderr
    place, score, steps = done.stdout.split(maxsplit=2)
    assert Path(place).is_relative_to(kit / "packages") and score == "0.75" and steps == "(3, 63)\n"


def test_they_are_fetched_once_for_kaggles_python_and_nothing_that_the_image_has(tmp_path, monkeypatch):
    folder = fetched(tmp_path / "packages" / PYTHON)
    assert {path.name.partition("-")[0].lower() for path in folder.glob("*.dist-info")} == set(PACKAGES)
    tags = "".join(path.read_text() for path in folder.glob("*.dist-info/WHEEL"))
    assert tags.count("Tag: cp312-cp312-manylinux") >= len(PACKAGES)
    monkeypatch.setattr("subprocess.run", None)
    assert fetch_packages(folder) == folder


def test_without_internet_it_says_what_to_do_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    for name, value in {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    assert main(["kaggle", "kernels", "--user", "signer", "--out", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert "pip cannot fetch rapidfuzz and ai-edge-litert" in said and "--no-packages" in said
    assert "pip's output:\nERROR" in said.replace("\n\n", "\n") and not list(tmp_path.rglob("packages/*"))


def test_what_the_image_has_comes_first(tmp_path):
    kit = attached(tmp_path / "kit")
    for name in ("rapidfuzz", "nowhere_else"):
        (kit / "packages" / HERE / name).mkdir(parents=True)
        (kit / "packages" / HERE / name / "__init__.py").touch()
    code = "import aslutils, nowhere_else, rapidfuzz; print(aslutils.__file__, nowhere_else.__file__, rapidfuzz.__file__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=kit, env={}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, brought, installed = (Path(place).is_relative_to(kit) for place in done.stdout.split())
    assert ours and brought and not installed


def test_an_uploaded_folder_on_an_image_that_lacks_them_says_in_one_line_how_to_go_on(image, tmp_path):
    kit = attached(tmp_path / "kit")
    done = python("import aslutils", kit, image)
    (told,) = [line for line in done.stderr.splitlines() if line.startswith("aslutils.system.errors.MissingPackage")]
    assert f"(Python {HERE}) lacks rapidfuzz and ai-edge-litert" in told and "!pip install rapidfuzz ai-edge-litert" in told
