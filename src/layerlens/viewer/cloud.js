// The cloud: one layer's points, or what lies between two layers. Owns the canvases and the frames.

import { backToFront, colored, drawingOrder, fogged, visibleRows } from './coloring.js';
import { blend, NOWHERE } from './geometry.js';
import { glRenderer } from './gl.js';
import { paintOverlay } from './overlay.js';
import { ground, packed } from './palette.js';
import { rasterRenderer, stampSide } from './raster.js';
import { alignments } from './turning.js';
import { clamp, element } from './util.js';

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
  const solid = data.components === 3;
  const depth = solid ? new Float32Array(n) : null;
  const paled = solid ? new Uint32Array(n) : null;
  const over = element('canvas', { className: 'll-over', tabIndex: 0 });
  over.setAttribute('role', 'img');
  let canvas = element('canvas', { className: 'll-points' });
  stage.append(canvas, over);
  let ratio = 1, asked = 0, placedAt = NaN, layerColored = -1;
  /** @type {import('./types.js').Group[]} */
  let groups = [];
  /** @type {number[]} */
  const frames = [];
  let renderer = chosenRenderer();

  /** @returns {import('./types.js').Renderer} */
  function chosenRenderer() {
    const wanted = options.renderer;
    const found = wanted === 'webgl2' || (wanted !== 'raster' && n > MANY) ? glRenderer(canvas, wanted === 'webgl2', stampSide) : null;
    if (found) {
      canvas.addEventListener('webglcontextlost', fallBack, { once: true, signal: view.signal });
      return found;
    }
    if (wanted !== 'raster' && n > MANY) freshCanvas(); // one that was asked for WebGL gives no other context
    if (wanted === 'webgl2') view.say('WebGL2 is not to be had here: drawn without it.');
    return rasterRenderer(canvas);
  }

  function freshCanvas() {
    const next = element('canvas', { className: 'll-points', width: canvas.width, height: canvas.height });
    canvas.replaceWith(next);
    canvas = next;
  }

  /** @param {Event} event */
  function fallBack(event) {
    event.preventDefault();
    freshCanvas();
    renderer = rasterRenderer(canvas);
    view.say('The graphics card gave up: drawn without it.');
    draw();
  }

  function regroup() {
    const order = depth && places() && backToFront(depth);
    groups = drawingOrder(n, view.coloring, view.visible, state.selection, state.selected, order);
  }

  function recolor() {
    view.coloring = colored(data, state, view.layer);
    view.visible = visibleRows(view.coloring, state.hidden, n);
    layerColored = view.layer;
    regroup();
  }

  function places() {
    if (placedAt !== state.t) {
      blend(data, state.t, view.maps, state.spin, xy, depth);
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
      colors: paled && depth ? fogged(view.coloring.colors, depth, back, paled.slice()) : view.coloring.colors,
      camera: { x: x * factor, y: y * factor, k: k * factor }, size: pointSize() * factor, ground: packed(back),
    };
  }

  /** CSS pixels: smaller the more there are, larger the closer one looks. */
  function pointSize() {
    const base = n > 100000 ? 2 : n > 40000 ? 2.5 : n > 12000 ? 3 : n > 4000 ? 4 : n > 1000 ? 5 : 7;
    return base * clamp((state.camera.k / fitted().k) ** 0.4, 0.7, 3);
  }

  function paint() {
    asked = 0;
    if (!canvas.width || !view.width || stage.hidden) return;
    const start = performance.now();
    if ((state.fade || state.by === 'stress' || state.by === 'clusters') && layerColored !== view.layer) {
      recolor();
      if (state.by === 'clusters') view.redrawLegend(); // each layer has clusters of its own
    } else if (depth && placedAt !== state.t) regroup();
    renderer.draw(frame(ratio));
    paintOverlay(view, over, ratio);
    frames.push(performance.now() - start);
    if (frames.length > 600) frames.shift();
    view.root.dataset.painted = String(Number(view.root.dataset.painted ?? 0) + 1);
    painted.forEach((f) => f(state));
  }
  /** @type {Set<(state: import('./types.js').State) => void>} */
  const painted = new Set();

  function fitted() {
    const k = Math.min(view.width, view.height) * 0.94;
    return { k, x: (view.width - k) / 2, y: (view.height - k) / 2 };
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] */
  function zoom(factor, x = view.width / 2, y = view.height / 2) {
    const { camera } = state;
    const k = clamp(camera.k * factor, fitted().k / 4, fitted().k * 400);
    const f = k / camera.k;
    store.set({ camera: { k, x: x - (x - camera.x) * f, y: y - (y - camera.y) * f } });
  }

  function resize() {
    const { width, height } = stage.getBoundingClientRect();
    const next = Math.min(devicePixelRatio || 1, options.ratio ?? 2);
    if (!width || !height || (width === view.width && height === view.height && next === ratio)) return;
    const before = view.width ? fitted() : null;
    ratio = next;
    view.width = width;
    view.height = height;
    for (const each of [canvas, over]) {
      each.width = Math.round(width * ratio);
      each.height = Math.round(height * ratio);
    }
    const after = fitted();
    const f = before ? after.k / before.k : 1;
    store.set({
      camera: before
        ? { k: state.camera.k * f, x: after.x + (state.camera.x - before.x) * f, y: after.y + (state.camera.y - before.y) * f }
        : after,
    });
    if (asked) cancelAnimationFrame(asked);
    paint(); // in the same frame: a resized canvas is blank
  }

  function realign() {
    view.maps = state.align && state.selected ? alignments(data, state.selection, view.layer) : null;
    placedAt = NaN;
  }

  store.on('by palette theme hidden fade', recolor);
  store.on('selection', regroup);
  store.on('align', realign);
  store.on('spin', () => {
    placedAt = NaN;
    regroup();
  });
  store.on('t by palette theme hidden fade selection align spin camera pick hover contours names images paths grid', draw);
  const watcher = new ResizeObserver(resize);
  watcher.observe(stage);
  view.signal.addEventListener('abort', () => {
    watcher.disconnect();
    cancelAnimationFrame(asked);
    renderer.release();
  });

  Object.assign(view, {
    draw, places, zoom,
    fit: () => store.set({ camera: fitted() }),
    groups: () => groups,
    /** @param {number} layer */
    placesOnce: (layer) => blend(data, layer, view.maps, state.spin, scratch),
    /** @param {number} row @param {number} layer */
    placeOf(row, layer) {
      if (data.present && !data.present[layer * n + row]) return null;
      const C = data.components, from = (layer * n + row) * C;
      const alone = { ...data, n: 1, layers: data.layers.slice(0, 1), positions: data.positions.subarray(from, from + C), present: null };
      const [x, y] = blend(alone, 0, view.maps && [view.maps[layer]], state.spin, new Float32Array(2));
      return { x, y };
    },
    /** @param {number} row */
    screen(row) {
      const at = places();
      const x = at[2 * row] * state.camera.k + state.camera.x, y = at[2 * row + 1] * state.camera.k + state.camera.y;
      return { x, y, shown: at[2 * row] > NOWHERE / 2 && (!view.visible || view.visible[row] === 1) };
    },
  });
  return {
    over, frame, pointSize, recolor, frames, painted,
    get canvas() { return canvas; },
    get kind() { return renderer.kind; },
    paintNow: paint,
  };
}
