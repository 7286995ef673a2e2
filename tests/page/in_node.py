"""The page's scripts outside a browser: what they make of a run, position by position."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

import pytest

from lookaside_sim.page.assemble import script
from lookaside_sim.page.encode import Encoder
from lookaside_sim.run import Run, State

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node")

_REQUIRE = "import {createRequire} from 'module'; const require = createRequire('/');"
_DRIVER = """
function state(run, fold, look) {
  const lists = {}, blocks = {};
  run.meta.lists.forEach((list, i) => {
    if (!fold.shown[i]) return;
    const fields = {};
    for (const name of run.meta.fields) {
      if (!list.fields.some(([field]) => run.meta.fields[field] === name)) continue;
      const value = fold.value(i, name);
      fields[name] = value < 0 ? "0x" + look.hex(-1 - value) : value;
    }
    lists[look.hex(-1 - list.address)] = [list.label, fields, fold.entries(i).map(id => look.hex(id))];
  });
  for (let id = 0; id < run.table.count; id++) {
    const at = fold.blockAt[id];
    if (at !== NONE) blocks[look.hex(id)] = [fold.blocks.size[at], look.tag(at), fold.blocks.type[at]];
  }
  const machine = {};
  for (const name of ["Seconds", "Irql", "Processor"]) machine[name] = fold.machineValue(name);
  return {lists, blocks, machine, stopped: fold.stopped, live: fold.live};
}

const texts = [];
for (const {packed, positions, wants} of JSON.parse(require("fs").readFileSync(0, "utf8"))) {
  const run = await decode(packed), fold = new Fold(run), look = new Look(run, fold);
  const shown = new Debugger(run, fold, look), places = new Places(run, fold, look);
  texts.push(positions.map(at => {
    fold.seek(at);
    if (wants === "state") return state(run, fold, look);
    if (wants === "lists") {
      return Object.fromEntries(run.meta.lists.map((list, i) => [look.hex(-1 - list.address), fold.shown[i] ? shown.lookaside(i) : null]));
    }
    if (wants === "pages") {
      const found = {};
      for (const page of places.byPage.keys()) {
        const rows = places.rows(page);
        if (rows.length) found[look.hex(rows[0].id)] = shown.pool(rows[0].id, rows);
      }
      return found;
    }
    if (wants === "words") {
      if (!at) return null;
      const env = look.environment(at - 1), call = look.call(at - 1);
      return {...look.sentence(at - 1, env), ...call, env};
    }
    return null;
  }));
}
console.log(JSON.stringify(texts));
"""


def ask(asked: Sequence[tuple[Run, Sequence[int], str]]) -> list[list[Any]]:
    """What the scripts show of runs.

    Args:
        asked: for each run the positions to go to, in that order, and what is wanted there:
            ``state``, ``lists`` (the debugger's text), ``pages`` or ``words``.
    """
    assert NODE is not None
    text = json.dumps(
        [
            {
                "packed": Encoder(run, bytes_too=len(run) < 100).payload(),
                "positions": list(positions),
                "wants": wants,
            }
            for run, positions, wants in asked
        ]
    )
    scripts = script("fold.js", "look.js", "debugger.js")
    assert (
        "STRIDE = 1 << 15" in scripts
    )  # positions kept whole, which short runs are to have too
    scripts = scripts.replace("STRIDE = 1 << 15", "STRIDE = 1 << 3")
    program = f"{_REQUIRE}{scripts}{_DRIVER}"
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", program], input=text, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def as_shown(state: State, digits: int) -> dict[str, Any]:
    """A state as the scripts tell it."""
    return {
        "lists": {
            f"{address:0{digits}x}": [
                each.name,
                {
                    name: value if value < 1 << 40 else f"0x{value:0{digits}x}"
                    for name, value in each.fields.items()
                },
                [f"{entry:0{digits}x}" for entry in each.entries],
            ]
            for address, each in state.lists.items()
        },
        "blocks": {
            f"{address:0{digits}x}": [each.size, str(each.tag), int(each.pool_type)]
            for address, each in state.blocks.items()
        },
        "machine": dict(state.machine),
        "stopped": state.stop is not None,
        "live": len(state.blocks),
    }
