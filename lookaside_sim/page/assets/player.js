// The player: where the run stands, what is shown of it, and every way to move.

import {$, h} from "./dom.js";
import {decode, NONE, SET} from "./decode.js";
import {Fold} from "./fold.js";
import {ADDRESSES, Look} from "./look.js";
import {Debugger} from "./debugger.js";
import {Picture} from "./picture.js";
import {Timeline} from "./timeline.js";
import {Panes} from "./panes.js";
import {Routine} from "./routine.js";
import {Source} from "./source.js";
import {Quiz} from "./quiz.js";
import {Exam} from "./exam.js";

const PACE = 900;  // milliseconds a step, while playing

export class App {
  constructor(run) {
    this.run = run;
    this.fold = new Fold(run);
    this.look = new Look(run, this.fold);
    this.debugger = new Debugger(run, this.fold, this.look);
    this.picture = new Picture(run, this.fold, this.look);
    this.timeline = new Timeline(run, this.fold, this.look, $("timeline"), at => this.jump(at));
    this.panes = new Panes(this);
    this.routine = new Routine(this);
    this.source = new Source(this);
    this.quiz = new Quiz(this);
    this.position = 0;
    this.list = run.meta.lists.length ? 0 : -1;
    this.selected = NONE;
    this.playing = false;
    this.scale = 1;
    this.#chooseList();
    if (!run.meta.sites.length) document.querySelector(".right").append($("block"));
    $("slider").max = run.n;
    for (const way of ["hit", "miss", "tune"]) {
      $(way).hidden = $(`last-${way}`).hidden = !this.#exists(way);
    }
    $("stop").hidden = !this.#exists("stop");
    $("note").hidden = !Object.keys(run.meta.notes).length;
    $("tuned").hidden = !this.#exists("tune");
    $("predict").hidden = !this.#exists("hit") && !this.#exists("miss");
  }

  #exists(way) { return this.run.shapes.some(shape => this.#isWay(shape, way)); }

  #isWay(shape, way) {
    if (way === "hit") return shape.call.branch === "hit";
    if (way === "miss") return shape.call.branch === "miss" || shape.call.branch === "full";
    if (way === "stop") return shape.sentence === "stopped";
    const depth = this.fold.field.get("Depth");
    return shape.edits.some(([kind, obj, field]) => kind === SET && obj >= 0 && field === depth);
  }

  #chooseList() {
    const {lists} = this.run.meta, box = $("lists");
    box.replaceChildren(...lists.map((list, i) => h("option", {value: i}, `${list.name} (${list.size} bytes, '${list.tag}')`)),
      h("option", {value: -1}, "pool: all blocks in use"));
    box.addEventListener("change", () => { this.list = +box.value; this.show(this.position); });
  }

  // --- moving --------------------------------------------------------------------------------

  show(position, still = false) {
    const {run, fold, look} = this;
    this.position = Math.max(0, Math.min(run.n, position));
    this.step = this.position - 1;
    this.picture.still = still;
    this.before = null;
    let env = {};
    if (this.step >= 0) {
      const shape = look.shape(this.step);
      if (!still && shape.obj >= 0) this.list = shape.obj;
      const scan = run.meta.scans[this.step];
      if (!still && scan && !scan.some(([list]) => list === this.list)) this.list = scan[0][0];
      fold.seek(this.step);
      const chosen = this.mayFollow === false ? this.selected : look.subject(this.step);
      this.dumpBefore = chosen > 0 ? fold.dumped[chosen] : NONE;
      this.#remember();
      env = look.environment(this.step);
      const subject = look.subject(this.step);
      if (subject !== NONE && subject !== 0 && this.mayFollow !== false) this.selected = subject;
    }
    this.mayFollow = true;
    fold.seek(this.position);
    this.#what(env);
    this.#bar();
    this.routine.draw(env);
    this.source.draw();
    this.panes.draw();
    this.panes.block();
    this.timeline.draw(this.list);
    this.#picture();
    this.#link();
  }

  #remember() {
    const {fold, list, run} = this;
    if (list < 0) return;
    const chain = fold.chains[list], fields = {};
    for (const name of run.meta.fields) fields[name] = fold.value(list, name);
    this.before = {list, fields, held: String(fold.held(list)),
      first: this.look.short(chain.length ? chain[chain.length - 1] : 0)};
    if (!fold.shown[list]) this.before = null;
  }

  // One step; predict mode may hold it back until it is answered.
  stepBy(way) {
    if (way > 0 && this.quiz.holds()) return;
    this.show(this.position + way);
    if (way > 0) this.quiz.moved(); else this.quiz.left();
  }

  jump(position) {
    this.show(position, true);
    this.quiz.left();
  }

  // The next or last step for which something holds.
  find(test, way) {
    for (let step = this.step + way; step >= 0 && step < this.run.n; step += way) {
      if (test(step)) {
        this.show(step + 1, false);
        this.quiz.left();
        return true;
      }
    }
    this.say(way > 0 ? "There is none after this." : "There is none before this.");
    return false;
  }

  findWay(name, way) {
    const {run, list} = this, fits = run.shapes.map(shape => this.#isWay(shape, name)
      && (name === "stop" || list < 0 || shape.obj === list || shape.obj < 0));
    this.find(step => fits[run.op[step]], way);
  }

  findNote(way) {
    const places = Object.keys(this.run.meta.notes).map(Number).sort((a, b) => a - b);
    const to = way > 0 ? places.find(at => at > this.position) : places.filter(at => at < this.position).pop();
    if (to === undefined) this.say("There is no further note."); else this.jump(to);
  }

  findField(name, way) {
    const {list} = this;
    this.mayFollow = true;
    this.find(step => this.panes.changes(step, list, name), way);
  }

  findTouch(way) {
    if (this.selected === NONE) return;
    const steps = this.panes.history(this.selected);
    const to = way > 0 ? steps.find(at => at > this.step) : steps.filter(at => at < this.step).pop();
    if (to === undefined) { this.say("No other step touches it."); return; }
    this.mayFollow = false;
    this.show(to + 1);
    this.quiz.left();
  }

  select(id) {
    this.selected = id;
    this.mayFollow = false;
    this.show(this.position, true);
  }

  // The next block of the pages that are drawn.
  selectNext(way) {
    const ids = [...$("picture").querySelectorAll("[data-from]")].map(node => +node.dataset.from);
    if (!ids.length) return;
    const at = ids.indexOf(this.selected);
    this.select(ids[(at + way + ids.length) % ids.length]);
  }

  nextList(way) {
    const count = this.run.meta.lists.length + 1;
    this.list = (this.list + 1 + way + count) % count - 1;
    this.mayFollow = false;
    this.show(this.position, true);
  }

  play(on = !this.playing) {
    this.playing = on;
    $("play").setAttribute("aria-label", on ? "Pause" : "Play");
    $("play").setAttribute("aria-pressed", on);
    clearTimeout(this.timer);
    if (!on) return;
    if (this.position >= this.run.n) this.show(0);
    const {n} = this.run, stride = n > 2000 ? Math.ceil(n / 1500) : 1;
    const tick = () => {
      if (!this.playing) return;
      if (this.position >= n) { this.play(false); return; }
      if (this.quiz.holds()) { this.play(false); return; }
      this.show(this.position + stride, stride > 1);
      this.timer = setTimeout(tick, stride > 1 ? 60 : PACE);
    };
    this.timer = setTimeout(tick, stride > 1 ? 0 : 250);
  }

  // --- drawing -------------------------------------------------------------------------------

  say(text) { $("said").textContent = text; }

  #what(env) {
    const {run, look, step, position} = this, note = run.meta.notes[position];
    $("notes").hidden = !note;
    $("notes").textContent = note ?? "";
    this.say("");
    if (step < 0) {
      $("badge").textContent = run.n ? "START" : "NOW";
      $("badge").className = "badge plain";
      const {lists} = run.meta, count = this.fold.live;
      $("call").replaceChildren(run.n ? `${run.n.toLocaleString("en")} ${run.n === 1 ? "step" : "steps"}` : `${lists.length} ${lists.length === 1 ? "list" : "lists"}, ${count.toLocaleString("en")} blocks`);
      $("why").textContent = !run.n ? "" : "Step with → or the buttons; ? shows all keys.";
      return;
    }
    const {badge, kind, text} = look.sentence(step, env), call = look.call(step);
    $("badge").textContent = badge;
    $("badge").className = `badge ${kind}`;
    const args = call.arguments.flatMap(({name, text: value}, i) => [i ? ", " : "",
      name && !ADDRESSES.has(name) ? h("span", {class: "name"}, `${name} `) : "", h("b", {}, value)]);
    const word = {write: "the program writes ", read: "the program reads ", tick: "time passes: "}[look.shape(step).call.word];
    $("call").replaceChildren(word ?? `${call.routine}(`, ...args, word ? "" : ")",
      call.result && kind !== "stop" ? " → " : "", call.result && kind !== "stop" ? h("b", {}, call.result) : "");
    $("why").replaceChildren(text, ...this.#culprit(step));
  }

  // At a stop: a way to whoever led there.
  #culprit(step) {
    const {look, culprit} = this;
    if (!culprit || look.shape(step).sentence !== "stopped") return [];
    const [at, why] = culprit;
    return [" ", h("button", {class: "inline", "data-step": at}, `Look at step ${at}: ${why}`)];
  }

  #bar() {
    const {run, fold, position} = this, time = this.step >= 0 ? run.times[this.step] / 1e6 : 0;
    $("slider").value = position;
    $("slider").setAttribute("aria-valuetext", `step ${position} of ${run.n}`);
    $("position").textContent = `${position.toLocaleString("en")} / ${run.n.toLocaleString("en")}`;
    $("clock").textContent = `${time < 10 ? time.toFixed(2) : time.toFixed(1)} s`;
    const irql = fold.machineValue("Irql"), cpu = fold.machineValue("Processor");
    const level = {0: "PASSIVE", 1: "APC", 2: "DISPATCH"}[irql] ?? String(irql);
    $("where").textContent = irql || cpu ? `IRQL ${level} · CPU ${cpu}` : "";
    $("lists").value = this.list;
    $("held-name").textContent = this.list < 0 ? "blocks in use" : "entries held";
    $("limit").hidden = this.list < 0;
    $("back").disabled = $("first").disabled = position === 0;
    $("next").disabled = $("last").disabled = position === run.n;
  }

  #picture() {
    const svg = $("picture"), width = Math.max(300, svg.parentElement.clientWidth - this.#padding(svg)) / this.scale;
    const {list, selected, step} = this;
    const height = this.picture.draw(svg, {list: list >= 0 && this.fold.shown[list] ? list : list, selected, step, width});
    svg.style.height = `${height * this.scale}px`;
    const name = list >= 0 ? this.run.meta.lists[list].name : "pool";
    const held = list >= 0 ? this.fold.entries(list) : [];
    svg.setAttribute("aria-label", `${name}: ${held.length} entries held`
      + (held.length ? `: ${held.slice(0, 6).map(id => this.look.short(id)).join(", ")}` : ""));
  }

  #padding(svg) {
    const style = getComputedStyle(svg.parentElement);
    return parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
  }

  // --- deep links, size ----------------------------------------------------------------------

  #link() {
    const parts = [`step=${this.position}`];
    if (this.linked === parts[0]) return;
    this.linked = parts[0];
    try { history.replaceState(null, "", `#${parts.join("&")}`); } catch { /* in a notebook's frame */ }
  }

  follow(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, "")), at = parseInt(given.get("step"), 10);
    if (Number.isNaN(at)) return false;
    this.linked = `step=${at}`;
    this.show(at, false);
    return true;
  }

  size(way) {
    const root = document.documentElement, steps = [.85, 1, 1.15, 1.35, 1.6];
    const at = Math.max(0, Math.min(steps.length - 1, steps.indexOf(this.scale) + way));
    this.scale = steps[at];
    root.style.setProperty("--size", `${15 * this.scale}px`);
    this.show(this.position, true);
  }

  project() {
    const on = document.body.classList.toggle("projector");
    $("projector").setAttribute("aria-pressed", on);
    this.scale = on ? 1.35 : 1;
    this.size(0);
  }

  theme() {
    const {dataset} = document.documentElement;
    dataset.theme = dataset.theme === "dark" ? "light" : "dark";
    this.timeline.draw(this.list);
  }
}

export async function open() {
  const begun = performance.now(), packed = JSON.parse($("data").textContent);
  const run = await decode(packed);
  const decoded = performance.now(), app = new App(run);
  app.culprit = packed.culprit;
  if (packed.questions.length) app.quiz.give(packed.questions);
  if (packed.exam) new Exam(packed.exam);
  if (packed.focus) app.selected = packed.focus;
  document.body.classList.toggle("still", run.n === 0);
  return {app, times: {decode: decoded - begun, fold: performance.now() - decoded}, start: packed.step};
}
