// What leaves the page as text: CSV that no spreadsheet runs, SVG.

import { cell, idOf } from './data.js';
import { present } from './geometry.js';
import { cssColor, unpacked } from './palette.js';

/**
 * A CSV cell. What a spreadsheet would take for a formula gets an apostrophe before it.
 * @param {string} text
 */
export function csvCell(text) {
  const number = /^-?\d+(\.\d+)?(e[+-]?\d+)?$/i.test(text);
  const safe = !number && /^[\s\u00a0]*[=+\-@|%\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(text) ? `'${text}` : text;
  return /[",;\n\r\t]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Rows with every column and their place in a layer's picture, in the coordinates of the run.
 * @param {import('./types.js').Data} data @param {number[]} rows @param {number} layer
 */
export function csvText(data, rows, layer) {
  const { components: C, columns, positions, n } = data;
  const { center, scale } = data.head.frame;
  const order = [...new Set([data.roles.id, ...columns.keys()])];
  const lines = [[...order.map((c) => columns[c].name), 'layer', ...['x', 'y', 'z'].slice(0, C)]];
  for (const r of rows) {
    const line = order.map((c) => cell(columns[c], r));
    line.push(data.layers[layer].name);
    for (let c = 0; c < C; c++) {
      const u = positions[(layer * n + r) * C + c] / 65535 - 0.5;
      line.push(!present(data, layer, r) ? '' : String(+((c === 1 ? -u : u) * scale + center[c]).toPrecision(6)));
    }
    lines.push(line);
  }
  return lines.map((line) => line.map(csvCell).join(',')).join('\r\n') + '\r\n';
}

/** Ids of rows, one a line. @param {import('./types.js').Data} data @param {number[]} rows */
export function idLines(data, rows) {
  return rows.map((r) => idOf(data, r)).join('\n');
}

/** @param {string} text */
export function xmlEscaped(text) {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** Outlines of the shapes for a radius of 1, in the order of raster.js; the disc and the ring are circles. */
export const OUTLINES = [
  '', 'M-.9 .75L.9 .75L0 -1.05Z', 'M-.82-.82h1.64v1.64h-1.64Z', 'M-.95-.45L-.45-.95L0-.5L.45-.95L.95-.45L.5 0L.95.45L.45.95L0 .5L-.45.95L-.95.45L-.5 0Z',
  'M0-1.1L1.1 0L0 1.1L-1.1 0Z', 'M-.9-.75L.9-.75L0 1.05Z', '',
];

/**
 * The picture as SVG: points in drawing order, the title, the legend's keys.
 * @param {object} picture
 * @param {number} picture.width
 * @param {number} picture.height
 * @param {import('./types.js').Frame} picture.frame with the camera in CSS pixels
 * @param {string} picture.title
 * @param {import('./types.js').Key[]} picture.keys
 * @param {string} picture.ink
 */
export function svgText({ width, height, frame, title, keys, ink }) {
  const { xy, colors, camera, size, ground } = frame;
  const rgbText = (/** @type {number} */ color) => cssColor(unpacked(color));
  const parts = [`<rect width="${width}" height="${height}" fill="${rgbText(ground)}"/>`];
  const mark = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ radius, /** @type {number} */ shape, /** @type {string} */ fill) => {
    const [u, v, r] = [x, y, radius].map((value) => value.toFixed(1));
    const outline = OUTLINES[shape];
    return outline ? `<path transform="translate(${u} ${v}) scale(${r})" d="${outline}" fill="${fill}"/>`
      : `<circle cx="${u}" cy="${v}" r="${r}" ${shape ? `fill="none" stroke-width="${(radius / 2).toFixed(1)}" stroke` : 'fill'}="${fill}"/>`;
  };
  for (const { rows, style, shape } of frame.groups) {
    parts.push(`<g opacity="${style === 'dim' ? 0.14 : 1}">`);
    for (const r of rows) {
      const x = xy[2 * r] * camera.k + camera.x, y = xy[2 * r + 1] * camera.k + camera.y;
      if (x >= 0 && y >= 0 && x <= width && y <= height) parts.push(mark(x, y, size / 2 + (style === 'chosen' ? 0.7 : 0), shape, rgbText(colors[r])));
    }
    parts.push('</g>');
  }
  parts.push(`<g font-family="system-ui,sans-serif" font-size="13" fill="${ink}"><text x="14" y="24" font-weight="600">${xmlEscaped(title)}</text>`);
  keys.slice(0, 40).forEach(({ label, color, shape }, i) => {
    const y = 46 + 18 * i;
    parts.push(mark(19, y, 5, shape, cssColor(color)), `<text x="30" y="${y + 4}">${xmlEscaped(label)}</text>`);
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">${parts.join('')}</g></svg>\n`;
}
