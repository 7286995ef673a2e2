// The program's own line: its source, with the line that made the call.

import {$, h} from "./dom.js";

const AROUND = 200;  // lines drawn at most, so that a long file does not make stepping slow

export class Source {
  constructor(app) { this.app = app; this.drawn = -1; }

  stack(step) { return step < 0 ? [] : this.app.run.meta.stacks[this.app.run.stacks[step]]; }

  site(step) {
    const [first] = this.stack(step);
    return first === undefined ? null : this.app.run.meta.sites[first];
  }

  label(step) {
    const site = this.site(step);
    return site ? `${this.app.run.meta.files.find(file => file[0] === site[0])[1]}:${site[1]}` : "";
  }

  // The stack is drawn frame by frame; each names its place, the innermost is the file shown.
  draw() {
    const {run, step} = this.app, stack = this.stack(step), panel = $("program");
    panel.hidden = !run.meta.sites.length;
    if (panel.hidden) return;
    const site = this.site(step) ?? this.site(0);
    $("program-name").textContent = step >= 0 ? this.label(step) : "";
    $("stack").replaceChildren(...stack.slice(1, 5).map(each => {
      const [file, line, name] = run.meta.sites[each];
      return h("li", {}, h("code", {}, name), ` ${file.split(/[\\/]/).pop()}:${line}`);
    }));
    $("stack").hidden = stack.length < 2;
    if (!site) return;
    const [, , chunks] = run.meta.files.find(file => file[0] === site[0]), now = step >= 0 && this.site(step) ? site[1] : -1;
    const box = $("source");
    if (!chunks.some(([, lines]) => lines.length)) {
      box.replaceChildren(h("div", {class: "line now"}, h("span", {class: "number"}, String(site[1])), h("code", {}, site[2])));
      return;
    }
    const shown = [];
    chunks.forEach(([start, lines], i) => {
      if (i) shown.push(h("div", {class: "line gap"}, h("span", {class: "number"}, "⋯"), h("code", {}, "")));
      lines.forEach((text, j) => {
        const number = start + j;
        if (Math.abs(number - site[1]) > AROUND) return;
        shown.push(h("div", {class: `line${number === now ? " now" : ""}`, "aria-current": number === now ? "true" : null},
          h("span", {class: "number"}, String(number)), h("code", {}, text || " ")));
      });
    });
    box.replaceChildren(...shown);
    const line = box.querySelector(".now");
    if (line) box.scrollTop = line.offsetTop - (box.clientHeight - line.clientHeight) / 2;
  }
}
