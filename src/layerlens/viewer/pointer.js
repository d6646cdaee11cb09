// The hand on the cloud: hover, click, drag, lasso, box, pinch, wheel.

import { nearestRow, rowsInPolygon } from './geometry.js';
import { spaceOf } from './pieces.js';
import { listen } from './util.js';

/** How far from a point one may be to mean it, CSS pixels: with a pointer, and with a finger. */
const REACH = 14, FINGER = 22;

/**
 * @param {import('./types.js').View} view
 * @param {HTMLCanvasElement} over
 */
export function listenToPointer(view, over) {
  const { store, state } = view;
  const space = spaceOf(view.data);
  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let travelled = 0;
  let start = { x: 0, y: 0 };
  /** @type {"move" | "turn" | "lasso" | "box"} */
  let doing = 'move';

  /** @param {MouseEvent} event */
  const at = (event) => {
    const { left, top } = over.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  /** @param {{x: number, y: number}} p @param {number} reach CSS pixels */
  const rowAt = (p, reach) => {
    const { x, y, k } = state.camera;
    return nearestRow(view.places(), (p.x - x) / k, (p.y - y) / k, reach / k, view.visible);
  };
  const shift = (/** @type {number} */ x, /** @type {number} */ y) => store.set({ camera: { ...state.camera, x: state.camera.x + x, y: state.camera.y + y } });

  listen(view, over, 'pointerdown', (/** @type {PointerEvent} */ event) => {
    if (event.button > 1) return;
    over.setPointerCapture(event.pointerId);
    start = at(event);
    fingers.set(event.pointerId, start);
    travelled = 0;
    doing = state.mode === 'move' ? (event.shiftKey ? 'lasso' : space && event.button === 0 && !event.altKey ? 'turn' : 'move') : state.mode;
    view.lasso = doing === 'lasso' && fingers.size === 1 ? [start.x, start.y] : [];
    store.set({ hover: -1 });
  });

  listen(view, over, 'pointermove', (/** @type {PointerEvent} */ event) => {
    const p = at(event);
    const before = fingers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== 'touch') store.set({ hover: rowAt(p, REACH) });
      return;
    }
    const x = p.x - before.x, y = p.y - before.y;
    travelled += Math.hypot(x, y);
    const [a, b] = fingers.values();
    fingers.set(event.pointerId, p);
    if (fingers.size === 2) {
      const [c, d] = fingers.values();
      view.lasso = [];
      travelled = 99;
      view.zoom(Math.hypot(c.x - d.x, c.y - d.y) / (Math.hypot(a.x - b.x, a.y - b.y) || 1), (c.x + d.x) / 2, (c.y + d.y) / 2);
      shift(x / 2, y / 2);
    } else if (doing === 'lasso') view.lasso.push(p.x, p.y);
    else if (doing === 'box') view.lasso = [start.x, start.y, p.x, start.y, p.x, p.y, start.x, p.y];
    else if (travelled < 4) return;
    else if (doing === 'turn' && space) store.set({ spin: space.turned(state.spin, x * 0.008, y * 0.008) });
    else shift(x, y);
    view.draw();
  });

  listen(view, over, 'pointerup', (/** @type {PointerEvent} */ event) => {
    if (!fingers.delete(event.pointerId)) return;
    const line = view.lasso;
    view.lasso = [];
    if (travelled < 4) {
      const row = rowAt(at(event), event.pointerType === 'touch' ? FINGER : REACH);
      if (event.shiftKey && row >= 0) view.actions.toggle(row);
      else store.set({ pick: row });
    } else if (line.length > 5) {
      const { x, y, k } = state.camera;
      const polygon = line.map((value, i) => (value - (i % 2 ? y : x)) / k);
      view.select(rowsInPolygon(polygon, view.places(), view.visible), event.shiftKey && state.mode !== 'move' || event.ctrlKey || event.metaKey);
    }
    view.draw();
  });

  listen(view, over, 'pointercancel pointerleave', (/** @type {PointerEvent} */ event) => {
    fingers.delete(event.pointerId);
    if (!fingers.size) view.lasso = [];
    store.set({ hover: -1 });
    view.draw();
  });
  listen(view, over, 'wheel', (/** @type {WheelEvent} */ event) => {
    event.preventDefault();
    const { x, y } = at(event);
    view.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), x, y);
  }, { passive: false });
}
