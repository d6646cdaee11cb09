// All layers at once, small: under the chart, or in the place of the cloud. Linked by colour, selection, hover.

import { ground, packed } from './palette.js';
import { paintRows, stampOf, stampSide, wipe } from './raster.js';
import { element, printable } from './util.js';

/** Of more rows a fair part is drawn small: rows are shuffled. */
const MOST_ROWS = 20000;

/**
 * @param {import('./types.js').View} view
 * @param {"strip" | "grid"} kind
 */
export function createMultiples(view, kind) {
  const { data, store, state } = view;
  const L = data.layers.length;
  const box = element('div', { className: `ll-multiples ll-${kind}` });
  box.setAttribute('role', 'group');
  box.setAttribute('aria-label', 'Layers, side by side');
  /** @type {{layer: number, node: HTMLButtonElement, points: HTMLCanvasElement, mark: HTMLElement[]}[]} */
  let cells = [];
  /** @type {number[]} */
  let queue = [];
  let timer = 0, width = 0, every = 0;

  function layOut() {
    width = box.clientWidth;
    if (!width) return;
    const step = kind === 'strip' ? Math.max(1, Math.ceil(L / Math.max(1, Math.floor(width / 54)))) : 1;
    if (step !== every) {
      every = step;
      cells = data.layers.map((_, layer) => layer).filter((layer) => layer % step === 0).map(makeCell);
      box.replaceChildren(...cells.map((cell) => cell.node));
    }
    if (kind === 'strip')
      for (const { layer, node } of cells) {
        node.style.left = `${(layer * 100) / L}%`;
        node.style.width = `${(Math.min(step, L - layer) * 100) / L}%`;
      }
    current();
    redraw();
  }

  /** @param {number} layer */
  function makeCell(layer) {
    const { name, type } = data.layers[layer];
    const points = element('canvas');
    const mark = ['ll-at ll-picked', 'll-at'].map((className) => element('i', { className, hidden: true }));
    const label = element('span', { className: 'll-name', textContent: printable(name, 40) });
    const node = element('button', { type: 'button', title: `${printable(name)}${type ? ` (${printable(type, 40)})` : ''}: go there` },
      element('span', { className: 'll-cell' }, points, ...mark), label);
    node.setAttribute('aria-label', `Layer ${layer + 1}, ${printable(name, 60)}`);
    node.addEventListener('click', () => {
      if (kind === 'grid') store.set({ grid: false });
      view.go(layer);
    });
    return { layer, node, points, mark };
  }

  function redraw() {
    if (!cells.length || (kind === 'grid') !== state.grid && kind === 'grid') return;
    const near = (/** @type {number} */ i) => Math.abs(cells[i].layer - state.t);
    queue = [...cells.keys()].sort((a, b) => near(b) - near(a));
    timer ||= setTimeout(work, 0);
  }

  /** A few layers at a time, so that the page answers in between. */
  function work() {
    timer = 0;
    const start = performance.now();
    while (queue.length && performance.now() - start < 8) paintCell(cells[/** @type {number} */ (queue.pop())]);
    if (queue.length) timer = setTimeout(work, 0);
    else marks();
  }

  /** @param {{layer: number, points: HTMLCanvasElement}} cell */
  function paintCell({ layer, points }) {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const w = Math.round(points.clientWidth * ratio), h = Math.round(points.clientHeight * ratio);
    const context = points.getContext('2d', { alpha: false });
    if (!w || !h || !context) return;
    points.width = w;
    points.height = h;
    const image = context.createImageData(w, h);
    const target = { pixels: new Uint32Array(image.data.buffer), stride: w, left: 0, top: 0, width: w, height: h };
    wipe(target, packed(ground(state.theme)));
    const k = Math.min(w, h) * 0.94;
    const camera = { k, x: (w - k) / 2, y: (h - k) / 2 };
    const places = view.placesOnce(layer);
    const size = (kind === 'grid' ? (data.n > 5000 ? 1.5 : 2.5) : data.n > 3000 ? 1 : 1.5) * ratio;
    for (const { rows, style, shape } of view.groups()) {
      const step = style === 'chosen' ? 1 : Math.ceil(rows.length / MOST_ROWS);
      const part = step > 1 ? rows.filter((_, i) => i % step === 0) : rows;
      const small = size < 3 ? 0 : shape; // too small for shapes
      paintRows(target, places, part, view.coloring.colors, camera, stampOf(stampSide(style, style === 'chosen' ? size * 0.8 : size), small), style === 'dim');
    }
    context.putImageData(image, 0, 0);
  }

  function marks() {
    if (kind === 'grid' && !state.grid) return;
    for (const { layer, points, mark } of cells)
      [state.pick, state.hover].forEach((row, i) => {
        const w = points.clientWidth, h = points.clientHeight, k = Math.min(w, h) * 0.94;
        const at = row < 0 ? null : view.placeOf(row, layer);
        const { style } = mark[i];
        mark[i].hidden = !at;
        if (at) style.transform = `translate(${(w - k) / 2 + at.x * k}px, ${(h - k) / 2 + at.y * k}px)`;
      });
  }

  function current() {
    for (const { layer, node } of cells) {
      const on = view.layer >= layer && view.layer < layer + every;
      if (on) node.setAttribute('aria-current', 'true');
      else node.removeAttribute('aria-current');
    }
  }

  store.on('by palette theme hidden selection fade align spin grid', redraw);
  store.on('pick hover align spin', marks);
  store.on('t', current);
  const watcher = new ResizeObserver(layOut);
  watcher.observe(box);
  view.signal.addEventListener('abort', () => {
    watcher.disconnect();
    clearTimeout(timer);
  });
  return box;
}
