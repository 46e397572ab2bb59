// The page: it feeds pictures to Holistic, landmarks to the phrase stream, phrases to the reader, and shows what comes of it.
import { RATE, SLOW, SPOKEN, VERDICTS, WINDOW } from "./constants.js";
import { columnsOf, handSeen } from "./columns.js";
import { divided } from "./division.js";
import { download } from "./download.js";
import { loadHolistic } from "./holistic.js";
import { Pace, steadily } from "./pace.js";
import { Phrases } from "./phrases.js";
import { drawSkeleton, isDark, isFar } from "./picture.js";
import { Practice } from "./practice.js";
import { Reader } from "./reader.js";
import { camera, videoFile } from "./sources.js";
import { PhraseStream } from "./stream.js";

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
const practice = new Practice(element.practice, element.word, element.shape, element.hint);
const phrases = new Phrases(element);
const stream = new PhraseStream();
let holistic;
let reader;
let run = null; // what is open: {controller, phrases, live}
const listing = new Set(); // complete phrases that are being read
let closed = Promise.resolve(); // when what was open before has let go of the camera and the picture
let facing = "user";

/** Say in words what is going on; an error stays until something else is done. */
function say(text, error = false) {
  element.status.classList.toggle("error", error);
  if (element.status.textContent !== text) element.status.textContent = text;
}

/** What an error says; MediaPipe throws some that are no Error. */
const words = (error) => error?.message || String(error);

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

/** Close what is open, then read what a source gives until it ends or is closed. open(signal): its pictures; live: of a camera. */
function begin(open, live) {
  end();
  const mine = (run = { controller: new AbortController(), phrases: 0, live });
  element.start.textContent = "Stop";
  element.text.textContent = element.percent.textContent = "";
  element.sure.value = 0;
  closed = closed.then(() => readAll(open, mine));
}

async function readAll(open, mine) {
  const { signal } = mine.controller;
  if (signal.aborted) return;
  stream.window = mine.live ? WINDOW : Infinity; // a file's phrases are divided when they are whole
  try {
    holistic.reset().catch((error) => fail(error, mine));
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

/** Close what is open. Resolves when all that was complete, and the phrase under way, is read and listed. */
async function end() {
  if (!run) return;
  const ended = run;
  run = null;
  ended.controller.abort();
  share(null);
  element.start.textContent = "Start camera";
  element.rate.textContent = "";
  element.skeleton.getContext("2d").clearRect(0, 0, element.skeleton.width, element.skeleton.height);
  show(stream.finish(), ended).catch((error) => say(words(error), true));
  while (listing.size) await Promise.allSettled(listing);
}

/** Close a run that failed, and say why. */
function fail(error, failed) {
  if (failed.controller.signal.aborted) return;
  end();
  say(words(error), true);
}

/** Find landmarks in each picture, draw them, and read what is due. */
async function follow(pictures, mine) {
  const { signal } = mine.controller;
  const pace = new Pace();
  let looked = -Infinity; // when it was last seen how dark it is
  let unseen = 0; // for how long no hand was, in thirtieths of a second
  let dark = false;
  let time = 0; // of the picture, milliseconds from the first
  let steady = steadily();
  const began = performance.now();
  for await (const video of pictures) {
    if (!video) {
      say(SPOKEN.blind);
      pace.restart();
      steady = steadily();
      show(stream.finish(), mine).catch((error) => fail(error, mine));
      continue;
    }
    time = mine.live ? performance.now() - began : time + 1000 / RATE;
    const results = await holistic.find(video, time);
    if (signal.aborted) return;
    const columns = columnsOf(results);
    drawSkeleton(element.skeleton, video, results);
    const apart = pace.next();
    const elapsed = mine.live ? apart : 1;
    const { rate } = pace;
    if (rate) element.rate.textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames a second`;
    const now = performance.now();
    unseen = handSeen(columns) ? 0 : unseen + elapsed;
    if (now - looked > 500) {
      dark = isDark(video);
      looked = now;
    }
    const due = stream.add(columns, elapsed);
    if (due?.complete && !mine.live) await show(due, mine);
    else if (due?.complete || (due && !reader.busy)) show(due, mine).catch((error) => fail(error, mine));
    if (mine.live) say(practice.spelled ? SPOKEN.spelled : steady(advice(results, video, { rate, unseen, dark })));
  }
}

/** What to tell the person before the camera. */
function advice(results, video, { rate, unseen, dark }) {
  if (dark) return SPOKEN.dark;
  if (isFar(results, video)) return SPOKEN.far;
  if (unseen > RATE / 2) return SPOKEN.unseen;
  return rate && rate < SLOW ? SPOKEN.slow : SPOKEN.reading;
}

/** Read a phrase, and show it: as it grows, or in the list when it is complete, a file's long one part by part. */
async function show(due, mine) {
  if (!due) return;
  const read = (frames) => readAndShow({ ...due, frames }, mine);
  if (!due.complete) return practice.read(await read(due.frames), due.number);
  mine.phrases += 1;
  const listed = Promise.all(divided(due.frames).map(read)).then((texts) => practice.read(texts.join(""), due.number));
  listing.add(listed);
  return listed.finally(() => listing.delete(listed));
}

/** Returns the text; "" of a phrase that no longer grows, because what was open is closed. */
async function readAndShow(due, mine) {
  const reading = await reader.read(due.frames, due.complete);
  if (mine.controller.signal.aborted && !due.complete) return "";
  if (run === mine || !run) {
    element.text.textContent = reading.text;
    element.sure.value = reading.text && Number.isFinite(reading.confidence) ? reading.confidence : 0;
    element.percent.textContent = howSure(reading);
  }
  if (due.complete) phrases.add(reading, due.frames);
  return reading.text;
}

function howSure({ text, verdict, confidence }) {
  if (!text) return verdict === VERDICTS.UNSURE ? SPOKEN.unsure : "";
  return Number.isFinite(confidence) ? `${Math.round(100 * confidence)} % sure` : ""; // a model may not say
}

/** End the phrase under way, which is of the word before: what follows counts for another. */
function nextPhrase() {
  const mine = run;
  if (mine) show(stream.finish(), mine).catch((error) => fail(error, mine));
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

element.start.onclick = async () => {
  if (!run) return startCamera();
  say("Stopping");
  await end();
  if (element.status.textContent === "Stopping") say("Stopped.");
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
  if (!practice.active) nextPhrase();
  practice.toggle(stream.upcoming);
  element.practise.setAttribute("aria-expanded", practice.active);
};
element.next.onclick = () => {
  nextPhrase();
  practice.next(stream.upcoming);
};
// A module with one SIMD instruction, which is valid where SIMD is supported.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

load().catch((error) => {
  share(null);
  say(words(error), true);
});
