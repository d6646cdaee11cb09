// The hand on the cloud: hover, click, drag, lasso, box, pinch, wheel.

import { nearestRow, rowsInPolygon } from './geometry.js';
import { turned } from './turning.js';

/**
 * @param {import('./types.js').View} view
 * @param {HTMLCanvasElement} over
 */
export function listenToPointer(view, over) {
  const { store, state, data } = view;
  const options = { signal: view.signal };
  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let travelled = 0;
  let start = { x: 0, y: 0 };
  /** @type {"move" | "turn" | "lasso" | "box"} */
  let doing = 'move';

  /** @param {MouseEvent} event */
  const at = (event) => {
    const box = over.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  /** @param {{x: number, y: number}} p @param {number} reach CSS pixels */
  const rowAt = (p, reach) => {
    const { camera } = state;
    return nearestRow(view.places(), (p.x - camera.x) / camera.k, (p.y - camera.y) / camera.k, reach / camera.k, view.visible);
  };

  over.addEventListener('pointerdown', (event) => {
    if (event.button > 1) return;
    over.setPointerCapture(event.pointerId);
    start = at(event);
    fingers.set(event.pointerId, start);
    travelled = 0;
    doing = state.mode === 'move' ? (event.shiftKey ? 'lasso' : data.components === 3 && event.button === 0 && !event.altKey ? 'turn' : 'move') : state.mode;
    view.lasso = doing === 'lasso' && fingers.size === 1 ? [start.x, start.y] : [];
    store.set({ hover: -1 });
  }, options);

  over.addEventListener('pointermove', (event) => {
    const p = at(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== 'touch') store.set({ hover: rowAt(p, 14) });
      return;
    }
    travelled += Math.hypot(p.x - before.x, p.y - before.y);
    const two = fingers.size === 2 ? [...fingers.values()] : null;
    fingers.set(event.pointerId, p);
    if (two) return pinch(two, [...fingers.values()]);
    if (doing === 'lasso') view.lasso.push(p.x, p.y);
    else if (doing === 'box') view.lasso = [start.x, start.y, p.x, start.y, p.x, p.y, start.x, p.y];
    else if (travelled < 4) return;
    else if (doing === 'turn') store.set({ spin: turned(state.spin, (p.x - before.x) * 0.008, (p.y - before.y) * 0.008) });
    else store.set({ camera: { ...state.camera, x: state.camera.x + p.x - before.x, y: state.camera.y + p.y - before.y } });
    view.draw();
  }, options);

  /** @param {{x: number, y: number}[]} before @param {{x: number, y: number}[]} now */
  function pinch([a, b], [c, d]) {
    view.lasso = [];
    travelled = 99;
    view.zoom(Math.hypot(c.x - d.x, c.y - d.y) / (Math.hypot(a.x - b.x, a.y - b.y) || 1), (c.x + d.x) / 2, (c.y + d.y) / 2);
    const { camera } = state;
    store.set({ camera: { ...camera, x: camera.x + (c.x + d.x - a.x - b.x) / 2, y: camera.y + (c.y + d.y - a.y - b.y) / 2 } });
  }

  over.addEventListener('pointerup', (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const line = view.lasso;
    view.lasso = [];
    if (travelled >= 4 && line.length >= 6) {
      const { camera } = state;
      const polygon = line.map((value, i) => (value - (i % 2 ? camera.y : camera.x)) / camera.k);
      view.select(rowsInPolygon(polygon, view.places(), view.visible), event.shiftKey && state.mode !== 'move' || event.ctrlKey || event.metaKey);
    } else if (travelled < 4) {
      const row = rowAt(at(event), event.pointerType === 'touch' ? 22 : 14);
      if (event.shiftKey && row >= 0) view.actions.toggle(row);
      else store.set({ pick: row });
    }
    view.draw();
  }, options);

  const leave = (/** @type {PointerEvent} */ event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) view.lasso = [];
    store.set({ hover: -1 });
    view.draw();
  };
  over.addEventListener('pointercancel', leave, options);
  over.addEventListener('pointerleave', leave, options);
  over.addEventListener('wheel', (event) => {
    event.preventDefault();
    const p = at(event);
    view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), p.x, p.y);
  }, { ...options, passive: false });
}
