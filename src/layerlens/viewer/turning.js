// Turning: the hand's in three dimensions, and a selection's to where it was in another layer.

import { identity } from './geometry.js';

/** @param {ArrayLike<number>} A @param {ArrayLike<number>} B 3 x 3 each */
export function multiply3(A, B) {
  const out = new Float64Array(9);
  for (let r = 0; r < 3; r++)
    for (let c = 0; c < 3; c++)
      out[r * 3 + c] = A[r * 3] * B[c] + A[r * 3 + 1] * B[3 + c] + A[r * 3 + 2] * B[6 + c];
  return out;
}

/**
 * Turn the picture by a drag: across turns about the upright axis of the screen, down about the level one.
 * @param {Float64Array} spin @param {number} across radians @param {number} down
 */
export function turned(spin, across, down) {
  const [c, s, d, e] = [Math.cos(across), Math.sin(across), Math.cos(down), Math.sin(down)];
  return multiply3([1, 0, 0, 0, d, -e, 0, e, d], multiply3([c, 0, s, 0, 1, 0, -s, 0, c], spin));
}

/** The turn that changes nothing. */
export function unturned() {
  return identity(3).slice(0, 9);
}

/**
 * For every layer the turn and shift that bring the selected rows closest to where they are in one layer.
 *
 * Distances within a layer stay (no scaling, no mirroring); the least squares over rotations are
 * Kabsch's in the plane and Horn's quaternion in space.
 * @param {import('./types.js').Data} data
 * @param {Uint8Array} selection
 * @param {number} reference
 */
export function alignments(data, selection, reference) {
  const { n, components: C, positions: q, present } = data;
  return data.layers.map((_, layer) => {
    const map = identity(C);
    const mean = new Float64Array(C), goal = new Float64Array(C);
    const rows = /** @type {number[]} */ ([]);
    for (let r = 0; r < n; r++) {
      if (!selection[r] || (present && !(present[layer * n + r] && present[reference * n + r]))) continue;
      rows.push(r);
      for (let c = 0; c < C; c++) {
        mean[c] += q[(layer * n + r) * C + c] / 65535;
        goal[c] += q[(reference * n + r) * C + c] / 65535;
      }
    }
    if (!rows.length) return map;
    for (let c = 0; c < C; c++) {
      mean[c] /= rows.length;
      goal[c] /= rows.length;
    }
    const S = new Float64Array(C * C);
    for (const r of rows)
      for (let a = 0; a < C; a++)
        for (let b = 0; b < C; b++)
          S[a * C + b] += (q[(layer * n + r) * C + a] / 65535 - mean[a]) * (q[(reference * n + r) * C + b] / 65535 - goal[b]);
    const R = C === 2 ? turn2(S) : turn3(S);
    map.set(R);
    for (let c = 0; c < C; c++) {
      let moved = 0;
      for (let m = 0; m < C; m++) moved += R[c * C + m] * mean[m];
      map[C * C + c] = goal[c] - moved;
    }
    return map;
  });
}

/** @param {Float64Array} S */
function turn2(S) {
  const cross = S[1] - S[2], dot = S[0] + S[3];
  const size = Math.hypot(cross, dot);
  if (size === 0) return [1, 0, 0, 1];
  return [dot / size, -cross / size, cross / size, dot / size];
}

/** B. K. P. Horn 1987: the largest eigenvector of a 4 x 4 matrix is the turn. @param {Float64Array} S */
function turn3(S) {
  const [xx, xy, xz, yx, yy, yz, zx, zy, zz] = S;
  const size = 2 * Math.hypot(...S);
  if (size === 0) return [1, 0, 0, 0, 1, 0, 0, 0, 1];
  // raised by its norm, so that the largest eigenvalue is also the largest in size
  const N = [
    [xx + yy + zz + size, yz - zy, zx - xz, xy - yx],
    [yz - zy, xx - yy - zz + size, xy + yx, zx + xz],
    [zx - xz, xy + yx, yy - xx - zz + size, yz + zy],
    [xy - yx, zx + xz, yz + zy, zz - xx - yy + size],
  ];
  let v = [1, 0.01, 0.02, 0.03];
  for (let step = 0; step < 500; step++) {
    const w = N.map((row) => row.reduce((sum, x, i) => sum + x * v[i], 0));
    const length = Math.hypot(...w) || 1;
    v = w.map((x) => x / length);
  }
  const [w, x, y, z] = v;
  return [
    w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y),
    2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x),
    2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z,
  ];
}
