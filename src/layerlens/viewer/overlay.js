// What lies over the points: paths, rings, contours, names, images, the lasso.

import { nativeNeighbors } from './data.js';
import { contour, densest, densityGrid } from './density.js';
import { cssColor, ground, inkOf, unpacked } from './palette.js';
import { listed, MOST_PATHS } from './query.js';
import { clamp, printable } from './util.js';

/** How many images are drawn at most. */
const MOST_IMAGES = 900;

/** @typedef {{context: CanvasRenderingContext2D, view: import('./types.js').View, ink: string, back: string}} Brush */

/**
 * @param {import('./types.js').View} view
 * @param {HTMLCanvasElement} canvas
 * @param {number} ratio
 */
export function paintOverlay(view, canvas, ratio) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const { state } = view;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  context.lineJoin = 'round';
  const brush = { context, view, ink: inkOf(state.theme), back: cssColor(ground(state.theme)) };
  if (state.images) paintImages(brush);
  if (state.contours || state.names) paintClasses(brush);
  if (state.paths && state.selected && state.selected < MOST_PATHS)
    for (const row of listed(state.selection)) if (row !== state.pick) paintPath(brush, row, colorOf(view, row), 1.25);
  if (state.pick >= 0) paintPath(brush, state.pick, brush.ink, 1.75);
  paintMarks(brush);
}

/** @param {import('./types.js').View} view @param {number} row */
function colorOf({ coloring }, row) {
  return cssColor(unpacked(coloring.colors[row]));
}

/** Draw the line, and under it a broader one of the ground, so that it is seen on anything. @param {Brush} brush @param {string} color @param {number} width */
function strokeTwice({ context, back }, color, width) {
  context.strokeStyle = back;
  context.lineWidth = width + 2;
  context.stroke();
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

/**
 * The path of a row through the layers: what is behind is drawn, what is ahead dotted. Of the picked
 * row the whole of it, of selected ones what is near, so that many can be told apart.
 * @param {Brush} brush @param {number} row @param {string} color @param {number} width
 */
function paintPath(brush, row, color, width) {
  const { context, view } = brush;
  const { state, data: { layers } } = view;
  const { x, y, k } = state.camera;
  const whole = row === state.pick;
  const i = Math.floor(state.t), before = Math.max(i - 1, 0);
  /** @typedef {{x: number, y: number} | null} Place */
  const points = layers.map((_, l) => {
    const place = view.placeOf(row, l);
    return place && { x: place.x * k + x, y: place.y * k + y };
  });
  const here = view.screen(row);
  const now = here.shown ? here : null;
  const stroke = (/** @type {Place[]} */ line, /** @type {number} */ alpha, /** @type {number[]} */ dash = []) => {
    context.globalAlpha = alpha;
    context.setLineDash(dash);
    context.beginPath();
    for (const p of line) if (p) context.lineTo(p.x, p.y);
    strokeTwice(brush, color, width);
    context.setLineDash([]);
    context.globalAlpha = 1;
  };
  stroke([now, ...points.slice(i + 1, whole ? undefined : i + 2)], 0.75, [1, 4]);
  if (!whole) stroke(points.slice(0, before + 1), 0.25);
  stroke([...points.slice(whole ? 0 : before, i + 1), now], 1);
  context.fillStyle = color;
  for (const p of points.slice(whole ? 0 : before, i + 1)) if (p) disc(context, p.x, p.y, width + 0.5);
}

/** @param {CanvasRenderingContext2D} context @param {number} x @param {number} y @param {number} radius */
function disc(context, x, y, radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}

/** @param {Brush} brush */
function paintMarks(brush) {
  const { context, view, ink } = brush;
  const { state, data, lasso } = view;
  const ring = (/** @type {number} */ row, /** @type {number} */ radius, /** @type {number} */ width, /** @type {string} */ fill) => {
    const { x, y, shown } = view.screen(row);
    if (!shown) return;
    context.fillStyle = fill;
    disc(context, x, y, radius);
    strokeTwice(brush, ink, width);
  };
  if (state.pick >= 0) {
    for (const other of nativeNeighbors(data, view.layer, state.pick) ?? []) ring(other, 5, 1.25, 'transparent');
    ring(state.pick, 8, 2, colorOf(view, state.pick));
  }
  if (state.hover >= 0 && state.hover !== state.pick) ring(state.hover, 7, 1.75, colorOf(view, state.hover));
  if (lasso.length < 3) return;
  context.beginPath();
  for (let i = 0; i < lasso.length; i += 2) context.lineTo(lasso[i], lasso[i + 1]);
  context.closePath();
  context.globalAlpha = 0.08;
  context.fillStyle = context.strokeStyle = ink;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.25;
  context.setLineDash([5, 4]);
  context.stroke();
  context.setLineDash([]);
}

/** @param {Brush} brush contours of each class, its name where it is densest */
function paintClasses({ context, view, ink, back }) {
  const { state, coloring } = view;
  const { codes } = coloring;
  const { x, y, k } = state.camera;
  const places = view.places();
  const side = Math.max(view.width, view.height) / k;
  const area = { left: (view.width / 2 - x) / k - side / 2, top: (view.height / 2 - y) / k - side / 2, side };
  const keys = coloring.keys.filter((key) => !state.hidden.has(key.level) && key.count);
  const classes = keys.length && keys.length <= 40 ? keys : [null];
  const names = [];
  for (const key of classes) {
    const grid = densityGrid(places, (row) => (!state.selected || state.selection[row] === 1) && (!key || codes?.[row] === key.level), area);
    const peak = densest(grid, area);
    if (!peak.height) continue;
    if (key) names.push({ text: printable(key.label, 24), x: peak.x * k + x, y: peak.y * k + y });
    context.strokeStyle = key ? cssColor(key.color) : ink;
    context.lineWidth = 1.5;
    // lines round a handful of points tell nothing
    if (state.contours && grid.reduce((sum, count) => sum + count, 0) >= 9.5)
      for (const share of [0.15, 0.45, 0.75]) {
        context.beginPath();
        contour(grid, share * peak.height, area).forEach(([u, v], i) => context[i % 2 ? 'lineTo' : 'moveTo'](u * k + x, v * k + y));
        context.stroke();
      }
  }
  if (!state.names) return;
  context.font = '600 13px system-ui,sans-serif';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.lineWidth = 4;
  context.strokeStyle = back;
  context.fillStyle = ink;
  for (const name of names) {
    context.strokeText(name.text, name.x, name.y);
    context.fillText(name.text, name.x, name.y);
  }
}

/** @param {Brush} brush images instead of points, as many as do not cover each other */
function paintImages({ context, view }) {
  const { data: { thumbnails }, state } = view;
  if (!thumbnails) return;
  const side = clamp(Math.round(0.035 * state.camera.k), 24, 56);
  if (Number.isInteger(state.t) || !view.pictured.length) view.pictured = spaced(view, side + 4);
  context.imageSmoothingEnabled = thumbnails.width > side;
  const scale = side / Math.max(thumbnails.width, thumbnails.height);
  const w = thumbnails.width * scale, h = thumbnails.height * scale;
  for (const row of view.pictured) {
    const { x, y, shown } = view.screen(row);
    const part = view.sheetPart(row);
    if (!shown || !part) continue;
    context.fillStyle = colorOf(view, row);
    context.globalAlpha = state.selected && !state.selection[row] ? 0.25 : 1;
    context.fillRect(x - w / 2 - 1.5, y - h / 2 - 1.5, w + 3, h + 3);
    context.drawImage(part.image, part.x, part.y, thumbnails.width, thumbnails.height, x - w / 2, y - h / 2, w, h);
  }
  context.globalAlpha = 1;
}

/** Rows whose images do not cover each other, selected ones first. @param {import('./types.js').View} view @param {number} side */
function spaced(view, side) {
  const { state, data } = view;
  /** @type {Map<number, {x: number, y: number}>} */
  const taken = new Map(); // no cell of this size holds two that are apart
  /** @type {number[]} */
  const rows = [];
  for (const wanted of state.selected ? [1, 0] : [0])
    for (let r = data.n - 1; r >= 0 && rows.length < MOST_IMAGES; r--) {
      if (state.selection[r] !== wanted) continue;
      const { x, y, shown } = view.screen(r);
      if (!shown || x < 0 || y < 0 || x > view.width || y > view.height || !view.sheetPart(r)) continue;
      const cell = Math.floor(y / side) * 4096 + Math.floor(x / side);
      const near = [-1, 0, 1].flatMap((down) => [-1, 0, 1].map((across) => taken.get(cell + down * 4096 + across)));
      if (near.some((other) => other && Math.abs(other.x - x) < side && Math.abs(other.y - y) < side)) continue;
      taken.set(cell, { x, y });
      rows.push(r);
    }
  return rows;
}
