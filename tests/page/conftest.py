"""The page's modules in Node.js, and the page itself as `python -m aslutils page` writes it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from aslutils.page import write
from aslutils.page.constants import constants
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
from aslutils.reading.tflite import FIXED


@pytest.fixture(scope="session")
def recognizer() -> Recognizer:
    """The kit's own model with its fixed shape."""
    return Recognizer(OWN_MODEL / FIXED)


@pytest.fixture(scope="session")
def in_node(recognizer, tmp_path_factory):
    """in_node(code, given): what a JavaScript module answers, which gets `given` as JSON; the page's modules lie beside it."""
    if not shutil.which("node"):
        pytest.skip("no Node.js: install it (with npm) to test the page's modules")
    folder = tmp_path_factory.mktemp("modules")
    shutil.copytree(write.HERE / "site", folder, dirs_exist_ok=True)
    (folder / "constants.js").write_text(constants(recognizer, []))
    (folder / "package.json").write_text('{"type": "module"}')

    def run(code: str, given) -> object:
        (folder / "test.js").write_text(f"import {{ readFileSync }} from 'node:fs';\n{code}\n"
                                        "console.log(JSON.stringify(await answer(JSON.parse(readFileSync(0)))));\n")
        done = subprocess.run(["node", "test.js"], cwd=folder, input=json.dumps(given), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> Path:
    """The page with the kit's own model."""
    if not shutil.which("npm"):
        pytest.skip("no npm: install Node.js with npm to test the page")
    return write.write_page(tmp_path_factory.mktemp("page") / "page")
