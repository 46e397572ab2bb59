// What MediaPipe Holistic found in a picture, as the row of numbers that the model takes.
import { COLUMNS, FLAT } from "./constants.js";

const FOUND = { face: "faceLandmarks", pose: "poseLandmarks", left_hand: "leftHandLandmarks", right_hand: "rightHandLandmarks" };

/** A frame's columns, Float32Array; NaN where nothing was seen. `results`: Holistic's, of a picture that is not mirrored. */
export function columnsOf(results) {
  return Float32Array.from(COLUMNS, ([axis, part, index]) => results[FOUND[part]]?.[index]?.[axis] ?? NaN);
}

const hand = (axis) => COLUMNS.flatMap(([a, part], column) => (a === axis && part.endsWith("_hand") ? [column] : []));
const HAND_X = hand("x");
const HAND_Z = hand("z");

/** Whether a hand is seen in a frame's columns. */
export const handSeen = (columns) => HAND_X.some((column) => Number.isFinite(columns[column]));

/** Whether the hands in frames have a depth: handshapes differ in it, and nothing can be read without. */
export function isDeep(frames) {
  const depths = frames.filter(handSeen).flatMap((columns) => HAND_Z.map((column) => columns[column])).filter(Number.isFinite);
  const [low, high] = depths.reduce(([low, high], depth) => [Math.min(low, depth), Math.max(high, depth)], [Infinity, -Infinity]);
  return HAND_Z.length === 0 || high - low > FLAT;
}
