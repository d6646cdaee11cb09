// The selection: how many, of which classes, what can be done with it, how layers arrange it.

import { command } from './keys.js';
import { keyMark } from './legend.js';
import { cssColor } from './palette.js';
import { composition, likeness, MOST_PATHS } from './query.js';
import { count, counted, drawing, element, pressed, printable, quoted, refill } from './util.js';

/** @param {import('./types.js').View} view */
export function createChosen(view) {
  const { store, state, data } = view;
  const box = element('section.ll-chosen', { 'aria-label': 'Selection' });

  function redraw() {
    const { selected, selection } = state;
    const parts = composition(view.coloring, selection);
    const tools = ['invert', 'clear', 'align', 'copyIds', 'csv'].map((action) => command(view, action));
    pressed(tools[2], state.align);
    refill(box, element('h2', 'Selection', selected > 0 && element('small', counted(selected, 'point'))), selected ? [
      element('ul.ll-share', parts.slice(0, 6).map(({ key, count: size }) => element('li', keyMark(key), quoted(key.label, 24),
        element('span', element('i', { style: `width:${(100 * size) / selected}%;background:${cssColor(key.color)}` })), element('small', count(size)))),
      parts.length > 6 && element('li.ll-hint', `and ${parts.length - 6} more`)),
      element('div.ll-tools', tools),
      selected >= MOST_PATHS && state.paths && element('p.ll-hint', `Paths are drawn for fewer than ${MOST_PATHS} points.`),
      selected > 2 && data.layers.length > 2 && arrangement(),
    ] : element('p.ll-hint', 'Draw a lasso (L, or drag with shift): what it goes round stays selected through every layer.'));
  }

  /** A square a pair of layers, the darker the more alike they arrange the selection. */
  function arrangement() {
    const rows = likeness(data, state.selection);
    const L = rows.length;
    const nameOf = (/** @type {number} */ layer) => printable(data.layers[layer].name);
    return L > 0 && [
      element('h3', 'How alike the layers arrange it'),
      drawing('svg.ll-likeness', { viewBox: `0 0 ${L} ${L}`, role: 'img', 'aria-label': 'How alike layers arrange the selection' },
        rows.flatMap((row, a) => row.map((value, b) => drawing('rect',
          { x: b, y: a, width: 1, height: 1, 'fill-opacity': Math.max(0, value).toFixed(2), onclick: () => view.go(b) },
          drawing('title', `${nameOf(a)} and ${nameOf(b)}: ${value.toFixed(2)}`))))),
      element('p.ll-hint', 'Full where two layers agree in the distances within the selection.'),
    ];
  }

  store.on('selection by theme palette align paths step', redraw);
  redraw();
  return box;
}
