import assert from 'node:assert/strict';
import { test } from 'node:test';
import { blend, identity, insidePolygon, nearestInPicture, nearestRow, NOWHERE, rowsInPolygon } from '../../src/layerlens/viewer/geometry.js';
import { SPACE } from '../../src/layerlens/viewer/space.js';
import { alignments, unturned } from '../../src/layerlens/viewer/turning.js';
import { randomData, randoms } from './fixture.mjs';

const close = (a, b, by = 1e-5) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);

test('a quarter of the way past layer 3 a point is at the 75/25 blend', () => {
  const data = randomData();
  const out = blend(data, 3.25, unturned(), new Float32Array(2 * data.n));
  for (let i = 0; i < 2 * data.n; i++)
    close(out[i], (0.75 * data.positions[3 * 2 * data.n + i] + 0.25 * data.positions[4 * 2 * data.n + i]) / 65535, 1e-6);
});

test('at the last layer nothing behind it is read', () => {
  const data = randomData();
  const out = blend(data, 4, unturned(), new Float32Array(2 * data.n));
  close(out[7], data.positions[4 * 2 * data.n + 7] / 65535, 1e-6);
});

test('a row that a layer lacks is nowhere in it, and stands at its place in the other while that is nearer', () => {
  const present = new Uint8Array(5 * 60).fill(1);
  present[60 + 7] = 0;
  const data = randomData({ extra: { present } });
  const at = (t) => blend(data, t, unturned(), new Float32Array(120))[14];
  assert.equal(at(1), NOWHERE);
  close(at(0.4), data.positions[14] / 65535, 1e-6);
  assert.equal(at(0.6), NOWHERE);
  close(at(1.7), data.positions[2 * 120 + 14] / 65535, 1e-6);
});

test('three components are turned about the middle of the frame and keep their distances from it', () => {
  const data = randomData({ C: 3 });
  const spin = SPACE.turned(SPACE.turned(unturned(), 0.7, 0.2), -0.1, 1.1);
  const out = new Float32Array(2 * data.n), depth = new Float32Array(data.n);
  blend(data, 2, spin, out, depth);
  for (let r = 0; r < data.n; r++) {
    const q = [0, 1, 2].map((c) => data.positions[(2 * data.n + r) * 3 + c] / 65535 - 0.5);
    close(Math.hypot(out[2 * r] - 0.5, out[2 * r + 1] - 0.5, depth[r] - 0.5), Math.hypot(...q));
    close(depth[r] - 0.5, spin[6] * q[0] + spin[7] * q[1] + spin[8] * q[2]);
  }
});

/** Winding number: another way to the same answer for polygons that do not cross themselves. */
function wound(polygon, x, y) {
  let angle = 0;
  for (let i = 0; i < polygon.length; i += 2) {
    const j = (i + 2) % polygon.length;
    const a = [polygon[i] - x, polygon[i + 1] - y], b = [polygon[j] - x, polygon[j + 1] - y];
    angle += Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1]);
  }
  return Math.abs(angle) > Math.PI;
}

test('points in polygons agree with the winding number', () => {
  const random = randoms(5);
  for (let round = 0; round < 40; round++) {
    const corners = 3 + Math.floor(random() * 12);
    const polygon = [];
    for (let i = 0; i < corners; i++) {
      const a = (2 * Math.PI * i) / corners, far = 0.1 + 0.4 * random();
      polygon.push(0.5 + far * Math.cos(a), 0.5 + far * Math.sin(a));
    }
    const xy = Float32Array.from({ length: 200 }, random);
    const hits = rowsInPolygon(polygon, xy, null);
    for (let r = 0; r < 100; r++) {
      assert.equal(insidePolygon(polygon, xy[2 * r], xy[2 * r + 1]), wound(polygon, xy[2 * r], xy[2 * r + 1]));
      assert.equal(Boolean(hits[r]), wound(polygon, xy[2 * r], xy[2 * r + 1]));
    }
  }
});

test('what is hidden is neither lassoed nor hovered', () => {
  const xy = Float32Array.of(0.5, 0.5, 0.51, 0.5);
  const visible = Uint8Array.of(0, 1);
  assert.deepEqual([...rowsInPolygon([0, 0, 1, 0, 1, 1, 0, 1], xy, visible)], [0, 1]);
  assert.equal(nearestRow(xy, 0.5, 0.5, 0.1, visible), 1);
  assert.equal(nearestRow(xy, 0.5, 0.5, 0.1, null), 0);
  assert.equal(nearestRow(xy, 0.9, 0.9, 0.1, null), -1);
});

test('of points at one place the one on top is hovered', () => {
  assert.equal(nearestRow(Float32Array.of(0.2, 0.2, 0.2, 0.2), 0.2, 0.2, 0.1, null), 1);
});

test('nearest in the picture are those of a full sort', () => {
  for (const C of [2, 3]) {
    const data = randomData({ C, n: 80 });
    for (const row of [0, 17, 79]) {
      const far = (r) => Array.from({ length: C }, (_, c) => (data.positions[(80 + r) * C + c] - data.positions[(80 + row) * C + c]) ** 2).reduce((a, b) => a + b);
      const sorted = [...Array(80).keys()].filter((r) => r !== row).sort((a, b) => far(a) - far(b)).slice(0, 8);
      assert.deepEqual(nearestInPicture(data, 1, row, 8), sorted);
    }
  }
});

for (const C of [2, 3])
  test(`aligning brings back a layer that was turned and shifted, in ${C} dimensions`, () => {
    const data = randomData({ C, n: 40, L: 2 });
    const spin = SPACE.turned(unturned(), 0.8, C === 3 ? -0.5 : 0);
    const [cos, sin] = [Math.cos(2.1), Math.sin(2.1)];
    const map = C === 3 ? spin : Float64Array.of(cos, -sin, sin, cos);
    const drawn = Float64Array.from(data.positions.subarray(0, 40 * C), (q) => (q / 65535 - 0.5) / 2);
    for (let i = 0; i < 40 * C; i++) data.positions[i] = Math.round((0.5 + drawn[i]) * 65535);
    for (let r = 0; r < 40; r++)
      for (let c = 0; c < C; c++) {
        let sum = 0.5 + 0.03 * c;
        for (let m = 0; m < C; m++) sum += map[c * C + m] * drawn[r * C + m];
        data.positions[(40 + r) * C + c] = Math.round(sum * 65535);
      }
    const maps = (data.maps = alignments(data, new Uint8Array(40).fill(1), 0));
    const there = blend(data, 0, unturned(), new Float32Array(80));
    const back = blend(data, 1, unturned(), new Float32Array(80));
    for (let i = 0; i < 80; i++) close(back[i], there[i], 1e-4);
    for (const a of maps) close(C === 2 ? a[0] * a[3] - a[1] * a[2] : 1, 1, 1e-9);
  });

test('aligning to nothing changes nothing', () => {
  const data = randomData();
  for (const map of alignments(data, new Uint8Array(60), 0)) assert.deepEqual(map, identity(2));
});
