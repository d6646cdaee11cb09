import assert from 'node:assert/strict';
import { test } from 'node:test';
import { csvCell, csvText, idLines, svgText, xmlEscaped } from '../../src/layerlens/viewer/texts.js';
import { count, counted, figure, printable } from '../../src/layerlens/viewer/util.js';
import { packed } from '../../src/layerlens/viewer/palette.js';
import { randomData } from './fixture.mjs';

/** A CSV's rows, by RFC 4180. */
function read(text) {
  const rows = [[]];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n|$)/g)) {
    rows.at(-1).push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === '\r\n') rows.push([]);
    if (end === '') break;
  }
  return rows.slice(0, -1);
}

test('no cell starts a formula', () => {
  for (const text of ['=1+1', '+1+1', '-1+1', '@SUM(A1)', '\t=1', '\r=1', '  =1', '\n=1', '|cmd', '%0a', '=HYPERLINK("x","y")', '\uff1d1', '\u00a0=1']) {
    const [[cell]] = read(csvCell(text) + '\r\n');
    assert.ok(!/^\s*[=+\-@|%\uff1d]/.test(cell), JSON.stringify(cell));
    assert.equal(cell, `'${text}`);
  }
});

test('numbers stay numbers, also below zero', () => {
  for (const text of ['-1.5', '3', '-2e-7', '0.25']) assert.equal(csvCell(text), text);
});

test('a table can be read again, and has places in the coordinates of the run', () => {
  const data = randomData({ n: 3, L: 2 });
  data.columns[2].values[1] = 'a,"b"\n=c';
  const rows = read(csvText(data, [0, 1, 2], 1));
  assert.deepEqual(rows[0], ['id', 'label', 'size', 'layer', 'x', 'y']);
  assert.equal(rows[2][0], 'a,"b"\n=c');
  assert.equal(rows[3][2], '', 'a missing number is empty');
  const [x, y] = [data.positions[6] / 65535, data.positions[7] / 65535];
  assert.ok(Math.abs(Number(rows[1][4]) - ((x - 0.5) * 4 + 1)) < 1e-4);
  assert.ok(Math.abs(Number(rows[1][5]) - ((0.5 - y) * 4 - 2)) < 1e-4);
  assert.equal(idLines(data, [2, 0]), 'row 2\nrow 0');
});

test('an SVG has a mark a point, and its texts are escaped', () => {
  const rows = Uint32Array.of(0, 1);
  const svg = svgText({
    width: 100, height: 50, title: '<script>&"', ink: '#000', keys: [{ label: "</svg>'", level: 0, color: [1, 2, 3], shape: 1, count: 1 }],
    frame: { xy: Float32Array.of(0.1, 0.1, 0.2, 0.2), colors: Uint32Array.of(packed([9, 8, 7]), packed([1, 1, 1])), groups: [{ rows, style: 'plain', shape: 0 }], camera: { x: 0, y: 0, k: 100 }, size: 4, ground: packed([255, 255, 255]) },
  });
  assert.equal(svg.match(/<circle/g).length, 2);
  assert.ok(svg.includes('cx="10.0" cy="10.0" r="2.0" fill="rgb(9,8,7)"'));
  assert.ok(!svg.includes('<script') && !svg.includes("</svg>'"));
  assert.equal(xmlEscaped('<a b="c">&\''), '&#60;a b=&#34;c&#34;&#62;&#38;&#39;');
});

test('texts from anywhere are shown on one line, without marks that turn what follows, and not too long', () => {
  assert.equal(printable('a\u202eb\u2066c\nd\u0000e'), 'a b c d e');
  assert.equal(printable('x'.repeat(10000), 20).length, 20);
  assert.equal([...printable('💥'.repeat(5000), 10)].length, 10);
  assert.equal(printable('💥'.repeat(10), 10), '💥'.repeat(10));
  assert.ok(!printable('💥'.repeat(5000), 10).includes('\ufffd'));
  assert.equal(printable('</script>'), '</script>');
});

test('figures are short', () => {
  assert.deepEqual([0.93412, 1, 0, NaN, 12.3456, -0.5, 123456, 0.00001].map(figure), ['0.93', '1', '0', '–', '12.3', '-0.5', '123,456', '1.0e-5']);
  assert.equal(count(1234567), '1,234,567');
  assert.equal(counted(1, 'point'), '1 point');
});
