// What a debugger would print, as text; the tests hold it against the simulator's own views.

import {PAGE_BYTES} from "./places.js";

const right = (value, width) => String(value).padStart(width);

// Percent of calls that did not miss, rounded down; counters beyond 2^32 never come here.
function hitRate(total, misses) {
  return misses ? Math.floor(100 * Math.max(total - misses, 0) / Math.max(total, 1)) : 100;
}

export class Debugger {
  constructor(run, fold, look) { Object.assign(this, {run, fold, look}); }

  lookaside(list) {
    const {fold, look, run} = this, of = run.meta.lists[list], value = name => fold.value(list, name);
    const held = fold.held(list), depth = value("Depth"), size = value("Size") ?? of.size;
    const [allocates, misses, frees, freeMisses] =
      ["TotalAllocates", "AllocateMisses", "TotalFrees", "FreeMisses"].map(value);
    const tag = of.tag_value.toString(16).padStart(8, "0");
    return [
      `Lookaside "${of.label}" @ 0x${look.hex(-1 - of.address)}  Tag(hex): 0x${tag} "${of.tag}"`,
      `    Type           =       ${of.type.toString(16).padStart(4, "0")}  ${of.type_name}`,
      `    Current Depth  = ${right(held, 10)}  Max Depth  = ${right(depth, 10)}`,
      `    Size           = ${right(size, 10)}  Max Alloc  = ${right(size * depth, 10)}`,
      `    AllocateMisses = ${right(misses, 10)}  FreeMisses = ${right(freeMisses, 10)}`,
      `    TotalAllocates = ${right(allocates, 10)}  TotalFrees = ${right(frees, 10)}`,
      `    Hit Rate       = ${right(hitRate(allocates, misses), 10)}% Hit Rate   = ${right(hitRate(frees, freeMisses), 10)}%`,
    ].join("\n");
  }

  // The page that holds an address: its blocks, and free runs between them.
  pool(id, rows) {
    const {look, run} = this, {arch} = run.meta, region = look.region(id);
    const base = look.hex(id).slice(0, -3), asked = run.table.offset[id];
    const lines = [`Pool page ${look.hex(id)} region is `
      + (region ? `${region.paged ? "Paged" : "Nonpaged"} pool` : "Special pool")];
    const told = look.told(id), found = told.map(([from, size, before, state, tag]) =>
      ({from, to: from + size, before, tag, state: `(${state})`, free: state === "Free"}));
    let at = told.length ? PAGE_BYTES : 0;
    for (const row of told.length ? [] : rows) {
      if (row.from > at) found.push({from: at, to: row.from, tag: "Free", free: true});
      found.push({from: row.from, to: row.to, tag: look.tag(row.block)});
      at = row.to;
    }
    if (at < PAGE_BYTES) found.push({from: at, to: PAGE_BYTES, tag: "Free", free: true});
    let previous = 0;
    for (const {from, to, tag, free, before, state} of found) {
      const size = to - from, star = from <= asked && asked < to ? "*" : " ";
      if (size > PAGE_BYTES - arch.unit) {
        lines.push(`${star}${base}${from.toString(16).padStart(3, "0")} : large page allocation, tag is ${tag}`);
        continue;
      }
      lines.push(`${star}${base}${from.toString(16).padStart(3, "0")} size: ${right(size.toString(16), 4)}`
        + ` previous size: ${right((before ?? previous).toString(16), 4)}  ${(state ?? (free ? "(Free)" : "(Allocated)")).padEnd(11)} ${star}${tag}`);
      previous = size;
    }
    const last = told.at(-1), end = last ? last[0] + last[1] : PAGE_BYTES;
    if (end < PAGE_BYTES) lines.push(` ${base}${end.toString(16).padStart(3, "0")} is not a valid header: the page cannot be read further`);
    return lines.join("\n");
  }

  // What each tag has allocated, freed and holds.
  used() {
    const {fold, look} = this, {blocks} = fold, found = new Map();
    for (let block = 0; block < blocks.address.length && blocks.step[block] < fold.at; block++) {
      const key = `${look.tag(block)}\n${blocks.type[block] & 1}`;
      let row = found.get(key);
      if (!row) found.set(key, row = {allocs: 0, live: 0, bytes: 0});
      row.allocs++;
      if (fold.blockAt[blocks.address[block]] === block) {
        row.live++;
        row.bytes += look.bytes(block);
      }
    }
    return [...found].map(([key, row]) => {
      const [tag, paged] = key.split("\n");
      return {tag, paged: +paged, ...row, frees: row.allocs - row.live};
    }).sort((a, b) => b.bytes - a.bytes || (a.tag < b.tag ? -1 : 1));
  }
}

