// The skeleton over the picture, and what the picture says about the light and the distance.
import { BONES, COLOURS, DARK, SMALL } from "./constants.js";

const FOUND = { pose: "poseLandmarks", face: "faceLandmarks", left_hand: "leftHandLandmarks", right_hand: "rightHandLandmarks" };

/** Draw the landmarks that Holistic found, over a video of the same shape. */
export function drawSkeleton(canvas, video, results) {
  if (canvas.width !== video.videoWidth) canvas.width = video.videoWidth;
  if (canvas.height !== video.videoHeight) canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const [part, bones] of Object.entries(BONES)) {
    const landmarks = results[FOUND[part]];
    if (!landmarks) continue;
    context.strokeStyle = COLOURS[part];
    context.lineWidth = part.endsWith("_hand") ? 4 : 1.5;
    context.beginPath();
    for (const [from, to] of bones) {
      context.moveTo(landmarks[from].x * canvas.width, landmarks[from].y * canvas.height);
      context.lineTo(landmarks[to].x * canvas.width, landmarks[to].y * canvas.height);
    }
    context.stroke();
  }
}

const small = Object.assign(document.createElement("canvas"), { width: 16, height: 12 }).getContext("2d", { willReadFrequently: true });

/** Whether a picture is too dark to find hands in. */
export function isDark(video) {
  small.drawImage(video, 0, 0, 16, 12);
  const { data } = small.getImageData(0, 0, 16, 12);
  return data.reduce((sum, value, index) => (index % 4 < 3 ? sum + value : sum), 0) / ((data.length * 3) / 4) < DARK;
}

/** Whether the person is too far away: a palm, or without one the shoulders, are small in the picture. */
export function isFar({ leftHandLandmarks, rightHandLandmarks, poseLandmarks }, video) {
  const size = (from, to) => Math.hypot(from.x - to.x, ((from.y - to.y) * video.videoHeight) / video.videoWidth);
  const palms = [leftHandLandmarks, rightHandLandmarks].filter(Boolean).map((hand) => size(hand[0], hand[9]) + size(hand[5], hand[17]));
  if (palms.length) return Math.max(...palms) < SMALL.palm;
  return Boolean(poseLandmarks) && size(poseLandmarks[11], poseLandmarks[12]) < SMALL.shoulders;
}
