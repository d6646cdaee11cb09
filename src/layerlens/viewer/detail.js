// A point: what it is, how far its place is to be believed, who is near it, and how that changes with depth.

import { cell, idOf, labelColumn, nativeNeighbors } from './data.js';
import { keyMark } from './legend.js';
import { company, keptNeighbors } from './query.js';
import { button, count, drawing, element, figure, printable } from './util.js';

/** @param {import('./types.js').View} view */
export function createDetail(view) {
  const { data, store, state } = view;
  const box = element('section', { className: 'll-detail' });
  box.setAttribute('aria-label', 'Picked point');
  let shown = '';

  function redraw() {
    const row = state.pick;
    const now = `${row} ${view.layer} ${String(state.by)} ${state.theme} ${state.palette}`;
    if (now === shown) return;
    shown = now;
    if (row < 0) {
      return box.replaceChildren(element('h2', { textContent: 'A point' }), element('p', { className: 'll-hint', textContent: 'Click a point to see what it is, its nearest neighbours in the layer, and its path through the network.' }));
    }
    const head = element('header', {}, element('h2', {}, element('bdi', { textContent: printable(idOf(data, row), 80) })), button('×', 'forget this point', 'Esc', () => store.set({ pick: -1 }), 'll-icon'));
    const facts = element('dl', { className: 'll-facts' });
    data.columns.forEach((column, i) => {
      if (i === data.roles.id) return;
      const text = column.kind === 'number' ? figure(Number(column.values[row])) : printable(cell(column, row), 200) || '–';
      facts.append(element('div', {}, element('dt', { textContent: printable(column.name, 40) }), element('dd', { className: i === data.roles.correct && text === 'wrong' ? 'll-wrong' : '' }, element('bdi', { textContent: text }))));
    });
    const image = view.picture(row, 96);
    box.replaceChildren(head, element('div', { className: 'll-who' }, ...(image ? [image] : []), facts), ...believed(row), ...nearOnes(row), ...journey(row));
  }

  /** How far its place is to be believed. @param {number} row */
  function believed(row) {
    if (data.present && !data.present[view.layer * data.n + row]) return [element('p', { className: 'll-hint', textContent: 'This layer has no value of this point.' })];
    const lines = [];
    const { lacks } = data.layers[view.layer];
    if (data.stress && !lacks?.includes('stress') && !nativeNeighbors(data, view.layer, row)) lines.push(`The picture hides ${Math.round(data.stress[view.layer * data.n + row] / 2.55)} % of its neighbours.`);
    if (data.spread && !lacks?.includes('spread')) {
      const spread = data.spread[view.layer * data.n + row] / 255;
      lines.push(`Other runs put it ${spread >= 1 ? 'a radius of the picture or more' : figure(spread) + ' of the picture’s radius'} away.`);
    }
    return lines.length ? [element('p', { className: 'll-hint', textContent: lines.join(' ') })] : [];
  }

  /** @param {number} row */
  function nearOnes(row) {
    const near = keptNeighbors(data, view.layer, row);
    const { name } = data.layers[view.layer];
    if (!near) return data.neighbors ? [element('p', { className: 'll-hint', textContent: `Neighbours are in the page for ${count(data.neighbors.rows)} of ${count(data.n)} points; not for this one.` })] : [];
    const kept = near.filter((other) => other.shown).length;
    const column = labelColumn(data);
    const list = element('ul', { className: 'll-near' });
    for (const other of near) {
      const text = printable(column >= 0 ? cell(data.columns[column], other.row) : idOf(data, other.row), 24);
      const node = element('button', { type: 'button', className: other.shown ? 'll-kept' : 'll-lost' }, view.picture(other.row, 38) ?? '', element('bdi', { textContent: text }));
      node.title = `${printable(idOf(data, other.row), 60)}: ${other.shown ? 'near in the picture too' : 'not near in the picture'}`;
      node.addEventListener('click', () => store.set({ pick: other.row }));
      node.addEventListener('pointerenter', () => store.set({ hover: other.row }));
      node.addEventListener('pointerleave', () => store.set({ hover: -1 }));
      list.append(element('li', {}, node));
    }
    return [
      element('h3', {}, 'Nearest in ', element('bdi', { textContent: printable(name, 40) })),
      element('p', { className: 'll-hint', textContent: `The picture shows ${kept} of these ${near.length} near it${kept < near.length ? '; the dashed ones lie elsewhere' : ''}.` }), list,
    ];
  }

  /** Of which class its neighbours are, layer by layer. @param {number} row */
  function journey(row) {
    const column = labelColumn(data);
    const { codes, keys } = view.coloring;
    if (column < 0 || !data.neighbors || data.layers.length < 2) return [];
    const colors = state.by === column && codes ? new Map(keys.map((key) => [key.level, `rgb(${key.color.join(',')})`])) : null;
    const L = data.layers.length;
    const svg = drawing('svg', { class: 'll-journey', viewBox: `0 0 ${L * 10} 34`, preserveAspectRatio: 'none', role: 'img' });
    const said = [];
    for (let l = 0; l < L; l++) {
      const { level, share } = company(data, l, row, column);
      if (level < 0) continue;
      const label = printable(data.columns[column].levels[level] ?? '', 24);
      const bar = drawing('rect', { x: l * 10 + 1, y: 34 - 32 * share, width: 8, height: 32 * share, fill: colors?.get(level) ?? 'currentColor', class: l === view.layer ? 'll-now' : '' });
      bar.append(drawing('title', {}, `${printable(data.layers[l].name, 40)}: ${Math.round(100 * share)} % ${label}`));
      svg.append(bar);
      said.push(`${l + 1}: ${label} ${Math.round(100 * share)} %`);
    }
    if (!said.length) return [];
    svg.setAttribute('aria-label', `Most of its neighbours, layer by layer: ${said.join(', ')}`);
    svg.addEventListener('click', (event) => {
      const edge = svg.getBoundingClientRect();
      view.go(Math.floor(((/** @type {MouseEvent} */ (event).clientX - edge.left) / edge.width) * L));
    });
    const first = company(data, 0, row, column).level, last = company(data, L - 1, row, column).level;
    const name = (/** @type {number} */ level) => printable(data.columns[column].levels[level] ?? '–', 24);
    const line = first === last ? `Most are ${name(first)} from first to last.` : `Most are ${name(first)} at first, ${name(last)} at last.`;
    return [element('h3', { textContent: 'Company through the layers' }), svg, element('p', { className: 'll-hint' }, element('bdi', { textContent: line }))];
  }

  store.on('pick by theme palette', redraw);
  store.on('t', () => Number.isInteger(state.t) && redraw());
  view.redrawDetail = redraw;
  return box;
}

/** The small card by the pointer. @param {import('./types.js').View} view */
export function createTip(view) {
  const { data, store, state } = view;
  const box = element('div', { className: 'll-tip', hidden: true });
  store.on('hover', () => {
    const row = state.hover;
    box.hidden = row < 0 || state.grid;
    if (box.hidden) return;
    const { x, y } = view.screen(row);
    const { codes, keys } = view.coloring;
    const key = codes && keys.find((each) => each.level === codes[row]);
    const lines = [element('strong', {}, element('bdi', { textContent: printable(idOf(data, row), 40) }))];
    const columns = [...new Set([typeof state.by === 'number' ? state.by : -1, data.roles.label ?? -1, data.roles.prediction ?? -1])].filter((c) => c >= 0);
    for (const c of columns) {
      const line = element('span', {}, `${printable(data.columns[c].name, 24)} `, element('bdi', { textContent: printable(cell(data.columns[c], row), 40) || '–' }));
      if (key && c === state.by) line.prepend(keyMark(key.color, key.shape));
      lines.push(line);
    }
    box.replaceChildren(view.picture(row, 64) ?? '', element('div', {}, ...lines));
    const left = x + 16 + box.offsetWidth > view.width ? x - 16 - box.offsetWidth : x + 16;
    const top = Math.min(Math.max(4, y - 20), view.height - box.offsetHeight - 4);
    box.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  });
  return box;
}
