// What lies over the points: paths, rings, contours, names, images, the lasso.

import { nativeNeighbors } from './data.js';
import { contour, densest, densityGrid } from './density.js';
import { listed, MOST_PATHS } from './query.js';
import { printable } from './util.js';

/** How many images are drawn at most. */
const MOST_IMAGES = 900;

/**
 * @param {import('./types.js').View} view
 * @param {HTMLCanvasElement} canvas
 * @param {number} ratio
 */
export function paintOverlay(view, canvas, ratio) {
  const context = canvas.getContext('2d');
  if (!context) return;
  const { state } = view;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  const dark = state.theme === 'dark';
  const brush = { context, view, ink: dark ? '#f4f6fa' : '#14171c', back: dark ? '#14161b' : '#ffffff' };
  if (state.images) paintImages(brush);
  if (state.contours || state.names) paintClasses(brush);
  paintPaths(brush);
  paintMarks(brush);
}

/** @typedef {{context: CanvasRenderingContext2D, view: import('./types.js').View, ink: string, back: string}} Brush */

/** @param {number} color packed @param {number} [alpha] */
function css(color, alpha = 1) {
  return `rgba(${color & 255},${(color >> 8) & 255},${(color >> 16) & 255},${alpha})`;
}

/**
 * The path of a row through the layers: what is behind is drawn, what is ahead dotted. Of the picked
 * row the whole of it, of selected ones what is near, so that many can be told apart.
 * @param {Brush} brush @param {number} row @param {string} color @param {number} width
 */
function paintPath({ context, view, back }, row, color, width) {
  const { state, data } = view;
  const { camera } = state;
  const points = data.layers.map((_, l) => {
    const place = view.placeOf(row, l);
    return { x: (place?.x ?? 0) * camera.k + camera.x, y: (place?.y ?? 0) * camera.k + camera.y, there: place !== null };
  });
  const here = view.screen(row);
  const i = Math.floor(state.t);
  const stroke = (/** @type {{x: number, y: number, there: boolean}[]} */ line, /** @type {number[]} */ dash, /** @type {number} */ alpha) => {
    const shown = line.filter((p) => p.there);
    context.setLineDash(dash);
    context.beginPath();
    shown.forEach((p, at) => (at ? context.lineTo(p.x, p.y) : context.moveTo(p.x, p.y)));
    for (const [ink, extra] of /** @type {[string, number][]} */ ([[back, 2], [color, 0]])) {
      context.strokeStyle = ink;
      context.globalAlpha = extra ? 0.6 * alpha : alpha;
      context.lineWidth = width + extra;
      context.stroke();
    }
    context.globalAlpha = 1;
    context.setLineDash([]);
  };
  const now = here.shown ? [{ ...here, there: true }] : [];
  context.lineJoin = 'round';
  stroke([...now, ...points.slice(i + 1, row === state.pick ? undefined : i + 2)], [1, 4], 0.75);
  const before = Math.max(i - 1, 0);
  if (row !== state.pick) stroke(points.slice(0, before + 1), [], 0.25);
  stroke([...points.slice(row === state.pick ? 0 : before, i + 1), ...now], [], 1);
  context.fillStyle = color;
  for (let l = row === state.pick ? 0 : before; l <= i && l < data.layers.length; l++) {
    if (!points[l].there) continue;
    context.beginPath();
    context.arc(points[l].x, points[l].y, width + 0.5, 0, 7);
    context.fill();
  }
}

/** @param {Brush} brush */
function paintPaths(brush) {
  const { view, ink } = brush;
  const { state } = view;
  if (state.paths && state.selected && state.selected < MOST_PATHS)
    for (const row of listed(state.selection)) if (row !== state.pick) paintPath(brush, row, css(view.coloring.colors[row]), 1.25);
  if (state.pick >= 0) paintPath(brush, state.pick, ink, 1.75);
}

/** @param {Brush} brush */
function paintMarks({ context, view, ink, back }) {
  const { state, data } = view;
  const ring = (/** @type {number} */ row, /** @type {number} */ radius, /** @type {number} */ width, /** @type {boolean} */ filled) => {
    const { x, y, shown } = view.screen(row);
    if (!shown) return;
    context.beginPath();
    context.arc(x, y, radius, 0, 7);
    if (filled) {
      context.fillStyle = css(view.coloring.colors[row]);
      context.fill();
    }
    for (const [color, extra] of /** @type {[string, number][]} */ ([[back, 2.5], [ink, 0]])) {
      context.strokeStyle = color;
      context.lineWidth = width + extra;
      context.stroke();
    }
  };
  if (state.pick >= 0) {
    for (const other of nativeNeighbors(data, view.layer, state.pick) ?? []) ring(other, 5, 1.25, false);
    ring(state.pick, 8, 2, true);
  }
  if (state.hover >= 0 && state.hover !== state.pick) ring(state.hover, 7, 1.75, true);
  const line = view.lasso;
  if (line.length > 2) {
    context.beginPath();
    for (let i = 0; i < line.length; i += 2) context.lineTo(line[i], line[i + 1]);
    context.closePath();
    context.globalAlpha = 0.08;
    context.fillStyle = ink;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = ink;
    context.lineWidth = 1.25;
    context.setLineDash([5, 4]);
    context.stroke();
    context.setLineDash([]);
  }
}

/** @param {Brush} brush contours of each class, its name where it is densest */
function paintClasses({ context, view, ink, back }) {
  const { state, coloring, data } = view;
  const { camera } = state;
  const places = view.places();
  const span = Math.max(view.width, view.height) / camera.k;
  const area = {
    left: (view.width / 2 - camera.x) / camera.k - span / 2, top: (view.height / 2 - camera.y) / camera.k - span / 2, side: span,
  };
  const chosen = (/** @type {number} */ row) => !state.selected || state.selection[row] === 1;
  const { codes } = coloring;
  const keys = codes ? coloring.keys.filter((key) => !state.hidden.has(key.level) && key.count) : [];
  const classes = keys.length && keys.length <= 40
    ? keys.map((key) => ({ label: key.label, color: `rgb(${key.color.join(',')})`, meant: (/** @type {number} */ r) => codes?.[r] === key.level && chosen(r) }))
    : [{ label: '', color: ink, meant: chosen }];
  context.lineWidth = 1.5;
  const names = [];
  for (const { label, color, meant } of classes) {
    const grid = densityGrid(places, meant, area);
    const peak = densest(grid, area);
    if (!peak.height) continue;
    context.strokeStyle = color;
    // lines round a handful of points tell nothing
    if (state.contours && grid.reduce((sum, x) => sum + x, 0) >= 9.5)
      for (const share of [0.15, 0.45, 0.75]) {
        const lines = contour(grid, share * peak.height, area);
        context.beginPath();
        for (let i = 0; i < lines.length; i += 4) {
          context.moveTo(lines[i] * camera.k + camera.x, lines[i + 1] * camera.k + camera.y);
          context.lineTo(lines[i + 2] * camera.k + camera.x, lines[i + 3] * camera.k + camera.y);
        }
        context.stroke();
      }
    names.push({ label, x: peak.x * camera.k + camera.x, y: peak.y * camera.k + camera.y });
  }
  if (!state.names || data.n === 0) return;
  context.font = '600 13px system-ui, sans-serif';
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.lineJoin = 'round';
  for (const { label, x, y } of names) {
    const text = printable(label, 24);
    context.lineWidth = 4;
    context.strokeStyle = back;
    context.strokeText(text, x, y);
    context.fillStyle = ink;
    context.fillText(text, x, y);
  }
}

/** @param {Brush} brush images instead of points, as many as do not cover each other */
function paintImages({ context, view }) {
  const { data, state, coloring } = view;
  const { thumbnails } = data;
  if (!thumbnails) return;
  const side = Math.min(56, Math.max(24, Math.round(0.035 * state.camera.k)));
  if (Number.isInteger(state.t) || !view.pictured.length) view.pictured = apart(view, side + 4);
  context.imageSmoothingEnabled = thumbnails.width > side;
  const scale = side / Math.max(thumbnails.width, thumbnails.height);
  const w = thumbnails.width * scale, h = thumbnails.height * scale;
  for (const row of view.pictured) {
    const { x, y, shown } = view.screen(row);
    const part = view.sheetPart(row);
    if (!shown || !part) continue;
    context.fillStyle = css(coloring.colors[row]);
    context.globalAlpha = state.selected && !state.selection[row] ? 0.25 : 1;
    context.fillRect(x - w / 2 - 1.5, y - h / 2 - 1.5, w + 3, h + 3);
    context.drawImage(part.image, part.x, part.y, thumbnails.width, thumbnails.height, x - w / 2, y - h / 2, w, h);
  }
  context.globalAlpha = 1;
}

/** Rows whose images do not cover each other, selected ones first. @param {import('./types.js').View} view @param {number} side */
function apart(view, side) {
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
