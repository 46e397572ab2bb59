"""The page in headless Chromium: a drawn person spells before a fake camera and in a video file, and Python reads the same.

Needs npm, Debian's chromium, playwright, and .venv-video, in which the clips are drawn; what is missing is said. MediaPipe
takes time on a processor, so only one test waits for it; the others hand the page landmarks in its place.
"""

import json
import re
import shutil
import subprocess
import wave
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from visits import CHROMIUM, PATIENCE, Chromium, Visit, served

from aslutils.page.constants import SPOKEN
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
from aslutils.reading.tflite import FIXED
from aslutils.task.landmarks import HANDS, HOLISTIC, LANDMARKS
from aslutils.task.rejection import Verdict

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-video" / "bin" / "python"
FOUND = {"face": "faceLandmarks", "left_hand": "leftHandLandmarks", "pose": "poseLandmarks", "right_hand": "rightHandLandmarks"}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    if not (ROOT / ".venv-video" / "requirements.installed").exists():
        pytest.skip("no .venv-video: tests/run.sh sets it up; the page's clips are drawn in it")
    folder = tmp_path_factory.mktemp("clips")
    subprocess.run([PYTHON, "tests/helpers/draw_clips.py", "--page", folder], cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(page):
    with served(page) as address:
        yield address


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM:
        pytest.skip("no chromium: install Debian's package to test the page in a browser")
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install playwright to test the page in a browser")
    with api.sync_playwright() as running:
        yield Chromium(running)


def as_python_says(shown: str, landmarks: np.ndarray) -> bool:
    """Whether Python reads what the page shows, or, where it is undecided between texts, one of them.

    MediaPipe finds a drawn hand roughly, so two texts can be equally likely; then rounding decides, and browsers round otherwise.
    Python is undecided when it reads different texts after moving the landmarks by about a quarter of a pixel.
    """
    rng, recognizer = np.random.default_rng(0), Recognizer()
    first = recognizer.read(landmarks)
    if shown == (first.text or first.verdict.value):
        return True
    moved = (landmarks + 4e-4 * rng.standard_normal(landmarks.shape) for _ in range(40))
    readings = [first, *(recognizer.read(variant) for variant in moved)]
    texts = {reading.text or reading.verdict.value for reading in readings}
    print(f"the page shows {shown!r}, Python reads {texts}")           # seen if the test fails
    return shown in texts


def test_a_camera_and_then_a_video_file_are_read_as_python_reads_their_landmarks_without_a_network(chromium, address, clips,
                                                                                                   tmp_path):
    with Visit(chromium, address, f"--use-file-for-fake-video-capture={clips / 'short.y4m'}") as visit:
        visit.says("Ready")
        visit.context.set_offline(True)
        visit.tab.click("#start")
        visit.until("document.querySelector('#text').textContent || document.querySelector('#percent').textContent")
        visit.until("document.querySelector('#rate').textContent.includes('frames a second')")
        visit.tab.click("#start", timeout=PATIENCE)
        assert visit.says("Stopped") == "Stopped."
        (shown, *_) = visit.listed()
        assert as_python_says(shown, visit.landmarks(tmp_path / "camera.npy"))
        visit.tab.click("#clear")
        assert visit.tab.locator("#phrases li").count() == 0 and visit.tab.is_disabled("#copy")

        visit.tab.set_input_files("#file", clips / "short.webm")
        visit.says("The video is read")
        (shown,) = visit.listed()
        landmarks = visit.landmarks(tmp_path / "video.npy")
        assert len(landmarks) >= 15 and as_python_says(shown, landmarks)
        assert visit.tab.locator("#phrases .phrase").count() == (shown not in {verdict.value for verdict in Verdict})
        assert visit.errors == []


def results(columns: np.ndarray, size: float = 1.0) -> list[dict]:
    """Columns (T, 390) as Holistic would find them, for the page; what is not seen is left out. size: of the hands."""
    frames = columns.reshape(len(columns), 3, len(LANDMARKS)).transpose(0, 2, 1).astype(float)
    middle = np.nanmean(np.where(np.isfinite(frames[:, HANDS]), frames[:, HANDS], np.nan), axis=1, keepdims=True)
    frames[:, HANDS] = middle + size * (frames[:, HANDS] - middle)
    found = []
    for points in frames:
        parts = {}
        for (part, index), point in zip(LANDMARKS, points):
            if np.isfinite(point).all():
                parts.setdefault(FOUND[part], [None] * HOLISTIC[part])[index] = dict(zip("xyz", point.round(5).tolist()))
        found.append({name: [point or {"x": 0, "y": 0, "z": 0} for point in points] for name, points in parts.items()})
    return found


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    """The clip that comes with the kit, which spells `hello`."""
    return np.load(OWN_MODEL / "clip.npy").astype(np.float32)


@pytest.fixture(scope="module")
def away(clip) -> list[dict]:
    """A second and more in which no hand is seen."""
    return [{name: part for name, part in results(clip[:1])[0].items() if "Hand" not in name}] * 45


def test_phrases_end_by_themselves_when_the_hand_goes_down(chromium, address, clip, away):
    with Visit(chromium, address, found=[*results(clip), *away, *results(clip), *away]) as visit:
        visit.says("Ready")
        visit.tab.click("#start")
        assert visit.listed(2)[:2] == ["hello"] * 2 and visit.tab.locator("#phrases .phrase").count() == 2
        assert visit.tab.inner_text("#text") == "hello" and "% sure" in visit.tab.inner_text("#percent")
        assert visit.says(SPOKEN["unseen"]) and visit.tab.inner_text("#start") == "Stop"
        visit.tab.click("#copy")
        assert visit.tab.evaluate("navigator.clipboard.readText()").split() == ["hello"] * 2
        assert visit.tab.inner_text("#copied") == "Copied 2 phrases."
        assert visit.errors == []


@contextmanager
def practising(chromium, page: Path, folder: Path, words: list[str], found: list[dict]):
    """A visit to a copy of the page whose only words are these, with practice and the camera on."""
    alone = shutil.copytree(page, folder / "page")
    with (alone / "constants.js").open("a") as constants:
        constants.write(f"WORDS.splice(0, WORDS.length, ...{json.dumps(words)});\n")
    with served(alone) as address, Visit(chromium, address, found=found) as visit:
        visit.says("Ready")
        visit.tab.click("#practise")
        visit.tab.click("#start")
        yield visit


ALL_LIT = "document.querySelectorAll('#word li').length === document.querySelectorAll('#word li.lit').length"


def test_letters_light_up_as_they_are_read(chromium, page, tmp_path, clip, away):
    with practising(chromium, page, tmp_path, ["hello"], [*results(clip), *away]) as visit:
        visit.until(ALL_LIT)
        assert visit.says(SPOKEN["spelled"])
        assert visit.tab.locator("#word li.lit").count() == 5 and visit.tab.inner_text("#hint") == "The word is spelled."


@pytest.mark.parametrize("state", ["far", "slow", "dark", "unseen"])
def test_what_hinders_reading_is_said_in_words(chromium, address, clip, away, tmp_path, state):
    found = {"far": results(clip, 0.2) * 20, "unseen": away}.get(state, results(clip) * 20)
    black, frame = tmp_path / "black.y4m", b"FRAME\n" + bytes(64 * 48) + b"\x80" * (2 * 32 * 24)
    black.write_bytes(b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420mpeg2\n" + 30 * frame)
    flags = [f"--use-file-for-fake-video-capture={black}"] if state == "dark" else []
    with Visit(chromium, address, *flags, found=found) as visit:
        visit.says("Ready")
        if state == "slow":
            visit.tab.evaluate("window.pause = 250")
        assert visit.tab.evaluate("window.options.useCpuInference") is True      # SwiftShader is software
        visit.tab.click("#start")
        assert visit.says(SPOKEN[state])


def test_stopping_lists_the_phrase_under_way_and_another_source_begins_afresh(chromium, address, clip):
    with Visit(chromium, address, found=results(clip)) as visit:
        visit.says("Ready")
        visit.tab.click("#start")
        visit.until("document.querySelector('#text').textContent.length > 2")
        visit.tab.click("#flip")
        assert len(visit.listed()) == 1 and visit.tab.inner_text("#start") == "Stop"
        visit.tab.click("#start")
        assert visit.says("Stopped") and not visit.tab.evaluate("document.querySelector('#video').srcObject?.active ?? false")


def test_it_has_stopped_when_the_phrase_under_way_is_listed(chromium, address, clip):
    with Visit(chromium, address, found=results(clip)) as visit:
        visit.says("Ready")
        visit.tab.click("#start")
        visit.until("document.querySelector('#text').textContent.length > 2")
        visit.tab.evaluate("""() => {                       // the reader takes a second longer
            const post = Worker.prototype.postMessage;
            Worker.prototype.postMessage = function (...message) { setTimeout(() => post.apply(this, message), 1000); };
        }""")
        visit.tab.click("#start")
        assert visit.says("Stopped") and visit.tab.locator("#phrases li").count() == 1


OPENED = """() => {
    window.tracks = [];
    window.live = [];                      // how many cameras were open when another was asked for
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        window.live.push(window.tracks.filter((track) => track.readyState === "live").length);
        const stream = window.silent ? new MediaStream([new MediaStreamTrackGenerator({ kind: "video" })]) : await ask(wanted);
        window.tracks.push(...stream.getTracks());
        return stream;
    };
}"""


def test_a_camera_is_closed_before_another_is_opened_even_if_it_never_gave_a_picture(chromium, address, clip):
    with Visit(chromium, address, found=results(clip)) as visit:
        visit.says("Ready")
        visit.tab.evaluate(OPENED)
        visit.tab.click("#start")
        visit.until("document.querySelector('#text').textContent.length > 2")
        visit.tab.evaluate("window.silent = true")
        visit.tab.click("#flip")
        assert visit.says(SPOKEN["blind"]) and visit.tab.evaluate("window.live") == [0, 0]
        visit.tab.click("#start")
        assert visit.says("Stopped")
        visit.until("window.tracks.every(track => track.readyState === 'ended')")
        assert visit.errors == []


def test_a_word_that_is_taken_while_the_hand_is_up_counts_from_there(chromium, page, tmp_path, clip):
    with practising(chromium, page, tmp_path, ["hello", "hell"], results(clip) * 10) as visit:
        visit.until(ALL_LIT)
        word = visit.tab.locator("#word li").count()
        visit.tab.click("#next")
        assert visit.tab.locator("#word li.lit").count() == 0 and visit.tab.locator("#word li").count() != word
        visit.until(ALL_LIT)                   # of the same phrase's frames: the hand was never away for long


def test_the_programs_of_the_documentation_run_beside_the_page(chromium, page, tmp_path, clip):
    shutil.copytree(page, tmp_path / "PAGE")
    (program,) = re.findall(r"```javascript\n(.*?)```", (ROOT / "docs" / "using.md").read_text(), re.DOTALL)
    given = f"const results = {json.dumps(results(clip))};\n"
    (tmp_path / "index.html").write_text(f'<!DOCTYPE html><script type="module">{given}{program}</script>')
    with served(tmp_path) as address, Visit(chromium, "about:blank") as visit:
        visit.address = address
        with visit.tab.expect_console_message(lambda said: said.text.startswith("hello"), timeout=PATIENCE):
            visit.tab.goto(address)
        assert not [url for url in visit.requests if "holistic" in url]


def test_what_cannot_be_loaded_or_fails_without_a_word_is_said(chromium, address):
    with Visit(chromium, "about:blank") as visit:
        visit.tab.route("**/*.wasm", lambda route: route.abort())
        visit.tab.goto(address)
        assert "cannot be loaded: check the connection" in visit.says("connection") and visit.tab.is_hidden("#progress")
        visit.address = address
    with Visit(chromium, "about:blank") as visit:
        visit.tab.route("**/holistic_solution_simd_wasm_bin.js", lambda route: route.abort())
        visit.tab.goto(address)
        assert visit.says("MediaPipe cannot be loaded").endswith(": check the connection, and load the page again.")
        visit.address = address
    with Visit(chromium, address, found=[{}]) as visit:
        visit.says("Ready")
        visit.tab.evaluate("() => { window.Holistic.prototype.send = () => Promise.reject('5251 - no catching'); }")
        visit.tab.click("#start")
        assert visit.says("5251") and visit.tab.inner_text("#start") == "Start camera"


def test_a_refused_camera_is_said_in_words(chromium, address):
    with Visit(chromium, address, allow=False, found=[{}]) as visit:
        visit.says("Ready")
        refuse = "Promise.reject(new DOMException('no', 'NotAllowedError'))"
        visit.tab.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = () => {refuse}; }}")
        visit.tab.click("#start")
        assert visit.says("not allowed").startswith("The camera was not allowed. Allow it in the browser's settings")
        assert "error" in visit.tab.get_attribute("#status", "class") and visit.tab.inner_text("#start") == "Start camera"


def test_a_camera_that_vanishes_is_said_in_words(chromium, address, clip):
    with Visit(chromium, address, found=results(clip)) as visit:
        visit.says("Ready")
        visit.tab.click("#start")
        visit.until("document.querySelector('#video').srcObject")
        visit.tab.evaluate("document.querySelector('#video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
        assert visit.says("disconnected") == "The camera was disconnected. Connect it, and start again."


def test_practice_works_by_keyboard_on_a_phone_in_the_dark(chromium, address):
    with Visit(chromium, address, width=360, color_scheme="dark", found=[{}]) as visit:
        visit.says("Ready")
        assert visit.tab.evaluate("document.documentElement.scrollWidth") <= 360
        visit.tab.focus("#practise")
        visit.tab.keyboard.press("Enter")
        word = "".join(visit.tab.locator("#word li").all_inner_texts())
        assert word.isalpha() and visit.tab.locator("#word li[aria-current=step]").count() == 1
        assert visit.tab.inner_text("#hint").startswith(f"Next: {word[0]} (")
        drawn = "[...document.querySelector('#shape').getContext('2d').getImageData(0, 0, 220, 220).data].some(value => value)"
        assert visit.tab.evaluate(drawn) and visit.tab.get_attribute("#practise", "aria-expanded") == "true"
        visit.tab.focus("#next")
        visit.tab.keyboard.press("Space")
        assert "".join(visit.tab.locator("#word li").all_inner_texts()) != word
        assert visit.tab.evaluate("document.documentElement.scrollWidth") <= 360
        assert visit.errors == []


def test_a_video_without_people_and_a_file_that_is_none_are_said_in_words(chromium, address, clips, tmp_path):
    (tmp_path / "broken.webm").write_bytes(b"no video")
    with Visit(chromium, address, found=[{}]) as visit:
        visit.says("Ready")
        visit.tab.set_input_files("#file", clips / "blank.webm")
        assert visit.says("is read") == "The video is read: no hand was seen in it."
        visit.tab.set_input_files("#file", tmp_path / "broken.webm")
        assert visit.says("not a video") == "broken.webm is not a video that this browser can play."
        with wave.open(str(tmp_path / "sound.mov"), "wb") as sound:              # as a phone's video whose codec is unknown here
            sound.setparams((1, 2, 8000, 8000, "NONE", ""))
            sound.writeframes(bytes(16000))
        visit.tab.set_input_files("#file", tmp_path / "sound.mov")
        assert visit.says("sound.mov is") == "sound.mov is not a video that this browser can play."


def changed(page: Path, folder: Path, change: str) -> Path:
    """A copy of the page in which a constant has another value, "NAME = value"."""
    copy = shutil.copytree(page, folder / "changed", copy_function=shutil.copy)
    name, _, _ = change.partition(" = ")
    constants = copy / "constants.js"
    constants.write_text("\n".join(f"export const {change};" if change and line.startswith(f"export const {name} =") else line
                                   for line in constants.read_text().splitlines()))
    return copy


@pytest.mark.parametrize("change,said", [
    ("", "is cut short; load the page again"),
    ("FRAMES = 100", "it is not an export of a fixed shape"),
    ("VOCABULARY = 60", "it spells other characters"),
])
def test_a_page_with_another_model_says_so(chromium, page, tmp_path, change, said):
    broken = changed(page, tmp_path, change)
    if not change:
        (broken / FIXED).write_bytes((broken / FIXED).read_bytes()[:1000])
    with served(broken) as address, Visit(chromium, address) as visit:
        visit.says(said)
        assert visit.tab.is_disabled("#start")


def test_a_text_that_is_rejected_leaves_the_meter_empty(chromium, page, tmp_path, clip, away):
    strict = changed(page, tmp_path, "MIN_CERTAINTY = 0.99")
    with served(strict) as address, Visit(chromium, address, found=[*results(clip), *away]) as visit:
        visit.says("Ready")
        visit.tab.click("#start")
        assert visit.listed() == [Verdict.UNSURE.value]
        assert visit.tab.inner_text("#text") == "" and visit.tab.inner_text("#percent") == SPOKEN["unsure"]
        assert visit.tab.locator("#sure").evaluate("meter => meter.value") == 0


def test_a_browser_without_simd_is_told_so(chromium, address):
    with Visit(chromium, address) as visit:
        visit.tab.add_init_script("WebAssembly.validate = () => false;")
        visit.tab.reload()
        assert visit.says("SIMD") == "This browser lacks WebAssembly SIMD: use a newer one."
