import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contour, densest, densityGrid } from '../../src/layerlens/viewer/density.js';
import { drawnInSoftware } from '../../src/layerlens/viewer/gl.js';
import { packed } from '../../src/layerlens/viewer/palette.js';
import { paintFrame, paintRows, stampOf, stampSide } from '../../src/layerlens/viewer/raster.js';
import { eased } from '../../src/layerlens/viewer/travel.js';
import { randoms } from './fixture.mjs';

const WHITE = packed([255, 255, 255]), RED = packed([200, 0, 0]), BLUE = packed([0, 0, 200]);
const image = (width, height) => ({ pixels: new Uint32Array(width * height), width, height });
const frame = (given) => ({ xy: Float32Array.of(0.5, 0.5), colors: Uint32Array.of(RED), groups: [{ rows: Uint32Array.of(0), style: 'plain', shape: 0 }], camera: { x: 0, y: 0, k: 100 }, size: 5, ground: WHITE, ...given });

test('a point colours the pixels round its place and no other', () => {
  const target = image(100, 100);
  paintFrame(target, frame({ xy: Float32Array.of(0.305, 0.605) }));
  let x = 0, y = 0, inked = 0;
  target.pixels.forEach((pixel, i) => {
    if (pixel === WHITE) return;
    inked++;
    x += (i % 100) + 0.5;
    y += Math.floor(i / 100) + 0.5;
  });
  assert.equal(target.pixels[60 * 100 + 30], RED);
  assert.ok(Math.abs(x / inked - 30.5) <= 0.5 && Math.abs(y / inked - 60.5) <= 0.5);
  assert.ok(inked >= 19 && inked <= 25, String(inked));
});

test('every shape covers its middle, the ring but the rim, and shapes differ', () => {
  const looks = new Set();
  for (let shape = 0; shape < 7; shape++) {
    const { parts } = stampOf(9, shape);
    assert.equal(parts[0].some(([x, y]) => x === 4 && y === 4), shape !== 6);
    looks.add(JSON.stringify(parts));
  }
  assert.equal(looks.size, 7);
});

test('of points at one place the later lies on top, selected ones over all', () => {
  const target = image(20, 20);
  const two = { xy: Float32Array.of(0.1, 0.1, 0.1, 0.1), colors: Uint32Array.of(RED, BLUE) };
  paintFrame(target, frame({ ...two, groups: [{ rows: Uint32Array.of(0, 1), style: 'plain', shape: 0 }] }));
  assert.equal(target.pixels[10 * 20 + 10], BLUE);
  paintFrame(target, frame({ ...two, groups: [{ rows: Uint32Array.of(1), style: 'dim', shape: 0 }, { rows: Uint32Array.of(0), style: 'chosen', shape: 0 }] }));
  assert.equal(target.pixels[10 * 20 + 10], RED);
});

test('what is not selected is an eighth of its colour', () => {
  const target = image(20, 20);
  paintFrame(target, frame({ xy: Float32Array.of(0.1, 0.1), groups: [{ rows: Uint32Array.of(0), style: 'dim', shape: 0 }] }));
  const pixel = target.pixels[10 * 20 + 10];
  assert.ok(Math.abs((pixel & 255) - (255 * 7 + 200) / 8) <= 1);
  assert.ok(Math.abs(((pixel >> 8) & 255) - (255 * 7) / 8) <= 1);
  assert.equal(pixel >>> 24, 255);
});

test('nothing is drawn beyond the edges, nor for places that are no numbers', () => {
  const target = image(30, 30);
  const random = randoms(9);
  const xy = Float32Array.from({ length: 4000 }, () => random() * 2 - 0.5);
  xy.set([NaN, 0.1, -1e6, -1e6, Infinity, 0], 0);
  const rows = Uint32Array.from({ length: 2000 }, (_, r) => r);
  // one after the other: those near an edge are left out, none comes in at the other side
  let drawn = 0;
  for (const r of rows.subarray(3)) {
    const alone = image(30, 30);
    paintRows(alone, xy, rows.subarray(r, r + 1), new Uint32Array(2000).fill(RED), { x: 0, y: 0, k: 30 }, stampOf(5, 0), false);
    const x = xy[2 * r] * 30, y = xy[2 * r + 1] * 30;
    alone.pixels.forEach((pixel, i) => assert.ok(pixel === 0 || Math.hypot((i % 30) + 0.5 - x, Math.floor(i / 30) + 0.5 - y) < 4));
    const within = [x, y].every((place) => place > 3 && place < 27);
    if (within) assert.ok(alone.pixels.some(Boolean));
    drawn += Number(within);
  }
  assert.ok(drawn > 200);
  paintRows(target, xy, rows.subarray(0, 1), new Uint32Array(2000).fill(RED), { x: 0, y: 0, k: 30 }, stampOf(5, 0), false);
  assert.ok(target.pixels.every((pixel) => pixel === 0));
});

test('two frames of the same data have the same pixels', () => {
  const random = randoms(4);
  const xy = Float32Array.from({ length: 2000 }, random);
  const rows = Uint32Array.from({ length: 1000 }, (_, r) => r);
  const colors = Uint32Array.from({ length: 1000 }, () => packed([random() * 255, random() * 255, random() * 255]));
  const shots = [0, 1].map(() => {
    const target = image(120, 90);
    paintFrame(target, frame({ xy, colors, groups: [{ rows, style: 'plain', shape: 0 }] }));
    return target.pixels;
  });
  assert.deepEqual(shots[0], shots[1]);
});

test('selected points are larger, and no point is smaller than a pixel', () => {
  assert.ok(stampSide('chosen', 4) > stampSide('plain', 4));
  assert.equal(stampSide('plain', 0.2), 1);
});

test('density keeps the number of points and is highest where most are', () => {
  const random = randoms(6);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const xy = Float32Array.from({ length: 20000 }, (_, i) => (i % 2 ? 0.3 : 0.6) + 0.06 * normal());
  const area = { left: 0, top: 0, side: 1 };
  const grid = densityGrid(xy, (r) => r % 2 === 0, area);
  assert.ok(Math.abs(grid.reduce((a, b) => a + b, 0) - 5000) < 5);
  const peak = densest(grid, area);
  assert.ok(Math.hypot(peak.x - 0.6, peak.y - 0.3) < 0.05);
  // a Gaussian is half as high at sigma * sqrt(2 ln 2); smoothing adds a little
  const line = contour(grid, peak.height / 2, area);
  const radii = [];
  for (const [x, y] of line) radii.push(Math.hypot(x - 0.6, y - 0.3));
  radii.sort((a, b) => a - b);
  assert.ok(Math.abs(radii[radii.length >> 1] - 0.06 * Math.sqrt(2 * Math.log(2))) < 0.012, String(radii[radii.length >> 1]));
});

test('a line of equal density is closed: every end is met twice', () => {
  const random = randoms(8);
  const xy = Float32Array.from({ length: 600 }, () => 0.25 + 0.5 * random());
  const area = { left: 0, top: 0, side: 1 };
  const grid = densityGrid(xy, () => true, area);
  const line = contour(grid, 0.3, area);
  const ends = new Map();
  for (const [x, y] of line) {
    const key = `${x.toFixed(9)} ${y.toFixed(9)}`;
    ends.set(key, (ends.get(key) ?? 0) + 1);
  }
  assert.ok(line.length > 20);
  assert.ok([...ends.values()].every((times) => times === 2));
});

test('software that draws is told from hardware', () => {
  for (const name of ['Google SwiftShader', 'ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)))', 'llvmpipe (LLVM 15)', 'Microsoft Basic Render Driver']) assert.ok(drawnInSoftware(name));
  for (const name of ['ANGLE (NVIDIA GeForce RTX 3060)', 'Apple M2', 'Mesa Intel(R) UHD Graphics 620']) assert.ok(!drawnInSoftware(name));
});

test('a glide begins and ends at rest', () => {
  assert.equal(eased(0), 0);
  assert.equal(eased(1), 1);
  assert.equal(eased(0.5), 0.5);
  assert.ok(eased(0.01) < 1e-4 && eased(0.99) > 1 - 1e-4);
});
