// Where in a page of pool what is drawn: blocks never move while a stage of the run lasts.

import {NONE} from "./decode.js";

const LEAST_STAGE = 96;  // units of a page that fill up before a stage ends
const WIDEST_GAP = 26;  // units of a run of bytes never used that are drawn, at most
export const PAGE_BYTES = 4096;

export class Places {
  constructor(run, fold, look) {
    Object.assign(this, {run, fold, look});
    this.places = new Map();
    this.stages = new Map();
    this.byPage = this.#blocksByPage();
  }

  #blocksByPage() {
    const {blocks} = this.fold, {table} = this.run, found = new Map();
    for (let block = 0; block < blocks.address.length; block++) {
      const page = table.page[blocks.address[block]];
      let rows = found.get(page);
      if (!rows) found.set(page, rows = []);
      rows.push(block);
    }
    return found;
  }

  // --- which pages ---------------------------------------------------------------------------

  pages(list, selected, most) {
    const wanted = new Set(), {fold, look} = this;
    const add = id => { if (id > 0 && this.byPage.has(look.pageOf(id))) wanted.add(look.pageOf(id)); };
    if (selected !== NONE) add(selected);
    if (list >= 0) {
      const chain = fold.chains[list];
      for (let i = chain.length - 1; i >= 0 && wanted.size < most; i--) add(chain[i]);
    }
    for (const page of this.last ?? []) if (wanted.size < most) wanted.add(page);
    if (!wanted.size && this.byPage.size) wanted.add(this.byPage.keys().next().value);
    this.last = [...wanted].slice(0, most).sort((a, b) => a - b);
    return this.last;
  }

  // The stages of a page: for a stretch of the run, the blocks that are drawn at fixed places.
  // A page that fills up gets a new one when the blocks have doubled, and not in between.
  #stagesOf(page) {
    let stages = this.stages.get(page);
    if (stages) return stages;
    const {blocks} = this.fold, {unit} = this.run.meta.arch;
    const size = block => { const [from, to] = this.look.extent(block); return (to - from) / unit; };
    stages = [];
    let now = null, limit = 0, used = 0;
    for (const block of this.byPage.get(page) ?? []) {
      const step = blocks.step[block];
      if (now && used + size(block) > limit && used < PAGE_BYTES / unit) now = null;
      if (!now) {
        const alive = (stages.at(-1)?.blocks ?? []).filter(each => blocks.end[each] >= step);
        used = alive.reduce((sum, each) => sum + size(each), 0);
        limit = Math.max(LEAST_STAGE, 2 * used);
        stages.push(now = {from: step, blocks: alive});
      }
      now.blocks.push(block);
      used += size(block);
    }
    this.stages.set(page, stages);
    return stages;
  }

  // The bytes of a page that are used around a step, and where each is drawn: 0 to 1.
  place(page, step) {
    const stages = this.#stagesOf(page);
    let stage = 0;
    while (stage + 1 < stages.length && stages[stage + 1].from <= step) stage++;
    const key = `${page} ${stage}`;
    let place = this.places.get(key);
    if (place) return place;
    const {unit} = this.run.meta.arch, spans = [];
    const rows = (stages[stage]?.blocks ?? []).map(block => this.look.extent(block))
      .map(([from, to]) => [Math.max(0, from), Math.min(PAGE_BYTES, to)]).sort((a, b) => a[0] - b[0]);
    let at = 0;
    const gap = to => { if (to > at) spans.push({from: at, to, gap: true}); };
    for (const [from, to] of rows) {
      if (to <= at) continue;
      gap(from);
      const start = Math.max(from, at), last = spans[spans.length - 1];
      if (last && !last.gap && last.to === start) last.to = to;
      else spans.push({from: start, to, gap: false});
      at = to;
    }
    gap(PAGE_BYTES);
    let total = 0;
    const used = spans.reduce((sum, span) => sum + (span.gap ? 0 : span.to - span.from), 0) / unit;
    const most = Math.max(WIDEST_GAP / 3, Math.min(WIDEST_GAP, used / 3));
    for (const span of spans) {
      const units = (span.to - span.from) / unit;
      span.short = span.gap && units > WIDEST_GAP;
      span.weight = span.short ? Math.max(6, most) : units;
      span.start = total;
      total += span.weight;
    }
    place = {spans, x: offset => {
      const span = spans.find(each => offset <= each.to) ?? spans[spans.length - 1];
      return (span.start + (offset - span.from) / (span.to - span.from) * span.weight) / total;
    }};
    this.places.set(key, place);
    return place;
  }

  // The live block that an address lies in, not at its start; null for none.
  around(id) {
    const {run, fold, look} = this, {table} = run, bytes = block => fold.blocks.size[block];
    const offset = BigInt("0x" + look.hex(id));
    for (const row of this.rows(look.pageOf(id))) {
      const start = BigInt("0x" + look.hex(row.id));
      if (start < offset && offset < start + BigInt(bytes(row.block))) {
        return {...row, offset: Number(offset - start)};
      }
    }
    return null;
  }

  // The blocks of a page now, front to back.
  rows(page) {
    const {fold, look} = this, found = [];
    const seen = new Set();
    for (const block of this.byPage.get(page) ?? []) {
      const id = fold.blocks.address[block];
      if (seen.has(id) || fold.blockAt[id] === NONE) continue;
      seen.add(id);
      const now = fold.blockAt[id], [from, to] = look.extent(now);
      found.push({block: now, id, from, to, place: fold.placeOf(id)});
    }
    return found.sort((a, b) => a.from - b.from);
  }
}
