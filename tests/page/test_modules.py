"""The page's JavaScript modules against the Python that they mirror, in Node.js."""

import io
import shutil
import subprocess
from itertools import product

import numpy as np
import pytest
from tiny_tflite import hasty_model

from aslutils.page import write
from aslutils.page.constants import constants, drawing
from aslutils.reading.division import LEAST_PART
from aslutils.reading.landmark_files import as_columns
from aslutils.reading.recognizer import OWN_MODEL, Recognizer
from aslutils.task.landmarks import ALL_COLUMNS, COLUMNS, HANDS, HOLISTIC
from aslutils.task.preprocess import fit_length
from aslutils.task.rejection import UNKNOWN, Verdict, verdict_on_answer
from aslutils.task.text import CHARACTERS, DUMMY_PHRASE, encode

NAMES = {"face": "faceLandmarks", "left_hand": "leftHandLandmarks", "pose": "poseLandmarks", "right_hand": "rightHandLandmarks"}


def test_phrases_are_answered_in_the_order_in_which_they_were_spelled(in_node):
    code = """
        import { Reader } from "./reader.js";
        import { COLUMNS } from "./constants.js";
        async function answer([lengths, tokens]) {
            const frame = (number) => Float32Array.from(COLUMNS, (_, column) => (number + column) % 7);
            const frames = (length) => Array.from({ length }, (_, number) => frame(number));
            const reader = new Reader({});
            let failed = false;
            reader.ask = async () => {
                await new Promise((resolve) => setTimeout(resolve, 20));
                if (!failed) throw new Error(String((failed = true)));
                return { tokens, probabilities: tokens.map(() => 0.5), milliseconds: 1, confidence: 0.9, certainty: 0.9 };
            };
            const order = [];
            const told = (length) => () => order.push(length);
            const readings = lengths.map((length) => reader.read(frames(length)).then(told(length), told(-1)));
            const busy = reader.busy;
            await Promise.all(readings);
            return [order, busy, reader.busy];
        }"""
    assert in_node(code, [[60, 384, 5, 61], encode("a" * 30).tolist()]) == [[-1, 384, 5, 61], True, False]


def test_what_is_rejected_is_what_python_rejects(in_node, recognizer):
    code = """
        import { Reader } from "./reader.js";
        import { COLUMNS } from "./constants.js";
        async function answer(cases) {
            const frame = (number) => Float32Array.from(COLUMNS, (_, column) => (number + column) % 7);
            const frames = Array.from({ length: 20 }, (_, number) => frame(number));
            const verdicts = [];
            for (const [confidence, certainty, tokens, probability] of cases) {
                const reader = new Reader({});
                reader.ask = async () => ({ tokens, probabilities: tokens.map(() => probability), milliseconds: 0,
                                            confidence: confidence ?? NaN, certainty: certainty ?? NaN });
                verdicts.push((await reader.read(frames)).verdict);
            }
            return verdicts;
        }"""
    limits = recognizer.limits
    assert limits.certainty > 0
    values = [[None, 0.0, limit - 1e-6, limit, 1.0] for limit in (limits.confidence, limits.certainty)]
    rejects, spells = (encode(DUMMY_PHRASE).tolist(), 0.0), (encode("abc").tolist(), 0.5)
    cases = [(*pair, *answer) for pair in product(*values) for answer in (rejects, spells)]
    known = [[UNKNOWN if value is None else value for value in case[:2]] + [3 * (case[2:] == spells)] for case in cases]
    expected = [verdict_on_answer(20, 20, *case, limits).value for case in known]
    assert in_node(code, cases) == expected and {Verdict.READ.value, Verdict.UNSURE.value, Verdict.NO_TEXT.value} == set(expected)


@pytest.mark.parametrize("characters", [1, 21])
def test_long_texts_are_read_in_parts_as_in_python(characters, in_node, recognizer, tmp_path):
    """By a model that is as certain as 60 frames are of a sequence's; characters: more than its training had."""
    text = "a" * (recognizer.usual_characters + characters)
    code = """
        import { Reader } from "./reader.js";
        import { COLUMNS } from "./constants.js";
        async function answer([cases, tokens]) {
            const readings = [];
            for (const [unseen, length] of cases) {
                const frame = (number) => Float32Array.from(COLUMNS, ([, part], column) =>
                    number < unseen && part.endsWith("_hand") ? NaN : (number + column) % 7);
                const reader = new Reader({});
                reader.ask = async ({ inputs }) => {
                    const rows = inputs.filter((value, place) => place % COLUMNS.length === 0 && Number.isFinite(value)).length;
                    const certainty = Math.min(60 / rows, 1);
                    return { tokens, probabilities: tokens.map(() => 0.5), milliseconds: 1, confidence: certainty, certainty };
                };
                const frames = Array.from({ length }, (_, number) => frame(number));
                const { text, certainty, milliseconds } = await reader.read(frames);
                readings.push([text, certainty, milliseconds], [(await reader.read(frames, false)).text, 0, 1]);
            }
            return readings;
        }"""
    (tmp_path / "model.tflite").write_bytes(hasty_model(text))
    (tmp_path / "inference_args.json").write_bytes((OWN_MODEL / "inference_args.json").read_bytes())
    python, cases = Recognizer(tmp_path), [(0, 40), (0, 62), (0, 70), (0, 130), (0, 384), (150, 250)]
    expected = []
    for unseen, length in cases:
        frames = ((np.arange(length)[:, None] + np.arange(len(COLUMNS))) % 7).astype(np.float32)
        frames.reshape(length, 3, -1)[:unseen, :, HANDS] = np.nan
        reading, whole = (python.read(frames, in_parts=in_parts) for in_parts in (True, False))
        tried = 1 + min(-(-5 * len(text) // (4 * python.usual_characters)), (length - reading.cut[0]) // LEAST_PART)
        expected += [(reading.text, reading.certainty, 1 if tried < 3 else tried), (whole.text, 0, 1)]
    found = in_node(code, [cases, encode(text).tolist()])
    assert [shown for shown, _, _ in found] == [shown for shown, _, _ in expected]
    assert {1, 2} <= {len(shown) // len(text) for shown, _, _ in found}
    np.testing.assert_allclose([values for _, *values in found], [values for _, *values in expected], rtol=1e-6)


def test_long_phrases_are_resampled_as_in_python(in_node):
    lengths = [0, 1, 383, 384, 385, 400, 448, 500, 776, 896, 2000]
    code = """
        import { fitted, shown } from "./reader.js";
        const frames = (length) => Array.from({ length }, (_, number) => [number]);
        const read = (length) => fitted(shown([...frames(length), [NaN]]));
        const answer = (lengths) => lengths.map((length) => read(length).map(([number]) => number));"""
    expected = [fit_length(np.arange(length)).tolist() for length in lengths]
    assert in_node(code, lengths) == expected


def test_what_holistic_finds_becomes_pythons_columns(in_node):
    rng = np.random.default_rng(1)
    frames = rng.random((5, len(ALL_COLUMNS) // 3, 3)).astype(np.float32)
    starts = np.cumsum([0, *HOLISTIC.values()])
    parts = dict(zip(NAMES.values(), zip(starts, starts[1:])))
    found = [{part: [dict(zip("xyz", map(float, point))) for point in frame[first:end]] for part, (first, end) in parts.items()}
             for frame in frames]
    del found[1]["rightHandLandmarks"], found[2]["faceLandmarks"]
    first, end = parts["rightHandLandmarks"]
    frames[1, first:end] = np.nan
    frames[2, slice(*parts["faceLandmarks"])] = np.nan
    code = """
        import { columnsOf, handSeen, isDeep } from "./columns.js";
        const answer = (found) => {
            const frames = found.map(columnsOf);
            return [frames.map((columns) => [...columns]), frames.map(handSeen), isDeep(frames)];
        };"""
    rows, seen, deep = in_node(code, found)
    np.testing.assert_array_equal(np.array(rows, np.float32), as_columns(frames, COLUMNS))
    assert seen == [True] * 5 and deep


def test_hands_whose_depth_never_changes_have_none(in_node):
    code = """
        import { isDeep } from "./columns.js";
        import { COLUMNS } from "./constants.js";
        const frame = (depth) => Float32Array.from(COLUMNS, ([axis]) => axis === "z" ? depth : 0.5);
        const answer = (depths) => isDeep(depths.map(frame));"""
    assert not any(in_node(code, depths) for depths in ([0, 0, 0], [], [0.1, 0.1 + 1e-6])) and in_node(code, [0, 0.1])


def test_saved_landmarks_are_a_numpy_file(in_node):
    code = """
        import { npy } from "./npy.js";
        const answer = async (rows) => [...new Uint8Array(await npy(rows.map((row) => Float32Array.from(row))).arrayBuffer())];"""
    for shape in ((1, 3), (80, 390)):
        rows = np.random.default_rng(2).random(shape).astype(np.float32)
        np.testing.assert_array_equal(np.load(io.BytesIO(bytes(in_node(code, rows.tolist())))), rows)


def test_practice_lights_up_letters_in_order_and_goes_on_after_a_phrase(in_node):
    code = """
        import { Practice } from "./practice.js";
        function answer([word, ...readings]) {
            const practice = new Practice({ hidden: false }, {}, {}, {});
            practice.show = () => {};
            practice.begin(word, 4);
            return readings.map(([text, number]) => (practice.read(text, number), [practice.lit, practice.spelled]));
        }"""
    readings = [("hello", 3), ("h", 4), ("hx", 4), ("hel", 4), ("el", 4), ("l", 5), ("", 5), ("lo", 5)]   # 3: of another word
    assert in_node(code, ["hello", *readings]) == [[lit, lit == 5] for lit in (0, 1, 1, 3, 3, 4, 4, 5)]


def test_every_letter_of_every_word_has_a_drawing_within_its_picture(in_node):
    code = """
        import { SIGNS, WORDS } from "./constants.js";
        const answer = () => [WORDS, SIGNS];"""
    words, signs = in_node(code, None)
    assert len(words) > 300 and set("".join(words)) == set("abcdefghijklmnopqrstuvwxyz") and set(signs) == set(CHARACTERS)
    for character, keys in signs.items():
        assert keys == drawing(character) and np.shape(keys)[1:] == (21, 2)
        assert 0 <= np.min(keys) and np.max(keys) <= 1


def test_the_modules_are_plain_javascript_without_a_constant_of_pythons(recognizer, tmp_path):
    if not shutil.which("node"):
        pytest.skip("no Node.js: install it (with npm) to test the page's modules")
    values = ("59", "390", "384", "0.15", "543")
    for path in sorted((write.HERE / "site").glob("*.js")):
        code = path.read_text()
        assert not [value for value in values if value in code], path.name
        assert len(code.splitlines()) <= 250
    (tmp_path / "constants.mjs").write_text(constants(recognizer, [("a", 1)]))
    assert subprocess.run(["node", "--check", tmp_path / "constants.mjs"]).returncode == 0


BROWSER = """
    import { loadHolistic } from "./holistic.js";
    const times = [], options = [];
    const known = { short: "WebKit WebGL", long: "ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11)" }; // as Chromium tells them
    let extensions = { WEBGL_debug_renderer_info: { UNMASKED_RENDERER_WEBGL: "long" } };
    const gl = { getExtension: (name) => extensions[name] ?? null, RENDERER: "short", getParameter: (name) => known[name] };
    const appended = (element) => element.onload();
    globalThis.document = { createElement: () => ({ getContext: () => gl }), head: { append: appended } };
"""


def test_mediapipe_is_told_when_pictures_were_taken_and_not_how_long_they_took(in_node):
    code = BROWSER + """
        globalThis.window = { Holistic: class {
            setOptions() {}
            onResults() {}
            async initialize() {}
            reset() { times.push([]); }
            async send() { times.at(-1).push(performance.now()); }
        } };
        async function answer(recordings) {
            const holistic = await loadHolistic({});
            for (const recording of recordings) {
                await holistic.reset();
                for (const [time, pause] of recording) {
                    await new Promise((resolve) => setTimeout(resolve, pause));
                    await holistic.find(null, time);
                }
            }
            return [times, Object.hasOwn(performance, "now")];
        }"""
    taken = [number * 1000 / 30 for number in range(12)]
    slow, fast = [[time, 20] for time in taken], [[time, 0] for time in taken]
    times, left = in_node(code, [slow, fast, slow, [[5, 0], [5.2, 0]]])
    *videos, live = times
    assert all(np.array_equal(np.diff(video), np.diff(np.rint(taken))) for video in videos)
    assert (np.diff(np.concatenate(times)) > 0).all() and np.diff(live) == [1] and not left


@pytest.mark.parametrize("extension", [True, False])
@pytest.mark.parametrize("renderer, on_the_processor", [
    ("ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero) (0x0000C0DE)), SwiftShader driver)", True),
    ("llvmpipe (LLVM 15.0.7, 256 bits)", True), ("ANGLE (Microsoft, Microsoft Basic Render Driver Direct3D11)", True),
    ("ANGLE (NVIDIA, NVIDIA GeForce RTX 3060 Direct3D11)", False), ("Apple GPU", False), ("Mali-G78", False),
])
def test_without_a_graphics_card_mediapipe_computes_on_the_processor(renderer, on_the_processor, extension, in_node):
    code = BROWSER + """
        globalThis.window = { Holistic: class {
            setOptions(given) { options.push(given); }
            onResults() {}
            async initialize() {}
        } };
        async function answer([renderer, extension]) {
            if (!extension) extensions = {}; // Firefox tells the whole name without
            known[extension ? "long" : "short"] = renderer;
            await loadHolistic({});
            return options;
        }"""
    (options,) = in_node(code, [renderer, extension])
    assert options.get("useCpuInference", False) == on_the_processor and options["selfieMode"] is False
