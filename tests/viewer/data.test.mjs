import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assembled, cell, fromPage, idOf, nativeNeighbors } from '../../src/layerlens/viewer/data.js';
import { changers, company, composition, doubtful, keptNeighbors, likeness, listed, marked, mistakes, movers, rowOfId, searched } from '../../src/layerlens/viewer/query.js';
import { fromModel } from '../../src/layerlens/viewer/notebook.js';
import { colored } from '../../src/layerlens/viewer/coloring.js';
import { bytesOf, firstState, randomData, source } from './fixture.mjs';

const rows = (bytes) => listed(bytes);

test('a page and a notebook give the same data', () => {
  const given = source();
  const names = ['positions', 'column-0', 'column-1', 'stress', 'neighbors'];
  const texts = Object.fromEntries(names.map((name) => [`ll-${name}`, Buffer.from(given.bytes(name)).toString('base64')]));
  texts['ll-head'] = JSON.stringify(given.head);
  texts['ll-column-2'] = JSON.stringify(given.json());
  const page = fromPage({ getElementById: (id) => (id in texts ? { textContent: texts[id] } : null) });
  // traits come as views into a message, at any address
  const traits = { head: JSON.stringify(given.head), column_2: given.json() };
  for (const name of names) {
    const bytes = given.bytes(name);
    const message = new Uint8Array(bytes.length + 3);
    message.set(bytes, 3);
    traits[name.replaceAll('-', '_')] = new DataView(message.buffer, 3);
  }
  assert.deepEqual(fromModel({ get: (name) => traits[name] }), page);
  assert.deepEqual(page, assembled(given));
});

test('what is missing or cut is named', () => {
  const given = source();
  assert.throws(() => assembled({ ...given, bytes: (name) => (name === 'stress' ? null : given.bytes(name)) }), /section stress has no bytes where 300 are due/);
  assert.throws(() => assembled({ ...given, bytes: (name) => (name === 'positions' ? new Uint8Array(3) : given.bytes(name)) }), /positions has 3 bytes where 1200/);
  assert.throws(() => assembled({ ...given, head: { ...given.head, version: 2 } }), /version 1, not 2/);
  assert.throws(() => assembled({ ...given, head: null }), /not undefined/);
});

test('neighbours of a part of the rows are found, of others there are none', () => {
  const some = Uint32Array.of(1, 5, 7);
  const table = Uint16Array.from({ length: 5 * 3 * 2 }, (_, i) => i);
  const data = randomData({ extra: { 'neighbor-rows': bytesOf(some), neighbors: bytesOf(table) }, head: { neighbors: { k: 2, rows: 3 } } });
  assert.deepEqual([...nativeNeighbors(data, 2, 5)], [14, 15]);
  assert.equal(nativeNeighbors(data, 2, 6), null);
});

test('values are read as texts', () => {
  const data = randomData();
  assert.equal(cell(data.columns[0], 4), 'one');
  assert.equal(cell(data.columns[1], 2), '');
  assert.equal(cell(data.columns[1], 3), '0.75');
  assert.equal(idOf(data, 9), 'row 9');
  assert.equal(rowOfId(data, 'row 9'), 9);
  assert.equal(rowOfId(data, 'row'), -1);
});

test('a search finds ids, levels, and rows that a rule holds for', () => {
  const data = randomData();
  assert.deepEqual(rows(searched(data, 'ROW 5')), [5, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
  assert.equal(rows(searched(data, 'two')).length, 20);
  assert.deepEqual(rows(searched(data, 'label = one')), rows(searched(data, 'one')));
  assert.equal(rows(searched(data, 'label!=one')).length, 40);
  assert.deepEqual(rows(searched(data, 'size<0.5')), [0, 1]);
  assert.deepEqual(rows(searched(data, 'size >= 14.5')), [58, 59]);
  assert.deepEqual(rows(searched(data, 'size=0.75')), [3]);
  assert.deepEqual(rows(searched(data, 'size>x')), []);
  assert.deepEqual(rows(searched(data, 'nosuch=3')), []);
  assert.deepEqual(rows(searched(data, '  ')), []);
});

test('movers are the rows that go farthest', () => {
  const data = randomData();
  const gone = (r) => Math.hypot(data.positions[2 * (60 + r)] - data.positions[2 * (120 + r)], data.positions[2 * (60 + r) + 1] - data.positions[2 * (120 + r) + 1]);
  const sorted = [...Array(60).keys()].sort((a, b) => gone(b) - gone(a)).slice(0, 7);
  assert.deepEqual(rows(movers(data, 1, 2, 7)), sorted.sort((a, b) => a - b));
});

test('company is the class of most neighbours, and changes are seen', () => {
  const data = randomData({ n: 12, L: 2 });
  // of row 0 first three are of class 1, then three of class 2
  data.neighbors.table.set([1, 4, 7, 2], 0);
  data.neighbors.table.set([2, 5, 8, 1], 12 * 4);
  assert.deepEqual(company(data, 0, 0, 0), { level: 1, share: 0.75 });
  assert.deepEqual(company(data, 1, 0, 0), { level: 2, share: 0.75 });
  assert.equal(changers(data, 0, 1)[0], 1);
  assert.deepEqual(rows(changers(data, 0, 0)), []);
});

test('kept neighbours are those that are also nearest in the picture', () => {
  const data = randomData({ n: 6, L: 1 });
  for (let r = 0; r < 6; r++) data.positions.set([r * 100, 0], 2 * r);
  data.neighbors.table.set([1, 5, 3, 2], 0);
  assert.deepEqual(keptNeighbors(data, 0, 0), [{ row: 1, shown: true }, { row: 5, shown: false }, { row: 3, shown: true }, { row: 2, shown: true }]);
});

test('mistakes come from the column that says so, else from label and prediction', () => {
  const levels = ['right', 'wrong'];
  const said = randomData({ extra: { 'column-0': Uint8Array.from({ length: 60 }, (_, r) => Number(r === 8)) }, head: { columns: [{ name: 'correct', kind: 'category', levels }, { name: 'size', kind: 'number' }, { name: 'id', kind: 'text' }], roles: { correct: 0, id: 2 } } });
  assert.deepEqual(rows(mistakes(said)), [8]);
  const both = randomData({ head: { roles: { label: 0, prediction: 0, id: 2 } } });
  assert.deepEqual(rows(mistakes(both)), []);
});

test('the most doubtful are those of the highest stress in the layer', () => {
  const data = randomData();
  data.stress.fill(10, 60, 120);
  data.stress[60 + 3] = data.stress[60 + 9] = 200;
  assert.deepEqual(rows(doubtful(data, 1)), [3, 9]);
});

test('a selection is counted by class, the most frequent first', () => {
  const data = randomData();
  const made = composition(colored(data, firstState(data), 0), marked(60, [0, 1, 4, 7]));
  assert.deepEqual(made.map(({ key, count }) => [key.label, count]), [['one', 3], ['zero', 1]]);
});

test('layers that arrange a selection alike are alike, whatever turn and scale', () => {
  const data = randomData({ n: 20, L: 3 });
  for (let r = 0; r < 20; r++) {
    const x = data.positions[2 * r], y = data.positions[2 * r + 1];
    data.positions.set([65535 - y / 2, x / 2], 2 * (20 + r));
  }
  const alike = likeness(data, new Uint8Array(20).fill(1));
  assert.ok(Math.abs(alike[0][0] - 1) < 1e-9 && alike[0][1] > 0.9999);
  assert.ok(Math.abs(alike[0][2]) < 0.5);
  assert.equal(alike[2][0], alike[0][2]);
  assert.deepEqual(likeness(data, marked(20, [1, 2])), []);
});
