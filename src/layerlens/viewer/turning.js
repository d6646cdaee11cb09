// Turning a selection to where it was in another layer.

import { identity, present } from './geometry.js';
import { spaceOf } from './pieces.js';
import { listed } from './query.js';

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
  const { n, components: C, positions: q } = data;
  const axes = [0, 1, 2].slice(0, C);
  const chosen = listed(selection).filter((r) => present(data, reference, r));
  return data.layers.map((_, layer) => {
    const map = identity(C);
    const rows = chosen.filter((r) => present(data, layer, r));
    if (!rows.length) return map;
    const place = (/** @type {number} */ l, /** @type {number} */ r, /** @type {number} */ c) => q[(l * n + r) * C + c] / 65535;
    const [mean, goal] = [layer, reference].map((l) => axes.map((c) => rows.reduce((sum, r) => sum + place(l, r, c), 0) / rows.length));
    const S = axes.flatMap((a) => axes.map((b) => rows.reduce((sum, r) => sum + (place(layer, r, a) - mean[a]) * (place(reference, r, b) - goal[b]), 0)));
    const R = (spaceOf(data)?.turn3 ?? turn2)(S);
    map.set(R);
    map.set(axes.map((c) => goal[c] - axes.reduce((sum, m) => sum + R[c * C + m] * mean[m], 0)), C * C);
    return map;
  });
}

/** @param {number[]} S */
function turn2(S) {
  const cross = S[1] - S[2], dot = S[0] + S[3];
  const size = Math.hypot(cross, dot);
  if (size === 0) return [1, 0, 0, 1];
  return [dot / size, -cross / size, cross / size, dot / size];
}
