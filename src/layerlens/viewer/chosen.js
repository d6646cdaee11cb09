// The selection: how many, of which classes, what can be done with it, how layers arrange it.

import { keyMark } from './legend.js';
import { composition, likeness, MOST_PATHS } from './query.js';
import { button, counted, count, drawing, element, printable } from './util.js';

/** @param {import('./types.js').View} view */
export function createChosen(view) {
  const { store, state, actions, data } = view;
  const box = element('section', { className: 'll-chosen' });
  box.setAttribute('aria-label', 'Selection');

  function redraw() {
    const { selected, selection } = state;
    const title = element('h2', { textContent: 'Selection' });
    if (!selected) {
      return box.replaceChildren(title, element('p', { className: 'll-hint', textContent: 'Draw a lasso (L, or drag with shift) round points: they stay selected through every layer.' }));
    }
    title.append(element('small', { textContent: counted(selected, 'point') }));
    const bars = element('ul', { className: 'll-share' });
    const parts = composition(view.coloring, selection);
    for (const { key, count: size } of parts.slice(0, 6)) {
      const bar = element('i');
      bar.style.width = `${(100 * size) / selected}%`;
      bar.style.background = `rgb(${key.color.join(',')})`;
      bars.append(element('li', {}, keyMark(key.color, key.shape), element('bdi', { textContent: printable(key.label, 24) }), element('span', {}, bar), element('small', { textContent: count(size) })));
    }
    const align = button('Align view', 'turn every layer so that the selection stays where it is now', '', () => store.set({ align: !state.align }));
    align.setAttribute('aria-pressed', String(state.align));
    const tools = element('div', { className: 'll-tools' },
      button('Invert', 'select all others instead', 'I', () => actions.invert()), button('Clear', 'select nothing', 'Esc', () => actions.clear()), align,
      button('Copy ids', 'ids of the selected points to the clipboard', '', () => actions.copyIds()), button('CSV', 'save the selected points as a table', '', () => actions.csv()));
    box.replaceChildren(title, bars, tools);
    if (parts.length > 6) bars.append(element('li', { className: 'll-hint', textContent: `and ${parts.length - 6} more` }));
    if (selected >= MOST_PATHS && state.paths) box.append(element('p', { className: 'll-hint', textContent: `Paths are drawn for fewer than ${MOST_PATHS} points.` }));
    if (selected >= 3 && data.layers.length > 2) box.append(...arrangement());
  }

  /** A square a pair of layers, the darker the more alike they arrange the selection. */
  function arrangement() {
    const rows = likeness(data, state.selection);
    const L = rows.length;
    if (!L) return [];
    const svg = drawing('svg', { class: 'll-likeness', viewBox: `0 0 ${L} ${L}`, role: 'img', 'aria-label': 'How alike layers arrange the selection' });
    rows.forEach((row, a) => row.forEach((value, b) => {
      const square = drawing('rect', { x: b, y: a, width: 1, height: 1, 'fill-opacity': Math.max(0, value).toFixed(2) });
      square.append(drawing('title', {}, `${printable(data.layers[a].name, 30)} and ${printable(data.layers[b].name, 30)}: ${value.toFixed(2)}`));
      square.addEventListener('click', () => view.go(b));
      svg.append(square);
    }));
    return [element('h3', { textContent: 'How alike the layers arrange it' }), svg, element('p', { className: 'll-hint', textContent: 'Layers from left to right and from top to bottom; full where the distances within the selection agree.' })];
  }

  store.on('selection by theme palette align paths', redraw);
  redraw();
  return box;
}
