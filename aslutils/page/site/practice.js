// Practice: a word, the handshape of its next letter, and letters that light up as they are read.
import { FINGER_COLOURS, HAND_BONES, SIGNS, WORDS } from "./constants.js";

export class Practice {
  /** Elements: the section, the list for the word's letters, the canvas for the handshape. */
  constructor(section, list, canvas) {
    Object.assign(this, { section, list, canvas, lit: 0, word: "" });
  }

  get active() {
    return !this.section.hidden;
  }

  /** Show the section with a new word, or hide it. */
  toggle() {
    this.section.hidden = !this.section.hidden;
    if (this.active) this.next();
    else clearInterval(this.moving);
  }

  /** Show another word. */
  next() {
    const others = WORDS.filter((word) => word !== this.word);
    this.word = others[Math.floor(Math.random() * others.length)];
    this.lit = this.kept = 0;
    this.show();
  }

  /** Light up the letters that a reading spells in the word's order. complete: its phrase ended, and another may go on. */
  read(text, complete) {
    let lit = this.kept;
    for (const letter of text) if (letter === this.word[lit]) lit += 1;
    this.lit = lit;
    if (complete) this.kept = lit;
    this.show();
    return lit === this.word.length;
  }

  show() {
    this.list.replaceChildren(...[...this.word].map((letter, index) => {
      const item = document.createElement("li");
      item.textContent = letter;
      item.className = index < this.lit ? "lit" : "";
      if (index === this.lit) item.setAttribute("aria-current", "step");
      item.setAttribute("aria-label", index < this.lit ? `${letter}, read` : letter);
      return item;
    }));
    this.draw(this.word[this.lit]);
  }

  /** Draw a letter's handshape as its signer sees it in a mirror; a letter that moves is drawn key frame by key frame. */
  draw(letter) {
    if (letter === this.drawn) return;
    this.drawn = letter;
    clearInterval(this.moving);
    const keys = SIGNS[letter] ?? [];
    this.canvas.setAttribute("aria-label", letter ? `How the letter ${letter} is signed` : "The word is spelled");
    let number = 0;
    const step = () => drawHand(this.canvas, keys[number++ % keys.length]);
    if (!keys.length) this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height);
    else step();
    if (keys.length > 1) this.moving = setInterval(step, 500);
  }
}

/** A hand's landmarks, x and y in 0..1, with a colour for each finger. */
function drawHand(canvas, points) {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
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
