// A point: what it is, how far its place is to be believed, who is near it, and how that changes with depth.

import { cell, idOf, labelColumn, nativeNeighbors, ofLayer } from './data.js';
import { present } from './geometry.js';
import { keyMark } from './legend.js';
import { cssColor } from './palette.js';
import { company, keptNeighbors } from './query.js';
import { along, button, clamp, count, drawing, element, figure, percent, printable, quoted, refill } from './util.js';

/** @param {import('./types.js').View} view */
export function createDetail(view) {
  const { data, store, state } = view;
  const { n, layers, columns, roles } = data;
  const L = layers.length;
  const box = element('section.ll-detail', { 'aria-label': 'Picked point' });
  const hint = (/** @type {import('./util.js').Part} */ text) => element('p.ll-hint', text);
  let shown = '';

  function redraw() {
    const row = state.pick;
    const all = [row, view.layer, state.step, state.by, state.theme, state.palette].join(' ');
    if (all === shown) return;
    shown = all;
    if (row < 0) return refill(box, element('h2', 'A point'), hint('Click a point to see what it is, its nearest neighbours in the layer, and its path.'));
    const facts = columns.map((column, i) => {
      const text = column.kind === 'number' ? figure(Number(column.values[row])) : printable(cell(column, row), 200) || '–';
      return i !== roles.id && element('div', element('dt', printable(column.name)), element('dd', i === roles.correct && text === 'wrong' && { className: 'll-wrong' }, element('bdi', text)));
    });
    refill(box, element('header', element('h2', quoted(idOf(data, row), 80)), button('×', 'forget this point', '', () => store.set({ pick: -1 }), { className: 'll-icon' })),
      element('div.ll-who', view.picture(row, 96), element('dl.ll-facts', facts)), believed(row), nearOnes(row), journey(row));
  }

  /** How far its place is to be believed. @param {number} row */
  function believed(row) {
    const { layer } = view;
    if (!present(data, layer, row)) return hint('This layer has no value of this point.');
    const lines = [];
    const stress = ofLayer(data, 'stress', layer), spread = ofLayer(data, 'spread', layer);
    if (stress && !nativeNeighbors(data, layer, row)) lines.push(`The picture hides ${percent(stress[row] / 255)} of its neighbours.`);
    if (spread) lines.push(`Other runs put it ${spread[row] < 255 ? figure(spread[row] / 255) + ' of the picture’s radius' : 'a radius or more'} away.`);
    return lines.length > 0 && hint(lines.join(' '));
  }

  /** @param {number} row */
  function nearOnes(row) {
    const near = keptNeighbors(data, view.layer, row);
    if (!near) return data.neighbors && hint(`The page has neighbours of ${count(data.neighbors.rows)} of ${count(n)} points, not of this one.`);
    const kept = near.filter((other) => other.shown).length;
    const column = columns[labelColumn(data)];
    return [
      element('h3', 'Nearest in ', quoted(layers[view.layer].name)),
      hint(`The picture shows ${kept} of these ${near.length} near it${kept < near.length ? '; the dashed ones lie elsewhere' : ''}.`),
      element('ul.ll-near', near.map(({ row: other, shown: there }) => element('li', element('button', {
        type: 'button', className: there ? 'll-kept' : 'll-lost', title: `${printable(idOf(data, other))}: ${there ? '' : 'not '}near in the picture`,
        onclick: () => store.set({ pick: other }), onpointerenter: () => store.set({ hover: other }), onpointerleave: () => store.set({ hover: -1 }),
      }, view.picture(other, 38), quoted(column ? cell(column, other) : idOf(data, other), 24))))),
    ];
  }

  /** Of which class its neighbours are, layer by layer. @param {number} row */
  function journey(row) {
    const column = labelColumn(data);
    if (column < 0 || !data.neighbors || L < 2) return;
    const colors = new Map(view.coloring.keys.map((key) => [key.level, cssColor(key.color)]));
    const steps = layers.map(({ name }, l) => {
      const { level, share } = company(data, l, row, column);
      return { level, share, name, label: printable(columns[column].levels[level] ?? '–', 24) };
    });
    const known = steps.filter(({ level }) => level >= 0);
    if (!known.length) return;
    const first = steps[0].label, last = steps[L - 1].label;
    const svg = drawing('svg.ll-journey', {
      viewBox: `0 0 ${L * 10} 34`, preserveAspectRatio: 'none', role: 'img',
      'aria-label': `Most of its neighbours, layer by layer: ${known.map(({ name, label, share }) => `${printable(name)}: ${label} ${percent(share)}`).join(', ')}`,
      onclick: (/** @type {MouseEvent} */ event) => view.go(Math.floor(along(event) * L)),
    }, steps.map(({ level, share, name, label }, l) => level >= 0 && drawing(l === view.layer ? 'rect.ll-now' : 'rect',
      { x: l * 10 + 1, y: 34 - 32 * share, width: 8, height: 32 * share, fill: state.by === column && colors.get(level) || 'currentColor' },
      drawing('title', `${printable(name)}: ${percent(share)} ${label}`))));
    return [
      element('h3', 'Company through the layers'), svg,
      hint(element('bdi', first === last ? `Most are ${first} from first to last.` : `Most are ${first} at first, ${last} at last.`)),
    ];
  }

  store.on('pick by theme palette step', redraw);
  store.on('t', () => Number.isInteger(state.t) && redraw());
  redraw();
  return box;
}

/** The small card by the pointer. @param {import('./types.js').View} view */
export function createTip(view) {
  const { data, store, state } = view;
  const { columns, roles } = data;
  const box = element('div.ll-tip', { hidden: true });
  store.on('hover', () => {
    const row = state.hover;
    box.hidden = row < 0 || state.grid;
    if (box.hidden) return;
    const { codes, keys } = view.coloring;
    const key = codes && keys.find((each) => each.level === codes[row]);
    const told = new Set([state.by, roles.label, roles.prediction].filter((c) => Number(c) >= 0));
    refill(box, view.picture(row, 64), element('div', element('strong', quoted(idOf(data, row))),
      [...told].map((c) => element('span', key && c === state.by && keyMark(key), `${printable(columns[Number(c)].name, 24)} `, quoted(cell(columns[Number(c)], row) || '–')))));
    const { x, y } = view.screen(row);
    const left = x + 16 + box.offsetWidth > view.width ? x - 16 - box.offsetWidth : x + 16;
    box.style.transform = `translate(${Math.max(4, left)}px,${clamp(y - 20, 4, Math.max(4, view.height - box.offsetHeight - 4))}px)`;
  });
  return box;
}
