// Predict mode: it asks before it shows. Asked is the first step of each kind, and each one
// that goes another way than the last of its kind: the others can be had by habit.

import {$, h, marked} from "./dom.js";

export class Quiz {
  constructor(app) {
    this.app = app;
    this.on = false;
    this.right = this.asked = 0;
    this.pending = null;
    this.given = new Map();
  }

  // A lesson's own questions, by position: then only these are asked.
  give(questions) {
    for (const {at, ask, choices, answer, why} of questions) {
      if (!this.given.has(at)) this.given.set(at, []);
      this.given.get(at).push({ask: marked(ask), choices, answer, because: why});
    }
    $("predict").hidden = false;
    this.toggle();
  }

  toggle() {
    this.on = !this.on;
    this.pending = null;
    $("predict").setAttribute("aria-pressed", this.on);
    $("quiz").hidden = !this.on;
    // Who is asked what comes does not see it drawn.
    document.body.classList.toggle("predicting", this.on);
    this.app.timeline.hidesFuture = this.on;
    this.app.timeline.draw(this.app.list);
    if (this.on) this.#wait();
  }

  // What is asked of a step: a question, choices, the right one; null for nothing.
  question(step) {
    const {run, fold, look} = this.app, shape = look.shape(step), {call, obj} = shape;
    fold.seek(step);
    if (obj >= 0 && call.word === "alloc" && (call.branch === "hit" || call.branch === "miss")) {
      const entries = fold.entries(obj), fresh = "a new block from the pool";
      const choices = [...new Set([entries[0], entries.at(-1), entries[1]].filter(each => each !== undefined).map(id => look.short(id)))];
      choices.sort();
      choices.push(fresh);
      const answer = call.branch === "miss" ? fresh : entries.length ? look.short(entries[0]) : fresh;
      return {kind: `alloc ${obj}`, way: call.branch, ask: [h("b", {}, `${run.meta.lists[obj].name}.allocate()`), ": what comes back?"],
        choices, answer, because: call.branch === "miss" ? "the list was empty" : "last in, first out"};
    }
    if (obj >= 0 && call.word === "free" && (call.branch === "hit" || call.branch === "full")) {
      const choices = ["onto the list", "back to the pool"], held = fold.chains[obj].length;
      const name = call.arguments.find(([each]) => each === "Entry" || each === "entry");
      return {kind: `free ${obj}`, way: call.branch, ask: [h("b", {}, `${run.meta.lists[obj].name}.free(${name ? look.operand(step, name[1]) : ""})`), ": where does the block go?"],
        choices, answer: choices[call.branch === "hit" ? 0 : 1], because: `${held} held, Depth is ${fold.value(obj, "Depth")}`};
    }
    const scan = (run.meta.scans[step] ?? [])[0];
    if (call.word === "tick" && scan) {
      const [list, old, fresh] = scan, value = name => fold.value(list, name);
      const choices = [...new Set([fresh, old, old + 30, Math.max(4, old - 10), Math.max(4, old - 1), old + 5])].slice(0, 5).sort((a, b) => a - b).map(String);
      return {kind: `tick ${list}`, way: String(Math.sign(fresh - old)), ask: [
        `The scan comes to ${run.meta.lists[list].name}: ${value("TotalAllocates") - value("LastTotalAllocates")} allocates, `
        + `${value("AllocateMisses") - value("LastAllocateMisses")} of them misses, since its last. Depth is ${old}. `, h("b", {}, "And then?")],
        choices, answer: String(fresh), because: "the routine shows the line that decided"};
    }
    return null;
  }

  isWorthAsking(step, question) {
    const {look} = this.app, {obj, call} = look.shape(step);
    for (let i = step - 1; i >= 0; i--) {
      const before = look.shape(i);
      if (before.obj === obj && before.call.word === call.word && before.routine === look.shape(step).routine) {
        if (call.word === "tick") return true;
        return before.call.branch !== call.branch;
      }
    }
    return question !== null;
  }

  // Called instead of a step forward. Whether it asked.
  holds() {
    const {app} = this, step = app.position;
    if (!this.on || step >= app.run.n) return false;
    if (this.pending) {
      $("quiz").querySelector("button, input")?.focus();
      return true;
    }
    const question = this.#next(step);
    if (!question) return false;
    this.pending = question;
    const ways = question.choices.length ? question.choices.map((choice, i) =>
      h("button", {onclick: () => this.#answer(choice)}, h("kbd", {}, String(i + 1)), ` ${choice}`)) : [this.#field()];
    this.#show([h("span", {class: "ask"}, question.ask), ways]);
    $("quiz").querySelector("button, input").focus({preventScroll: true});
    return true;
  }

  #next(step) {
    if (this.given.size) {
      const asked = this.given.get(step) ?? [];
      return asked.find(question => !question.done);
    }
    const question = this.question(step);
    this.app.fold.seek(this.app.position);
    return question && this.isWorthAsking(step, question) ? question : null;
  }

  // Where a number is asked for.
  #field() {
    const input = h("input", {inputmode: "numeric", autocomplete: "off", "aria-label": "a number"});
    input.addEventListener("keydown", event => {
      event.stopPropagation();
      if (event.key !== "Enter" || !input.value.trim()) return;
      event.preventDefault();  // else the button that gets the focus is pressed by it
      this.#answer(String(Number(input.value.replace(/,/g, ""))));
    });
    return input;
  }

  choose(number) {
    const choice = this.pending?.choices[number - 1];
    if (choice === undefined) return false;
    this.#answer(choice);
    return true;
  }

  #answer(choice) {
    const {pending, app} = this, ok = choice === pending.answer;
    this.asked++;
    if (ok) this.right++;
    this.pending = null;
    pending.done = true;
    // Another question may stand before the same step.
    if (!this.given.size || !this.#next(app.position)) app.show(app.position + 1);
    this.#show([h("b", {class: ok ? "right" : "wrong"}, ok ? "✓ Right" : `✗ No: ${pending.answer}`),
      h("span", {}, `${pending.because}.`), h("button", {id: "quiz-next", onclick: () => app.stepBy(1)}, "go on ", h("kbd", {}, "→"))]);
    $("quiz-next").focus({preventScroll: true});
  }

  // Somebody went elsewhere: what was asked is no longer about the next step.
  moved() {
    if (this.on && this.pending === null) this.#wait();
  }

  left() {
    if (this.on) { this.pending = null; this.#wait(); }
  }

  #wait() {
    this.#show([h("span", {class: "ask"}, "Step on: you are asked before you are shown."),
      h("button", {onclick: () => this.app.stepBy(1)}, "step ", h("kbd", {}, "→"))]);
  }

  #show(parts) {
    $("quiz").replaceChildren(...parts.flat(), h("span", {class: "score"}, `${this.right} of ${this.asked}`));
  }
}

