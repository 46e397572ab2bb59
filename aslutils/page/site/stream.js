// Splits frames into phrases, as `Recognizer.stream` in Python does: a phrase ends when no hand was seen for about a second,
// or when it has as many frames as the model takes, from its first to its last hand.
// A slow device sees fewer frames in that second: FEWEST of them are the least that ends a phrase.
import { EVERY, FEWEST, GAP, PAUSE, WINDOW } from "./constants.js";
import { handSeen } from "./columns.js";

const ROUNDING = 1e-6; // of a sum of times

export class PhraseStream {
  constructor() {
    this.number = 0; // of the phrase under way
    this.window = WINDOW; // frames from its first to its last hand that end a phrase
    this.start();
  }

  /** The number of the first phrase that has not begun. */
  get upcoming() {
    return this.unseen === null ? this.number : this.number + 1;
  }

  /** Forget all frames: the next one begins a new phrase. */
  start() {
    this.number += 1;
    this.frames = [];
    this.added = 0;
    this.before = 0; // frames before its first hand
    this.unseen = null; // frames since a hand was seen; null: none was in this phrase yet
    this.away = 0; // the same in time
  }

  /** Add a frame's columns, `elapsed` thirtieths of a second after the one before.
   *  Returns {frames, complete, number} when they are to be read, else null; complete: the phrase ended with this frame, or before
   *  it after a pause. */
  add(columns, elapsed = 1) {
    const paused = elapsed >= PAUSE && this.unseen !== null ? this.finish() : null;
    if (handSeen(columns)) {
      if (this.unseen === null) this.before = this.frames.length;
      this.unseen = this.away = 0;
    } else if (this.unseen !== null) {
      this.unseen += 1;
      this.away += Math.min(elapsed, GAP / FEWEST);
    }
    this.frames.push(columns);
    if (this.unseen === null) this.frames.splice(0, this.frames.length - GAP);
    this.added += 1;
    const full = this.unseen !== null && this.frames.length - this.before - this.unseen >= this.window;
    if (full || this.away > GAP - ROUNDING) return this.finish();
    if (paused || this.unseen === null || this.added % EVERY) return paused;
    return { frames: this.frames.slice(-WINDOW - 2 * GAP), complete: false, number: this.number };
  }

  /** End the current phrase. Returns what is to be read, or null if no hand was seen in it. */
  finish() {
    const phrase = this.unseen === null ? null : { frames: this.frames, complete: true, number: this.number };
    this.start();
    return phrase;
  }
}
