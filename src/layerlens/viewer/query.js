// Questions to the data: which rows match, move, change company; what a selection is made of.

import { cell, idOf, labelColumn, nativeNeighbors } from './data.js';
import { nearestInPicture } from './geometry.js';

/** Fewer paths than this can be told apart. */
export const MOST_PATHS = 50;

/**
 * Rows that a search means: `3` (an id that has it, or a level that is it), `label=3`, `ink>20`.
 * @param {import('./types.js').Data} data @param {string} text
 */
export function searched(data, text) {
  const query = text.trim();
  const hits = new Uint8Array(data.n);
  if (!query) return hits;
  const asked = /^(.+?)\s*(<=|>=|!=|[=<>:])\s*(.*)$/.exec(query);
  const column = asked && data.columns.find((c) => c.name.toLowerCase() === asked[1].toLowerCase());
  if (asked && column) {
    const holds = comparison(asked[2], asked[3]);
    for (let r = 0; r < data.n; r++) if (holds(cell(column, r))) hits[r] = 1;
    return hits;
  }
  const low = query.toLowerCase();
  for (const { kind, levels, values } of data.columns) {
    if (kind === 'number') continue;
    const meant = kind === 'category' ? levels.map((level) => level.toLowerCase() === low) : null;
    for (let r = 0; r < data.n; r++) {
      const value = values[r];
      if (meant ? meant[Number(value)] : String(value).toLowerCase().includes(low)) hits[r] = 1;
    }
  }
  return hits;
}

/** @param {string} sign @param {string} wanted @returns {(text: string) => boolean} */
function comparison(sign, wanted) {
  const goal = Number(wanted);
  const numeric = wanted !== '' && !Number.isNaN(goal);
  const low = wanted.toLowerCase();
  if (sign === '<' || sign === '>' || sign === '<=' || sign === '>=')
    return (text) => numeric && text !== '' && (sign[0] === '<' ? +text < goal : +text > goal) || (sign.length === 2 && text !== '' && +text === goal);
  const same = (/** @type {string} */ text) => text.toLowerCase() === low || (numeric && text !== '' && Math.fround(+text) === Math.fround(goal));
  return sign === '!=' ? (text) => !same(text) : same;
}

/**
 * The rows that go farthest between two layers' pictures, fewer than can be drawn as paths.
 * @param {import('./types.js').Data} data @param {number} from @param {number} to @param {number} [most]
 */
export function movers(data, from, to, most = 30) {
  const { n, components: C, positions: q, present } = data;
  const moved = new Float64Array(n);
  const rows = [];
  for (let r = 0; r < n; r++) {
    if (present && !(present[from * n + r] && present[to * n + r])) continue;
    for (let c = 0; c < C; c++) moved[r] += (q[(from * n + r) * C + c] - q[(to * n + r) * C + c]) ** 2;
    if (moved[r] > 0) rows.push(r);
  }
  rows.sort((a, b) => moved[b] - moved[a]);
  return marked(n, rows.slice(0, most));
}

/**
 * The level that most of a row's native neighbours have (of equally many that of the nearer), -1 if unknown.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row @param {number} column
 */
export function company(data, layer, row, column) {
  const near = nativeNeighbors(data, layer, row);
  const { values, missing } = data.columns[column];
  let best = -1, most = 0;
  if (near)
    for (const other of near) {
      const level = Number(values[other]);
      if (level === missing) continue;
      let same = 0;
      for (const another of near) if (Number(values[another]) === level) same++;
      if (same > most) {
        most = same;
        best = level;
      }
    }
  return { level: best, share: near ? most / near.length : 0 };
}

/**
 * Rows most of whose neighbours are of another class in the one layer than in the other.
 * @param {import('./types.js').Data} data @param {number} from @param {number} to
 */
export function changers(data, from, to) {
  const column = labelColumn(data);
  const hits = new Uint8Array(data.n);
  if (column < 0) return hits;
  for (let r = 0; r < data.n; r++) {
    const before = company(data, from, r, column).level;
    const after = company(data, to, r, column).level;
    if (before >= 0 && after >= 0 && before !== after) hits[r] = 1;
  }
  return hits;
}

/** Rows that were predicted wrongly. @param {import('./types.js').Data} data */
export function mistakes(data) {
  const { label, prediction, correct } = data.roles;
  const hits = new Uint8Array(data.n);
  for (let r = 0; r < data.n; r++) {
    if (correct !== undefined) hits[r] = cell(data.columns[correct], r) === 'wrong' ? 1 : 0;
    else if (label !== undefined && prediction !== undefined) {
      const said = cell(data.columns[prediction], r), is = cell(data.columns[label], r);
      hits[r] = said && is && said !== is ? 1 : 0;
    }
  }
  return hits;
}

/** The rows whose place is to be believed least in a layer. @param {import('./types.js').Data} data @param {number} layer */
export function doubtful(data, layer) {
  const { n } = data;
  const stress = /** @type {Uint8Array} */ (data.stress).subarray(layer * n, (layer + 1) * n);
  const worst = stress.reduce((a, b) => Math.max(a, b), 0);
  const hits = new Uint8Array(n);
  for (let r = 0; r < n; r++) if (worst && stress[r] === worst) hits[r] = 1;
  return hits;
}

/**
 * How many of a row's native neighbours are among as many nearest in the picture.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row
 */
export function keptNeighbors(data, layer, row) {
  const near = nativeNeighbors(data, layer, row);
  if (!near) return null;
  const shown = new Set(nearestInPicture(data, layer, row, near.length));
  return Array.from(near, (other) => ({ row: other, shown: shown.has(other) }));
}

/**
 * What a selection is made of, the most frequent first.
 * @param {import('./types.js').Coloring} coloring @param {Uint8Array} selection
 */
export function composition(coloring, selection) {
  const { codes, keys } = coloring;
  if (!codes) return [];
  const counts = new Map();
  for (let r = 0; r < selection.length; r++) if (selection[r]) counts.set(codes[r], (counts.get(codes[r]) ?? 0) + 1);
  return keys.filter((key) => counts.has(key.level)).map((key) => ({ key, count: counts.get(key.level) }))
    .sort((a, b) => b.count - a.count || a.key.level - b.key.level);
}

/**
 * How alike two layers' pictures arrange the selected rows: the correlation of their distances, for
 * every pair of layers. Of many rows the first 120 stand for all (the order of rows is shuffled).
 * @param {import('./types.js').Data} data @param {Uint8Array} selection
 * @returns {number[][]}
 */
export function likeness(data, selection) {
  const { n, components: C, positions: q, present } = data;
  const L = data.layers.length;
  /** @type {number[]} */
  const rows = [];
  for (let r = 0; r < n && rows.length < 120; r++) {
    let everywhere = selection[r] === 1;
    for (let l = 0; present && l < L; l++) everywhere &&= present[l * n + r] === 1;
    if (everywhere) rows.push(r);
  }
  if (rows.length < 3) return [];
  const distances = data.layers.map((_, l) => {
    const d = [];
    for (let i = 0; i < rows.length; i++)
      for (let j = 0; j < i; j++) {
        let sum = 0;
        for (let c = 0; c < C; c++) sum += (q[(l * n + rows[i]) * C + c] - q[(l * n + rows[j]) * C + c]) ** 2;
        d.push(Math.sqrt(sum));
      }
    const mean = d.reduce((a, b) => a + b, 0) / d.length;
    const centred = d.map((x) => x - mean);
    const size = Math.sqrt(centred.reduce((sum, x) => sum + x * x, 0)) || 1;
    return centred.map((x) => x / size);
  });
  return distances.map((a) => distances.map((b) => a.reduce((sum, x, i) => sum + x * b[i], 0)));
}

/** @param {number} n @param {number[]} rows */
export function marked(n, rows) {
  const bytes = new Uint8Array(n);
  for (const r of rows) if (r >= 0 && r < n) bytes[r] = 1;
  return bytes;
}

/** Numbers of the rows that a byte marks. @param {Uint8Array} bytes @param {number} [most] */
export function listed(bytes, most = Infinity) {
  const rows = [];
  for (let r = 0; r < bytes.length && rows.length < most; r++) if (bytes[r]) rows.push(r);
  return rows;
}

/** The row of an id, -1 for none. @param {import('./types.js').Data} data @param {string} id */
export function rowOfId(data, id) {
  for (let r = 0; r < data.n; r++) if (idOf(data, r) === id) return r;
  return -1;
}
