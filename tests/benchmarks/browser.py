"""How fast the page is in Chromium here: MediaPipe's pictures a second, and the time to read 384 frames in the worker.

    python tests/benchmarks/browser.py [--model EXPORT] [--pictures 10] [--readings 10]

MediaPipe Holistic looks at matplotlib's sample photo; the model reads the clip that comes with the kit, repeated to 384 frames.
Without a GPU, Chromium draws on the CPU (SwiftShader), where MediaPipe computes in WebAssembly. Medians, after one call that
prepares. Needs npm, chromium and playwright.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from threading import Thread

import matplotlib
import numpy as np
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aslutils.page import write
from aslutils.reading.recognizer import OWN_MODEL
from aslutils.task.preprocess import MAX_FRAMES

FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
MEASURE = """async ({ frames, pictures, readings }) => {
    const [{ download }, { loadHolistic }, { Reader }] =
        await Promise.all(["download", "holistic", "reader"].map((name) => import(`./${name}.js`)));
    const assets = await download(() => {});
    const time = async (count, work) => {
        const times = [];
        for (let call = 0; call <= count; call++) {
            const began = performance.now();
            await work(call);
            times.push(performance.now() - began);
        }
        return times.slice(1).sort((a, b) => a - b)[Math.floor(count / 2)];
    };
    const reader = await Reader.load(assets);
    const rows = frames.map((row) => Float32Array.from(row, (value) => value ?? NaN));
    const reading = await time(readings, () => reader.read(rows, false));
    const photo = Object.assign(new Image(), { src: "photo.jpg" });
    await photo.decode();
    const canvas = Object.assign(document.createElement("canvas"), { width: photo.width, height: photo.height });
    canvas.getContext("2d").drawImage(photo, 0, 0);
    const holistic = await loadHolistic(assets);
    const picture = await time(pictures, (call) => holistic.find(canvas, call * 33));
    return { reading, picture, text: (await reader.read(rows, false)).text };
}"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, help="an export with a fixed shape (default: the kit's own model)")
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--readings", type=int, default=10)
    options = parser.parse_args()

    clip = np.resize(np.load(OWN_MODEL / "clip.npy").astype(float), (MAX_FRAMES, 390))
    frames = np.where(np.isnan(clip), None, clip.astype(object)).tolist()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = write.write_page(Path(folder) / "page", options.model)
        shutil.copy(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg", page / "photo.jpg")
        (page / "blank.html").write_text("<!DOCTYPE html><title>Benchmark</title>")
        with write.server(page) as running:
            Thread(target=running.serve_forever, daemon=True).start()
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            tab = browser.new_page()
            tab.goto(f"http://127.0.0.1:{running.server_port}/blank.html")
            found = tab.evaluate(MEASURE, {"frames": frames, "pictures": options.pictures, "readings": options.readings})
            browser.close()
            running.shutdown()
    print(f"MediaPipe Holistic: {1000 / found['picture']:.1f} pictures a second")
    print(f"a reading of {MAX_FRAMES} frames: {found['reading']:.0f} ms   ({found['text']!r})")


if __name__ == "__main__":
    main()
