// The list of phrases that were read: each with its landmarks to save, all to copy or to clear.
import { npy } from "./npy.js";

const KEPT = 20; // phrases whose landmarks can be saved

export class Phrases {
  /** Elements: the list, its heading, the buttons, and where to say what came of them. */
  constructor({ phrases, heading, copy, clear, copied }) {
    Object.assign(this, { phrases, heading, copyButton: copy, clearButton: clear, copied });
    copy.onclick = () => this.copy();
    clear.onclick = () => this.clear();
  }

  /** Add a complete phrase: its reading, and its frames' columns. */
  add(reading, frames) {
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.textContent = reading.text || reading.verdict;
    text.className = reading.text ? "phrase" : "reason";
    const save = document.createElement("button");
    save.textContent = "Save landmarks";
    save.setAttribute("aria-label", `Save landmarks of ${text.textContent}`);
    save.onclick = () => saveFile(npy(frames), "phrase.npy");
    item.append(text, save);
    this.phrases.append(item);
    [...this.phrases.querySelectorAll("button")].slice(0, -KEPT).forEach((button) => button.remove());
    this.copied.textContent = "";
    this.clearButton.disabled = false;
    if (reading.text) this.copyButton.disabled = false;
  }

  async copy() {
    const texts = [...this.phrases.querySelectorAll(".phrase")].map((phrase) => phrase.textContent);
    try {
      await navigator.clipboard.writeText(texts.join("\n"));
      this.copied.textContent = `Copied ${texts.length} ${texts.length === 1 ? "phrase" : "phrases"}.`;
    } catch {
      this.copied.textContent = "The browser does not let this page copy: select the phrases and copy them by hand.";
    }
  }

  clear() {
    this.phrases.replaceChildren();
    this.copied.textContent = "";
    this.heading.focus(); // the button that has it is disabled
    this.copyButton.disabled = this.clearButton.disabled = true;
  }
}

function saveFile(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
