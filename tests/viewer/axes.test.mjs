import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alikeOf, pairText, tail } from '../../src/layerlens/viewer/alike.js';
import { nativeNeighbors, ofLayer } from '../../src/layerlens/viewer/data.js';
import { NOWHERE, present } from '../../src/layerlens/viewer/geometry.js';
import { between, partsOf, secondAxis } from '../../src/layerlens/viewer/steps.js';
import { randomData } from './fixture.mjs';

const steps = { axis: 'step', names: ['0', '10', '20'], layers: ['a', 'b'], at: [[0, 1], [2, -1], [3, 4]] };
const row = (/** @type {any} */ data, /** @type {number} */ layer) => [...data.positions.subarray(layer * 2 * data.n, (layer + 1) * 2 * data.n)];

test('a step whose layers lie one behind the other is not copied', () => {
  const data = randomData();
  const parts = partsOf(data, [3, 4]);
  assert.equal(parts.positions.buffer, data.positions.buffer);
  assert.deepEqual([...parts.positions], [...row(data, 3), ...row(data, 4)]);
  assert.equal(parts.present, null);
  assert.deepEqual([...(parts.stress ?? [])], [...(ofLayer(data, 'stress', 3) ?? []), ...(ofLayer(data, 'stress', 4) ?? [])]);
});

test('layers in another order are put in order, and one that is not there has no row, and no neighbour', () => {
  const data = randomData();
  const parts = { ...data, ...partsOf(data, [4, -1, 1]) };
  assert.deepEqual(row(parts, 0), row(data, 4));
  assert.deepEqual(row(parts, 2), row(data, 1));
  assert.ok(row(parts, 1).every((q) => q === 65535));
  assert.deepEqual([0, 1, 2].map((layer) => present(parts, layer, 7)), [true, false, true]);
  assert.deepEqual(nativeNeighbors(parts, 2, 7), nativeNeighbors(data, 1, 7));
  assert.equal(nativeNeighbors(parts, 1, 7), null);
});

test('between two steps a row is on the straight line; where one lacks it, it stays where the other has it, while that is nearer', () => {
  const before = Float32Array.of(0, 1, NOWHERE, NOWHERE, 0.25, 0.5), after = Float32Array.of(1, 0, 0.5, 0.75, NOWHERE, NOWHERE);
  assert.deepEqual([...between(before, after, 0.25, new Float32Array(6))], [0.25, 0.75, NOWHERE, NOWHERE, 0.25, 0.5]);
  assert.deepEqual([...between(before, after, 0.75, before)], [0.75, 0.25, 0.5, 0.75, NOWHERE, NOWHERE]);
});

test('of a series with steps the first step is seen, and every layer has its name, its own and one for all steps', () => {
  const data = randomData({ head: { steps } });
  const { layers } = data;
  const whole = row(data, 1);
  assert.ok(secondAxis(data));
  assert.equal(data.layers, layers, 'others keep the list');
  assert.deepEqual(layers.map(({ name, short, title }) => [name, short, title]), [['layer0', 'a', 'a, step 0'], ['layer1', 'b', 'b, step 0']]);
  assert.deepEqual(row(data, 1), whole);
});

test('a page without steps stays as it is', () => {
  const data = randomData();
  assert.equal(secondAxis(data), undefined);
  assert.equal(data.layers.length, 5);
});

const alike = alikeOf({
  names: ['one', 'other'], layers: [['a'], ['b', 'c']], cka: [[0.9312, null]], cka_error: [[0.0123, null]], overlap: [[0.43, 0]], overlap_error: [[0.021, 0]],
  k: 15, n_samples: 1000, chance: 0.015, notes: [],
});

test('a pair of layers is told of with both figures and their errors', () => {
  assert.equal(pairText(alike, 0, 0), 'linear CKA 0.931 ± 0.012; 43 % of neighbours shared, without sketches up to 45 %');
  assert.match(pairText(alike, 0, 1), /^no CKA: .*; 0 % of neighbours shared$/);
});

test('of a long name the end is shown', () => {
  assert.equal(tail('conv1', 100), 'conv1');
  assert.equal(tail('features.12.conv.3.weight', 60).length, 10);
  assert.ok(tail('features.12.conv.3.weight', 60).endsWith('3.weight'));
});
