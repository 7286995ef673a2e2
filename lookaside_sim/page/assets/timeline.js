// The timeline of one list: what it holds, its limit, hits and misses in lanes of their own.

import {$} from "./dom.js";
import {ADD, SET, BORN, DIED, LIST} from "./decode.js";

const LEFT = 46, LANE = 13;

export class Timeline {
  constructor(run, fold, look, canvas, go) {
    Object.assign(this, {run, fold, look, canvas, go, zoom: null});
    this.#gather();
    canvas.addEventListener("pointerdown", event => this.#drag(event));
    canvas.addEventListener("wheel", event => this.#wheel(event), {passive: false});
    canvas.addEventListener("dblclick", () => { this.zoom = null; this.draw(this.list); });
  }

  // One fold of the whole run: after each step of a list, what it held and its limit.
  #gather() {
    const {run, fold} = this, {lists} = run.meta, counts = new Uint32Array(lists.length + 1);
    const depth = fold.field.get("Depth");
    const kinds = run.shapes.map(shape => {
      if (shape.sentence === "stopped") return 4;
      if (shape.call.branch === "hit") return shape.call.word === "free" ? 1 : 0;
      if (shape.call.branch === "miss" || shape.call.branch === "full") return 2;
      return 3;
    });
    const touched = run.shapes.map(shape => {
      const found = new Set(shape.obj >= 0 ? [shape.obj] : []);
      for (const [kind, obj] of shape.edits) {
        if ((kind === SET || kind === ADD) && obj >= 0) found.add(obj);
        if (kind === LIST || (kind >= 3 && kind <= 6)) found.add(obj);
      }
      return [...found];
    });
    const pooled = run.shapes.map(shape => shape.edits.some(([kind]) => kind === BORN || kind === DIED));
    for (let i = 0; i < run.n; i++) {
      for (const list of touched[run.op[i]]) counts[list]++;
      if (pooled[run.op[i]]) counts[lists.length]++;
    }
    const make = n => ({n: 0, step: new Uint32Array(n), held: new Float64Array(n), depth: new Float64Array(n), kind: new Uint8Array(n)});
    this.series = [...counts].map(make);
    const put = (row, step, held, limit, kind) => {
      const at = row.n++;
      row.step[at] = step; row.held[at] = held; row.depth[at] = limit; row.kind[at] = kind;
    };
    for (let i = 0; i < run.n; i++) {
      fold.seek(i + 1);
      const op = run.op[i];
      for (const list of touched[op]) {
        put(this.series[list], i, fold.held(list), fold.values[list * fold.width + depth],
          run.shapes[op].obj === list ? kinds[op] : 3);
      }
      if (pooled[op]) put(this.series[lists.length], i, fold.live, 0, 3);
    }
    this.kinds = kinds;
    const spread = run.n ? run.times[run.n - 1] : 0;
    // A clock that only says whole seconds would put all steps of a second into one place.
    this.byTime = run.n > 3000 && spread > 2.5e6 && run.times.some(time => time % 1e6);
  }

  get end() { return this.byTime ? this.run.times[this.run.n - 1] : this.run.n; }

  x(step) { return this.byTime ? this.run.times[step] : step + .5; }

  // The step at a place of the axis.
  stepAt(value) {
    if (!this.byTime) return Math.floor(value);
    const {times, n} = this.run;
    let low = 0, high = n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= value) low = middle + 1; else high = middle;
    }
    return low - 1;
  }

  #frame() {
    const [from, to] = this.zoom ?? [0, this.end];
    const width = this.canvas.clientWidth - LEFT - 8;
    return {from, to, width, left: LEFT, px: value => LEFT + (value - from) / (to - from || 1) * width};
  }

  #drag(event) {
    const {canvas} = this;
    const move = event => {
      const {from, to, width} = this.#frame();
      const x = (event.clientX - canvas.getBoundingClientRect().left - LEFT) / width;
      this.go(this.stepAt(from + x * (to - from)) + 1);
    };
    canvas.setPointerCapture(event.pointerId);
    move(event);
    canvas.onpointermove = move;
    canvas.onpointerup = canvas.onpointercancel = () => { canvas.onpointermove = null; };
  }

  #wheel(event) {
    if (!event.deltaY || !(event.ctrlKey || event.shiftKey || this.run.n > 400)) return;
    event.preventDefault();
    const {from, to, width} = this.#frame();
    const at = from + (event.clientX - this.canvas.getBoundingClientRect().left - LEFT) / width * (to - from);
    this.scale(event.deltaY > 0 ? 1.3 : 1 / 1.3, at);
  }

  scale(by, around) {
    const {from, to} = this.#frame(), at = around ?? (this.fold.at ? this.x(this.fold.at - 1) : 0);
    const low = Math.max(0, at - (at - from) * by), high = Math.min(this.end, at + (to - at) * by);
    this.zoom = high - low > this.end * .999 ? null : [low, Math.max(high, low + (this.byTime ? 1000 : 8))];
    this.draw(this.list);
  }

  draw(list) {
    this.list = list;
    const {canvas, run, fold} = this, scale = devicePixelRatio || 1;
    const w = canvas.clientWidth, height = canvas.clientHeight;
    if (!w) return;
    canvas.width = w * scale;
    canvas.height = height * scale;
    const g = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    const color = name => style.getPropertyValue(name).trim();
    g.scale(scale, scale);
    const row = this.series[list < 0 ? run.meta.lists.length : list], frame = this.#frame();
    const bottom = height - 2 * LANE - 12, columns = Math.max(1, Math.ceil(frame.width));
    const seen = this.#columns(row, frame, columns);
    const top = Math.max(4, seen.most) * 1.1, y = value => 5 + (bottom - 5) * (1 - value / top);
    this.#area(g, seen, columns, y, color);
    if (list >= 0) this.#line(g, seen, columns, y, color);
    this.#lanes(g, seen, frame, columns, bottom + 8, color, list >= 0);
    g.fillStyle = color("--faint");
    g.font = `11px ${color("--mono")}`;
    g.textAlign = "right";
    g.fillText("0", LEFT - 6, y(0) + 3);
    g.fillText(Math.round(top / 1.1), LEFT - 6, y(top / 1.1) + 7);
    if (list >= 0) {
      g.fillText("hit", LEFT - 6, bottom + 8 + LANE - 3);
      g.fillText("miss", LEFT - 6, bottom + 8 + 2 * LANE - 1);
    }
    const now = fold.at ? frame.px(this.byTime ? run.times[fold.at - 1] : fold.at - .5) : LEFT;
    if (this.hidesFuture) {
      g.fillStyle = color("--panel");
      g.fillRect(now, 0, w, height);
    }
    g.strokeStyle = g.fillStyle = color("--selected");
    g.lineWidth = 2;
    g.beginPath(); g.moveTo(now, 2); g.lineTo(now, height); g.stroke();
    g.beginPath(); g.moveTo(now - 5, 0); g.lineTo(now + 5, 0); g.lineTo(now, 7); g.fill();
  }

  // What falls into each column of pixels; remembered, since it changes with the view alone.
  #columns(row, {from, to}, columns) {
    const key = [this.series.indexOf(row), from, to, columns].join();
    if (this.seen?.key !== key) this.seen = {key, ...this.#count(row, from, to, columns)};
    return this.seen;
  }

  #count(row, from, to, columns) {
    const low = new Float64Array(columns).fill(NaN), high = new Float64Array(columns).fill(NaN);
    const depth = new Float64Array(columns).fill(NaN), last = new Float64Array(columns).fill(NaN);
    const hits = new Uint32Array(columns), misses = new Uint32Array(columns), tuned = [], stops = [];
    let held = 0, limit = 0, most = 0, before = NaN;
    const perPixel = columns / (to - from || 1);
    for (let j = 0; j < row.n; j++) {
      const at = this.byTime ? this.run.times[row.step[j]] : row.step[j];
      if (at < from) { held = row.held[j]; limit = row.depth[j]; before = limit; continue; }
      if (at > to) break;
      const q = Math.min(columns - 1, Math.floor((at - from) * perPixel)), value = row.held[j];
      if (!(low[q] <= value)) low[q] = value;
      if (!(high[q] >= value)) high[q] = value;
      last[q] = value;
      depth[q] = row.depth[j];
      if (row.depth[j] !== before && !Number.isNaN(before)) tuned.push(q);
      before = row.depth[j];
      most = Math.max(most, value, row.depth[j] < 0xffff ? row.depth[j] : 0);
      if (row.kind[j] < 2) hits[q]++; else if (row.kind[j] === 2) misses[q]++; else if (row.kind[j] === 4) stops.push(q);
    }
    return {low, high, last, depth, hits, misses, tuned, stops, held, limit, most: Math.max(most, held, limit < 0xffff ? limit : 0)};
  }

  #area(g, {low, high, last, held}, columns, y, color) {
    g.fillStyle = color("--area");
    g.beginPath();
    g.moveTo(LEFT, y(0));
    let now = held;
    for (let q = 0; q < columns; q++) {
      if (Number.isNaN(high[q])) continue;
      g.lineTo(LEFT + q, y(now));
      g.lineTo(LEFT + q, y(high[q]));
      if (low[q] !== high[q]) { g.lineTo(LEFT + q + .5, y(high[q])); g.lineTo(LEFT + q + .5, y(low[q])); }
      now = last[q];
      g.lineTo(LEFT + q + 1, y(now));
    }
    g.lineTo(LEFT + columns, y(now));
    g.lineTo(LEFT + columns, y(0));
    g.fill();
  }

  #line(g, {depth, limit, tuned, stops}, columns, y, color) {
    g.strokeStyle = color("--ink");
    g.lineWidth = 1.75;
    g.beginPath();
    let now = limit;
    g.moveTo(LEFT, y(now));
    for (let q = 0; q < columns; q++) {
      if (Number.isNaN(depth[q]) || depth[q] >= 0xffff) continue;
      g.lineTo(LEFT + q, y(now));
      g.lineTo(LEFT + q, y(now = depth[q]));
    }
    g.lineTo(LEFT + columns, y(now));
    g.stroke();
    g.fillStyle = color("--tune");
    for (const q of tuned) {
      const at = y(depth[q] >= 0xffff ? 0 : depth[q]);
      g.beginPath(); g.moveTo(LEFT + q, at - 5); g.lineTo(LEFT + q + 5, at); g.lineTo(LEFT + q, at + 5); g.lineTo(LEFT + q - 5, at); g.fill();
    }
  }

  #lanes(g, {hits, misses, stops}, frame, columns, top, color, named) {
    const each = frame.width / ((frame.to - frame.from) || 1);
    const bin = !this.byTime && each >= 2 ? 1 : columns > 900 ? 2 : 3;
    const lane = (counts, at, fill) => {
      g.fillStyle = fill;
      const bins = [];
      let most = 1;
      for (let q = 0; q < columns; q += bin) {
        let sum = 0;
        for (let r = q; r < Math.min(columns, q + bin); r++) sum += counts[r];
        if (sum) bins.push([q, sum]);
        most = Math.max(most, sum);
      }
      const wide = bin === 1 ? Math.max(1.5, Math.min(each - .8, 14)) : bin - .5;
      for (const [q, sum] of bins) {
        const tall = Math.max(3, (LANE - 3) * Math.sqrt(sum / most));
        g.fillRect(LEFT + q, at + LANE - 2 - tall, wide, tall);
      }
    };
    if (named) {
      lane(hits, top, color("--hit"));
      lane(misses, top + LANE + 2, color("--miss"));
    }
    g.fillStyle = color("--stop");
    g.font = `bold 15px ${color("--sans")}`;
    g.textAlign = "center";
    for (const q of stops) g.fillText("✕", LEFT + q + 2, top + LANE);
  }
}
