// The picture: the chain of a list above (order), pages of pool below (place), curves between.

import {s, clip} from "./dom.js";
import {NONE} from "./decode.js";
import {PAGE_BYTES, Places} from "./places.js";

export class Picture {
  constructor(run, fold, look) {
    Object.assign(this, {run, fold, look});
    this.places = new Places(run, fold, look);
  }

  // --- drawing -------------------------------------------------------------------------------

  draw(svg, {list, selected, step, width}) {
    const narrow = width < 700, parts = [], late = [];
    const size = narrow
      ? {bw: 86, bh: 46, gap: 22, head: width, top: 8, x0: 0, y0: 92}
      : {bw: width > 1000 ? 116 : 104, bh: 48, gap: 28, head: 228, top: 8, x0: 262, y0: 16};
    const at = new Map();
    let y = 8;
    if (list >= 0) {
      this.#chain(parts, at, {list, selected, step, width, narrow, ...size});
      y = size.y0 + size.bh + 40;
    }
    const pages = this.places.pages(list, selected, narrow ? 2 : 3);
    y += 24;
    for (const page of pages) {
      this.#page(parts, late, at, page, y, {list, selected, step, width, narrow,
        from: size.y0 + size.bh});
      y += 88;
    }
    const height = Math.max(y - 26, 60);
    this.#replace(svg, [...parts, ...late], width, height);
    return height;
  }

  #chain(parts, at, {list, selected, step, width, narrow, bw, bh, gap, head, top, x0, y0}) {
    const {fold, look, run} = this, {name} = run.meta.lists[list];
    const {chain, ring} = this.#withoutRing(fold.chains[list]), n = chain.length;
    const depth = fold.value(list, "Depth") ?? 0, held = fold.held(list);
    const middle = y0 + bh / 2;
    const said = `${held} held · Depth ${depth} · MaximumDepth ${fold.value(list, "MaximumDepth")}`;
    const gauge = Math.max(depth, held, 1), inner = head - 24;
    parts.push(s("g", {class: "head", transform: `translate(.75 ${top})`},
      s("rect", {width: head - 1.5, height: 68, rx: 10}),
      s("text", {x: 12, y: 21, class: "strong", "font-size": 14}, clip(name, Math.floor(inner / 8.6))),
      s("text", {x: 12, y: 39, "font-size": Math.min(11.5, inner / said.length / .606)}, said),
      s("rect", {class: "gauge", x: 12, y: 50, width: inner, height: 8, rx: 4}),
      s("rect", {class: "gauged", x: 12, y: 50, width: Math.max(inner * held / gauge, held ? 6 : 0), height: 8, rx: 4})));
    const room = Math.max(2, Math.floor((width - x0 + gap - 8) / (bw + gap)));
    const shown = n > room ? room - 1 : n;
    const link = (i) => {
      if (narrow && i === 0) {
        parts.push(s("path", {class: "link", d: `M 24 ${top + 68} V ${y0 - 3}`, "marker-end": "url(#arrow)"}));
        return;
      }
      const to = x0 + i * (bw + gap), from = i ? to - gap : head - 1;
      parts.push(s("path", {class: "link", d: `M ${from} ${middle} H ${to - 3}`, "marker-end": "url(#arrow)"}));
    };
    for (let i = 0; i < shown; i++) {
      const id = chain[n - 1 - i], x = x0 + i * (bw + gap);
      const next = i < n - 1 ? chain[n - 2 - i] : 0, wild = fold.blockAt[id] === NONE;
      at.set(id, x + bw / 2);
      link(i);
      parts.push(s("g", {class: `entry${wild ? " wild" : ""}${id === selected ? " selected" : ""}`,
        transform: `translate(${x} ${y0})`, "data-id": id, "data-move": id, tabindex: 0, role: "button",
        "aria-label": `entry ${i + 1}, ${look.short(id)}, next ${look.short(next)}`
          + (wild ? ", no live block" : "")},
        s("rect", {width: bw, height: bh, rx: 8}),
        s("text", {class: "ordinal", x: 7, y: 13, "font-size": 9.5}, String(i + 1)),
        s("text", {class: "strong", x: bw / 2, y: 21, "font-size": narrow ? 12.5 : 14, "text-anchor": "middle"}, look.short(id)),
        s("text", {class: "faint", x: bw / 2, y: 38, "font-size": narrow ? 10 : 11, "text-anchor": "middle"},
          wild ? "not a block" : `Next ${look.short(next)}`)));
    }
    if (ring >= 0 && n <= room) {
      const last = x0 + (n - 1) * (bw + gap) + bw * .75, first = x0 + ring * (bw + gap) + bw * .25;
      parts.push(s("path", {class: "link ring", "marker-end": "url(#arrow)",
        d: `M ${last} ${y0 + bh} C ${last} ${y0 + bh + 34}, ${first} ${y0 + bh + 34}, ${first} ${y0 + bh + 4}`}),
        s("text", {class: "strong warn", x: (last + first) / 2, y: y0 + bh + 40, "font-size": 11.5, "text-anchor": "middle"}, "a ring: the chain leads back"));
      return;
    }
    if (n > room) {
      const x = x0 + (room - 1) * (bw + gap);
      link(room - 1);
      parts.push(s("text", {x: x + bw / 2, y: middle + 4, "font-size": 13, "text-anchor": "middle"}, `${n - shown} more`));
      return;
    }
    const slots = Math.min(Math.max(depth, n + 1), room);
    for (let i = n; i < slots; i++) {
      const x = x0 + i * (bw + gap);
      if (i === n) link(i);
      if (i < depth) parts.push(s("rect", {class: "slot", x: x + .5, y: y0 + .5, width: bw - 1, height: bh - 1, rx: 8}));
      if (i === n) parts.push(s("text", {class: "faint", x: x + bw / 2, y: middle + 4, "font-size": 12, "text-anchor": "middle"}, "NULL"));
    }
    if (depth <= room && (depth < room || n <= depth)) {
      const x = Math.min(x0 + depth * (bw + gap) - gap / 2, width - 2);
      const right = x > width - 80;
      parts.push(s("path", {class: "limit", d: `M ${x} ${y0 - 6} V ${y0 + bh + 8}`}),
        s("text", {x: x + (right ? -6 : 6), y: y0 + bh + 16, "font-size": 11.5,
          "text-anchor": right ? "end" : "start"}, `Depth ${depth}`));
    } else {
      parts.push(s("text", {x: width - 2, y: y0 + bh + 16, "font-size": 11.5, "text-anchor": "end"}, `Depth ${depth} ▸`));
    }
  }

  // A chain that leads back into itself ends with an entry that came before.
  #withoutRing(chain) {
    const last = chain[0], first = chain.lastIndexOf(last);
    return first > 0 ? {chain: chain.slice(1), ring: chain.length - 1 - first} : {chain, ring: -1};
  }

  #page(parts, late, at, page, y, {list, selected, step, width, narrow, from}) {
    const {look, run, fold} = this, place = this.places.place(page, step), rows = this.places.rows(page), ph = 42;
    const count = {used: 0, list: 0};
    for (const row of rows) count[row.place ? "list" : "used"]++;
    const taken = rows.reduce((sum, row) => sum + Math.max(0, Math.min(PAGE_BYTES, row.to) - Math.max(0, row.from)), 0);
    const any = this.places.byPage.get(page)[0], region = look.region(fold.blocks.address[any]);
    const base = look.full(fold.blocks.address[any]).slice(0, -3) + "000";
    late.push(s("text", {class: "caption", x: 0, y: y - 8, "font-size": 12},
      s("tspan", {class: "strong"}, base),
      s("tspan", {class: "faint"}, `  ${region?.name ?? "special pool"}`
        + (narrow ? "" : `: ${count.used} in use, ${count.list} on a list, ${PAGE_BYTES - taken} bytes free`))));
    parts.push(s("rect", {class: "page", x: .5, y, width: width - 1, height: ph, rx: 4}));
    for (const span of place.spans) {
      if (!span.short) continue;
      const x = (place.x(span.from + 1) + place.x(span.to)) / 2 * width;
      const w = (place.x(span.to) - place.x(span.from + 1)) * width;
      parts.push(s("path", {class: "break", d: [-1, 1].map(side =>
        `M ${x + side * w * .3} ${y + ph} l 5 ${-ph / 2} l -5 ${-ph / 2}`).join(" ")}));
      if (w > 92) parts.push(s("text", {class: "faint", x, y: y + ph / 2 + 4, "font-size": 10.5, "text-anchor": "middle"}, "free"));
    }
    let end = 0;
    for (const row of rows) {
      end = this.#block(parts, late, at, row, page, y, ph, end, {list, selected, width, narrow, place, from});
    }
  }

  #block(parts, late, at, row, page, y, ph, end, {list, selected, width, narrow, place, from}) {
    const {look, run, fold} = this, {arch} = run.meta;
    const start = Math.max(0, row.from), stop = Math.min(PAGE_BYTES, row.to);
    const x = place.x(start + .01) * width, w = Math.max(place.x(stop) * width - x, 1.5);
    const mine = row.place?.list === list, chosen = row.id === selected;
    const tag = look.tag(row.block), size = fold.blocks.size[row.block];
    const state = row.place ? "listed" : "used";
    const where = row.place ? `on ${run.meta.lists[row.place.list].name}` : "in use";
    const header = row.from < look.run.table.offset[row.id] ? w * arch.header / (row.to - row.from) : 0;
    const wide = w > 44, told = look.told(row.id);
    const broken = told.length && !told.some(([from, , , name]) => from === row.from && name === "Allocated");
    parts.push(s("g", {class: `block ${state}${mine ? " mine" : ""}${chosen ? " selected" : ""}`, "data-id": row.id,
      "data-from": row.id, role: w > 10 ? "button" : null, tabindex: w > 10 ? -1 : null,
      "aria-label": w > 10 ? `${look.short(row.id)}, ${tag}, ${size} bytes, ${where}` : null},
      s("title", {}, `${look.full(row.id)} ${tag} ${size} bytes, ${where}${broken ? ", its header is overwritten" : ""}`),
      s("rect", {x: x + .75, y: y + 1, width: Math.max(w - 1.5, 1), height: ph - 2, rx: w > 9 ? 4 : 0}),
      header > 1 ? s("rect", {class: `header${broken ? " broken" : ""}`, x: x + 1.5, y: y + 2, width: Math.max(header - 1, 1), height: ph - 4, rx: 2}) : null,
      broken && header > 7 ? s("text", {class: "strong warn", x: x + header / 2, y: y + 26, "font-size": 14, "text-anchor": "middle"}, "!") : null,
      wide ? s("text", {class: "strong", x: x + w / 2 + header / 2, y: y + 18, "font-size": 11.5, "text-anchor": "middle"}, tag) : null,
      wide ? s("text", {class: "faint", x: x + w / 2 + header / 2, y: y + 32, "font-size": 10, "text-anchor": "middle"}, String(size)) : null,
      !wide && w > 30 ? s("text", {x: x + w / 2 + header / 2, y: y + 25, "font-size": 9.5, "text-anchor": "middle"}, tag) : null));
    if (w > 30 && x >= end) {
      parts.push(s("text", {class: "ruler", x: x + 1, y: y + ph + 12, "font-size": 9.5}, start.toString(16).padStart(3, "0")));
      end = x + 26;
    }
    const middle = x + w / 2, entry = at.get(row.id);
    if (entry !== undefined) {
      const bend = Math.max(28, (y - from) * .45);
      parts.push(s("path", {class: `curve${chosen ? " selected" : ""}`,
        d: `M ${entry} ${from} C ${entry} ${from + bend}, ${middle} ${y - bend}, ${middle} ${y}`}));
    } else if (chosen) {
      late.push(s("path", {class: "pin", d: `M ${middle - 6} ${y - 11} h 12 l -6 9 z`}));
    }
    return end;
  }

  // Swap the drawing; what moves between place and order is seen to move.
  #replace(svg, parts, width, height) {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches || this.still;
    const before = new Map();
    if (!still) {
      for (const node of svg.querySelectorAll("[data-from]")) before.set(node.dataset.from, node.getBoundingClientRect());
      for (const node of svg.querySelectorAll("[data-move]")) before.set(node.dataset.move, node.getBoundingClientRect());
    }
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren(svg.querySelector("defs"), ...parts);
    if (still) return;
    for (const node of svg.querySelectorAll("[data-move]")) {
      const was = before.get(node.dataset.move), now = node.getBoundingClientRect();
      if (!was) continue;
      const dx = was.left - now.left, dy = was.top - now.top;
      if (Math.abs(dx) + Math.abs(dy) < 2) continue;
      const scale = width / svg.clientWidth, [x, y] = node.getAttribute("transform").match(/[\d.]+/g);
      node.animate([{transform: `translate(${+x + dx * scale}px, ${+y + dy * scale}px)`},
        {transform: `translate(${x}px, ${y}px)`}], {duration: 320, easing: "cubic-bezier(.3,.7,.2,1)"});
    }
  }
}
