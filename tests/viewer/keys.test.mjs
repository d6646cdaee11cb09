import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KEYS } from '../../src/layerlens/viewer/keys.js';

test('no key does two things, no action has two names, and every one is told of', () => {
  const keys = KEYS.map(([key]) => key.toLowerCase()).filter(Boolean);
  assert.ok(keys.length > 20);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(new Set(KEYS.map(([, action]) => action)).size, KEYS.length);
  assert.ok(KEYS.every(([, , words]) => words.length > 3));
});

test('the keys that are promised are there', () => {
  const keys = new Map(KEYS.map(([key, action]) => [key, action]));
  const promised = { ArrowLeft: 'previous', ArrowRight: 'next', Home: 'first', End: 'last', Space: 'play', L: 'lasso', I: 'invert', Escape: 'clear', F: 'fit', '+': 'closer', '-': 'farther', C: 'nextColor', N: 'nextChosen', '/': 'search', D: 'theme', '?': 'help' };
  for (const [key, action] of Object.entries(promised)) assert.equal(keys.get(key), action, key);
});
