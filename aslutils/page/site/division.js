// Where a recording is divided, and what of its ends is cut: as division.py in Python.
import { MIN_FRAMES, USUAL_END, WINDOW } from "./constants.js";
import { handSeen } from "./columns.js";

/** `count` equal parts of frames. */
export function equal(frames, count) {
  const border = (number) => Math.floor((frames.length * number) / count);
  return Array.from({ length: count }, (_, number) => frames.slice(border(number), border(number + 1)));
}

/** A phrase's frames in as few parts as the model takes whole, equally long from the first to the last hand. */
export function divided(frames) {
  const seen = frames.map(handSeen);
  const [first, end] = [seen.indexOf(true), seen.lastIndexOf(true) + 1];
  const parts = equal(frames.slice(first, end), Math.ceil((end - first) / WINDOW));
  parts[0].unshift(...frames.slice(0, first));
  parts.at(-1).push(...frames.slice(end));
  return parts;
}

/** How many frames to cut at the beginning and end, so that each has no more without a hand than the model usually saw. */
export function overlong(seen) {
  if (USUAL_END === null || !seen.includes(true)) return [0, 0];
  const first = Math.max(seen.indexOf(true) - USUAL_END, 0);
  const last = Math.max(seen.length - 1 - seen.lastIndexOf(true) - USUAL_END, 0);
  const excess = Math.max(Math.min(MIN_FRAMES, seen.length) - (seen.length - first - last), 0);
  const back = Math.min(excess, last);
  return [first - (excess - back), last - back];
}
