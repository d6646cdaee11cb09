// The cloud: one layer's points, or what lies between two layers. Owns the canvases and the frames.

import { colored, drawingOrder, visibleRows } from './coloring.js';
import { blend, fitted, NOWHERE, placeIn } from './geometry.js';
import { paintOverlay } from './overlay.js';
import { ground, packed } from './palette.js';
import { pieces, spaceOf } from './pieces.js';
import { rasterRenderer, stampSide } from './raster.js';
import { alignments } from './turning.js';
import { atEnd, clamp, element, listen, now, onResize } from './util.js';

/** From so many points on, hardware is asked for. */
const MANY = 50000;

/**
 * @param {import('./types.js').View} view
 * @param {HTMLElement} stage
 */
export function createCloud(view, stage) {
  const { data, store, state, options } = view;
  const { n } = data;
  const xy = new Float32Array(2 * n);
  const scratch = new Float32Array(2 * n);
  const space = spaceOf(data);
  const depth = space ? new Float32Array(n) : null;
  const over = element('canvas.ll-over', { tabIndex: 0, role: 'img' });
  let canvas = element('canvas.ll-points');
  stage.append(canvas, over);
  let ratio = 1, asked = 0, count = 0, placedAt = NaN;
  /** @type {import('./types.js').Layer | undefined} */
  let layerColored;
  /** @type {import('./types.js').Group[]} */
  let groups = [];
  /** @type {number[]} */
  const frames = [];
  let renderer = chosenRenderer();

  /** @returns {import('./types.js').Renderer} */
  function chosenRenderer() {
    const forced = options.renderer === 'webgl2';
    if (!forced && (n <= MANY || options.renderer === 'raster')) return rasterRenderer(canvas);
    const found = pieces.gl?.(canvas, forced, stampSide);
    if (!found) return fallBack(forced ? 'WebGL2 is not to be had here: drawn without it.' : '');
    listen(view, canvas, 'webglcontextlost', () => {
      renderer = fallBack('The graphics card gave up: drawn without it.');
      draw();
    }, { once: true });
    return found;
  }

  /** Draw without the graphics card. @param {string} note why */
  function fallBack(note) {
    // a canvas that was asked for WebGL gives no other context
    const next = element('canvas.ll-points', { width: canvas.width, height: canvas.height });
    canvas.replaceWith(next);
    canvas = next;
    if (note) view.note(note);
    return rasterRenderer(canvas);
  }

  function regroup() {
    const order = depth && places() && space?.backToFront(depth);
    groups = drawingOrder(n, view.coloring, view.visible, state.selection, state.selected, order);
  }

  function recolor() {
    view.coloring = colored(data, state, view.layer);
    view.visible = visibleRows(view.coloring, state.hidden, n);
    layerColored = data.layers[view.layer];
    regroup();
  }

  function places() {
    if (placedAt !== state.t) {
      (view.between ?? blend)(data, state.t, state.spin, xy, depth);
      placedAt = state.t;
    }
    return xy;
  }

  function draw() {
    asked ||= requestAnimationFrame(paint);
  }

  /** @param {number} factor @returns {import('./types.js').Frame} */
  function frame(factor) {
    const { x, y, k } = state.camera;
    const back = ground(state.theme);
    return {
      xy: places(), groups,
      colors: space && depth ? space.fogged(view.coloring.colors, depth, back, new Uint32Array(n)) : view.coloring.colors,
      camera: { x: x * factor, y: y * factor, k: k * factor }, size: pointSize() * factor, ground: packed(back),
    };
  }

  /** CSS pixels: smaller the more there are, larger the closer one looks. */
  function pointSize() {
    const base = n > 100000 ? 2 : n > 40000 ? 2.5 : n > 12000 ? 3 : n > 4000 ? 4 : n > 1000 ? 5 : 7;
    return base * clamp((state.camera.k / whole().k) ** 0.4, 0.7, 3);
  }

  function paint() {
    asked = 0;
    if (!canvas.width || !view.width || stage.hidden) return;
    const start = now();
    if ((state.fade || state.by === 'stress' || state.by === 'clusters') && layerColored !== data.layers[view.layer]) {
      recolor();
      if (state.by === 'clusters') view.redrawLegend(); // each layer has clusters of its own
    } else if (depth && placedAt !== state.t) regroup();
    renderer.draw(frame(ratio));
    paintOverlay(view, over, ratio);
    frames.push(now() - start);
    if (frames.length > 600) frames.shift();
    view.root.dataset.painted = String(++count);
    painted.forEach((f) => f(state));
  }
  /** @type {Set<(state: import('./types.js').State) => void>} */
  const painted = new Set();

  const whole = () => fitted(view.width, view.height);

  /** @param {number} factor @param {number} [x] @param {number} [y] */
  function zoom(factor, x = view.width / 2, y = view.height / 2) {
    const { camera } = state;
    const k = clamp(camera.k * factor, whole().k / 4, whole().k * 400);
    const f = k / camera.k;
    store.set({ camera: { k, x: x - (x - camera.x) * f, y: y - (y - camera.y) * f } });
  }

  function resize() {
    const { width, height } = stage.getBoundingClientRect();
    const next = Math.min(devicePixelRatio, options.ratio ?? 2);
    if (!width || !height || (width === view.width && height === view.height && next === ratio)) return;
    const before = whole();
    ratio = next;
    view.width = width;
    view.height = height;
    for (const each of [canvas, over]) {
      each.width = Math.round(width * ratio);
      each.height = Math.round(height * ratio);
    }
    const { x, y, k } = state.camera;
    const after = whole();
    const f = after.k / before.k;
    store.set({ camera: before.k ? { k: k * f, x: after.x + (x - before.x) * f, y: after.y + (y - before.y) * f } : after });
    cancelAnimationFrame(asked);
    paint(); // in the same frame: a resized canvas is blank
  }

  function realign() {
    data.maps = state.align && state.selected ? alignments(data, state.selection, view.layer) : null;
    placedAt = NaN;
  }

  store.on('by palette theme hidden fade', recolor);
  store.on('selection', regroup);
  store.on('align', realign);
  store.on('spin u', () => {
    placedAt = NaN;
    regroup();
  });
  store.on('t u by palette theme hidden fade selection align spin camera pick hover contours names images paths grid', draw);
  onResize(view, stage, resize);
  atEnd(view, () => {
    cancelAnimationFrame(asked);
    renderer.release();
  });

  Object.assign(view, {
    draw, places, zoom,
    fit: () => store.set({ camera: whole() }),
    groups: () => groups,
    /** @param {number} layer */
    placesOnce: (layer) => blend(data, layer, state.spin, scratch),
    /** @param {number} row @param {number} layer */
    placeOf: (row, layer) => placeIn(data, layer, row, state.spin),
    /** @param {number} row */
    screen(row) {
      const at = places();
      const u = at[2 * row], v = at[2 * row + 1];
      const { x, y, k } = state.camera;
      return { x: u * k + x, y: v * k + y, shown: u > NOWHERE / 2 && (!view.visible || view.visible[row] === 1) };
    },
  });
  return {
    over, frame, recolor, frames, painted,
    get canvas() { return canvas; },
    get kind() { return renderer.kind; },
    paintNow: paint,
  };
}
