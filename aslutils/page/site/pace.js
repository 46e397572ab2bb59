// How fast pictures come, and saying only what lasts. clock: milliseconds.
import { RATE, STEADY } from "./constants.js";

const NOW = () => performance.now();

export class Pace {
  constructor(clock = NOW) {
    this.clock = clock;
    this.restart();
  }

  /** Forget when pictures came. */
  restart() {
    this.times = []; // of the last 30
  }

  /** Note that a picture came. Returns the thirtieths of a second since the one before, 1 for the first. */
  next() {
    const now = this.clock();
    const elapsed = this.times.length ? ((now - this.times.at(-1)) * RATE) / 1000 : 1;
    this.times.push(now);
    if (this.times.length > 30) this.times.shift();
    return elapsed;
  }

  /** Frames a second; null before 30 of them, or two seconds. */
  get rate() {
    const span = this.times.at(-1) - this.times[0];
    return span > 2000 || this.times.length === 30 ? (1000 * (this.times.length - 1)) / span : null;
  }
}

/** A function that is given what to say at each picture, and returns another text than before only if it has been for a while. */
export function steadily(clock = NOW) {
  let said, given, since;
  return (text) => {
    if (text !== given) [given, since] = [text, clock()];
    if (said === undefined || clock() - since > STEADY) said = given;
    return said;
  };
}
