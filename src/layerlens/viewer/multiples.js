// All layers at once, small: under the chart, or in the place of the cloud. Linked by colour, selection, hover.

import { fitted } from './geometry.js';
import { ground, packed } from './palette.js';
import { paintRows, stampOf, stampSide } from './raster.js';
import { atEnd, element, group, now, onResize, printable } from './util.js';

/** Of more rows a fair part is drawn small: rows are shuffled. */
const MOST_ROWS = 20000;

/** @typedef {{layer: number, node: HTMLButtonElement, points: HTMLCanvasElement, mark: HTMLElement[]}} Cell */

/**
 * @param {import('./types.js').View} view
 * @param {boolean} strip or the grid
 */
export function createMultiples(view, strip) {
  const { data: { layers, n }, store, state } = view;
  const L = layers.length;
  const box = group(strip ? 'div.ll-multiples ll-strip' : 'div.ll-multiples ll-grid', 'Layers, side by side');
  /** @type {Cell[]} */
  let cells = [];
  /** @type {Cell[]} */
  let queue = [];
  let timer = 0, every = 0;

  function layOut() {
    const width = box.clientWidth;
    if (!width) return;
    const step = strip ? Math.max(1, Math.ceil(L / Math.max(1, Math.floor(width / 54)))) : 1;
    if (step !== every) {
      every = step;
      cells = layers.map((_, layer) => layer).filter((layer) => layer % step === 0).map(makeCell);
      box.replaceChildren(...cells.map((cell) => cell.node));
    }
    current();
    redraw();
  }

  /** @param {number} layer @returns {Cell} */
  function makeCell(layer) {
    const { name, type, short = name } = layers[layer];
    const points = element('canvas');
    const mark = [element('i.ll-at ll-picked', { hidden: true }), element('i.ll-at', { hidden: true })];
    const node = element('button', {
      type: 'button', title: `${printable(short, 120)}${type ? ` (${printable(type)})` : ''}: go there`, 'aria-label': `${layer + 1} of ${L}, ${printable(short)}`,
      style: strip ? `left:${(layer * 100) / L}%;width:${(Math.min(every, L - layer) * 100) / L}%` : '',
      onclick() {
        if (!strip) store.set({ grid: false });
        view.go(layer);
      },
    }, element('span.ll-cell', points, mark), element('span.ll-name', printable(short)));
    return { layer, node, points, mark };
  }

  function redraw() {
    if (!strip && !state.grid) return;
    const away = (/** @type {Cell} */ cell) => Math.abs(cell.layer - state.t);
    queue = [...cells].sort((a, b) => away(b) - away(a));
    timer ||= setTimeout(work, 0);
  }

  /** A few layers at a time, so that the page answers in between. */
  function work() {
    timer = 0;
    const start = now();
    for (let cell; now() - start < 8 && (cell = queue.pop()); ) paintCell(cell);
    if (queue.length) timer = setTimeout(work, 0);
    else marks();
  }

  /** @param {Cell} cell */
  function paintCell({ layer, points }) {
    const ratio = Math.min(devicePixelRatio, 2);
    const width = Math.round(points.clientWidth * ratio), height = Math.round(points.clientHeight * ratio);
    const context = /** @type {CanvasRenderingContext2D} */ (points.getContext('2d', { alpha: false }));
    if (!width || !height) return;
    points.width = width;
    points.height = height;
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer).fill(packed(ground(state.theme)));
    const places = view.placesOnce(layer);
    const size = (strip ? (n > 3000 ? 1 : 1.5) : n > 5000 ? 1.5 : points.clientWidth > 300 ? 4 : 2.5) * ratio;
    for (const { rows, style, shape } of view.groups()) {
      const chosen = style === 'chosen';
      const step = chosen ? 1 : Math.ceil(rows.length / MOST_ROWS);
      paintRows({ pixels, width, height }, places, step > 1 ? rows.filter((_, i) => i % step === 0) : rows, view.coloring.colors, fitted(width, height),
        stampOf(stampSide(style, chosen ? size * 0.8 : size), size < 3 ? 0 : shape), style === 'dim'); // too small for shapes
    }
    context.putImageData(image, 0, 0);
  }

  function marks() {
    if (!strip && !state.grid) return;
    for (const { layer, points, mark } of cells)
      [state.pick, state.hover].forEach((row, i) => {
        const { k, x, y } = fitted(points.clientWidth, points.clientHeight);
        const at = row < 0 ? null : view.placeOf(row, layer);
        mark[i].hidden = !at;
        if (at) mark[i].style.transform = `translate(${x + at.x * k}px,${y + at.y * k}px)`;
      });
  }

  function current() {
    for (const { layer, node } of cells) node.setAttribute('aria-current', String(view.layer >= layer && view.layer < layer + every));
  }

  store.on('by palette theme hidden selection fade align spin grid step', redraw);
  store.on('pick hover align spin u', marks);
  store.on('t', current);
  onResize(view, box, layOut);
  atEnd(view, () => clearTimeout(timer));
  return box;
}
