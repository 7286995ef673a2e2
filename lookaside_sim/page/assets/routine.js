// The routine that ran: its lines, the branch it took, what each condition was worth.

import {$, h} from "./dom.js";

export class Routine {
  constructor(app) { this.app = app; }

  draw(env) {
    const {run, look, step} = this.app, box = $("routine");
    if (step < 0) {
      $("routine-name").textContent = "";
      box.replaceChildren(h("p", {class: "faint"}, "The run begins: nothing has been called yet."));
      return;
    }
    const shape = look.shape(step), {call} = shape, lines = [];
    $("routine-name").textContent = call.word === "tick" ? "ExAdjustLookasideDepth" : call.routine;
    if (call.word === "tick") this.#scans(lines);
    else {
      const rows = run.meta.routines[shape.routine] ?? [];
      const ended = shape.sentence === "stopped" || shape.sentence === "raised";
      let decided = false;
      let number = 0, told = false;
      rows.forEach(([text, when, notes]) => {
        // The program's own routine did otherwise than the pool's lines say: its calls stand there.
        if (/^ +·/.test(text) && shape.inner.length) {
          if (!told && when.split(" ").includes(call.branch)) shape.inner.forEach(inner => this.#inner(lines, inner, 2));
          told = true;
          return;
        }
        const decides = when === "?";
        if (decides) decided = true;
        // A call that stopped the machine did not come to its end.
        const ran = when ? decides || when.split(" ").includes(call.branch) : !(decided && ended);
        const said = notes[call.branch] ?? notes["*"];
        lines.push(this.#line(++number, text, {ran, decides,
          said: ran && said ? look.fill(said, env) : ""}));
      });
    }
    if (!/^list (alloc|free)$/.test(shape.routine)) shape.inner.forEach(inner => this.#inner(lines, inner, 1));
    if (shape.sentence === "stopped") lines.push(this.#line("", `*** STOP ${run.meta.stop?.name ?? ""}`, {ran: true, stop: true}));
    if (!lines.length) lines.push(this.#line("", `${call.routine}()`, {ran: true}));
    box.replaceChildren(...lines);
  }

  #line(number, text, {ran, decides, said, stop}) {
    return h("div", {class: `line${ran ? " ran" : ""}${decides ? " decides" : ""}${stop ? " stops" : ""}`},
      h("span", {class: "number"}, String(number)),
      h("code", {}, text, said ? h("span", {class: "said"}, ` // ${said}`) : null));
  }

  // What the program's own routines did in the middle of the call.
  #inner(lines, inner, depth) {
    const {look, step} = this.app, call = look.call(step, inner.call, inner.obj);
    const text = `${"  ".repeat(depth)}${call.routine}(${call.arguments.map(each => each.text).join(", ")})`;
    lines.push(this.#line("↳", text, {ran: true, said: call.result}));
    inner.inside.forEach(each => this.#inner(lines, each, depth + 1));
  }

  #scans(lines) {
    const {run, step, list} = this.app, scans = run.meta.scans[step] ?? [];
    const shown = scans.find(([each]) => each === list) ?? scans[0];
    if (!shown) {
      lines.push(this.#line("", "no list of this phase was used since its last scan", {ran: true}));
      return;
    }
    lines.push(h("p", {class: "faint"}, `${run.meta.lists[shown[0]].name}: the rule, as the simulator runs it`));
    const last = shown[3].findLastIndex(([, ran]) => ran);
    shown[3].forEach(([text, ran, said], i) => {
      const source = run.meta.texts[text];
      lines.push(this.#line(i + 1, source, {ran, said, decides: i === last || (ran && /^\s*if /.test(source) && said.endsWith("is true"))}));
    });
  }
}
