// The panes with the fields of a list, the debugger's commands, and one block with its history.

import {$, h} from "./dom.js";
import {NONE, PUSH, POP, CUT, CHAIN, SET, ADD, POINT} from "./decode.js";

// What the debugger calls the two depths: its words are not the fields' names.
const ALSO = {"ListHead.Depth": "Current Depth", Depth: "Max Depth",
  LastTotalAllocates: "last scan", LastAllocateMisses: "last scan"};
const MOST_ROWS = 400;

export class Panes {
  constructor(app) { this.app = app; this.tab = "dt"; }

  draw() {
    const {app} = this, {list} = app;
    for (const tab of $("tabs").children) {
      const on = tab.dataset.tab === this.tab;
      tab.setAttribute("aria-selected", on);
      tab.tabIndex = on ? 0 : -1;
    }
    $("pane").setAttribute("aria-labelledby", `tab-${this.tab}`);
    const draw = {dt: () => this.#fields(list), lookaside: () => this.#lookaside(list),
      pool: () => this.#pool(), used: () => this.#used()}[this.tab];
    $("pane").replaceChildren(...[draw()].flat());
  }

  #fields(list) {
    const {run, fold, look, step} = this.app;
    if (list < 0) return h("p", {class: "faint"}, "No list yet.");
    const before = this.app.before, rows = [];
    const row = (offset, name, now, was) => {
      const changed = was !== undefined && was !== now;
      rows.push(h("tr", changed ? {class: "changed"} : {},
        h("td", {class: "offset"}, offset === null ? "" : `+0x${offset.toString(16).padStart(3, "0")}`),
        h("th", {scope: "row"}, name, ALSO[name] ? h("small", {}, ALSO[name]) : null),
        h("td", {class: "value"}, changed ? h("span", {class: "was"}, `${was} → `) : null, now),
        h("td", {class: "jumps"},
          h("button", {"data-field": name, "data-way": -1, title: `previous change of ${name}`, "aria-label": `previous change of ${name}`}, "‹"),
          h("button", {"data-field": name, "data-way": 1, title: `next change of ${name}`, "aria-label": `next change of ${name}`}, "›"))));
    };
    const chain = fold.chains[list], first = chain.length ? chain[chain.length - 1] : 0;
    const was = before?.list === list ? before : null;
    row(0, "ListHead.Depth", String(fold.held(list)), was?.held);
    row(run.meta.arch.digits / 2, "ListHead.Next", look.short(first), was?.first);
    for (const [name, offset] of Object.entries(run.meta.offsets)) {
      const value = fold.value(list, name);
      if (value === undefined) continue;
      row(offset, name, this.#shown(name, value, list), was?.fields[name] === undefined ? undefined : this.#shown(name, was.fields[name], list));
    }
    return h("table", {class: "fields"},
      h("caption", {}, `dt nt!_LOOKASIDE_LIST_EX ${look.full(-1 - run.meta.lists[list].address)}`),
      h("tbody", {}, rows));
  }

  #shown(name, value, list) {
    if (name === "Tag") return `'${this.app.run.meta.lists[list].tag}'`;
    if (/Ex$|^ListEntry/.test(name) && value >= 0) return `0x${value.toString(16)}`;
    if (name === "Type") return `0x${value.toString(16)}`;
    return this.app.look.number(value);
  }

  #lookaside(list) {
    if (list < 0) return h("p", {class: "faint"}, "No list yet.");
    return h("pre", {tabindex: 0}, `kd> !lookaside ${this.app.look.full(-1 - this.app.run.meta.lists[list].address)}\n\n${this.app.debugger.lookaside(list)}`);
  }

  #pool() {
    const {look, selected, picture} = this.app;
    if (selected <= 0 || !picture.places.byPage.has(look.pageOf(selected))) {
      return h("p", {class: "faint"}, "Choose a block: its page is shown here.");
    }
    const text = this.app.debugger.pool(selected, picture.places.rows(look.pageOf(selected)));
    return h("pre", {tabindex: 0}, `kd> !pool ${look.full(selected)}\n${text}`);
  }

  #used() {
    const rows = this.app.debugger.used();
    return h("table", {class: "used"},
      h("caption", {}, "!poolused: what each tag holds"),
      h("thead", {}, h("tr", {}, ["Tag", "Pool", "Allocs", "Frees", "Diff", "Bytes"].map(each => h("th", {scope: "col"}, each)))),
      h("tbody", {}, rows.slice(0, MOST_ROWS).map(row => h("tr", {},
        h("th", {scope: "row"}, row.tag), h("td", {}, row.paged ? "Paged" : "Nonp"),
        [row.allocs, row.frees, row.live, row.bytes].map(each => h("td", {class: "value"}, each.toLocaleString("en")))))));
  }

  // --- one block -----------------------------------------------------------------------------

  block() {
    const {run, fold, look, selected, step} = this.app, box = $("block");
    box.hidden = selected === NONE || selected === 0;
    if (box.hidden) return;
    const block = fold.blockAt[selected], place = fold.placeOf(selected), lines = [];
    const around = block === NONE && !place ? this.app.picture.places.around(selected) : null;
    const head = h("p", {}, h("b", {}, look.full(selected)), " ", around ? [
      `byte ${around.offset} of `, h("button", {"data-id": around.id}, look.short(around.id)),
      `, ${fold.blocks.size[around.block]} bytes '${look.tag(around.block)}'`] : [
      place ? `on ${run.meta.lists[place.list].name}${block === NONE ? ", and no live block" : "; for the pool it is allocated"}`
        : block === NONE ? "not allocated" : "in use"]);
    lines.push(head);
    if (block !== NONE) {
      lines.push(h("p", {class: "faint"}, `${fold.blocks.size[block]} bytes asked for, ${look.bytes(block)} taken, tag '${look.tag(block)}', `
        + (fold.blocks.step[block] >= 0 ? `made in step ${fold.blocks.step[block] + 1}` : "from before the recording")));
    }
    if (place) lines.push(h("p", {class: "faint"}, `its first pointer is the link: Next ${look.short(place.next)}`));
    const written = fold.written[selected], dump = fold.dumped[selected];
    if (dump !== NONE) lines.push(this.#dump(run.meta.dumps[dump], run.meta.dumps[this.app.dumpBefore], place, block));
    else if (written !== NONE && !place) {
      const [, fresh, count] = run.meta.writes[written];
      lines.push(h("p", {class: "bytes"}, "last written: ", h("code", {}, look.bytesText(fresh, count))));
    }
    // What is still to come would be the answer to what is asked.
    const history = this.history(selected).filter(at => !this.app.quiz?.on || at < fold.at);
    const now = history.findLastIndex?.(at => at < fold.at) ?? -1;
    const from = Math.max(0, Math.min(now - 4, history.length - 9)), shown = history.slice(from, from + 9);
    lines.push(h("p", {class: "faint"}, `${history.length} ${history.length === 1 ? "step" : "steps"} in all `, h("kbd", {}, "["), " ", h("kbd", {}, "]")));
    lines.push(h("ol", {}, shown.map(at => h("li", at === step ? {class: "now"} : {},
      h("button", {"data-step": at + 1}, `step ${at + 1}`), ` ${this.#did(at)} `, h("span", {class: "faint"}, this.app.source.label(at))))));
    $("block-lines").replaceChildren(...lines);
  }

  // The bytes of a block: its header, its first pointer, what follows. What this step changed is marked.
  #dump(now, was, place, block) {
    const {run, look} = this.app, {header, digits} = run.meta.arch, pointer = digits / 2;
    const bytes = now.match(/../g), old = was?.match(/../g) ?? bytes;
    const part = (from, to, kind, name) => h("div", {class: "row"}, h("span", {class: `part ${kind}`},
      bytes.slice(from, to).map((byte, i) => h("span", byte === old[from + i] ? {} : {class: "new"}, `${byte} `))),
      h("span", {class: "faint"}, name));
    const rows = [];
    for (let at = 0; at < header; at += 8) rows.push(part(at, at + 8, "header", at ? "" : look.region(this.app.selected) ? "header" : "before it"));
    rows.push(part(header, header + pointer, place ? "listed" : "", place ? "the link" : "first pointer"));
    for (let at = header + pointer; at < bytes.length; at += 8) rows.push(part(at, at + 8, "", `+${(at - header).toString(16)}`));
    return h("div", {class: "dump"}, rows);
  }

  #did(at) {
    const {look, run} = this.app, {call, edits} = look.shape(at);
    const plain = {write: "written to", read: "read", flush: "flushed to the pool", delete: "freed with its list"}[call.word];
    if (plain) return plain;
    if (call.word === "alloc") return call.branch === "hit" ? "handed out (hit)" : call.branch === "miss" ? "handed out (miss)" : "allocated";
    if (call.word === "free") return call.branch === "hit" ? "put on the list" : call.branch === "full" ? "freed to the pool (list full)" : "freed";
    return call.routine;
  }

  // The steps that touch an address. The entries that pops and flushes take are no operands.
  history(id) {
    if (this.remembered?.id === id) return this.remembered.steps;
    const {run, fold} = this.app, found = [];
    const takes = run.shapes.map(shape => shape.edits.some(([kind]) => kind === POP || kind === CUT || kind === CHAIN));
    for (let i = 0; i < run.n; i++) {
      let hit = takes[run.op[i]] && fold.popped[i] === id;
      for (const at of run.shapes[run.op[i]].about) hit ||= run.address[run.addressAt[i] + at] === id;
      if (hit) found.push(i);
    }
    this.remembered = {id, steps: found};
    return found;
  }

  // Whether a step changes a field of a list.
  changes(step, list, name) {
    const {run, fold} = this.app, shape = run.shapes[run.op[step]], field = fold.field.get(name);
    const chain = name === "ListHead.Depth" || name === "ListHead.Next";
    return shape.edits.some(([kind, obj, which]) => obj === list && (chain
      ? kind >= PUSH && kind <= CHAIN
      : (kind === ADD || kind === SET || kind === POINT) && which === field));
  }
}
