"""A browser's visits to the page: headless Chromium, driven by playwright, with landmarks in place of MediaPipe's if wanted."""

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import numpy as np

from aslutils.page import write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
         "--use-fake-device-for-media-stream"]
PATIENCE = 900_000                 # milliseconds; a slow machine takes long for its pictures
# In place of MediaPipe: it finds one after another of `found`, then again the last; `pause` milliseconds each.
HANDED = """
    let shown = 0;
    window.found = %s;
    window.pause = 0;
    window.Holistic = class {
        setOptions(options) { window.options = options; }
        reset() {}
        async initialize() {}
        onResults(answer) { this.answer = answer; }
        async send() {
            await new Promise((resolve) => setTimeout(resolve, window.pause));
            this.answer(window.found[Math.min(shown++, window.found.length - 1)]);
        }
    };"""


@contextmanager
def served(folder: Path):
    """The address at which a folder is served."""
    with write.server(folder) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


class Chromium:
    """Headless Chromium: one for all visits that want no flags of their own."""

    def __init__(self, playwright):
        self.type = playwright.chromium
        self.plain = self.start()

    def start(self, *flags: str):
        return self.type.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])


class Visit:
    """A browser's visit to the page; remembers its requests and what its console said."""

    def __init__(self, chromium: Chromium, address: str, *flags: str, allow: bool = True, width: int = 1200, found=None,
                 **options):
        self.own = chromium.start(*flags) if flags else None
        self.address = address
        self.context = (self.own or chromium.plain).new_context(viewport={"width": width, "height": 900}, **options,
                                                permissions=["camera", "clipboard-read", "clipboard-write"] if allow else [])
        self.tab = self.context.new_page()
        self.requests, self.errors = [], []
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        if found is not None:
            self.tab.route("**/vendor/holistic/holistic.js", lambda route: route.fulfill(
                body=HANDED % json.dumps(found), content_type="text/javascript"))
        self.tab.goto(address)

    def __enter__(self):
        return self

    def __exit__(self, failed, *_):
        self.context.close()
        if self.own:
            self.own.close()
        if not failed:
            elsewhere = [url for url in self.requests if not url.startswith((self.address, f"blob:{self.address}", "data:"))]
            assert elsewhere == [], "nothing may leave the browser"

    def until(self, expression: str, given=None):
        """Wait until a JavaScript expression, or a function of `given`, is true."""
        self.tab.wait_for_function(expression, arg=given, timeout=PATIENCE)

    def says(self, *words: str) -> str:
        """Wait until the status holds one of the words; returns the status."""
        self.until("words => words.some(word => document.querySelector('#status').textContent.includes(word))", list(words))
        return self.tab.inner_text("#status")

    def listed(self, count: int = 1) -> list[str]:
        """The texts or reasons of the phrases, when there are so many."""
        self.until("count => document.querySelectorAll('#phrases li').length >= count", count)
        return self.tab.locator("#phrases li span").all_inner_texts()

    def landmarks(self, path: Path) -> np.ndarray:
        """The first phrase's landmarks, as the page saves them."""
        with self.tab.expect_download() as download:
            self.tab.locator("#phrases li button").first.click()
        download.value.save_as(path)
        return np.load(path)
