// The state of the run at a position: a fold of edits, forward and back. It knows edits, not
// allocators: nothing here says what NT would do.

import {ADD, SET, POINT, PUSH, POP, CUT, CHAIN, BORN, DIED, WRITE, LIST, STOP, BYTES,
  ROWS, NONE, WITH_ADDRESS, WITH_NUMBER} from "./decode.js";

export const MACHINE = -1;
const STRIDE = 1 << 15;  // steps between two positions that are kept whole

// Fields hold numbers; a pointer is kept as -1 minus its number in the table of addresses.
export class Fold {
  constructor(run) {
    const {meta, address} = run, addresses = run.table.count;
    this.run = run;
    this.at = 0;
    this.width = meta.fields.length;
    this.field = new Map(meta.fields.map((name, i) => [name, i]));
    this.values = new Float64Array(meta.lists.length * this.width);
    this.machine = new Float64Array(this.width);
    this.chains = meta.lists.map(() => []);
    this.shown = new Uint8Array(meta.lists.length);
    this.stopped = false;
    // Blocks: which one starts at an address, and what each one is.
    this.blockAt = new Int32Array(addresses).fill(NONE);
    this.blocks = {address: [], size: [], tag: [], type: [], step: [], end: []};
    this.live = 0;
    // What a program last wrote at an address: the number of the write.
    this.written = new Int32Array(addresses).fill(NONE);
    // What lies in the block at an address: the number of a dump.
    this.dumped = new Int32Array(addresses).fill(NONE);
    // Pages whose headers are not what their blocks make them: the number of their rows.
    this.rowsOf = new Int32Array(addresses);
    // What an edit replaced, so that it can be taken back: by operand and by step.
    this.before = new Float64Array(address.length);
    this.made = new Int32Array(address.length).fill(NONE);
    this.marks = [];
    this.popped = new Int32Array(run.n);
    this.chainBefore = new Map();
    this.#start(meta);
    for (const shape of run.shapes) {
      shape.code = shape.edits.map(edit => this.#compile(edit));
      const pop = shape.code.find(edit => edit.kind === POP);
      if (pop) pop.isFirst = true;
    }
    this.#numberBlocks();
  }

  #start({lists, start, chains}) {
    lists.forEach((list, i) => {
      for (const [name, value] of list.fields) this.values[i * this.width + name] = value;
    });
    start.chains.forEach((chain, i) => {
      this.chains[i] = [...chains[chain]].reverse();
      this.shown[i] = 1;
    });
    for (const [name, value] of start.machine) this.machine[name] = value;
    for (const [address, size, tag, type] of start.blocks) {
      this.blockAt[-1 - address] = this.#block(-1 - address, size, tag, type, NONE);
      this.live++;
    }
  }

  #block(address, size, tag, type, step) {
    const {blocks} = this;
    blocks.address.push(address);
    blocks.size.push(size);
    blocks.tag.push(tag);
    blocks.type.push(type);
    blocks.step.push(step);
    blocks.end.push(Infinity);
    return blocks.address.length - 1;
  }

  #compile([kind, ...rest]) {
    if (kind === ADD || kind === SET || kind === POINT) {
      const [obj, field, n] = rest;
      return obj === MACHINE
        ? {kind, cells: this.machine, cell: field, n}
        : {kind, cells: this.values, cell: obj * this.width + field, n};
    }
    return {kind, obj: rest[0], rest};
  }

  // Each block gets its number once, in the order of the run.
  #numberBlocks() {
    const {run} = this;
    const bearing = run.shapes.map(shape => shape.edits.some(edit => edit[0] === BORN));
    for (let step = 0; step < run.n; step++) {
      if (!bearing[run.op[step]]) continue;
      let a = run.addressAt[step], n = run.numberAt[step];
      for (const [kind, ...rest] of run.shapes[run.op[step]].edits) {
        if (kind === BORN) {
          this.made[a] = this.#block(run.address[a], run.number[n], rest[0], rest[1], step);
        }
        if (WITH_ADDRESS.has(kind)) a++;
        if (WITH_NUMBER.has(kind)) n++;
      }
    }
  }

  seek(position) {
    const to = Math.max(0, Math.min(this.run.n, position)), near = Math.round(to / STRIDE);
    if (Math.abs(this.at - to) > Math.abs(near * STRIDE - to)) this.#restore(this.marks[near]);
    while (this.at < to) {
      if (this.at % STRIDE === 0) this.#mark(this.at / STRIDE);
      this.#forward(this.at++);
    }
    while (this.at > to) this.#back(--this.at);
  }

  // What is kept of a position; what edits replaced is known of the whole run once it was folded.
  #mark(number) {
    const {at, chains, live, stopped} = this;
    this.marks[number] ??= {at, live, stopped, chains: chains.map(chain => [...chain]),
      arrays: [this.values, this.machine, this.shown, this.blockAt, this.written, this.dumped, this.rowsOf].map(each => each.slice())};
  }

  #restore(mark) {
    if (!mark) return;
    this.at = mark.at;
    this.live = mark.live;
    this.stopped = mark.stopped;
    this.chains = mark.chains.map(chain => [...chain]);
    [this.values, this.machine, this.shown, this.blockAt, this.written, this.dumped, this.rowsOf].forEach((each, i) => each.set(mark.arrays[i]));
  }

  #forward(step) {
    const {run, chains, blockAt, before} = this;
    const {address, number} = run;
    let a = run.addressAt[step], n = run.numberAt[step];
    const code = run.shapes[run.op[step]].code;
    for (let i = 0; i < code.length; i++) {
      const edit = code[i];
      switch (edit.kind) {
        case ADD: edit.cells[edit.cell] += edit.n; break;
        case SET: edit.cells[edit.cell] += number[n++]; break;
        case POINT:
          before[a] = edit.cells[edit.cell];
          edit.cells[edit.cell] = -1 - address[a++];
          break;
        case PUSH: chains[edit.obj].push(address[a++]); break;
        case POP: {
          const entry = chains[edit.obj].pop();
          if (edit.isFirst) this.popped[step] = entry; else this.#keep(step, i, entry);
          break;
        }
        case CUT:
          this.#keep(step, i, chains[edit.obj]);
          chains[edit.obj] = [];
          break;
        case CHAIN:
          this.#keep(step, i, chains[edit.obj]);
          chains[edit.obj] = [...run.meta.chains[number[n++]]].reverse();
          break;
        case BORN:
          before[a] = blockAt[address[a]];
          if (before[a] === NONE) this.live++;
          blockAt[address[a]] = this.made[a];
          a++; n++;
          break;
        case DIED:
          before[a] = blockAt[address[a]];
          if (before[a] !== NONE) { this.live--; this.blocks.end[before[a]] = step; }
          blockAt[address[a++]] = NONE;
          break;
        case WRITE:
          before[a] = this.written[address[a]];
          this.written[address[a++]] = number[n++];
          break;
        case BYTES:
          before[a] = this.dumped[address[a]];
          this.dumped[address[a++]] = number[n++];
          break;
        case ROWS:
          before[a] = this.rowsOf[address[a]];
          this.rowsOf[address[a++]] = number[n++];
          break;
        case LIST: this.#list(step, i, edit); break;
        case STOP: this.stopped = true; break;
      }
    }
  }

  #list(step, i, {obj, rest: [, appears, chain]}) {
    this.#keep(step, i, this.chains[obj]);
    this.shown[obj] = appears;
    this.chains[obj] = appears ? [...this.run.meta.chains[chain]].reverse() : [];
  }

  #back(step) {
    const {run, chains, blockAt, before} = this;
    const {address, number} = run, shape = run.shapes[run.op[step]];
    let a = run.addressAt[step] + shape.taken[0], n = run.numberAt[step] + shape.taken[1];
    for (let i = shape.code.length - 1; i >= 0; i--) {
      const edit = shape.code[i];
      switch (edit.kind) {
        case ADD: edit.cells[edit.cell] -= edit.n; break;
        case SET: edit.cells[edit.cell] -= number[--n]; break;
        case POINT: edit.cells[edit.cell] = before[--a]; break;
        case PUSH: a--; chains[edit.obj].pop(); break;
        case POP:
          chains[edit.obj].push(edit.isFirst ? this.popped[step] : this.#kept(step, i));
          break;
        case CUT: chains[edit.obj] = [...this.#kept(step, i)]; break;
        case CHAIN: n--; chains[edit.obj] = [...this.#kept(step, i)]; break;
        case BORN:
          a--; n--;
          blockAt[address[a]] = before[a];
          if (before[a] === NONE) this.live--;
          break;
        case DIED:
          a--;
          blockAt[address[a]] = before[a];
          if (before[a] !== NONE) this.live++;
          break;
        case WRITE: a--; n--; this.written[address[a]] = before[a]; break;
        case BYTES: a--; n--; this.dumped[address[a]] = before[a]; break;
        case ROWS: a--; n--; this.rowsOf[address[a]] = before[a]; break;
        case LIST:
          chains[edit.obj] = [...this.#kept(step, i)];
          this.shown[edit.obj] = 1 - edit.rest[1];
          break;
        case STOP: this.stopped = false; break;
      }
    }
  }

  #keep(step, i, what) { this.chainBefore.set(i * 2 ** 32 + step, what); }
  #kept(step, i) { return this.chainBefore.get(i * 2 ** 32 + step); }

  // --- looking -------------------------------------------------------------------------------

  value(list, name) {
    const field = this.field.get(name);
    return field === undefined ? undefined : this.values[list * this.width + field];
  }

  machineValue(name) {
    const field = this.field.get(name);
    return field === undefined ? 0 : this.machine[field];
  }

  // How many entries a list says it holds.
  held(list) { return this.value(list, "ListHead.Depth") ?? this.chains[list].length; }

  // The entries of a list, newest first.
  entries(list) { return [...this.chains[list]].reverse(); }

  // Which list an entry is on, and the entry behind it; null for none.
  placeOf(address) {
    for (let list = 0; list < this.chains.length; list++) {
      const chain = this.chains[list], at = chain.lastIndexOf(address);
      if (at >= 0) return {list, next: at ? chain[at - 1] : 0};
    }
    return null;
  }
}
