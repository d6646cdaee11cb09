// What Python packed (FORMAT.md), from the page's sections or the notebook's traits.

import { present } from './geometry.js';

/**
 * @typedef {object} Source
 * @property {any} head
 * @property {(name: string) => Uint8Array<ArrayBuffer> | null} bytes
 * @property {(name: string) => any} json
 */

/** Base64 text to bytes. @param {string} text */
function decode64(text) {
  const quick = /** @type {any} */ (Uint8Array).fromBase64;
  return /** @type {Uint8Array<ArrayBuffer>} */ (quick ? quick.call(Uint8Array, text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0)));
}

/** @param {Document} page @returns {import('./types.js').Data} */
export function fromPage(page) {
  const text = (/** @type {string} */ name) => page.getElementById('ll-' + name)?.textContent ?? null;
  const json = (/** @type {string} */ name) => JSON.parse(text(name) ?? 'null');
  const bytes = (/** @type {string} */ name) => {
    const section = text(name);
    return section === null ? null : decode64(section.trim());
  };
  return assembled({ head: json('head'), bytes, json });
}

/**
 * @param {Source} source
 * @returns {import('./types.js').Data}
 */
export function assembled({ head, bytes, json }) {
  if (head?.version !== 1)
    throw new Error(`this viewer reads pages of version 1, not ${head?.version}`);
  // names of the file are quoted: the build gives ours shorter ones
  const { n, 'components': components, 'layers': layers } = head;
  const L = layers.length;
  const required = (/** @type {string} */ name, /** @type {number} */ size) => {
    const part = bytes(name);
    if (part?.length !== size)
      throw new Error(`section ${name} has ${part?.length ?? 'no'} bytes where ${size} are due`);
    return part;
  };
  const wide = (/** @type {string} */ name, /** @type {number} */ items) => new Uint16Array(required(name, 2 * items).buffer);
  const has = head.per_layer ?? {};
  return {
    head, n, components, layers,
    positions: wide('positions', L * n * components),
    present: bytes('present'),
    columns: head['columns'].map((/** @type {any} */ column, /** @type {number} */ i) => {
      const name = `column-${i}`;
      const levels = column.levels ?? [];
      const values = column.kind === 'text' ? json(name).map(String)
        : column.kind === 'number' ? new Float32Array(required(name, 4 * n).buffer)
          : levels.length <= 255 ? required(name, n) : wide(name, n);
      return { name: column.name, kind: column.kind, levels: levels.map(String), missing: column.missing ?? -1, values };
    }),
    roles: head['roles'],
    stress: has.stress ? required('stress', L * n) : null,
    spread: has.spread ? required('spread', L * n) : null,
    clusters: has.clusters ? wide('clusters', L * n) : null,
    neighbors: neighborsOf(head, L, required, bytes),
    thumbnails: thumbnailsOf(head, bytes),
    maps: null,
  };
}

/** @param {any} head @param {number} L @param {(name: string, size: number) => Uint8Array<ArrayBuffer>} required @param {(name: string) => Uint8Array<ArrayBuffer> | null} bytes */
function neighborsOf(head, L, required, bytes) {
  const given = head['neighbors'];
  if (!given) return null;
  const { k, rows } = given;
  const narrow = head.n <= 65535;
  const raw = required('neighbors', L * rows * k * (narrow ? 2 : 4)).buffer;
  return { k, rows, table: narrow ? new Uint16Array(raw) : new Uint32Array(raw), slots: slotsOf(head.n, rows, bytes('neighbor-rows')) };
}

/** @param {any} head @param {(name: string) => Uint8Array<ArrayBuffer> | null} bytes */
function thumbnailsOf(head, bytes) {
  const given = head['thumbnails'];
  if (!given) return null;
  const sheets = [];
  for (let s = 0; s < given.sheets; s++) {
    const image = bytes(`thumbnails-${s}`);
    sheets.push(new Blob(image ? [image] : [], { type: given.mime }));
  }
  return {
    width: given.width, height: given.height, perSheet: given.per_sheet, columns: given['columns'], sheets,
    slots: slotsOf(head.n, given.rows, bytes('thumbnail-rows')),
  };
}

/** @param {number} n @param {number} rows @param {Uint8Array<ArrayBuffer> | null} bytes */
function slotsOf(n, rows, bytes) {
  if (rows === n || !bytes) return null;
  const slots = new Int32Array(n).fill(-1);
  new Uint32Array(bytes.buffer).forEach((row, slot) => (slots[row] = slot));
  return slots;
}

/**
 * What a layer knows of every row, null where it knows nothing.
 * @template {'stress' | 'spread' | 'clusters'} T
 * @param {import('./types.js').Data} data @param {T} name @param {number} layer
 * @returns {import('./types.js').Data[T]}
 */
export function ofLayer(data, name, layer) {
  const part = data[name];
  return /** @type {any} */ (part && !data.layers[layer].lacks?.includes(name) ? part.subarray(layer * data.n, (layer + 1) * data.n) : null);
}

/**
 * A row's native nearest neighbours in a layer, or null where the page has none of it.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row
 */
export function nativeNeighbors(data, layer, row) {
  const { neighbors } = data;
  if (!neighbors || !present(data, layer, row)) return null;
  const slot = neighbors.slots ? neighbors.slots[row] : row;
  if (slot < 0) return null;
  const from = (layer * neighbors.rows + slot) * neighbors.k;
  // those from n up are not in the page
  return neighbors.table.subarray(from, from + neighbors.k).filter((other) => other < data.n);
}

/**
 * A value as it is read: a level, a figure, a text; empty where it is missing.
 * @param {import('./types.js').Column} column @param {number} row
 */
export function cell(column, row) {
  const value = column.values[row];
  if (column.kind === 'category') return value === column.missing ? '' : (column.levels[Number(value)] ?? '');
  if (column.kind === 'number') return Number.isNaN(value) ? '' : String(+Number(value).toPrecision(7));
  return String(value);
}

/** The columns that can colour and label, by number. @param {import('./types.js').Data} data */
export function labelColumn(data) {
  return data.roles.label ?? data.roles.prediction ?? data.columns.findIndex((column) => column.kind === 'category');
}

/** @param {import('./types.js').Data} data @param {number} row */
export function idOf(data, row) {
  return /** @type {string[]} */ (data.columns[data.roles.id].values)[row];
}
