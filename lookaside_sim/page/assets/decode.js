// The recording as typed arrays: unpack the columns, compile the shapes.

export const NONE = -1;

// Kinds of edits, as numbers for the fold.
export const ADD = 0, SET = 1, POINT = 2, PUSH = 3, POP = 4, CUT = 5, CHAIN = 6, BORN = 7,
  DIED = 8, WRITE = 9, LIST = 10, STOP = 11, BYTES = 12, ROWS = 13;
const KINDS = {add: ADD, set: SET, point: POINT, push: PUSH, pop: POP, cut: CUT, chain: CHAIN,
  born: BORN, died: DIED, write: WRITE, list: LIST, stop: STOP, bytes: BYTES, rows: ROWS};
export const WITH_ADDRESS = new Set([POINT, PUSH, BORN, DIED, WRITE, BYTES, ROWS]);
export const WITH_NUMBER = new Set([SET, CHAIN, BORN, WRITE, BYTES, ROWS]);

async function inflate(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers one after the other: seven bits a byte, the sign in bit 0.
function numbers(bytes) {
  let at = 0;
  return () => {
    let whole = 0, scale = 1, byte;
    do { byte = bytes[at++]; whole += (byte & 127) * scale; scale *= 128; } while (byte & 128);
    return whole % 2 ? -(whole + 1) / 2 : whole / 2;
  };
}

function operandsOf(shape) {
  let addresses = 0, count = 0;
  const about = new Set();
  for (const edit of shape.edits) {
    // Bytes change beside what a step is about, such as the header of a neighbor.
    if (WITH_ADDRESS.has(edit[0]) && edit[0] < BYTES) about.add(addresses);
    if (WITH_ADDRESS.has(edit[0])) addresses++;
    if (WITH_NUMBER.has(edit[0])) count++;
  }
  shape.taken = [addresses, count];
  const look = call => {
    for (const [, [kind, at]] of [...call.arguments, ["", call.result]]) {
      if (kind === "a") { addresses = Math.max(addresses, at + 1); about.add(at); }
      if (kind === "n") count = Math.max(count, at + 1);
    }
  };
  const walk = inner => { look(inner.call); inner.inside.forEach(walk); };
  look(shape.call);
  shape.inner.forEach(walk);
  shape.addresses = addresses;
  shape.numbers = count;
  shape.about = [...about];
}

function named([word, routine, branch, args, result, error], texts) {
  return {word, routine: texts[routine], branch, arguments: args, result,
    error: error < 0 ? "" : texts[error]};
}

function shapeOf([routine, sentence, obj, call, edits, inner], texts) {
  const within = ([o, c, inside]) => ({obj: o, call: named(c, texts), inside: inside.map(within)});
  const shape = {routine, sentence, obj, call: named(call, texts), inner: inner.map(within),
    edits: edits.map(([kind, ...rest]) => [KINDS[kind], ...rest])};
  operandsOf(shape);
  return shape;
}

// Addresses are page number and offset: 52 and 12 bits, each exact in a number.
function addressTable(pages, offsets, count) {
  const page = new Float64Array(count), offset = new Uint16Array(count);
  const nextPage = numbers(pages), nextOffset = numbers(offsets);
  let last = 0;
  for (let i = 0; i < count; i++) {
    last += nextPage();
    page[i] = last;
    offset[i] = nextOffset();
  }
  return {page, offset, count};
}

export async function decode(packed) {
  const names = ["meta", "ops", "addresses", "numbers", "times", "stacks", "pages", "offsets"];
  const columns = {};
  await Promise.all(names.map(async name => { columns[name] = await inflate(packed[name]); }));
  const meta = JSON.parse(new TextDecoder().decode(columns.meta)), n = packed.n;
  const shapes = meta.shapes.map(row => shapeOf(row, meta.texts));
  const op = new Uint32Array(n), times = new Float64Array(n), stacks = new Uint32Array(n);
  const addressAt = new Uint32Array(n + 1), numberAt = new Uint32Array(n + 1);
  const nextOp = numbers(columns.ops), nextTime = numbers(columns.times);
  const nextStack = numbers(columns.stacks);
  let time = 0, stack = 0, addresses = 0, count = 0;
  for (let i = 0; i < n; i++) {
    const shape = shapes[op[i] = nextOp()];
    addressAt[i] = addresses;
    numberAt[i] = count;
    addresses += shape.addresses;
    count += shape.numbers;
    times[i] = time += nextTime();
    stacks[i] = stack += nextStack();
  }
  addressAt[n] = addresses;
  numberAt[n] = count;
  const address = new Int32Array(addresses), number = new Float64Array(count);
  const nextAddress = numbers(columns.addresses), nextNumber = numbers(columns.numbers);
  let last = 0;
  for (let i = 0; i < addresses; i++) address[i] = last += nextAddress();
  for (let i = 0; i < count; i++) number[i] = nextNumber();
  return {n, meta, shapes, op, times, stacks, address, addressAt, number, numberAt,
    table: addressTable(columns.pages, columns.offsets, meta.addresses)};
}
