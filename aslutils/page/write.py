"""Write the page to a folder that any static host can serve, and serve it here."""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aslutils.page.constants import constants
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
from aslutils.reading.tflite import FIXED
from aslutils.system.errors import MissingPackage, UserError
from aslutils.system.files import writable
from aslutils.system.progress import progress

HERE = Path(__file__).parent
WRITTEN = "constants.js"                            # marks a folder as a page, which may be written again
BEGUN = ".aslutils-page-"                           # begins the name of a folder of files that are not yet in their places
STAMP = "stamp"                                     # of what npm fetched
_LITERT = "node_modules/@litertjs"
_HOLISTIC = "node_modules/@mediapipe/holistic"
VENDORED = {                                        # of the npm packages, what the page needs -> where it lies there
    f"{_LITERT}/core/dist/index.js": "litert/index.js",
    f"{_LITERT}/wasm-utils/dist/index.js": "litert/wasm-utils.js",
    **{f"{_LITERT}/core/wasm/litert_wasm_{kind}.{suffix}": f"litert/wasm/litert_wasm_{kind}.{suffix}"
       for kind in ("internal", "compat_internal") for suffix in ("js", "wasm")},
    **{f"{_HOLISTIC}/{name}": f"holistic/{name}" for name in (
        "holistic.js", "holistic.binarypb", "holistic_solution_packed_assets.data", "holistic_solution_packed_assets_loader.js",
        "holistic_solution_simd_wasm_bin.js", "holistic_solution_simd_wasm_bin.wasm", "holistic_solution_simd_wasm_bin.data",
        "pose_landmark_lite.tflite")},
}
LOADED = ("holistic_solution_packed_assets.data", "holistic_solution_simd_wasm_bin.wasm", "pose_landmark_lite.tflite",
          "litert_wasm_internal.wasm", FIXED)       # large files that every browser needs
NOTICE = """The files in litert are @litertjs/core and @litertjs/wasm-utils, those in holistic are @mediapipe/holistic:
Copyright Google LLC, Apache License 2.0 (LICENSE in the folder above). Only the path of an import in litert/index.js was changed.
"""


def write_page(out, model=None) -> Path:
    """Write the page, with a model, to the folder `out`. Returns it.

    model: the folder of an export that holds `model_fixed.tflite`; None: the model that comes with the kit. The files of a page
    that is there are replaced; whatever else lies beside them, such as `.git` or `CNAME`, stays. Raises UserError or
    FileNotFoundError for a model that the page cannot run, a folder of other files, a missing npm.
    """
    out, folder = Path(out), OWN_MODEL if model is None else Path(model)
    path = folder if folder.suffix == ".tflite" else folder / FIXED
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path}; notebook 04 writes it where fixed_frames is not 0")
    recognizer = Recognizer(path)
    if recognizer.model.frames == -1:
        raise UserError(f"{path} has no fixed shape; give the folder of an export that holds {FIXED}")
    new = not out.exists() or out.is_dir() and all(path.name.startswith(BEGUN) for path in out.iterdir())
    if not new and not (out / WRITTEN).is_file():
        raise UserError(f"{out} holds other files; give a new folder")
    near = writable(out.resolve() if out.exists() else out.resolve().parent)     # files are moved within one file system only
    with tempfile.TemporaryDirectory(dir=near, prefix=BEGUN) as temporary:
        page = Path(temporary) / "page"
        shutil.copytree(HERE / "site", page, copy_function=shutil.copyfile)      # of now: browsers compare times
        shutil.copyfile(path, page / FIXED)
        _vendor(page / "vendor", out / "vendor")
        files = sorted(file for file in page.rglob("*") if file.name in LOADED)
        assets = [(file.relative_to(page).as_posix(), file.stat().st_size) for file in files]
        (page / WRITTEN).write_text(constants(recognizer, assets), encoding="utf-8")
        if new:
            out.mkdir(exist_ok=True)
            (page / WRITTEN).replace(out / WRITTEN)               # first: what is interrupted now can be written again
        else:
            (out / "vendor" / STAMP).unlink(missing_ok=True)      # until all of it is there
        files = [file for file in page.rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda file: (file.name == STAMP, file.name == WRITTEN)):
            place = out / file.relative_to(page)
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    for left in out.glob(f"{BEGUN}*"):                            # of a call that was killed
        shutil.rmtree(left)
    return out


def _vendor(folder: Path, earlier: Path):
    """Fill the folder with what the page needs of the npm packages: a copy of the earlier page's, or fetched by npm."""
    stamp = hashlib.sha256((HERE / "package-lock.json").read_bytes() + repr(VENDORED).encode()).hexdigest()
    complete = all((earlier / place).is_file() for place in (STAMP, *VENDORED.values()))
    if complete and (earlier / STAMP).read_text() == stamp:
        shutil.copytree(earlier, folder)
        return
    if not shutil.which("npm"):
        raise MissingPackage("the page needs npm, which comes with Node.js 18 or later, to fetch MediaPipe and LiteRT.js")
    with tempfile.TemporaryDirectory() as fetched:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, fetched)
        with progress(total=None, what="npm ci: MediaPipe and LiteRT.js, about 100 MB", unit="packages"):
            done = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=fetched, capture_output=True,
                                  text=True)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise UserError(f"npm ci failed: {' '.join(lines[:3]) or f'exit code {done.returncode}'}")
        for source, place in VENDORED.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(Path(fetched) / source, folder / place)
    litert = folder / "litert" / "index.js"                                      # browsers need a path to import
    litert.write_text(litert.read_text(encoding="utf-8").replace('"@litertjs/wasm-utils"', '"./wasm-utils.js"'), encoding="utf-8")
    (folder / "NOTICE").write_text(NOTICE, encoding="utf-8")
    (folder / STAMP).write_text(stamp)


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".wasm": "application/wasm", ".js": "text/javascript"}

    def end_headers(self):
        """Browsers ask again for what they have: a page that is written again is not mixed with the one before."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *_):
        """Nothing is logged: a page that works is quiet."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A browser that goes away in the middle, as one does when a page is loaded again, is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def server(folder, port: int = 0) -> ThreadingHTTPServer:
    """An HTTP server of a folder on 127.0.0.1, not yet running; port 0: any free one."""
    return _Server(("127.0.0.1", port), partial(_Handler, directory=str(folder)))


def serve(folder, port: int = 0):
    """Serve a folder on 127.0.0.1 until Ctrl-C; prints the address."""
    with server(folder, port) as running:
        print(f"http://127.0.0.1:{running.server_port}/   (Ctrl-C to stop)", flush=True)
        running.serve_forever()
