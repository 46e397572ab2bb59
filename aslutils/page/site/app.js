// The page: it feeds pictures to Holistic, landmarks to the phrase stream, phrases to the reader, and shows what comes of it.
import { SLOW, SPOKEN, VERDICTS } from "./constants.js";
import { columnsOf, handSeen } from "./columns.js";
import { download } from "./download.js";
import { loadHolistic } from "./holistic.js";
import { npy } from "./npy.js";
import { drawSkeleton, isDark, isFar } from "./picture.js";
import { Practice } from "./practice.js";
import { Reader } from "./reader.js";
import { cameraPictures, filePictures, openCamera, openFile } from "./sources.js";
import { PhraseStream } from "./stream.js";

const element = Object.fromEntries([...document.querySelectorAll("[id]")].map((found) => [found.id, found]));
const practice = new Practice(element.practice, element.word, element.shape);
const stream = new PhraseStream();
let holistic;
let reader;
let source = null; // {close} of what is open: a camera or a file
let facing = "user";

/** Say in words what is going on; an error stays until something else is done. */
function say(text, error = false) {
  element.status.classList.toggle("error", error);
  if (element.status.textContent !== text) element.status.textContent = text;
}

async function load() {
  if (!WebAssembly.validate(SIMD)) throw new Error("This browser lacks WebAssembly SIMD: use a newer one.");
  const assets = await download((share) => {
    element.progress.value = share;
    say(`Loading: ${Math.round(100 * share)} %`);
  });
  say("Starting the model");
  reader = await Reader.load(assets);
  say("Starting MediaPipe");
  holistic = await loadHolistic(assets);
  element.progress.hidden = true;
  for (const name of ["start", "flip", "file", "practise"]) element[name].disabled = false;
  say("Ready. Start the camera, or open a video.");
}

/** Read pictures from a source until it ends or is closed. open: gives {close, pictures}. */
async function run(open) {
  stop();
  const opened = (source = { close: () => {} });
  const stopped = () => source !== opened;
  try {
    const { close, pictures } = await open(stopped);
    opened.close = close;
    if (stopped()) return close();
    element.start.textContent = "Stop";
    stream.start();
    holistic.reset();
    await follow(pictures, stopped);
    if (stopped()) return;
    await show(stream.finish());
    stop();
    say(element.phrases.children.length ? "The video is read." : "The video is read: no hand was seen in it.");
  } catch (error) {
    if (stopped()) return;
    stop();
    say(error.message, true);
  }
}

/** Find landmarks in each picture, draw them, and read what is due. */
async function follow(pictures, stopped) {
  const times = [];
  let unseen = 0;
  let dark = false;
  for await (const video of pictures) {
    const results = await holistic.find(video);
    if (stopped()) return;
    const columns = columnsOf(results);
    drawSkeleton(element.skeleton, video, results);
    times.push(performance.now());
    if (times.length > 30) times.shift();
    const rate = (1000 * (times.length - 1)) / (times.at(-1) - times[0] || 1);
    if (times.length > 5) element.rate.textContent = `${rate.toFixed(rate < 10 ? 1 : 0)} frames a second`;
    unseen = handSeen(columns) ? 0 : unseen + 1;
    if (times.length % 30 === 1 || unseen % 15 === 1) dark = isDark(video);
    const due = stream.add(columns);
    if (due?.complete) await show(due);
    else if (due && !reader.busy) show(due).catch((error) => say(error.message, true));
    if (source.live) say(advice(results, video, { rate: times.length < 30 ? Infinity : rate, unseen, dark }));
  }
}

/** What to tell the person before the camera. */
function advice(results, video, { rate, unseen, dark }) {
  if (dark) return SPOKEN.dark;
  if (isFar(results, video)) return SPOKEN.far;
  if (unseen > 15) return SPOKEN.unseen;
  if (rate < SLOW) return `${SPOKEN.slow} (${rate.toFixed(1)} frames a second)`;
  return SPOKEN.reading;
}

/** Read a phrase, and show it: as it grows, or in the list when it is complete. */
async function show(due) {
  if (!due) return;
  const reading = await reader.read(due.frames);
  const sure = Number.isFinite(reading.confidence) ? reading.confidence : 0;
  element.text.textContent = reading.text;
  element.sure.value = sure;
  element.percent.textContent = reading.text ? `${Math.round(100 * sure)} % sure` : reading.verdict === VERDICTS.UNSURE ? SPOKEN.unsure : "";
  if (practice.active && practice.read(reading.text, due.complete)) say(SPOKEN.spelled);
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
  save.onclick = () => saveFile(npy(frames), "phrase.npy");
  item.append(text, save);
  element.phrases.append(item);
  element.copy.disabled = element.clear.disabled = false;
}

function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function stop() {
  source?.close();
  source = null;
  element.start.textContent = "Start camera";
  element.rate.textContent = "";
  element.skeleton.getContext("2d").clearRect(0, 0, element.skeleton.width, element.skeleton.height);
}

function startCamera() {
  run(async (stopped) => {
    say("Waiting for the camera");
    const close = await openCamera(element.video, facing, () => {
      stop();
      say("The camera was disconnected. Connect it, and start again.", true);
    });
    element.picture.classList.toggle("mirrored", facing === "user");
    source.live = true;
    return { close, pictures: cameraPictures(element.video, stopped) };
  });
}

function startFile(file) {
  run(async (stopped) => {
    const close = await openFile(element.video, file);
    element.picture.classList.remove("mirrored");
    const progress = (share) => say(`Reading ${file.name}: ${Math.round(100 * share)} %`);
    return { close, pictures: filePictures(element.video, stopped, progress) };
  });
}

element.start.onclick = async () => {
  if (!source) return startCamera();
  const phrase = stream.finish();
  stop();
  say("Stopped.");
  await show(phrase);
};
element.flip.onclick = () => {
  facing = facing === "user" ? "environment" : "user";
  element.flip.textContent = facing === "user" ? "Use back camera" : "Use front camera";
  if (source?.live) startCamera();
};
element.file.onchange = () => {
  const [file] = element.file.files;
  element.file.value = "";
  if (file) startFile(file);
};
element.practise.onclick = () => {
  practice.toggle();
  element.practise.setAttribute("aria-expanded", practice.active);
};
element.next.onclick = () => practice.next();
element.copy.onclick = async () => {
  const phrases = [...element.phrases.querySelectorAll(".phrase")].map((phrase) => phrase.textContent);
  await navigator.clipboard.writeText(phrases.join("\n"));
  say(`Copied ${phrases.length} ${phrases.length === 1 ? "phrase" : "phrases"}.`);
};
element.clear.onclick = () => {
  element.phrases.replaceChildren();
  element.copy.disabled = element.clear.disabled = true;
};

// A module with one SIMD instruction, which is valid where SIMD is supported.
const SIMD = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);

load().catch((error) => say(error.message, true));
