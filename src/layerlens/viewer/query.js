// Questions to the data: which rows match, move, change company; what a selection is made of.

import { cell, idOf, labelColumn, nativeNeighbors, ofLayer } from './data.js';
import { apart, nearestInPicture, present } from './geometry.js';

/** Fewer paths than this can be told apart. */
export const MOST_PATHS = 50;

/** @typedef {import('./types.js').Data} Data */

/** Rows of which something holds, a byte each. @param {Data} data @param {(row: number) => unknown} holds */
function where({ n }, holds) {
  const hits = new Uint8Array(n);
  for (let r = 0; r < n; r++) if (holds(r)) hits[r] = 1;
  return hits;
}

/**
 * Rows that a search means: `3` (an id that has it, or a level that is it), `label=3`, `ink>20`.
 * @param {Data} data @param {string} text
 */
export function searched(data, text) {
  const query = text.trim().toLowerCase();
  const [, name, sign, wanted] = /^(.+?)\s*(<=|>=|!=|[=<>:])\s*(.*)$/.exec(query) ?? [];
  const column = sign && data.columns.find((c) => c.name.toLowerCase() === name);
  if (column) {
    const holds = comparison(sign, wanted);
    return where(data, (r) => holds(cell(column, r)));
  }
  const asked = data.columns.map(({ kind, levels, values }) => {
    if (kind === 'text') return (/** @type {number} */ r) => String(values[r]).toLowerCase().includes(query);
    const meant = levels.map((level) => level.toLowerCase() === query);
    return (/** @type {number} */ r) => kind === 'category' && meant[Number(values[r])];
  });
  return where(data, (r) => query && asked.some((holds) => holds(r)));
}

/** @param {string} sign @param {string} wanted in small letters @returns {(text: string) => boolean} */
function comparison(sign, wanted) {
  const goal = wanted === '' ? NaN : Number(wanted);
  // a missing value is neither more nor less than any other
  const number = (/** @type {string} */ text) => (text === '' ? NaN : Number(text));
  const same = (/** @type {string} */ text) => text.toLowerCase() === wanted || Math.fround(number(text)) === Math.fround(goal);
  if (sign === '!=') return (text) => !same(text);
  return (text) => sign[0] === '<' && number(text) < goal || sign[0] === '>' && number(text) > goal || !/^[<>]$/.test(sign) && same(text);
}

/**
 * The rows that go farthest between two layers' pictures, fewer than can be drawn as paths.
 * @param {Data} data @param {number} from @param {number} to @param {number} [most]
 */
export function movers(data, from, to, most = 30) {
  const moved = Array.from({ length: data.n }, (_, r) => (present(data, from, r) && present(data, to, r) ? apart(data, from, r, to, r) : 0));
  return marked(data.n, [...moved.keys()].filter((r) => moved[r] > 0).sort((a, b) => moved[b] - moved[a]).slice(0, most));
}

/**
 * The level that most of a row's native neighbours have (of equally many that of the nearer), -1 if unknown.
 * @param {Data} data @param {number} layer @param {number} row @param {number} column
 */
export function company(data, layer, row, column) {
  const { values, missing } = data.columns[column];
  const near = Array.from(nativeNeighbors(data, layer, row) ?? [], (other) => Number(values[other]));
  let best = -1, most = 0;
  for (const level of near) {
    let same = 0;
    for (const other of near) if (other === level) same++;
    if (level !== missing && same > most) {
      most = same;
      best = level;
    }
  }
  return { level: best, share: most / (near.length || 1) };
}

/**
 * Rows most of whose neighbours are of another class in the one layer than in the other.
 * @param {Data} data @param {number} from @param {number} to
 */
export function changers(data, from, to) {
  const column = labelColumn(data);
  return where(data, (r) => {
    if (column < 0) return false;
    const [before, after] = [from, to].map((layer) => company(data, layer, r, column).level);
    return before >= 0 && after >= 0 && before !== after;
  });
}

/** Rows that were predicted wrongly. @param {Data} data */
export function mistakes(data) {
  const { label, prediction, correct } = data.roles;
  const said = (/** @type {number | undefined} */ column, /** @type {number} */ r) => (column === undefined ? '' : cell(data.columns[column], r));
  return where(data, (r) => {
    const is = said(label, r), guess = said(prediction, r);
    return correct !== undefined ? said(correct, r) === 'wrong' : is && guess && is !== guess;
  });
}

/** The rows whose place is to be believed least in a layer, none where the layer does not know. @param {Data} data @param {number} layer */
export function doubtful(data, layer) {
  const stress = ofLayer(data, 'stress', layer);
  const worst = stress?.reduce((a, b) => Math.max(a, b), 0);
  return where(data, (r) => worst && stress?.[r] === worst);
}

/**
 * How many of a row's native neighbours are among as many nearest in the picture.
 * @param {Data} data @param {number} layer @param {number} row
 */
export function keptNeighbors(data, layer, row) {
  const near = nativeNeighbors(data, layer, row);
  if (!near) return null;
  const shown = nearestInPicture(data, layer, row, near.length);
  return Array.from(near, (other) => ({ row: other, shown: shown.includes(other) }));
}

/**
 * What a selection is made of, the most frequent first.
 * @param {import('./types.js').Coloring} coloring @param {Uint8Array} selection
 */
export function composition({ codes, keys }, selection) {
  const counts = new Map();
  codes?.forEach((code, r) => selection[r] && counts.set(code, (counts.get(code) ?? 0) + 1));
  return keys.map((key) => ({ key, count: counts.get(key.level) ?? 0 })).filter((part) => part.count)
    .sort((a, b) => b.count - a.count || a.key.level - b.key.level);
}

/**
 * How alike two layers' pictures arrange the selected rows: the correlation of their distances, for
 * every pair of layers. Of many rows the first 120 stand for all (the order of rows is shuffled).
 * @param {Data} data @param {Uint8Array} selection
 * @returns {number[][]}
 */
export function likeness(data, selection) {
  const rows = listed(selection).filter((r) => data.layers.every((_, l) => present(data, l, r))).slice(0, 120);
  if (rows.length < 3) return [];
  const sum = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0);
  const distances = data.layers.map((_, l) => {
    const d = rows.flatMap((a, i) => rows.slice(0, i).map((b) => Math.sqrt(apart(data, l, a, l, b))));
    const mean = sum(d) / d.length;
    const size = Math.hypot(...d.map((x) => x - mean)) || 1;
    return d.map((x) => (x - mean) / size);
  });
  return distances.map((a) => distances.map((b) => sum(a.map((x, i) => x * b[i]))));
}

/** @param {number} n @param {number[]} rows */
export function marked(n, rows) {
  const bytes = new Uint8Array(n);
  for (const r of rows) if (r in bytes) bytes[r] = 1;
  return bytes;
}

/** Numbers of the rows that a byte marks. @param {Uint8Array} bytes */
export function listed(bytes) {
  const rows = [];
  for (let r = 0; r < bytes.length; r++) if (bytes[r]) rows.push(r);
  return rows;
}

/** The row of an id, -1 for none. @param {Data} data @param {string} id */
export function rowOfId(data, id) {
  return where(data, (r) => idOf(data, r) === id).indexOf(1);
}
