// The legend: what colours mean; a click hides a class, with shift it is selected.

import { OUTLINES } from './texts.js';
import { count, drawing, element, figure, printable } from './util.js';

/** Of more classes the first so many are listed. */
const MOST_KEYS = 120;

/** A class's mark as in the picture. @param {number[]} color @param {number} shape */
export function keyMark(color, shape) {
  const fill = `rgb(${color.join(',')})`;
  const outline = OUTLINES[shape]
    ? drawing('path', { d: OUTLINES[shape], fill })
    : drawing('circle', shape ? { r: 0.8, fill: 'none', stroke: fill, 'stroke-width': 0.5 } : { r: 1, fill });
  return drawing('svg', { class: 'll-key', viewBox: '-1.2 -1.2 2.4 2.4', 'aria-hidden': 'true' }, outline);
}

/** @param {import('./types.js').View} view */
export function createLegend(view) {
  const { store, state } = view;
  const box = element('section', { className: 'll-legend' });
  box.setAttribute('aria-label', 'Legend');

  function redraw() {
    const { name, keys, ramp } = view.coloring;
    const title = element('h2', { textContent: printable(name, 60) });
    if (ramp) return box.replaceChildren(title, rampScale(ramp));
    const list = element('ul', { className: keys.length > 5 && keys.every((key) => key.label.length < 9) ? 'll-short' : '' });
    for (const key of keys.slice(0, MOST_KEYS)) {
      const node = element('button', { type: 'button', title: 'Click hides or shows this class; shift and click selects it' },
        keyMark(key.color, key.shape), element('bdi', { textContent: printable(key.label, 80) || '(empty)' }), element('small', { textContent: count(key.count) }));
      node.setAttribute('aria-pressed', String(!state.hidden.has(key.level)));
      node.addEventListener('click', (event) => (event.shiftKey ? choose(key.level) : toggle(key.level)));
      list.append(element('li', {}, node));
    }
    box.replaceChildren(title, list);
    if (keys.length > MOST_KEYS) box.append(element('p', { className: 'll-hint', textContent: `and ${count(keys.length - MOST_KEYS)} more` }));
    if (state.hidden.size) {
      const all = element('button', { type: 'button', className: 'll-link', textContent: 'Show all classes' });
      all.addEventListener('click', () => store.set({ hidden: new Set() }));
      box.append(all);
    }
  }

  /** @param {number} level */
  function toggle(level) {
    const hidden = new Set(state.hidden);
    if (!hidden.delete(level)) hidden.add(level);
    store.set({ hidden });
    const at = view.coloring.keys.findIndex((key) => key.level === level);
    const node = /** @type {HTMLElement | undefined} */ (box.querySelectorAll("li button")[at]);
    node?.focus();
  }

  /** @param {number} level */
  function choose(level) {
    const { codes } = view.coloring;
    if (codes) view.select(Uint8Array.from(codes, (code) => Number(code === level)));
  }

  store.on('by palette theme hidden', redraw);
  view.redrawLegend = redraw;
  return box;
}

/** @param {{low: number, high: number, stops: number[][]}} ramp */
function rampScale({ low, high, stops }) {
  const bar = element('div', { className: 'll-ramp' });
  bar.style.background = `linear-gradient(90deg, ${stops.map((stop) => `rgb(${stop.join(',')})`).join(', ')})`;
  return element('div', {}, bar, element('p', { className: 'll-ends' }, element('span', { textContent: figure(low) }), element('span', { textContent: figure(high) })));
}
