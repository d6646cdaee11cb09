// Small data of the kind that Python packs, and a generator of random numbers that is the same every time.
import { assembled } from '../../src/layerlens/viewer/data.js';

/** A generator of numbers in [0, 1) (mulberry32). @param {number} seed */
export function randoms(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** The bytes of a typed array. @param {ArrayBufferView} array */
export function bytesOf(array) {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength).slice();
}

/**
 * Random data: label (category), size (number), id; stress and neighbours, which are random rows.
 * @param {{n?: number, L?: number, C?: number, seed?: number, extra?: Record<string, Uint8Array>, head?: object}} [given]
 */
export function source({ n = 60, L = 5, C = 2, seed = 1, extra = {}, head = {} } = {}) {
  const random = randoms(seed);
  const k = Math.min(4, n - 1);
  const positions = Uint16Array.from({ length: L * n * C }, () => Math.floor(random() * 65535));
  const neighbors = new Uint16Array(L * n * k);
  for (let l = 0; l < L; l++)
    for (let r = 0; r < n; r++)
      for (let j = 0; j < k; j++) neighbors[(l * n + r) * k + j] = (r + 1 + j + l) % n;
  /** @type {Record<string, Uint8Array>} */
  const sections = {
    positions: bytesOf(positions),
    'column-0': Uint8Array.from({ length: n }, (_, r) => r % 3),
    'column-1': bytesOf(Float32Array.from({ length: n }, (_, r) => (r === 2 ? NaN : r / 4))),
    stress: Uint8Array.from({ length: L * n }, () => Math.floor(random() * 256)),
    neighbors: bytesOf(neighbors), ...extra,
  };
  return {
    head: {
      version: 1, title: 'a page', n, total: n, components: C, seed: 0,
      layers: Array.from({ length: L }, (_, l) => ({ name: `layer${l}`, metrics: { trustworthiness: 0.9 } })),
      frame: { center: [1, -2, 3].slice(0, C), scale: 4 },
      columns: [{ name: 'label', kind: 'category', levels: ['zero', 'one', 'two'] }, { name: 'size', kind: 'number' }, { name: 'id', kind: 'text' }],
      roles: { label: 0, id: 2 }, per_layer: { stress: true }, neighbors: { k, rows: n }, thumbnails: null, ...head,
    },
    bytes: (/** @type {string} */ name) => sections[name] ?? null,
    json: () => Array.from({ length: n }, (_, r) => `row ${r}`),
  };
}

export const randomData = (/** @type {any} */ given) => assembled(source(given));

/** State as the page begins with, but for what is given. @param {import('../../src/layerlens/viewer/types.js').Data} data @param {object} [given] */
export function firstState(data, given = {}) {
  return { t: 0, goal: 0, by: 0, palette: 'petroff', theme: 'light', selection: new Uint8Array(data.n), selected: 0, pick: -1, hover: -1, hidden: new Set(), fade: false, align: false, ...given };
}
