import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { bundle, folder, moduleNames, stripped, style } from './bundle.mjs';

const read = (name) => readFileSync(join(folder, name), 'utf8');

test('every module is in the order, once, but for that of types', () => {
  const there = readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'types.js').sort();
  assert.deepEqual(moduleNames().sort(), there);
});

test('a module comes after those that it imports, and imports what they export', () => {
  const seen = new Map();
  for (const name of moduleNames()) {
    const text = read(name);
    for (const [, names, from] of text.matchAll(/^import \{ ([^}]+) \} from '\.\/([\w.]+)';$/gm)) {
      assert.ok(seen.has(from), `${name} imports ${from}, which comes later`);
      for (const one of names.split(', ')) assert.ok(seen.get(from).has(one), `${from} has no ${one}`);
    }
    assert.equal((text.match(/^import /gm) ?? []).length, (text.match(/^import \{ ([^}]+) \} from '\.\/([\w.]+)';$/gm) ?? []).length, name);
    seen.set(name, new Set([...text.matchAll(/^export (?:function|const|let|class) (\w+)/gm)].map(([, one]) => one)));
  }
});

test('no two modules use one name at the top, so that the script can be read as one', () => {
  const names = [...bundle().matchAll(/^(?:function|const|let|class) (?:\[|\{ )?(\w+)/gm)].map(([, name]) => name);
  assert.ok(names.length > 100);
  execFileSync(process.execPath, ['--check', '--input-type=module', '-'], { input: bundle(), stdio: 'pipe' });
});

test('no module is longer than 400 lines, and the rules that joining needs are kept', () => {
  for (const name of [...moduleNames(), 'viewer.css']) {
    const lines = read(name).split('\n');
    assert.ok(lines.length <= 400, `${name} has ${lines.length} lines`);
    for (const line of lines) {
      assert.ok(!/^\s*\/\*.*\*\/\s*\S/.test(line), `${name}: code behind a comment at the beginning of a line: ${line}`);
      assert.ok(line.length <= 400, `${name}: ${line}`);
    }
    assert.ok(!read(name).includes('</script'), name);
  }
  assert.equal(stripped('a\n\n  // b\n/** c\n d */\n  e /* f */\n'), 'a\ne /* f */\n');
});

test('nothing in the page turns data into code or markup, or asks for anything', () => {
  const text = bundle() + style();
  for (const word of ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'document.write', 'eval(', 'new Function', 'import(', 'fetch(', 'XMLHttpRequest', 'WebSocket', '@import', 'url('])
    assert.ok(!text.includes(word), word);
  assert.deepEqual([...text.matchAll(/https?:\/\/[^'"`\s]+/g)].map(([url]) => url.replace(/>.*/, '')).filter((url) => url !== 'http://www.w3.org/2000/svg' && !url.startsWith('http://www.w3.org/2000/svg')), []);
});
