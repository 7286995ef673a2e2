// What a step says of itself: addresses, values, calls, sentences.

import {BORN, DIED, PUSH, POP, CHAIN, WRITE, POINT, NONE, WITH_NUMBER} from "./decode.js";

// Arguments that are what a call is about, by the documented names.
export const ADDRESSES = new Set(["Entry", "P", "Address", "ListEntry", "entry", "address"]);

export class Look {
  constructor(run, fold) {
    this.run = run;
    this.fold = fold;
    this.digits = run.meta.arch.digits;
    this.taken = new Map(run.meta.sizes.map(([size, paged, bytes]) => [size * 2 + paged, bytes]));
    this.listOf = new Map();
    run.meta.lists.forEach((list, i) => this.listOf.set(-1 - list.address, i));
  }

  // --- addresses -----------------------------------------------------------------------------

  hex(id) {
    const {page, offset} = this.run.table;
    const text = page[id].toString(16) + offset[id].toString(16).padStart(3, "0");
    return text.padStart(this.digits, "0");
  }

  // As the debugger writes it: a backtick in the middle.
  full(id) {
    const text = this.hex(id);
    return text.length > 8 ? `${text.slice(0, -8)}\`${text.slice(-8)}` : text;
  }

  // One short name of an address everywhere.
  short(id) { return id === 0 ? "NULL" : `…${this.hex(id).slice(-4)}`; }

  pageOf(id) { return this.run.table.page[id]; }

  // --- blocks --------------------------------------------------------------------------------

  region(id) {
    const page = this.pageOf(id);
    let found = null;
    for (const [name, base, paged, end] of this.run.meta.regions) {
      if (page >= base && page < end) found = {name, paged};
    }
    return found;
  }

  // Where a block begins and ends, header and rounding included, in bytes from its page.
  extent(block) {
    const {blocks} = this.fold, {arch} = this.run.meta;
    const id = blocks.address[block], size = blocks.size[block];
    const start = this.run.table.offset[id];
    if (!this.region(id)) return [start, start + Math.max(size, 1)];
    if (size > arch.largest) return [start, start + this.bytes(block)];
    return [start - arch.header, start - arch.header + this.bytes(block)];
  }

  bytes(block) {
    const {blocks} = this.fold;
    return this.taken.get(blocks.size[block] * 2 + (blocks.type[block] & 1));
  }

  tag(block) { return this.run.meta.texts[this.fold.blocks.tag[block]]; }

  // The headers of a page as the recording told them, where they are not what its blocks make them.
  told(id) {
    const {table, meta} = this.run;
    let low = id;
    while (low > 0 && table.page[low - 1] === table.page[id]) low--;
    return table.offset[low] ? [] : meta.rows[this.fold.rowsOf[low]];
  }

  // --- steps ---------------------------------------------------------------------------------

  shape(step) { return this.run.shapes[this.run.op[step]]; }

  operand(step, [kind, at]) {
    if (kind === "t") return this.run.meta.texts[at];
    if (kind === "a") return this.short(this.run.address[this.run.addressAt[step] + at]);
    return String(this.run.number[this.run.numberAt[step] + at]);
  }

  // The address that a call returned or was about, NONE for none.
  subject(step) {
    const {run} = this, {call, edits} = this.shape(step), base = run.addressAt[step];
    if (call.result[0] === "a") return run.address[base + call.result[1]];
    const entry = call.arguments.find(([name, [kind]]) => kind === "a"
      && ADDRESSES.has(name));
    if (entry) return run.address[base + entry[1][1]];
    let a = base;
    for (const [kind] of edits) {
      if (kind === PUSH || kind === BORN || kind === DIED || kind === WRITE) return run.address[a];
      if (kind === POINT) a++;
    }
    return NONE;
  }

  write(step) {
    const {run} = this, {edits} = this.shape(step);
    let n = run.numberAt[step];
    for (const [kind] of edits) {
      if (kind === WRITE) {
        const [old, fresh, count] = run.meta.writes[run.number[n]];
        return {old, fresh, count};
      }
      if (WITH_NUMBER.has(kind)) n++;
    }
    return null;
  }

  // Bytes as text: a pointer where they are one, else hex, else what they spell.
  bytesText(hex, count) {
    const width = this.digits;
    if (hex.length === width) {
      const value = hex.match(/../g).reverse().join("").replace(/^0+/, "");
      return `0x${value || "0"}`;
    }
    const shown = hex.slice(0, 16).match(/../g) ?? [];
    return shown.join(" ") + (count * 2 > 16 ? " …" : "");
  }

  // --- words ---------------------------------------------------------------------------------

  // What templates may name, before and after a step. The fold is left behind the step.
  environment(step) {
    const {fold, run} = this, {obj, call} = this.shape(step), env = {};
    const take = mark => {
      for (const [name, at] of fold.field) {
        if (obj >= 0) env[name + mark] = this.number(fold.values[obj * fold.width + at]);
        else env[name + mark] = this.number(fold.machine[at]);
      }
      if (obj < 0) return;
      const chain = fold.chains[obj];
      env["held" + mark] = String(fold.held(obj));
      env["first" + mark] = chain.length ? this.short(chain[chain.length - 1]) : "NULL";
    };
    fold.seek(step);
    take("");
    const doomed = this.subject(step);
    let block = doomed === NONE ? NONE : fold.blockAt[doomed];
    fold.seek(step + 1);
    take("'");
    if (block === NONE && doomed !== NONE) block = fold.blockAt[doomed];
    for (const [name, value] of call.arguments) env[name] = this.operand(step, value);
    if (obj >= 0) {
      env.list = run.meta.lists[obj].name;
      env.size = String(run.meta.lists[obj].size);
      env.tag = `'${run.meta.lists[obj].tag}'`;
    }
    if (block !== NONE) {
      env.taken = String(this.bytes(block));
      env.tag ??= `'${this.tag(block)}'`;
      env.size ??= String(fold.blocks.size[block]);
    }
    env.header = String(run.meta.arch.header);
    env.result = this.result(step);
    env.error = call.error;
    env.count = "0";
    const write = this.write(step);
    if (write) {
      env.old = this.bytesText(write.old, write.count);
      env.new = this.bytesText(write.fresh, write.count);
      env.count = String(write.count);
    }
    env.stop = run.meta.stop ? `${run.meta.stop.name} (0x${run.meta.stop.code}): ${run.meta.stop.text}` : "";
    env.scans = (run.meta.scans[step] ?? []).filter(([, old, fresh]) => old !== fresh)
      .map(([list, old, fresh]) => `${run.meta.lists[list].name}: Depth ${old} → ${fresh}`)
      .join(", ") || "no Depth moves";
    return env;
  }

  number(value) { return value < 0 ? this.short(-1 - value) : String(value); }

  result(step) {
    const {call} = this.shape(step);
    return this.operand(step, call.result);
  }

  fill(template, env) {
    return template.replace(/\{([\w.[\]]+'?)\}/g, (_, name) => env[name] ?? "?");
  }

  // The parts of a call as it is read aloud: routine, arguments, what came back.
  call(step, call = this.shape(step).call, obj = this.shape(step).obj) {
    const {run} = this, args = [];
    if (obj >= 0) args.push({name: "", text: run.meta.lists[obj].name});
    for (const [name, value] of call.arguments) args.push({name, text: this.operand(step, value)});
    return {routine: call.routine, arguments: args, result: this.operand(step, call.result)};
  }

  isForged(step) {
    const {call, edits} = this.shape(step), subject = this.subject(step);
    return call.branch === "hit" && edits.some(edit => edit[0] === POP || edit[0] === CHAIN)
      && subject !== NONE && this.fold.blockAt[subject] === NONE;
  }

  // Whether an entry was put on a list that holds it already.
  isTwice(step) {
    const chain = this.fold.chains[this.shape(step).obj], entry = this.subject(step);
    return chain.indexOf(entry) !== chain.lastIndexOf(entry);
  }

  sentence(step, env) {
    const {sentences} = this.run.meta, shape = this.shape(step);
    let key = shape.sentence;
    if (shape.call.word === "alloc" && this.isForged(step)) key = "forged hit";
    if (key === "list free hit" && this.isTwice(step)) key = "twice";
    const [badge, kind, text] = sentences[key];
    return {badge, kind, text: this.fill(text, env)};
  }

  kind(step) {
    const [badge, kind] = this.run.meta.sentences[this.shape(step).sentence];
    return {badge, kind};
  }
}
