// The legend: what colours mean; a click hides a class, with shift it is selected.

import { cssColor } from './palette.js';
import { OUTLINES } from './texts.js';
import { count, drawing, element, figure, pressed, printable, refill } from './util.js';

/** Of more classes the first so many are listed. */
const MOST_KEYS = 120;

/** A class's mark as in the picture. @param {import('./types.js').Key} key */
export function keyMark({ color, shape }) {
  const fill = cssColor(color);
  return drawing('svg.ll-key', { viewBox: '-1.2 -1.2 2.4 2.4', 'aria-hidden': true },
    OUTLINES[shape] ? drawing('path', { d: OUTLINES[shape], fill })
      : drawing('circle', shape ? { r: 0.8, fill: 'none', stroke: fill, 'stroke-width': 0.5 } : { r: 1, fill }));
}

/** @param {import('./types.js').View} view */
export function createLegend(view) {
  const { store, state } = view;
  const box = element('section.ll-legend', { 'aria-label': 'Legend' });

  function redraw() {
    const { name, keys, ramp, codes } = view.coloring;
    const list = element(/** @type {'ul'} */ (keys.length > 5 && keys.every((key) => key.label.length < 9) ? 'ul.ll-short' : 'ul'));
    for (const key of keys.slice(0, MOST_KEYS)) {
      const { level } = key;
      const node = element('button', {
        type: 'button', title: 'hide or show; with shift, select',
        onclick(/** @type {MouseEvent} */ { shiftKey }) {
          if (shiftKey) return codes && view.select(Uint8Array.from(codes, (code) => Number(code === level)));
          const hidden = new Set(state.hidden);
          if (!hidden.delete(level)) hidden.add(level);
          store.set({ hidden });
          box.querySelectorAll('li button').forEach((each, i) => i === keys.indexOf(key) && /** @type {HTMLElement} */ (each).focus());
        },
      }, keyMark(key), element('bdi', printable(key.label, 80) || '(empty)'), element('small', count(key.count)));
      pressed(node, !state.hidden.has(level));
      list.append(element('li', node));
    }
    refill(box, element('h2', printable(name)), ramp ? rampScale(ramp) : list,
      keys.length > MOST_KEYS && element('p.ll-hint', `and ${count(keys.length - MOST_KEYS)} more`),
      state.hidden.size > 0 && element('button.ll-link', { type: 'button', onclick: () => store.set({ hidden: new Set() }) }, 'Show all classes'));
  }

  store.on('by palette theme hidden', redraw);
  view.redrawLegend = redraw;
  return box;
}

/** @param {{low: number, high: number, stops: number[][]}} ramp */
function rampScale({ low, high, stops }) {
  return element('div', element('div.ll-ramp', { style: `background:linear-gradient(90deg,${stops.map(cssColor)})` }),
    element('p.ll-ends', element('span', figure(low)), element('span', figure(high))));
}
