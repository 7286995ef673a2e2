// What buttons and keys do; the last module: it opens the run.

import {$, h} from "./dom.js";
import {open} from "./player.js";

// Each key: what it does, the keys, and the act.
const KEYS = [
  ["step, step back", ["ArrowRight", "ArrowLeft"], [app => app.stepBy(1), app => app.stepBy(-1)]],
  ["ten steps on, back", ["PageDown", "PageUp"], [app => app.jump(app.position + 10), app => app.jump(app.position - 10)]],
  ["first, last", ["Home", "End"], [app => app.jump(0), app => app.jump(app.run.n)]],
  ["play, pause", [" "], [app => app.play()]],
  ["next, previous hit", ["h", "H"], [app => app.findWay("hit", 1), app => app.findWay("hit", -1)]],
  ["next, previous miss", ["m", "M"], [app => app.findWay("miss", 1), app => app.findWay("miss", -1)]],
  ["next, previous change of a Depth", ["t", "T"], [app => app.findWay("tune", 1), app => app.findWay("tune", -1)]],
  ["next, previous stop", ["x", "X"], [app => app.findWay("stop", 1), app => app.findWay("stop", -1)]],
  ["next, previous note", ["n", "N"], [app => app.findNote(1), app => app.findNote(-1)]],
  ["next, previous block", ["b", "B"], [app => app.selectNext(1), app => app.selectNext(-1)]],
  ["previous, next step that touches it", ["[", "]"], [app => app.findTouch(-1), app => app.findTouch(1)]],
  ["next, previous list", ["l", "L"], [app => app.nextList(1), app => app.nextList(-1)]],
  ["dt, !lookaside, !pool, !poolused", ["1", "2", "3", "4"], ["dt", "lookaside", "pool", "used"].map((tab, i) =>
    app => { if (!app.quiz.choose(i + 1)) showTab(app, tab); })],
  ["go to a step", ["g"], [() => { $("goto").value = ""; $("asking").showModal(); }]],
  ["timeline: closer, wider", ["z", "Z"], [app => app.timeline.scale(1 / 2), app => app.timeline.scale(2)]],
  ["predict", ["p"], [app => app.quiz.toggle()]],
  ["projector", ["f"], [app => app.project()]],
  ["larger, smaller", ["+", "-"], [app => app.size(1), app => app.size(-1)]],
  ["light, dark", ["d"], [app => app.theme()]],
  ["these keys", ["?"], [() => $("help").showModal()]],
];
const NAMES = {ArrowRight: "→", ArrowLeft: "←", " ": "space", PageDown: "PgDn", PageUp: "PgUp"};

function showTab(app, tab) {
  app.panes.tab = tab;
  app.panes.draw();
}

function bindKeys(app) {
  const acts = new Map(KEYS.flatMap(([, keys, does]) => keys.map((key, i) => [key, does[i]])));
  acts.set("=", acts.get("+"));
  $("keys").replaceChildren(...KEYS.map(([text, keys]) => h("tr", {},
    h("td", {}, keys.flatMap(key => [h("kbd", {}, NAMES[key] ?? key), " "])), h("td", {}, text))));
  addEventListener("keydown", event => {
    const {key, target} = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (target.tagName === "SELECT" && key.length > 1) return;
    if (target.tagName === "BUTTON" && (key === " " || key === "Enter")) return;
    if (key === "Enter" && target.dataset?.id) { app.select(+target.dataset.id); return; }
    if (target.getAttribute?.("role") === "tab" && key.startsWith("Arrow")) { moveTab(app, key); event.preventDefault(); return; }
    const act = acts.get(key);
    if (!act) return;
    event.preventDefault();
    act(app);
  });
}

function moveTab(app, key) {
  const tabs = [...$("tabs").children], at = tabs.findIndex(tab => tab.dataset.tab === app.panes.tab);
  const to = tabs[(at + (key === "ArrowRight" ? 1 : -1) + tabs.length) % tabs.length];
  showTab(app, to.dataset.tab);
  to.focus();
}

function bindButtons(app) {
  const on = (id, act) => $(id).addEventListener("click", act);
  on("first", () => app.jump(0));
  on("back", () => app.stepBy(-1));
  on("play", () => app.play());
  on("next", () => app.stepBy(1));
  on("last", () => app.jump(app.run.n));
  for (const way of ["hit", "miss", "tune"]) {
    on(way, () => app.findWay(way, 1));
    on(`last-${way}`, () => app.findWay(way, -1));
  }
  on("stop", () => app.findWay("stop", app.step === app.run.n - 1 ? -1 : 1));
  on("note", () => app.findNote(1));
  on("predict", () => app.quiz.toggle());
  on("projector", () => app.project());
  on("theme", () => app.theme());
  on("keys-button", () => $("help").showModal());
  $("slider").addEventListener("input", event => app.jump(+event.target.value));
  $("tabs").addEventListener("click", event => event.target.dataset.tab && showTab(app, event.target.dataset.tab));
  $("picture").addEventListener("click", event => {
    const node = event.target.closest("[data-id]");
    if (node) app.select(+node.dataset.id);
  });
  document.addEventListener("click", event => {
    const {step, field, way} = event.target.dataset ?? {};
    if (step) app.jump(+step);
    if (field) app.findField(field, +way);
  });
  $("asking").addEventListener("close", () => {
    const to = parseInt($("goto").value, 10);
    if ($("asking").returnValue !== "cancel" && !Number.isNaN(to)) app.jump(to);
  });
  addEventListener("hashchange", () => app.follow(location.hash));
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(() => app.show(app.position, true));
  });
}

const dark = matchMedia("(prefers-color-scheme: dark)");
function followTheme() { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; }

followTheme();
open().then(({app, times, start}) => {
  bindKeys(app);
  bindButtons(app);
  dark.addEventListener("change", () => { followTheme(); app.timeline.draw(app.list); });
  if (!app.follow(location.hash)) app.show(start);
  document.body.dataset.ready = Math.round(times.decode + times.fold);
}).catch(error => {
  $("why").textContent = `This page cannot be shown: ${error.message}`;
  throw error;
});
