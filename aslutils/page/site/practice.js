// Practice: a word, the handshape of its next letter, and letters that light up as they are read.
import { FINGER_COLOURS, HAND_BONES, HOW, SIGNS, WORDS } from "./constants.js";

export class Practice {
  /** Elements: the section, the list for the word's letters, the canvas for the handshape, the line that says what is next. */
  constructor(section, list, canvas, hint) {
    Object.assign(this, { section, list, canvas, hint, word: "" });
  }

  get active() {
    return !this.section.hidden;
  }

  get spelled() {
    return this.active && this.lit === this.word.length;
  }

  /** Show the section with a new word, or hide it. since: the number of the first phrase that counts for the word. */
  toggle(since) {
    this.section.hidden = !this.section.hidden;
    if (this.active) this.next(since);
    else this.draw("");
  }

  /** Show another word. */
  next(since) {
    const others = WORDS.filter((word) => word !== this.word);
    this.begin(others[Math.floor(Math.random() * others.length)], since);
    this.show();
  }

  begin(word, since) {
    Object.assign(this, { word, since, lit: 0, before: 0, phrase: since });
  }

  /** Light up the letters that phrase `number` spells next, after those of earlier phrases; what is lit stays lit. */
  read(text, number) {
    if (!this.active || number < this.since) return;
    if (number !== this.phrase) Object.assign(this, { phrase: number, before: this.lit });
    let lit = this.before;
    for (const letter of text) if (letter === this.word[lit]) lit += 1;
    if (lit <= this.lit) return;
    this.lit = lit;
    this.show();
  }

  show() {
    this.list.replaceChildren(...[...this.word].map((letter, index) => {
      const item = document.createElement("li");
      item.textContent = letter;
      item.className = index < this.lit ? "lit" : "";
      if (index === this.lit) item.setAttribute("aria-current", "step");
      if (index < this.lit) item.setAttribute("aria-label", `${letter}, read`);
      return item;
    }));
    const next = this.word[this.lit] ?? "";
    this.hint.textContent = next ? `Next: ${next} (${HOW[next]})` : "The word is spelled.";
    this.draw(next);
  }

  /** Draw a letter's handshape as its signer sees it in a mirror; a letter that moves is drawn key frame by key frame. */
  draw(letter) {
    clearInterval(this.moving);
    const keys = SIGNS[letter] ?? [];
    let number = 0;
    const step = () => drawHand(this.canvas, keys[number++ % keys.length] ?? []);
    step();
    if (keys.length > 1) this.moving = setInterval(step, 500);
  }
}

/** A hand's landmarks, x and y in 0..1, with a colour for each finger; without any, nothing. */
function drawHand(canvas, points) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!points.length) return;
  context.lineWidth = 9;
  context.lineCap = "round";
  HAND_BONES.forEach(([from, to], bone) => {
    context.strokeStyle = FINGER_COLOURS[bone];
    context.beginPath();
    context.moveTo(points[from][0] * canvas.width, points[from][1] * canvas.height);
    context.lineTo(points[to][0] * canvas.width, points[to][1] * canvas.height);
    context.stroke();
  });
}
