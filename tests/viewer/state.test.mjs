import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeHash, decodeRows, encodeHash, encodeRows } from '../../src/layerlens/viewer/hash.js';
import { createStore } from '../../src/layerlens/viewer/store.js';
import { firstState, randomData, randoms } from './fixture.mjs';

const started = () => createStore(firstState(randomData()));

test('those who listen hear of their own names, once a change, until they stop', () => {
  const store = started();
  const heard = [];
  const stop = store.on('pick by', (state) => heard.push(state.pick));
  store.set({ pick: 3 });
  store.set({ pick: 3 });
  store.set({ t: 1 });
  store.set({ pick: 4, by: 1 });
  stop();
  store.set({ pick: 5 });
  assert.deepEqual(heard, [3, 4]);
});

test('a selection is counted', () => {
  const store = started();
  const selection = new Uint8Array(60);
  selection[3] = selection[59] = 1;
  store.set({ selection });
  assert.equal(store.state.selected, 2);
});

test('undo takes back selection, pick, colour and what is hidden, step by step; redo does it again', () => {
  const store = started();
  const none = store.state.selection;
  const some = new Uint8Array(60).fill(1);
  store.set({ selection: some });
  store.set({ by: 1 });
  store.set({ t: 2 }); // going through depth is no step
  store.set({ hidden: new Set([2]) });
  assert.ok(store.undo());
  assert.equal(store.state.hidden.size, 0);
  assert.equal(store.state.by, 1);
  assert.ok(store.undo());
  assert.equal(store.state.by, 0);
  assert.ok(store.undo());
  assert.equal(store.state.selection, none);
  assert.equal(store.state.selected, 0);
  assert.equal(store.state.t, 2);
  assert.ok(!store.undo());
  assert.ok(store.redo());
  assert.equal(store.state.selected, 60);
  store.set({ pick: 1 });
  assert.ok(!store.redo(), 'what is done anew ends what could be done again');
});

test('an address carries any text there and back', () => {
  const parts = { layer: 'a&b=c#"<\u202e💥 %', by: '~stress', pick: '1z', sel: '' };
  const hash = encodeHash(parts);
  assert.match(hash, /^#[\x21-\x7e]*$/);
  assert.deepEqual(decodeHash(hash), { layer: parts.layer, by: '~stress', pick: '1z' });
});

test('a broken address is read as far as it goes', () => {
  const read = decodeHash('#layer=%E0%A4%A&by=x&=3&nothing&');
  assert.equal(read.by, 'x');
  assert.ok(read.layer.includes('\ufffd') && read.pick === undefined);
  assert.deepEqual(decodeHash(''), {});
});

test('selections of every size go through the address', () => {
  const random = randoms(3);
  for (const [n, share] of [[10, 0.5], [5000, 0.01], [5000, 0.4], [7, 1], [5000, 1], [40, 0]]) {
    const selection = Uint8Array.from({ length: n }, () => (random() < share ? 1 : 0));
    const text = encodeRows(selection);
    assert.deepEqual(decodeRows(text, n), selection);
    assert.equal(decodeHash(encodeHash({ sel: text })).sel ?? '', text);
  }
  assert.ok(encodeRows(new Uint8Array(201).fill(1)).startsWith('~'));
});

test('rows that are not there are passed over', () => {
  assert.deepEqual([...decodeRows('1.zz.-3.x y.2', 3)], [0, 1, 1]);
  assert.deepEqual([...decodeRows('~/w==', 5)], [1, 1, 1, 1, 1]);
  assert.deepEqual([...decodeRows('~/w==', 12)], [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
  assert.deepEqual([...decodeRows('~_!', 3)], [0, 0, 0]);
});
