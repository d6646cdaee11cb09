// From values to the colours of rows and the keys of the legend.

import { classStyles, ground, packed, rampColor, unknownColor, unpacked } from './palette.js';

/**
 * @param {import('./types.js').Data} data
 * @param {import('./types.js').State} state
 * @param {number} layer whose stress or clusters are meant
 * @returns {import('./types.js').Coloring}
 */
export function colored(data, state, layer) {
  const { by } = state;
  const coloring = by === 'stress' ? byStress(data, state, layer)
    : by === 'clusters' ? byCluster(data, state, layer)
      : by < 0 ? plainly(data, state)
        : data.columns[by].kind === 'number' ? byNumber(data.columns[by], state) : byCategory(data, by, state);
  if (state.fade && data.stress) fade(coloring.colors, data.stress.subarray(layer * data.n, (layer + 1) * data.n), ground(state.theme));
  return coloring;
}

/** @param {import('./types.js').Data} data @param {import('./types.js').State} state @returns {import('./types.js').Coloring} */
function plainly(data, state) {
  const [{ color }] = classStyles(1, state.palette, state.theme);
  return { colors: new Uint32Array(data.n).fill(packed(color)), codes: null, shapes: null, name: 'all points', keys: [], ramp: null };
}

/**
 * @param {import('./types.js').Data} data @param {number} index @param {import('./types.js').State} state
 * @returns {import('./types.js').Coloring}
 */
function byCategory(data, index, state) {
  const column = data.columns[index];
  const codes = /** @type {Uint8Array | Uint16Array} */ (column.values);
  const styles = classStyles(column.levels.length, state.palette, state.theme);
  if (index === data.roles.correct) {
    // mistakes stand out, the rest is ground
    const wrong = column.levels.indexOf('wrong');
    styles.forEach((style, i) => (style.color = i === wrong ? (state.theme === 'dark' ? [255, 92, 92] : [214, 30, 48]) : (state.theme === 'dark' ? [92, 104, 122] : [176, 186, 199])));
  }
  return byCode(column.name, codes, column.levels, column.missing, styles, state.theme);
}

/**
 * @param {string} name @param {Uint8Array | Uint16Array} codes @param {string[]} levels @param {number} missing
 * @param {{color: number[], shape: number}[]} styles @param {"light" | "dark"} theme
 * @returns {import('./types.js').Coloring}
 */
function byCode(name, codes, levels, missing, styles, theme) {
  const size = Math.max(levels.length, missing + 1, 1);
  const table = new Uint32Array(Math.max(size, 65536)).fill(packed(unknownColor(theme)));
  const counts = new Uint32Array(table.length);
  styles.forEach((style, i) => (table[i] = i === missing ? table[i] : packed(style.color)));
  const colors = new Uint32Array(codes.length);
  for (let r = 0; r < codes.length; r++) {
    colors[r] = table[codes[r]];
    counts[codes[r]]++;
  }
  const keys = levels.map((label, level) => ({ label, level, color: unpacked(table[level]), shape: styles[level].shape, count: counts[level] }));
  if (missing >= 0 && missing >= levels.length && counts[missing])
    keys.push({ label: 'not known', level: missing, color: unknownColor(theme), shape: 0, count: counts[missing] });
  const shapes = styles.some((style) => style.shape) ? new Uint8Array(table.length) : null;
  if (shapes) styles.forEach((style, i) => (shapes[i] = style.shape));
  return { colors, codes, shapes, name, keys, ramp: null };
}

/** @param {import('./types.js').Data} data @param {import('./types.js').State} state @param {number} layer */
function byCluster(data, state, layer) {
  const codes = /** @type {Uint16Array} */ (data.clusters).subarray(layer * data.n, (layer + 1) * data.n);
  let most = -1;
  for (const code of codes) if (code !== 65535 && code > most) most = code;
  const levels = Array.from({ length: most + 1 }, (_, i) => String(i));
  return byCode('cluster', codes, levels, 65535, classStyles(levels.length, state.palette, state.theme), state.theme);
}

/** @param {import('./types.js').Column} column @param {import('./types.js').State} state */
function byNumber(column, state) {
  const values = /** @type {Float32Array} */ (column.values);
  let low = Infinity, high = -Infinity;
  for (const x of values) {
    if (x < low && Number.isFinite(x)) low = x;
    if (x > high && Number.isFinite(x)) high = x;
  }
  const span = high > low ? high - low : 1;
  return ramped(column.name, values.length, (r) => (values[r] - low) / span, low, high, state.theme);
}

/** @param {import('./types.js').Data} data @param {import('./types.js').State} state @param {number} layer */
function byStress(data, state, layer) {
  const stress = /** @type {Uint8Array} */ (data.stress);
  const unknown = data.layers[layer].lacks?.includes('stress');
  const from = layer * data.n;
  return ramped('neighbours that the picture hides', data.n, (r) => (unknown ? NaN : stress[from + r] / 255), 0, 1, state.theme);
}

/**
 * @param {string} name @param {number} n @param {(row: number) => number} share @param {number} low @param {number} high
 * @param {"light" | "dark"} theme @returns {import('./types.js').Coloring}
 */
function ramped(name, n, share, low, high, theme) {
  const stops = Array.from({ length: 256 }, (_, i) => rampColor(i / 255, theme));
  const table = Uint32Array.from(stops, packed);
  const unknown = packed(unknownColor(theme));
  const colors = new Uint32Array(n);
  for (let r = 0; r < n; r++) {
    const x = share(r);
    colors[r] = x >= 0 && x <= 1 ? table[Math.round(255 * x)] : unknown;
  }
  return { colors, codes: null, shapes: null, name, keys: [], ramp: low <= high ? { low, high, stops: stops.filter((_, i) => i % 51 === 0) } : null };
}

/** The less a point's place is to be believed, the nearer its colour to the ground. @param {Uint32Array} colors @param {Uint8Array} stress @param {number[]} back */
function fade(colors, stress, back) {
  for (let r = 0; r < colors.length; r++) {
    const keep = 255 - Math.round(stress[r] * 0.88);
    const c = colors[r];
    const part = (/** @type {number} */ shift, /** @type {number} */ b) => (((((c >> shift) & 255) * keep + b * (255 - keep)) / 255) & 255) << shift;
    colors[r] = (0xff000000 | part(16, back[2]) | part(8, back[1]) | part(0, back[0])) >>> 0;
  }
}

/**
 * In three dimensions the farther is the paler.
 * @param {Uint32Array} colors @param {Float32Array} depth @param {number[]} back @param {Uint32Array} out
 */
export function fogged(colors, depth, back, out) {
  const B = packed(back);
  for (let r = 0; r < colors.length; r++) {
    const away = Math.min(Math.max(0.95 - depth[r], 0), 1) * 0.62 * 256 | 0;
    const c = colors[r], keep = 256 - away;
    out[r] = (0xff000000
      | ((((c & 0xff00ff) * keep + (B & 0xff00ff) * away) >>> 8) & 0xff00ff)
      | ((((c & 0xff00) * keep + (B & 0xff00) * away) >>> 8) & 0xff00)) >>> 0;
  }
  return out;
}

/**
 * Rows that are drawn, a byte each; null where all are.
 * @param {import('./types.js').Coloring} coloring @param {ReadonlySet<number>} hidden @param {number} n
 */
export function visibleRows(coloring, hidden, n) {
  const { codes } = coloring;
  if (!hidden.size || !codes) return null;
  const rows = new Uint8Array(n);
  for (let r = 0; r < n; r++) rows[r] = hidden.has(codes[r]) ? 0 : 1;
  return rows;
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

/** Rows from back to front, by 256 steps of depth. @param {Float32Array} depth */
export function backToFront(depth) {
  const n = depth.length;
  const step = new Uint8Array(n);
  const starts = new Uint32Array(257);
  for (let r = 0; r < n; r++) {
    step[r] = Math.min(Math.max(depth[r] * 128 + 64, 0), 255);
    starts[step[r] + 1]++;
  }
  for (let s = 0; s < 256; s++) starts[s + 1] += starts[s];
  const order = new Uint32Array(n);
  for (let r = 0; r < n; r++) order[starts[step[r]]++] = r;
  return order;
}
