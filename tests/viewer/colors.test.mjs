import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { colored, drawingOrder, visibleRows } from '../../src/layerlens/viewer/coloring.js';
import { classStyles, ground, hexes, luminance, packed, unpacked } from '../../src/layerlens/viewer/palette.js';
import { SPACE } from '../../src/layerlens/viewer/space.js';
import { firstState, randomData, randoms } from './fixture.mjs';

test('classes have the colours that they have in figures', () => {
  const python = readFileSync(new URL('../../src/layerlens/sinks/_coloring.py', import.meta.url), 'utf8');
  for (const classes of [6, 8, 10]) {
    const block = python.split(`    ${classes}: (`)[1].split('\n    ),')[0].split(/\n {4}\d+: /)[0];
    const wanted = [...block.matchAll(/#[0-9a-f]{6}/g)].map(([hex]) => hex).slice(0, classes);
    assert.deepEqual(classStyles(classes, 'petroff', 'light').map((style) => style.color), hexes(wanted.join(' ').replaceAll('#', '')));
  }
});

test('up to seventy classes no two look the same', () => {
  for (const theme of ['light', 'dark'])
    for (const palette of ['petroff', 'okabe']) {
      const most = palette === 'okabe' ? 49 : 70;
      const looks = classStyles(most, palette, theme).map(({ color, shape }) => `${color} ${shape}`);
      assert.equal(new Set(looks).size, most);
    }
});

test('on dark ground every class stands out by 3 to 1', () => {
  const back = luminance(ground('dark'));
  for (const classes of [6, 8, 10]) for (const palette of ['petroff', 'okabe'])
    for (const { color } of classStyles(classes, palette, 'dark')) assert.ok((luminance(color) + 0.05) / (back + 0.05) >= 3, String(color));
});

test('rows have the colour of their key in the legend', () => {
  const data = randomData();
  const { colors, keys, codes } = colored(data, firstState(data), 0);
  assert.deepEqual(keys.map((key) => [key.label, key.count]), [['zero', 20], ['one', 20], ['two', 20]]);
  for (let r = 0; r < data.n; r++) assert.deepEqual(unpacked(colors[r]), keys[codes[r]].color);
});

test('what is not known has a colour of its own', () => {
  const data = randomData({ head: { columns: [{ name: 'label', kind: 'category', levels: ['zero', 'one'], missing: 2 }, { name: 'size', kind: 'number' }, { name: 'id', kind: 'text' }] } });
  const { colors, keys } = colored(data, firstState(data), 0);
  assert.equal(keys.at(-1).label, 'not known');
  assert.equal(keys.at(-1).count, 20);
  assert.notEqual(colors[2], colors[1]);
  const numbers = colored(data, firstState(data, { by: 1 }), 0);
  assert.equal(numbers.colors[2], colors[2], 'NaN too');
  assert.deepEqual([numbers.ramp.low, numbers.ramp.high], [0, 59 / 4]);
});

test('stress colours and fades by the layer that is shown', () => {
  const data = randomData();
  data.stress.fill(0, 0, 60);
  data.stress.fill(255, 60, 120);
  const state = firstState(data, { by: 'stress' });
  assert.notEqual(colored(data, state, 0).colors[5], colored(data, state, 1).colors[5]);
  const plain = colored(data, firstState(data), 0).colors[5];
  assert.equal(colored(data, firstState(data, { fade: true }), 0).colors[5], plain);
  const pale = unpacked(colored(data, firstState(data, { fade: true }), 1).colors[5]);
  unpacked(plain).forEach((c, i) => assert.ok(Math.abs(pale[i] - (c + (255 - c) * 0.88)) < 3));
});

test('hidden classes are not drawn, selected points last, and nothing twice', () => {
  const data = randomData();
  const coloring = colored(data, firstState(data), 0);
  const visible = visibleRows(coloring, new Set([1]), data.n);
  const selection = new Uint8Array(60);
  selection[0] = selection[1] = selection[2] = 1;
  const groups = drawingOrder(data.n, coloring, visible, selection, 3);
  assert.deepEqual(groups.map((group) => group.style), ['dim', 'chosen']);
  assert.deepEqual([...groups[1].rows], [0, 2]);
  assert.equal(groups[0].rows.length, 38);
  assert.ok([...groups[0].rows].every((r) => r % 3 !== 1 && r > 2));
});

test('beyond ten classes each shape is drawn by itself', () => {
  const levels = Array.from({ length: 23 }, (_, i) => String(i));
  const data = randomData({ extra: { 'column-0': Uint8Array.from({ length: 60 }, (_, r) => r % 23) }, head: { columns: [{ name: 'label', kind: 'category', levels }, { name: 'size', kind: 'number' }, { name: 'id', kind: 'text' }] } });
  const groups = drawingOrder(60, colored(data, firstState(data), 0), null, new Uint8Array(60), 0);
  assert.deepEqual(groups.map((group) => group.shape), [0, 1, 2]);
  assert.equal(groups.reduce((sum, group) => sum + group.rows.length, 0), 60);
  for (const { rows, shape } of groups) for (const r of rows) assert.equal(Math.floor((r % 23) / 10), shape);
});

test('depth: the farther first, and paler', () => {
  const random = randoms(2);
  const depth = Float32Array.from({ length: 500 }, random);
  const order = SPACE.backToFront(depth);
  assert.deepEqual([...order].sort((a, b) => a - b), [...Array(500).keys()]);
  for (let i = 1; i < 500; i++) assert.ok(depth[order[i]] >= depth[order[i - 1]] - 1 / 128);
  const [near, far] = SPACE.fogged(Uint32Array.of(packed([10, 20, 30]), packed([10, 20, 30])), Float32Array.of(0.95, 0), [255, 255, 255], new Uint32Array(2));
  assert.deepEqual(unpacked(near), [10, 20, 30]);
  unpacked(far).forEach((c, i) => assert.ok(Math.abs(c - ([10, 20, 30][i] * 0.41 + 255 * 0.59)) < 4, String(c)));
});
