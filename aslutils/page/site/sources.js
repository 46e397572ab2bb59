// Where pictures come from: a camera, or a video file. Both give at most 30 a second, as the model was trained.
import { RATE } from "./constants.js";

/** Open a camera, "user" (front) or "environment" (back), in a video element. Returns a function that stops it. */
export async function openCamera(video, facing, vanished) {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new Error("This browser gives no camera here: open the page through https or from this computer (127.0.0.1).");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: { facingMode: facing, frameRate: { ideal: RATE },
      width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    throw new Error(REFUSED[error.name] ?? `The camera cannot be opened: ${error.message}`);
  }
  const [track] = stream.getVideoTracks();
  track.addEventListener("ended", vanished);
  video.srcObject = stream;
  await video.play();
  return () => {
    track.removeEventListener("ended", vanished);
    track.stop();
    video.srcObject = null;
  };
}

const REFUSED = {
  NotAllowedError: "The camera was not allowed. Allow it in the browser's settings for this page, and start again.",
  NotFoundError: "No camera was found. Connect one, or open a video.",
  NotReadableError: "The camera is used by another program. Close that, and start again.",
};

/** Each new picture of a playing camera, until `stopped()`; faster cameras are thinned. */
export async function* cameraPictures(video, stopped) {
  let due = 0;
  while (!stopped()) {
    await nextPicture(video);
    const now = performance.now();
    if (now + 2 < due) continue;
    due = Math.max(due + 1000 / RATE, now - 1000 / RATE);
    if (!stopped()) yield video;
  }
}

/** The next picture of a video, or the next repaint of the page where the browser does not tell; one second at most. */
function nextPicture(video) {
  return new Promise((resolve) => {
    setTimeout(resolve, 1000);
    video.requestVideoFrameCallback ? video.requestVideoFrameCallback(resolve) : requestAnimationFrame(resolve);
  });
}

/** Open a video file in a video element. Returns a function that closes it. */
export async function openFile(video, file) {
  const url = URL.createObjectURL(file);
  const close = () => {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(url);
  };
  const opened = new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error(`${file.name} is not a video that this browser can play.`));
  });
  video.srcObject = null;
  video.src = url;
  try {
    await opened;
  } catch (error) {
    close();
    throw error;
  }
  return close;
}

/** Every picture of an open file, 30 a second, however long each takes; `progress` is called with the share that is done. */
export async function* filePictures(video, stopped, progress) {
  for (let number = 0; number / RATE < video.duration && !stopped(); number++) {
    const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
    video.currentTime = (number + 0.5) / RATE;
    await seeked;
    progress(number / RATE / video.duration);
    yield video;
  }
}
