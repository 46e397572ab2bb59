// Where pictures come from: a camera, which gives at most 30 a second, as the model was trained, or a video file, which gives 30, those
// of a slower one more than once.
// A source is an asynchronous generator that ends when its signal is aborted, and closes what it opened.
import { RATE } from "./constants.js";

const SILENT = 2000; // milliseconds without a picture, after which a camera is said to give none
const PATIENCE = 20000; // milliseconds to wait for a video file's next picture

/** Pictures of a camera, "user" (front) or "environment" (back), playing in `video`; null after a while without one.
 *  opened(facing): called when it plays, with where it faces. */
export async function* camera(video, facing, signal, opened) {
  const asked = ask(facing);
  const stream = await Promise.race([asked, aborted(signal)]);
  if (!stream) { // stopped while the browser asks
    asked.then((late) => late.getTracks().forEach((track) => track.stop()), () => {});
    return;
  }
  const [track] = stream.getVideoTracks();
  let gone = false;
  track.addEventListener("ended", () => (gone = true), { signal });
  try {
    if (signal.aborted) return;
    video.srcObject = stream;
    video.play().catch(() => {}); // without a first picture it would never resolve; that is seen below
    opened(track.getSettings().facingMode ?? facing);
    for (let due = 0, last = performance.now(); !signal.aborted; ) {
      const fresh = await nextPicture(video, signal);
      const now = performance.now();
      if (gone) throw new Error("The camera was disconnected. Connect it, and start again.");
      if (signal.aborted) return;
      if (fresh && now + 2 < due) continue; // faster than 30 a second
      if (!fresh && now - last < SILENT) continue;
      if (fresh) {
        due = Math.max(due + 1000 / RATE, now - 1000 / RATE);
        last = now;
      }
      yield fresh ? video : null;
    }
  } finally {
    track.stop();
    if (video.srcObject === stream) video.srcObject = null;
  }
}

/** Resolves to null when the signal is aborted. */
function aborted(signal) {
  return new Promise((resolve) => (signal.aborted ? resolve(null) : signal.addEventListener("abort", () => resolve(null))));
}

async function ask(facing) {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new Error("This browser gives no camera here: open the page through https or from this computer (127.0.0.1).");
  const wanted = { facingMode: facing, frameRate: { ideal: RATE }, width: { ideal: 640 }, height: { ideal: 480 } };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: false, video: wanted });
  } catch (error) {
    throw new Error(REFUSED[error.name] ?? `The camera cannot be opened: ${error.message}`);
  }
}

const REFUSED = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings for this page, and start again.",
  NotFoundError: "No camera was found. Connect one, or open a video.",
  NotReadableError: "The camera is used by another program. Close that, and start again.",
};

/** Resolves to true with the next picture of a playing video; to false after a second without one, or when aborted. */
function nextPicture(video, signal) {
  return new Promise((resolve) => {
    const done = (fresh) => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      resolve(fresh);
    };
    const stop = () => done(false);
    const timer = setTimeout(stop, 1000);
    signal.addEventListener("abort", stop);
    if (video.requestVideoFrameCallback) return video.requestVideoFrameCallback(() => done(true));
    const before = video.currentTime;
    const poll = () => (video.currentTime !== before ? done(true) : requestAnimationFrame(poll));
    poll();
  });
}

/** Every picture of a video file, 30 a second, however long each takes. progress(share): called with the share that is done. */
export async function* videoFile(video, file, signal, progress) {
  const url = URL.createObjectURL(file);
  try {
    const loaded = happens(video, "loadedmetadata", signal); // phones load no picture before the first seek
    video.srcObject = null;
    video.preload = "auto";
    video.src = url;
    video.load();
    const plays = await loaded;
    if (signal.aborted) return;
    if (!plays || !video.videoWidth) throw new Error(`${file.name} is not a video that this browser can play.`);
    const duration = await durationOf(video, signal);
    if (!Number.isFinite(duration)) throw new Error(`${file.name} does not say how long it is.`);
    for (let number = 0; number / RATE < duration; number++) {
      const seeked = happens(video, "seeked", signal);
      video.currentTime = (number + 0.5) / RATE;
      if (!(await seeked)) throw new Error(`${file.name} is damaged at ${Math.floor(number / RATE)} s.`);
      if (signal.aborted) return;
      progress(number / RATE / duration);
      yield video;
    }
  } finally {
    if (video.src === url) {
      video.removeAttribute("src");
      video.load();
    }
    URL.revokeObjectURL(url);
  }
}

/** A video's length in seconds; one that a browser recorded says it only after a look at its end. */
async function durationOf(video, signal) {
  if (video.duration === Infinity) {
    const found = happens(video, "durationchange", signal);
    video.currentTime = 1e9;
    await found;
  }
  return video.duration;
}

/** Resolves to true when an event happens to a video, to false if it fails instead or takes too long; to true when aborted. */
function happens(video, name, signal) {
  return new Promise((resolve) => {
    const settled = new AbortController();
    const settle = (answer) => {
      clearTimeout(timer);
      settled.abort();
      resolve(answer);
    };
    const timer = setTimeout(settle, PATIENCE, false);
    const on = (target, event, answer) => target.addEventListener(event, () => settle(answer), { signal: settled.signal });
    on(video, name, true);
    on(video, "error", false);
    on(signal, "abort", true);
    if (signal.aborted) settle(true);
  });
}
