// What only pictures of three dimensions need: turning by hand, what is in front, what is far.

import { paled } from './coloring.js';
import { pieces } from './pieces.js';
import { clamp } from './util.js';

/** @param {ArrayLike<number>} A @param {ArrayLike<number>} B 3 x 3 each */
function multiply3(A, B) {
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

/** B. K. P. Horn 1987: the largest eigenvector of a 4 x 4 matrix is the turn. @param {number[]} S */
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

/**
 * In three dimensions the farther is the paler.
 * @param {Uint32Array} colors @param {Float32Array} depth @param {number[]} back @param {Uint32Array} out
 */
export function fogged(colors, depth, back, out) {
  return paled(colors, back, (r) => (clamp(0.95 - depth[r], 0, 1) * 159) | 0, out);
}

/** Rows from back to front, by 256 steps of depth. @param {Float32Array} depth */
export function backToFront(depth) {
  const n = depth.length;
  const step = new Uint8Array(n);
  const starts = new Uint32Array(257);
  for (let r = 0; r < n; r++) {
    step[r] = clamp(depth[r] * 128 + 64, 0, 255);
    starts[step[r] + 1]++;
  }
  for (let s = 0; s < 256; s++) starts[s + 1] += starts[s];
  const order = new Uint32Array(n);
  for (let r = 0; r < n; r++) order[starts[step[r]]++] = r;
  return order;
}

export const SPACE = { turned, turn3, fogged, backToFront };
pieces.space = SPACE;
