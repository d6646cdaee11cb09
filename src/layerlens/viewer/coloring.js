// From values to the colours of rows and the keys of the legend.

import { ofLayer } from './data.js';
import { classStyles, ground, packed, rampColor, unknownColor } from './palette.js';

/**
 * @param {import('./types.js').Data} data
 * @param {import('./types.js').State} state
 * @param {number} layer whose stress or clusters are meant
 * @returns {import('./types.js').Coloring}
 */
export function colored(data, state, layer) {
  const { by, theme } = state;
  const stress = ofLayer(data, 'stress', layer);
  const coloring = by === 'stress' ? ramped('neighbours that the picture hides', data.n, (r) => (stress ? stress[r] / 255 : NaN), 0, 1, theme)
    : by === 'clusters' ? byCluster(data, state, layer)
      : by < 0 ? plainly(data, state)
        : data.columns[by].kind === 'number' ? byNumber(data.columns[by], theme) : byCategory(data, by, state);
  if (state.fade && stress) fade(coloring.colors, stress, ground(theme));
  return coloring;
}

/** @param {import('./types.js').Data} data @param {import('./types.js').State} state @returns {import('./types.js').Coloring} */
function plainly(data, state) {
  const [{ color }] = classStyles(1, state.palette, state.theme);
  return { colors: new Uint32Array(data.n).fill(packed(color)), codes: null, shapes: null, name: 'all points', keys: [], ramp: null };
}

/** Of right and wrong: mistakes stand out, the rest is ground. */
const JUDGED = { light: [[214, 30, 48], [176, 186, 199]], dark: [[255, 92, 92], [92, 104, 122]] };

/** @param {import('./types.js').Data} data @param {number} index @param {import('./types.js').State} state */
function byCategory(data, index, state) {
  const { name, values, levels, missing } = data.columns[index];
  const styles = classStyles(levels.length, state.palette, state.theme);
  if (index === data.roles.correct) styles.forEach((style, i) => (style.color = JUDGED[state.theme][levels[i] === 'wrong' ? 0 : 1]));
  return byCode(name, /** @type {Uint8Array | Uint16Array} */ (values), levels, missing, styles, state.theme);
}

/** @param {import('./types.js').Data} data @param {import('./types.js').State} state @param {number} layer */
function byCluster(data, state, layer) {
  const codes = ofLayer(data, 'clusters', layer) ?? new Uint16Array(data.n).fill(65535);
  const most = codes.reduce((a, b) => (b < 65535 ? Math.max(a, b) : a), -1);
  const levels = Array.from({ length: most + 1 }, (_, i) => String(i));
  return byCode('cluster', codes, levels, 65535, classStyles(levels.length, state.palette, state.theme), state.theme);
}

/**
 * @param {string} name @param {Uint8Array | Uint16Array} codes @param {string[]} levels @param {number} missing
 * @param {{color: number[], shape: number}[]} styles @param {"light" | "dark"} theme
 * @returns {import('./types.js').Coloring}
 */
function byCode(name, codes, levels, missing, styles, theme) {
  const unknown = unknownColor(theme);
  const table = new Uint32Array(65536).fill(packed(unknown));
  const counts = new Uint32Array(65536);
  const shapes = new Uint8Array(65536);
  styles.forEach(({ color, shape }, i) => {
    table[i] = packed(color);
    shapes[i] = shape;
  });
  const colors = new Uint32Array(codes.length);
  codes.forEach((code, r) => {
    colors[r] = table[code];
    counts[code]++;
  });
  const keys = styles.map(({ color, shape }, level) => ({ label: levels[level], level, color, shape, count: counts[level] }));
  if (missing >= 0 && counts[missing]) keys.push({ label: 'not known', level: missing, color: unknown, shape: 0, count: counts[missing] });
  return { colors, codes, shapes: shapes.some(Boolean) ? shapes : null, name, keys, ramp: null };
}

/** @param {import('./types.js').Column} column @param {"light" | "dark"} theme */
function byNumber({ name, values }, theme) {
  let low = Infinity, high = -Infinity;
  for (const x of /** @type {Float32Array} */ (values)) {
    if (x < low && x > -Infinity) low = x;
    if (x > high && x < Infinity) high = x;
  }
  return ramped(name, values.length, (r) => (Number(values[r]) - low) / (high - low || 1), low, high, theme);
}

/**
 * @param {string} name @param {number} n @param {(row: number) => number} share @param {number} low @param {number} high
 * @param {"light" | "dark"} theme @returns {import('./types.js').Coloring}
 */
function ramped(name, n, share, low, high, theme) {
  const stops = Array.from({ length: 256 }, (_, i) => rampColor(i / 255, theme));
  const table = stops.map(packed);
  const unknown = packed(unknownColor(theme));
  const colors = new Uint32Array(n).map((_, r) => table[Math.round(255 * share(r))] ?? unknown);
  return { colors, codes: null, shapes: null, name, keys: [], ramp: low <= high ? { low, high, stops: stops.filter((_, i) => i % 51 === 0) } : null };
}

/**
 * Colours, a part of each of them replaced by that of the ground.
 * @param {Uint32Array} colors @param {number[]} back @param {(row: number) => number} away the part, of 256 @param {Uint32Array} out
 */
export function paled(colors, back, away, out) {
  const B = packed(back);
  for (let r = 0; r < colors.length; r++) {
    const part = away(r), keep = 256 - part, c = colors[r];
    out[r] = (0xff000000
      | ((((c & 0xff00ff) * keep + (B & 0xff00ff) * part) >>> 8) & 0xff00ff)
      | ((((c & 0xff00) * keep + (B & 0xff00) * part) >>> 8) & 0xff00)) >>> 0;
  }
  return out;
}

/** The less a point's place is to be believed, the nearer its colour to the ground. @param {Uint32Array} colors @param {Uint8Array} stress @param {number[]} back */
function fade(colors, stress, back) {
  paled(colors, back, (r) => Math.round(stress[r] * 0.88), colors);
}

/**
 * Rows that are drawn, a byte each; null where all are.
 * @param {import('./types.js').Coloring} coloring @param {ReadonlySet<number>} hidden @param {number} n
 */
export function visibleRows(coloring, hidden, n) {
  const { codes } = coloring;
  return hidden.size && codes ? new Uint8Array(n).map((_, r) => Number(!hidden.has(codes[r]))) : null;
}

/**
 * In which order rows are drawn, and how: those not selected pale and first, each shape by itself.
 * @param {number} n @param {import('./types.js').Coloring} coloring @param {Uint8Array | null} visible
 * @param {Uint8Array} selection @param {number} selected @param {ArrayLike<number> | null} [order] of rows, back to front
 * @returns {import('./types.js').Group[]}
 */
export function drawingOrder(n, coloring, visible, selection, selected, order = null) {
  const { codes, shapes } = coloring;
  const shapeCount = shapes ? Math.max(...shapes) + 1 : 1;
  const sizes = new Uint32Array(2 * shapeCount);
  const place = (/** @type {number} */ r) => (selected && selection[r] ? shapeCount : 0) + (shapes && codes ? shapes[codes[r]] : 0);
  for (let r = 0; r < n; r++) if (!visible || visible[r]) sizes[place(r)]++;
  const rows = Array.from(sizes, (size) => new Uint32Array(size));
  sizes.fill(0);
  for (let i = 0; i < n; i++) {
    const r = order ? order[i] : i;
    if (visible && !visible[r]) continue;
    const at = place(r);
    rows[at][sizes[at]++] = r;
  }
  return rows.map((part, i) => ({
    rows: part, shape: i % shapeCount,
    style: /** @type {"dim" | "plain" | "chosen"} */ (i >= shapeCount ? 'chosen' : selected ? 'dim' : 'plain'),
  })).filter((group) => group.rows.length);
}
