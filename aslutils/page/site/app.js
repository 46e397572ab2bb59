// The page: it feeds pictures to Holistic, landmarks to the phrase stream, phrases to the reader, and shows what comes of it.
import { SLOW, SPOKEN, VERDICTS } from "./constants.js";
import { columnsOf, handSeen } from "./columns.js";
import { download } from "./download.js";
import { loadHolistic } from "./holistic.js";
import { npy } from "./npy.js";
import { drawSkeleton, isDark, isFar } from "./picture.js";
import { Practice } from "./practice.js";
import { Reader } from "./reader.js";
import { camera, videoFile } from "./sources.js";
import { PhraseStream } from "./stream.js";

const KEPT = 20; // phrases whose landmarks can be saved
const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
const practice = new Practice(element.practice, element.word, element.shape, element.hint);
const stream = new PhraseStream();
let holistic;
let reader;
let run = null; // what is open: {controller, phrases, live}
let facing = "user";

/** Say in words what is going on; an error stays until something else is done. */
function say(text, error = false) {
  element.status.classList.toggle("error", error);
  if (element.status.textContent !== text) element.status.textContent = text;
}

/** How much is done, 0..1; null hides the bar. */
function share(done) {
  element.progress.hidden = done === null;
  element.progress.value = done ?? 0;
}

async function load() {
  if (!globalThis.WebAssembly?.validate(SIMD)) throw new Error("This browser lacks WebAssembly SIMD: use a newer one.");
  say("Loading");
  const assets = await download(share);
  say("Starting the model");
  reader = await Reader.load(assets);
  say("Starting MediaPipe");
  holistic = await loadHolistic(assets);
  share(null);
  for (const name of ["start", "flip", "file", "practise"]) element[name].disabled = false;
  say("Ready. Start the camera, or open a video.");
}

/** Read what a source gives until it ends or is closed. open(signal, run): its pictures; live: of a camera. */
async function begin(open, live) {
  end();
  const mine = (run = { controller: new AbortController(), phrases: 0, live });
  const { signal } = mine.controller;
  element.start.textContent = "Stop";
  element.text.textContent = element.percent.textContent = "";
  element.sure.value = 0;
  holistic.reset();
  try {
    await follow(open(signal), mine);
    if (signal.aborted) return;
    await show(stream.finish(), mine);
    if (signal.aborted) return;
    end();
    say(mine.phrases ? "The video is read." : "The video is read: no hand was seen in it.");
  } catch (error) {
    fail(error, mine);
  }
}

/** Close what is open. The phrase under way is read and listed. */
function end() {
  if (!run) return;
  const ended = run;
  run = null;
  ended.controller.abort();
  show(stream.finish(), ended).catch((error) => say(error.message, true));
  share(null);
  element.start.textContent = "Start camera";
  element.rate.textContent = "";
  element.skeleton.getContext("2d").clearRect(0, 0, element.skeleton.width, element.skeleton.height);
}

/** Close a run that failed, and say why. */
function fail(error, failed) {
  if (failed.controller.signal.aborted) return;
  end();
  say(error.message, true);
}

/** Find landmarks in each picture, draw them, and read what is due. */
async function follow(pictures, mine) {
  const { signal } = mine.controller;
  const times = [];
  let count = 0;
  let unseen = 0;
  let dark = false;
  for await (const video of pictures) {
    if (!video) {
      say(SPOKEN.blind);
      show(stream.finish(), mine).catch((error) => fail(error, mine));
      continue;
    }
    const results = await holistic.find(video);
    if (signal.aborted) return;
    const columns = columnsOf(results);
    drawSkeleton(element.skeleton, video, results);
    const rate = rateOf(times);
    if (rate) element.rate.textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames a second`;
    unseen = handSeen(columns) ? 0 : unseen + 1;
    if (count++ % 30 === 0 || unseen % 15 === 1) dark = isDark(video);
    const due = stream.add(columns);
    if (due?.complete && !mine.live) await show(due, mine);
    else if (due?.complete || (due && !reader.busy)) show(due, mine).catch((error) => fail(error, mine));
    if (mine.live) say(advice(results, video, { rate, unseen, dark }));
  }
}

/** Frames a second over the last 30; null before two seconds are over. `times`: when they came, to which now is added. */
function rateOf(times) {
  times.push(performance.now());
  if (times.length > 30) times.shift();
  const span = times.at(-1) - times[0];
  return span > 2000 || times.length === 30 ? (1000 * (times.length - 1)) / span : null;
}

/** What to tell the person before the camera. */
function advice(results, video, { rate, unseen, dark }) {
  if (practice.spelled) return SPOKEN.spelled;
  if (dark) return SPOKEN.dark;
  if (isFar(results, video)) return SPOKEN.far;
  if (unseen > 15) return SPOKEN.unseen;
  return rate && rate < SLOW ? SPOKEN.slow : SPOKEN.reading;
}

/** Read a phrase, and show it: as it grows, or in the list when it is complete. */
async function show(due, mine) {
  if (!due) return;
  if (due.complete) mine.phrases += 1;
  const reading = await reader.read(due.frames);
  if (mine.controller.signal.aborted && !due.complete) return;
  if (run === mine || !run) {
    const sure = Number.isFinite(reading.confidence) ? reading.confidence : 0;
    element.text.textContent = reading.text;
    element.sure.value = sure;
    element.percent.textContent = reading.text ? `${Math.round(100 * sure)} % sure` : reading.verdict === VERDICTS.UNSURE ? SPOKEN.unsure : "";
  }
  practice.read(reading.text, due.number);
  if (due.complete) list(reading, due.frames);
}

/** Add a complete phrase to the list. */
function list(reading, frames) {
  const item = document.createElement("li");
  const text = document.createElement("span");
  text.textContent = reading.text || reading.verdict;
  text.className = reading.text ? "phrase" : "reason";
  const save = document.createElement("button");
  save.textContent = "Save landmarks";
  save.setAttribute("aria-label", `Save landmarks of ${text.textContent}`);
  save.onclick = () => saveFile(npy(frames), "phrase.npy");
  item.append(text, save);
  element.phrases.append(item);
  [...element.phrases.querySelectorAll("button")].slice(0, -KEPT).forEach((button) => button.remove());
  element.clear.disabled = false;
  if (reading.text) element.copy.disabled = false;
}

function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function startCamera() {
  say("Waiting for the camera");
  const opened = (faces) => element.picture.classList.toggle("mirrored", faces === "user");
  begin((signal) => camera(element.video, facing, signal, opened), true);
}

function startFile(file) {
  say(`Reading ${file.name}`);
  element.picture.classList.remove("mirrored");
  begin((signal) => videoFile(element.video, file, signal, share), false);
}

element.start.onclick = () => {
  if (!run) return startCamera();
  end();
  say("Stopped.");
};
element.flip.onclick = () => {
  facing = facing === "user" ? "environment" : "user";
  element.flip.textContent = facing === "user" ? "Use back camera" : "Use front camera";
  if (run?.live) startCamera();
};
element.file.onchange = () => {
  const [file] = element.file.files;
  element.file.value = "";
  if (file) startFile(file);
};
element.practise.onclick = () => {
  practice.toggle(stream.upcoming);
  element.practise.setAttribute("aria-expanded", practice.active);
};
element.next.onclick = () => practice.next(stream.upcoming);
element.copy.onclick = async () => {
  const phrases = [...element.phrases.querySelectorAll(".phrase")].map((phrase) => phrase.textContent);
  try {
    await navigator.clipboard.writeText(phrases.join("\n"));
    say(`Copied ${phrases.length} ${phrases.length === 1 ? "phrase" : "phrases"}.`);
  } catch {
    say("The browser does not let this page copy: select the phrases and copy them by hand.", true);
  }
};
element.clear.onclick = () => {
  element.phrases.replaceChildren();
  element.start.focus();
  element.copy.disabled = element.clear.disabled = true;
};

// A module with one SIMD instruction, which is valid where SIMD is supported.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

load().catch((error) => say(error.message, true));
