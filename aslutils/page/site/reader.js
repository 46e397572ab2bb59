// Reads a phrase's frames with the model, which runs in a worker, and decides when to reject: as `Recognizer.read` in Python.
import {
  ASSETS, CHARACTERS, CLEARLY, COLUMNS, EOS, FRAMES, LEAST_PART, MIN_CERTAINTY, MIN_CONFIDENCE, MIN_FRAMES,
  USUAL_CHARACTERS, VERDICTS,
} from "./constants.js";
import { handSeen, isDeep } from "./columns.js";
import { equal, overlong } from "./division.js";

export class Reader {
  /** Which of ASSETS it needs: all but MediaPipe's. */
  static assets = ASSETS.filter(([path]) => !path.startsWith("vendor/holistic/"));

  /** `assets`: URLs of downloaded files by their path. Resolves when the model is ready. */
  static async load(assets) {
    const worker = new Worker(new URL("worker.js", import.meta.url));
    const reader = new Reader(worker);
    await reader.ask({ assets });
    return reader;
  }

  constructor(worker) {
    this.worker = worker;
    this.asked = new Map();
    this.reading = 0; // how many phrases
    this.last = Promise.resolve();
    worker.onmessage = ({ data }) => {
      const { resolve, reject } = this.asked.get(data.id);
      this.asked.delete(data.id);
      data.error ? reject(new Error(data.error)) : resolve(data);
    };
    worker.onerror = (event) => {
      const error = new Error(`The reader stopped (${event.message ?? "worker.js cannot be loaded"}); load the page again.`);
      this.asked.forEach(({ reject }) => reject(error));
      this.asked.clear();
    };
  }

  get busy() {
    return this.reading > 0;
  }

  ask(message, transfer = []) {
    const id = (this.id = (this.id ?? 0) + 1);
    return new Promise((resolve, reject) => {
      this.asked.set(id, { resolve, reject });
      this.worker.postMessage({ id, ...message }, transfer);
    });
  }

  /** Read frames: {verdict, text, probabilities, confidence, certainty, milliseconds}; text is "" unless the verdict is READ.
   *  inParts: a text longer than was usual in training also in equal parts, whose texts are joined where they are clearly surer.
   *  Phrases are read one after the other, in the order in which they are given. */
  read(recorded, inParts = true) {
    this.reading += 1;
    const reading = this.last.then(() => this.readPhrase(recorded, inParts)).finally(() => (this.reading -= 1));
    this.last = reading.catch(() => {});
    return reading;
  }

  async readPhrase(recorded, inParts) {
    const frames = shown(recorded);
    const whole = await this.readOnce(frames);
    if (!inParts || !USUAL_CHARACTERS || whole.text.length <= USUAL_CHARACTERS) return whole;
    const [first, last] = overlong(frames.map(handSeen));
    const given = frames.slice(first, frames.length - last);
    const count = Math.min(Math.ceil((5 * whole.text.length) / (4 * USUAL_CHARACTERS)), Math.floor(given.length / LEAST_PART)); // 4/5 each
    if (count < 2) return whole;
    const parts = [];
    for (const part of equal(given, count)) parts.push({ length: part.length, ...(await this.readOnce(part)) });
    const together = joined(whole, parts);
    const complete = parts.every(({ verdict }) => verdict === VERDICTS.READ || verdict === VERDICTS.NO_HANDS);
    const chosen = complete && together.certainty > CLEARLY * whole.certainty ? together : whole;
    return { ...chosen, milliseconds: whole.milliseconds + together.milliseconds };
  }

  async readOnce(frames) {
    const seen = frames.map(handSeen);
    const hands = seen.filter(Boolean).length;
    let verdict = rejected(frames.length, hands, NaN, NaN, 1) ?? (isDeep(frames) ? null : VERDICTS.NO_DEPTH);
    if (verdict) return { verdict, text: "", probabilities: [], confidence: NaN, certainty: NaN, milliseconds: 0 };
    const [first, last] = overlong(seen);
    const rows = fitted(shown(frames.slice(first, frames.length - last)));
    const inputs = new Float32Array(FRAMES * COLUMNS.length).fill(NaN);
    rows.forEach((columns, row) => inputs.set(columns, row * COLUMNS.length));
    const answer = await this.ask({ inputs }, [inputs.buffer]);
    const { confidence, certainty, milliseconds } = answer;
    const { text, probabilities } = spelled(answer);
    const written = probabilities.some((probability) => probability > 0); // if not, the model rejected it, whatever the limits here
    const characters = written ? text.length : Number(certainty > 0);
    verdict = rejected(frames.length, hands, confidence, certainty, characters) ?? (written ? null : VERDICTS.UNSURE);
    return { verdict: verdict ?? VERDICTS.READ, text: verdict ? "" : text, probabilities: verdict ? [] : probabilities,
      confidence, certainty, milliseconds };
  }
}

/** Why a sequence is rejected; null if it is not. */
function rejected(length, hands, confidence, certainty, characters) {
  if (hands < 1) return VERDICTS.NO_HANDS;
  if (length < MIN_FRAMES) return VERDICTS.TOO_SHORT;
  if (confidence < MIN_CONFIDENCE || (characters > 0 && certainty < MIN_CERTAINTY)) return VERDICTS.UNSURE;
  return characters < 1 ? VERDICTS.NO_TEXT : null;
}

/** The readings of a phrase's parts as one: their texts in a row, as sure as they are on average over the frames. */
function joined(whole, parts) {
  const frames = parts.reduce((sum, { length }) => sum + length, 0);
  const mean = (name) => parts.reduce((sum, part) => sum + (part[name] || 0) * part.length, 0) / frames; // NaN: it shows no hand
  return { ...whole, text: parts.map(({ text }) => text).join(""), probabilities: parts.flatMap(({ probabilities }) => probabilities),
    confidence: Number.isNaN(whole.confidence) ? NaN : mean("confidence"), certainty: mean("certainty"),
    milliseconds: parts.reduce((sum, { milliseconds }) => sum + milliseconds, 0) };
}

/** What is a frame to the model: none behind the last that shows anything. */
export function shown(frames) {
  return frames.slice(0, frames.findLastIndex((columns) => columns.some(Number.isFinite)) + 1);
}

/** At most as many frames as the model takes, by the nearest index in single precision. */
export function fitted(frames) {
  const length = frames.length;
  if (length <= FRAMES) return frames;
  const ratio = Math.fround(length / FRAMES);
  return Array.from({ length: FRAMES }, (_, row) => frames[Math.min(Math.floor(Math.fround(row * ratio)), length - 1)]);
}

/** The characters that an answer's tokens spell, and the probability of each. */
function spelled({ tokens, probabilities }) {
  const end = tokens.includes(EOS) ? tokens.indexOf(EOS) : tokens.length;
  const steps = [...tokens.keys()].slice(0, end).filter((step) => tokens[step] < CHARACTERS.length);
  return { text: steps.map((step) => CHARACTERS[tokens[step]]).join(""), probabilities: steps.map((step) => probabilities[step]) };
}
