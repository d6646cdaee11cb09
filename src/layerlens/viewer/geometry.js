// Places: between layers, in a polygon, near a point. No page, no canvas.

/** A place that is never on the picture: rows that a layer lacks. */
export const NOWHERE = -1e6;

/**
 * A map of one layer's places: rows of a matrix, then the shift. C is 2 or 3.
 * @typedef {Float64Array} Affine
 */

/** The map that changes nothing. @param {number} C @returns {Affine} */
export function identity(C) {
  const map = new Float64Array(C * C + C);
  for (let i = 0; i < C; i++) map[i * C + i] = 1;
  return map;
}

/**
 * Where every row is at depth t: on the straight line between its places in two layers.
 *
 * Places are in units of the common frame, [0, 1]. Three components are turned by `spin` about the
 * frame's middle and seen along the third, which goes to `depth` (larger is nearer).
 * @param {import('./types.js').Data} data
 * @param {number} t
 * @param {Float64Array} spin 3 x 3, row by row; not used with two components
 * @param {Float32Array} out two a row
 * @param {Float32Array | null} [depth]
 */
export function blend(data, t, spin, out, depth = null) {
  const { n, components: C, positions: q, maps } = data;
  const i = Math.min(Math.floor(t), data.layers.length - 1);
  const f = t - i;
  const j = f > 0 ? i + 1 : i;
  const form = (/** @type {number} */ layer, /** @type {number} */ weight) => seen(maps ? maps[layer] : identity(C), spin, C, weight);
  const P = form(i, 1 - f);
  const Q = form(j, f);
  const a = i * n * C;
  const b = j * n * C;
  if (C === 2) {
    const [p0, p1, p2, p3, p4, p5] = P;
    const [q0, q1, q2, q3, q4, q5] = Q;
    for (let r = 0, s = 0; r < n; r++, s += 2) {
      const x = q[a + s], y = q[a + s + 1], u = q[b + s], v = q[b + s + 1];
      out[s] = p0 * x + p1 * y + q0 * u + q1 * v + p4 + q4;
      out[s + 1] = p2 * x + p3 * y + q2 * u + q3 * v + p5 + q5;
    }
  } else {
    for (let r = 0, s = a, e = b; r < n; r++, s += 3, e += 3)
      for (let c = 0; c < 3; c++) {
        const m = 3 * c;
        const sum = P[m] * q[s] + P[m + 1] * q[s + 1] + P[m + 2] * q[s + 2] + Q[m] * q[e] + Q[m + 1] * q[e + 1] + Q[m + 2] * q[e + 2] + P[9 + c] + Q[9 + c];
        if (c < 2) out[2 * r + c] = sum;
        else if (depth) depth[r] = sum;
      }
  }
  if (data.present) placeAlone(data, i, j, f, form, out);
  return out;
}

/**
 * One linear form from quantised values to weighted places as they are seen.
 * @param {Affine} map @param {Float64Array} spin @param {number} C @param {number} weight
 */
function seen(map, spin, C, weight) {
  const form = new Float64Array(C * C + C);
  for (let r = 0; r < C; r++) {
    let shift = C === 2 ? map[4 + r] : 0.5;
    for (let c = 0; c < C; c++) {
      let sum = C === 2 ? map[r * 2 + c] : 0;
      for (let m = 0; C === 3 && m < 3; m++) sum += spin[r * 3 + m] * map[m * 3 + c];
      form[r * C + c] = (sum * weight) / 65535;
      if (C === 3) shift += spin[r * 3 + c] * (map[9 + c] - 0.5);
    }
    form[C * C + r] = weight * shift;
  }
  return form;
}

/**
 * A row that only one of the two layers has stands where that one has it, while that one is nearer.
 * @param {import('./types.js').Data} data @param {number} i @param {number} j @param {number} f
 * @param {(layer: number, weight: number) => Float64Array} form @param {Float32Array} out
 */
function placeAlone(data, i, j, f, form, out) {
  const { n, components: C, positions: q } = data;
  const forms = [form(i, 1), form(j, 1)];
  for (let r = 0; r < n; r++) {
    const here = present(data, i, r), there = present(data, j, r);
    if (here && there) continue;
    const layer = here ? i : j;
    const shown = here ? f < 0.5 : there && f >= 0.5;
    const map = forms[here ? 0 : 1];
    for (let c = 0; c < 2; c++) {
      let sum = map[C * C + c];
      for (let m = 0; m < C; m++) sum += map[c * C + m] * q[(layer * n + r) * C + m];
      out[2 * r + c] = shown ? sum : NOWHERE;
    }
  }
}

/**
 * Where one row is in a layer, null where that lacks it.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row @param {Float64Array} spin
 */
export function placeIn(data, layer, row, spin) {
  if (!present(data, layer, row)) return null;
  const { n, components: C, positions, maps } = data;
  const from = (layer * n + row) * C;
  const alone = { ...data, n: 1, layers: [data.layers[layer]], positions: positions.subarray(from, from + C), present: null, maps: maps && [maps[layer]] };
  const [x, y] = blend(alone, 0, spin, new Float32Array(2));
  return { x, y };
}

/** Whether a layer has a row. @param {import('./types.js').Data} data @param {number} layer @param {number} row */
export function present(data, layer, row) {
  return !data.present || data.present[layer * data.n + row] === 1;
}

/**
 * The square of how far it is from a row in one layer's picture to a row in another's, in steps of 1/65535.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row @param {number} layer2 @param {number} row2
 */
export function apart({ n, components: C, positions: q }, layer, row, layer2, row2) {
  let sum = 0;
  for (let c = 0; c < C; c++) sum += (q[(layer * n + row) * C + c] - q[(layer2 * n + row2) * C + c]) ** 2;
  return sum;
}

/** The camera that shows the whole frame. @param {number} width @param {number} height @returns {import('./types.js').Camera} */
export function fitted(width, height) {
  const k = Math.min(width, height) * 0.94;
  return { k, x: (width - k) / 2, y: (height - k) / 2 };
}

/** @param {ArrayLike<number>} polygon x, y, x, y, … @param {number} x @param {number} y */
export function insidePolygon(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 2; i < polygon.length; j = i, i += 2) {
    const above = polygon[i + 1] > y;
    if (above !== polygon[j + 1] > y) {
      const run = (polygon[j] - polygon[i]) / (polygon[j + 1] - polygon[i + 1]);
      if (x < polygon[i] + run * (y - polygon[i + 1])) inside = !inside;
    }
  }
  return inside;
}

/**
 * Rows inside a polygon, a byte each.
 * @param {ArrayLike<number>} polygon
 * @param {Float32Array} xy
 * @param {Uint8Array | null} visible
 */
export function rowsInPolygon(polygon, xy, visible) {
  const hits = new Uint8Array(xy.length / 2);
  const heights = Array.from(polygon).filter((_, i) => i % 2);
  const top = Math.min(...heights), bottom = Math.max(...heights);
  for (let r = 0; r < hits.length; r++) {
    const y = xy[2 * r + 1];
    if (y >= top && y <= bottom && (!visible || visible[r]) && insidePolygon(polygon, xy[2 * r], y)) hits[r] = 1;
  }
  return hits;
}

/**
 * The row nearest to a place, -1 where none is within the radius. Of equal ones the last, which is
 * drawn on top.
 * @param {Float32Array} xy @param {number} x @param {number} y @param {number} radius
 * @param {Uint8Array | null} visible
 */
export function nearestRow(xy, x, y, radius, visible) {
  let best = -1;
  let least = radius * radius;
  for (let r = 0, s = 0; s < xy.length; r++, s += 2) {
    const u = xy[s] - x, v = xy[s + 1] - y;
    const d = u * u + v * v;
    if (d <= least && (!visible || visible[r])) {
      least = d;
      best = r;
    }
  }
  return best;
}

/**
 * A row's k nearest in a layer's picture, nearest first, without itself and rows that the layer lacks.
 * @param {import('./types.js').Data} data @param {number} layer @param {number} row @param {number} k
 */
export function nearestInPicture(data, layer, row, k) {
  const rows = /** @type {number[]} */ ([]);
  const far = /** @type {number[]} */ ([]);
  for (let r = 0; r < data.n; r++) {
    if (r === row || !present(data, layer, r)) continue;
    const d = apart(data, layer, r, layer, row);
    if (d >= far[k - 1]) continue;
    let at = Math.min(rows.length, k - 1);
    for (; at > 0 && far[at - 1] > d; at--) {
      far[at] = far[at - 1];
      rows[at] = rows[at - 1];
    }
    far[at] = d;
    rows[at] = r;
  }
  return rows;
}
