// How alike the layers of two models are: a heat map beside the picture, which leads to every pair. Only pages of two
// models carry it.

import { fitted, nearestRow } from './geometry.js';
import { openSheet } from './keys.js';
import { createMultiples } from './multiples.js';
import { pieces } from './pieces.js';
import { atEnd, button, clamp, counted, drawing, element, group, listen, percent, pressed, printable, quoted, refill } from './util.js';

/** @typedef {(number | null)[][]} Figures a row a layer of the first, null where a layer is a dot */
/** @typedef {{names: string[], layers: string[][], cka: Figures, ckaError: Figures, overlap: Figures, overlapError: Figures, k: number, samples: number, chance: number, notes: string[]}} Alike */

const WIDTH = 266; // of the map in the column on the right, and of its names
const MOST_NAME = 84;
const LETTER = 5.9;

/** What the file has of two models. @param {any} given @returns {Alike} */
export function alikeOf(given) {
  return {
    names: given['names'], layers: given['layers'], cka: given['cka'], ckaError: given['cka_error'], overlap: given['overlap'], overlapError: given['overlap_error'],
    k: given['k'], samples: given['n_samples'], chance: given['chance'], notes: given['notes'],
  };
}

/** What is known of a pair, in words. @param {Alike} alike @param {number} i @param {number} j */
export function pairText(alike, i, j) {
  const likeness = alike.cka[i][j], shared = alike.overlap[i][j];
  const off = alike.ckaError[i][j], hidden = alike.overlapError[i][j];
  const parts = [
    likeness === null ? 'no CKA: all samples of a layer lie at one point' : `linear CKA ${likeness.toFixed(3)}${off ? ` ± ${off.toFixed(3)}` : ''}`,
    shared !== null && `${percent(shared)} of neighbours shared${hidden ? `, without sketches up to ${percent(Math.min(1, shared + hidden))}` : ''}`,
  ];
  return parts.filter(Boolean).join('; ');
}

/** The end of a name tells layers apart. @param {string} name @param {number} room px */
export function tail(name, room) {
  const letters = [...printable(name, 400)], most = Math.floor(room / LETTER);
  return letters.length > most ? '…' + letters.slice(letters.length - most + 1).join('') : letters.join('');
}

/**
 * @param {import('./types.js').View} view
 */
export function createAlike(view) {
  const { data: { head }, store, state, root } = view;
  if (!head['comparison']) return;
  const alike = alikeOf(head['comparison']);
  /** @type {number[][]} */
  const places = head['comparison']['at'];
  const { names, layers: [first, second], k, samples, chance } = alike;
  /** @type {number[] | undefined} which of the page's layers are one behind the other where all steps are shown */
  const order = head['steps']?.['at'].flat();
  const whole = view.all ?? view;
  const placeOf = (/** @type {number} */ layer) => (order ? order.indexOf(layer) : layer);
  const shownLayer = () => (order ? order[whole.layer] : view.layer);
  /** @type {[string, string, Figures, number][]} */
  const measures = [
    ['Linear CKA', 'the shape of the whole cloud: 1 where two layers are alike up to rotation and scale', alike.cka, 0],
    ['Neighbours', `the mean share of a sample’s ${k} nearest that it has in both layers`, alike.overlap, chance],
  ];
  const rows = first.length, columns = second.length;
  const room = (/** @type {string[]} */ layers) => Math.min(MOST_NAME, 10 + LETTER * Math.max(...layers.map((name) => printable(name).length)));
  const NAMES = room(first), ABOVE = room(second);
  const width = Math.min(42, (WIDTH - NAMES) / columns), height = Math.min(width, Math.max(5, 300 / rows), 26);
  const at = { i: 0, j: 0 };
  let measure = 0;
  /** @type {AbortController | undefined} of the pair that is shown */
  let showing;

  const readout = element('p.ll-readout');
  const svg = drawing('svg.ll-heat', {
    viewBox: `0 0 ${WIDTH} ${ABOVE + rows * height + 2}`, role: 'grid', 'aria-label': `How alike the layers of ${printable(names[0])}, down, and of ${printable(names[1])}, across, are`,
    'aria-rowcount': rows, 'aria-colcount': columns, onpointerleave: () => read(),
  });
  const ring = drawing('rect.ll-ring', { width, height, 'aria-hidden': true });
  /** @type {SVGElement[][]} */
  let cells = [];

  const nameOf = (/** @type {number} */ i, /** @type {number} */ j) => [printable(first[i]), ' of ', printable(names[0]), ' and ', printable(second[j]), ' of ', printable(names[1])].join('');

  /** Say what is known of a pair; without one, what to do. @param {number} [i] @param {number} [j] */
  function read(i, j) {
    ring.setAttribute('x', String(NAMES + (j ?? -99) * width));
    ring.setAttribute('y', String(ABOVE + (i ?? -99) * height));
    ring.setAttribute('visibility', i === undefined ? 'hidden' : 'visible');
    if (i === undefined || j === undefined) return refill(readout, 'Point at a square for its figures; click it to see both layers side by side.');
    refill(readout, element('b', quoted(first[i])), ' of ', quoted(names[0]), ' and ', element('b', quoted(second[j])), ' of ', quoted(names[1]), ': ', pairText(alike, i, j), '.');
  }

  function redraw() {
    const [, , values, low] = measures[measure];
    const shares = values.map((row) => row.map((value) => (value === null ? null : clamp((value - low) / (1 - low), 0, 1))));
    const best = shares.map((row) => {
      const most = Math.max(...row.map((share) => share ?? 0));
      return columns > 1 && most >= 0.1 ? row.indexOf(most) : -1; // below, which is the highest is chance
    });
    cells = shares.map((row, i) => row.map((share, j) => {
      const box = { x: NAMES + j * width, y: ABOVE + i * height, width, height };
      const node = drawing(share === null ? 'rect.ll-dotted' : 'rect', {
        ...box, 'fill-opacity': share ?? 0, role: 'gridcell', tabindex: i === at.i && j === at.j ? 0 : -1, 'aria-label': `${nameOf(i, j)}: ${pairText(alike, i, j)}`,
        onpointerenter: () => read(i, j), onclick: () => open(i, j),
        onfocus: () => read(i, j), onblur: () => read(),
      });
      return node;
    }));
    const figures = width >= 26 && height >= 15, full = state.theme === 'dark' ? 0.6 : 0.8; // from there on the ground is the accent
    refill(svg,
      second.map((name, j) => width >= 9 && drawing('text.ll-across', { transform: `translate(${NAMES + (j + 0.5) * width + 3.5} ${ABOVE - 5}) rotate(-90)`, 'aria-hidden': true }, tail(name, ABOVE - 5))),
      cells.map((row, i) => drawing('g', { role: 'row' }, height >= 9 && drawing('text.ll-down', { x: NAMES - 6, y: ABOVE + (i + 0.5) * height + 3.5, 'aria-hidden': true }, tail(first[i], NAMES - 6)), row)),
      best.map((j, i) => j >= 0 && drawing('rect.ll-best', { x: NAMES + j * width + 1, y: ABOVE + i * height + 1, width: width - 2, height: height - 2, 'aria-hidden': true })),
      figures && shares.map((row, i) => row.map((share, j) => share !== null && drawing(share > full ? 'text.ll-figure ll-full' : 'text.ll-figure',
        { x: NAMES + (j + 0.5) * width, y: ABOVE + (i + 0.5) * height + 3.5, 'aria-hidden': true }, (values[i][j] ?? 0).toFixed(2).replace('0.', '.')))), ring);
    scale.textContent = low ? low.toFixed(2) : '0';
    buttons.forEach((node, m) => pressed(node, m === measure));
    mark();
  }

  /** Which of the layers are on the page's left. */
  function mark() {
    const here = shownLayer();
    svg.querySelectorAll('.ll-down').forEach((text, i) => text.classList.toggle('ll-here', places[0][i] === here));
    svg.querySelectorAll('.ll-across').forEach((text, j) => text.classList.toggle('ll-here', places[1][j] === here));
  }

  listen(view, svg, 'keydown', (/** @type {KeyboardEvent} */ event) => {
    const step = /** @type {Record<string, number[]>} */ ({ ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0], Home: [0, -columns], End: [0, columns] })[event.key];
    const { i, j } = at;
    if (event.key === 'Enter' || event.key === ' ') open(i, j);
    else if (!step) return;
    else {
      cells[i][j].setAttribute('tabindex', '-1');
      at.i = clamp(i + step[0], 0, rows - 1);
      at.j = clamp(j + step[1], 0, columns - 1);
      cells[at.i][at.j].setAttribute('tabindex', '0');
      cells[at.i][at.j].focus();
    }
    event.preventDefault();
    event.stopPropagation(); // elsewhere these go through the layers
  });

  /** Show the layers of a pair side by side, in the place of the cloud. @param {number} i @param {number} j */
  function open(i, j) {
    showing?.abort();
    const closing = showing = new AbortController();
    const { signal } = closing;
    const pair = [placeOf(places[0][i]), placeOf(places[1][j])];
    const side = /** @type {import('./types.js').View} */ (/** @type {unknown} */ ({
      __proto__: whole, signal, layer: -1,
      data: { ...whole.data, layers: pair.map((l, s) => ({ ...whole.data.layers[l], short: `${[first[i], second[j]][s]}, ${names[s]}` })) },
      store: { ...store, on: (/** @type {string} */ what, /** @type {() => void} */ f) => signal.addEventListener('abort', store.on(what, f)) },
      placesOnce: (/** @type {number} */ s) => whole.placesOnce(pair[s]),
      placeOf: (/** @type {number} */ row, /** @type {number} */ s) => whole.placeOf(row, pair[s]),
      go: (/** @type {number} */ s) => whole.go(pair[s]),
    }));
    const both = createMultiples(side, false);
    const box = group('div.ll-pair', 'A pair of layers', element('p', element('span', nameOf(i, j), ': ', pairText(alike, i, j)), button('Back', 'back to the cloud', 'G', () => store.set({ grid: false }))), both);
    // a point under the pointer is shown in both
    listen(side, both, 'pointermove', (/** @type {PointerEvent} */ event) => {
      const canvas = /** @type {Element} */ (event.target).closest('button')?.querySelector('canvas');
      if (!canvas) return;
      const { left, top, width: w, height: h } = canvas.getBoundingClientRect();
      const { k: scaled, x, y } = fitted(w, h);
      const s = [...both.querySelectorAll('canvas')].indexOf(canvas);
      store.set({ hover: nearestRow(side.placesOnce(s), (event.clientX - left - x) / scaled, (event.clientY - top - y) / scaled, 14 / scaled, view.visible) });
    });
    signal.addEventListener('abort', () => {
      box.remove();
      delete root.dataset.pair;
    });
    root.querySelector('.ll-stage')?.after(box);
    root.dataset.pair = 'shown';
    whole.go(pair[0]);
    store.set({ grid: true });
    view.say(`${nameOf(i, j)}, side by side: ${pairText(alike, i, j)}.`);
  }

  function asTable() {
    const around = (/** @type {number | null} */ value, /** @type {number | null} */ error) => (value === null ? '–' : value.toFixed(3) + (error ? ` ± ${error.toFixed(3)}` : ''));
    const share = (/** @type {number | null} */ value, /** @type {number | null} */ error) => {
      if (value === null) return '–';
      const [least, most] = [value, Math.min(1, value + (error ?? 0))].map(percent);
      return least === most ? least : `${least} to ${most}`;
    };
    const cell = (/** @type {number} */ i, /** @type {number} */ j) => element('td', element('div', around(alike.cka[i][j], alike.ckaError[i][j])), element('div', share(alike.overlap[i][j], alike.overlapError[i][j])));
    openSheet(view, 'How alike the layers of the two are',
      element('p', `Above, linear CKA: ${measures[0][1]}; behind ± the standard error that sketches leave.`),
      element('p', `Below, shared neighbours: ${measures[1][1]}, by chance ${percent(chance)}; up to the second figure they would be without sketches. Of ${counted(samples, 'sample')}.`),
      element('div.ll-scroll', { tabIndex: 0 }, element('table.ll-pairs',
        element('caption', quoted(names[0]), ' down, ', quoted(names[1]), ' across'),
        element('thead', element('tr', element('td'), second.map((name) => element('th', { scope: 'col' }, quoted(name))))),
        element('tbody', first.map((name, i) => element('tr', element('th', { scope: 'row' }, quoted(name)), second.map((_, j) => cell(i, j))))))),
      alike.notes.map((note) => element('p', printable(note, 400))));
  }

  const buttons = measures.map(([name, what], m) => button(name, what, '', () => {
    measure = m;
    redraw();
  }));
  const scale = element('span');
  redraw();
  read();
  store.on('t step', mark);
  store.on('theme', redraw);
  store.on('grid', () => !state.grid && showing?.abort());
  atEnd(view, () => showing?.abort());
  return element('section.ll-alike', { 'aria-label': 'How alike the layers are' },
    element('h2', 'How alike the layers are'),
    group('div.ll-tools', 'Measure', buttons, button('Table', 'all figures of all pairs', '', asTable)),
    element('p.ll-hint', quoted(names[0], 24), ' down, ', quoted(names[1], 24), ' across'), svg,
    element('p.ll-ends', element('span', 'framed: highest of its row'), scale, element('i.ll-scale'), element('span', '1')),
    readout);
}

pieces.alike = createAlike;
