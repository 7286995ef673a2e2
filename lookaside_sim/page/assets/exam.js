// A page that is handed in: questions to answer, and the file that they become. It knows no answer.

import {$, h, marked} from "./dom.js";

const LETTERS = "abcdefgh";

export class Exam {
  constructor({questions, sheet, words}) {
    Object.assign(this, {questions, sheet, words});
    this.answers = {...sheet.answers};
    const box = $("exam");
    box.hidden = false;
    box.replaceChildren(h("h2", {}, "Questions"), this.#text("Your name", text => { this.sheet.name = text; }),
      h("ol", {}, questions.map((question, i) => this.#question(question, String(i + 1)))),
      words ? this.#text(words, text => { this.answers.words = text; }, true) : "",
      h("p", {}, h("button", {onclick: () => this.#save()}, "Save answers.json"), " ",
        h("span", {class: "faint"}, "and hand it in; or copy what stands below.")),
      h("pre", {id: "answers", tabindex: 0, "aria-label": "answers"}));
    box.addEventListener("keydown", event => event.stopPropagation());
    this.#tell();
  }

  #text(label, take, long) {
    const field = h(long ? "textarea" : "input", {autocomplete: "off", rows: 4});
    field.addEventListener("input", () => { take(field.value); this.#tell(); });
    return h("label", {class: "field"}, h("span", {}, marked(label)), field);
  }

  #question({ask, choices}, number) {
    if (!choices.length) return h("li", {}, this.#text(ask, text => { this.answers[number] = text; }));
    return h("li", {}, h("fieldset", {}, h("legend", {}, marked(ask)), choices.map((choice, i) => {
      const input = h("input", {type: "radio", name: `question-${number}`});
      input.addEventListener("change", () => { this.answers[number] = LETTERS[i]; this.#tell(); });
      return h("label", {}, input, ` ${LETTERS[i]}) ${choice}`);
    })));
  }

  #json() { return JSON.stringify({...this.sheet, answers: this.answers}, null, 1); }

  #tell() { $("answers").textContent = this.#json(); }

  #save() {
    const link = h("a", {href: URL.createObjectURL(new Blob([this.#json()], {type: "application/json"})), download: "answers.json"});
    link.click();
    URL.revokeObjectURL(link.href);
  }
}
