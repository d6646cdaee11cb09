// The page: puts the parts together, and is what Python and tests talk to.

import { createActions } from './actions.js';
import { createBar, createTools } from './bar.js';
import { createChosen } from './chosen.js';
import { createCloud } from './cloud.js';
import { idOf, labelColumn } from './data.js';
import { createDepth } from './depth.js';
import { createDetail, createTip } from './detail.js';
import { decodeHash, decodeRows, encodeHash, encodeRows } from './hash.js';
import { listenToKeys } from './keys.js';
import { createLegend } from './legend.js';
import { createMultiples } from './multiples.js';
import { unpacked } from './palette.js';
import { listenToPointer } from './pointer.js';
import { composition, marked, rowOfId } from './query.js';
import { createSaving } from './save.js';
import { createStore } from './store.js';
import { createThumbs } from './thumbs.js';
import { createTravel } from './travel.js';
import { unturned } from './turning.js';
import { button, clamp, count, counted, element, figure, printable } from './util.js';

/** @param {import('./types.js').Data} data @param {{theme?: string}} options @returns {import('./types.js').State} */
function firstState(data, options) {
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  return {
    t: 0, goal: 0, by: labelColumn(data), palette: 'petroff', selection: new Uint8Array(data.n), selected: 0, pick: -1, hover: -1, mode: 'move',
    camera: { x: 0, y: 0, k: 1 }, spin: unturned(), theme: options.theme === 'dark' || options.theme === 'light' ? options.theme : dark ? 'dark' : 'light',
    hidden: new Set(), contours: false, names: false, images: false, paths: true, fade: false, grid: false, align: false, playing: false,
  };
}

/**
 * Draw the page into an element.
 * @param {HTMLElement} root
 * @param {import('./types.js').Data} data
 * @param {{page?: boolean, renderer?: string, theme?: string, ratio?: number}} [options]
 */
export function mount(root, data, options = {}) {
  const ending = new AbortController();
  const store = createStore(firstState(data, options));
  const { state } = store;
  const live = element('p', { className: 'll-live' });
  live.setAttribute('role', 'status');
  let saying = 0;
  const view = /** @type {import('./types.js').View} */ (/** @type {unknown} */ ({
    root, data, store, state, options, signal: ending.signal, visible: null, maps: null, lasso: [], pictured: [], actions: {}, width: 0, height: 0,
    get layer() { return clamp(Math.round(state.t), 0, data.layers.length - 1); },
    say(/** @type {string} */ text) {
      clearTimeout(saying);
      live.textContent = text;
      saying = setTimeout(() => (live.textContent = summary()), 6000);
    },
  }));
  const layers = data.layers.length;

  root.replaceChildren();
  root.classList.add('ll');
  root.dataset.theme = state.theme;
  createTravel(view);
  const stage = element('div', { className: 'll-stage' });
  const cloud = createCloud(view, stage);
  const { searchFor } = createActions(view);
  createSaving(view, cloud);
  const { bar, search } = createBar(view);
  view.actions.searchNow = () => searchFor(search.value);
  createThumbs(view);
  cloud.recolor();
  const legend = createLegend(view);
  const detail = createDetail(view);
  const caption = element('div', { className: 'll-caption' });
  const invitation = element('p', { className: 'll-invitation', textContent: 'Play: every layer moves the points. Click one to see what it is and where it goes.' });
  stage.append(caption, ...createTools(view), ...(layers > 1 ? [invitation] : []), createTip(view));
  const depth = createDepth(view);
  const play = button('Play', 'go through all layers', 'Space', () => view.play(!state.playing), 'll-play');
  const place = element('output');
  const steps = element('div', { className: 'll-steps' },
    button('‹', 'layer before', '←', () => view.actions.previous()), play, button('›', 'next layer', '→', () => view.actions.next()), place);
  const bottom = element('div', { className: 'll-depth' }, element('div', { className: 'll-gutter' }, steps, depth.figures),
    element('div', { className: 'll-along' }, depth.track, createMultiples(view, 'strip')));
  bottom.setAttribute('role', 'group');
  bottom.setAttribute('aria-label', 'Depth');
  const grid = createMultiples(view, 'grid');
  grid.hidden = true;
  const side = element('aside', { className: 'll-side' }, legend, detail, createChosen(view));
  root.append(bar, element('div', { className: 'll-body' }, element('div', { className: 'll-main' }, stage, grid, bottom), side), live);

  function summary() {
    const layer = data.layers[view.layer];
    const parts = [`Layer ${view.layer + 1} of ${layers}, ${printable(layer.name, 60)}: ${counted(data.n, 'point')}${data.head.total > data.n ? ` of ${count(data.head.total)}` : ''}, coloured by ${printable(view.coloring.name, 40)}.`];
    if (state.selected) {
      const made = composition(view.coloring, state.selection).slice(0, 3).map(({ key, count: size }) => `${count(size)} ${printable(key.label, 24)}`);
      parts.push(`${count(state.selected)} selected${made.length ? `: ${made.join(', ')}` : ''}.`);
    }
    if (state.pick >= 0) parts.push(`Picked ${printable(idOf(data, state.pick), 60)}.`);
    return parts.join(' ');
  }

  function describe() {
    clearTimeout(saying);
    saying = setTimeout(() => {
      live.textContent = summary();
      const { metrics } = data.layers[view.layer];
      const figures = Object.entries(metrics ?? {}).filter(([name, v]) => !name.endsWith('_se') && Number.isFinite(v)).map(([name, v]) => `${printable(name.replaceAll('_', ' '), 40)} ${figure(v)}`);
      cloud.over.setAttribute('aria-label', `${summary()} ${figures.join(', ')}`);
    }, 100);
  }

  function title() {
    const { name, title: given, type, dim, width, sketched, metrics } = data.layers[view.layer];
    const facts = [type && printable(type, 30), dim && `${count(dim)} values${sketched ? `, sketched to ${count(width ?? 0)}` : ''}`].filter(Boolean);
    const kept = metrics?.neighbor_recall;
    const belief = [
      Number.isFinite(kept) && `shows ${Math.round(100 * kept)} % of each point’s nearest neighbours`,
      Number.isFinite(metrics?.trustworthiness) && `trustworthiness ${figure(metrics.trustworthiness)}`,
    ].filter(Boolean);
    caption.replaceChildren(element('h2', {}, element('bdi', { textContent: printable(given || name, 60) })), element('p', { textContent: facts.join(' · ') }), element('p', { textContent: belief.join(' · ') }),
      ...(data.head.total > data.n ? [element('p', { textContent: `a sample: ${count(data.n)} of ${count(data.head.total)} points` })] : []));
    place.textContent = `${view.layer + 1} / ${layers}`;
  }

  let titled = -1;
  store.on('t', () => {
    if (titled === view.layer) return;
    titled = view.layer;
    title();
  });
  store.on('t goal by selection pick', describe);
  store.on('playing', () => {
    play.textContent = state.playing ? 'Pause' : 'Play';
    play.setAttribute('aria-label', play.textContent);
    invitation.hidden = true;
  });
  store.on('pick selection', () => (invitation.hidden = true));
  store.on('theme', () => (root.dataset.theme = state.theme));
  store.on('grid', () => {
    stage.hidden = state.grid;
    grid.hidden = !state.grid;
  });
  play.disabled = layers < 2;
  if (!options.theme) {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => store.set({ theme: event.matches ? 'dark' : 'light' }), { signal: ending.signal });
  }
  listenToPointer(view, cloud.over);
  listenToKeys(view);

  /** @param {Record<string, any>} patch from outside: names and ids as well as numbers */
  function set(patch) {
    /** @type {Record<string, any>} */
    const known = {};
    for (const [name, value] of Object.entries(patch)) {
      if (name === 't') view.seek(Number(value) || 0);
      else if (name === 'layer') {
        const layer = data.layers.findIndex((each) => each.name === value);
        if (layer >= 0 && layer !== state.goal) view.seek(layer);
      } else if (name === 'by') {
        const column = data.columns.findIndex((each) => each.name === value && each.kind !== 'text');
        if (typeof value === 'number' ? data.columns[value] && data.columns[value].kind !== 'text' : value === 'stress' ? column < 0 && data.stress : value === 'clusters' ? column < 0 && data.clusters : false) known.by = value;
        else if (column >= 0) known.by = column;
      } else if (name === 'selection') {
        known.selection = value instanceof Uint8Array && value.length === data.n ? value.slice() : marked(data.n, Array.from(value));
      } else if (name === 'pick' || name === 'hover') {
        const row = typeof value === 'number' ? value : rowOfId(data, String(value));
        known[name] = Number.isInteger(row) && row >= 0 && row < data.n ? row : -1;
      } else if (name === 'hidden') known.hidden = new Set(value);
      else if (name in state && typeof value === typeof (/** @type {any} */ (state)[name]) && !['goal', 'selected', 'camera', 'spin', 'playing'].includes(name)) known[name] = value;
    }
    store.set(known);
  }

  /** @param {string} name @param {(state: import('./types.js').State) => void} f */
  function on(name, f) {
    if (name === 'paint') {
      cloud.painted.add(f);
      return () => cloud.painted.delete(f);
    }
    if (name !== 'layer') return store.on(name, f);
    let settled = view.layer;
    return store.on('t', () => {
      if (!Number.isInteger(state.t) || settled === state.t) return;
      settled = state.t;
      f(state);
    });
  }

  if (options.page) keepInAddress(view, set, on);
  title();
  view.redrawLegend();
  view.redrawDetail();
  describe();

  return {
    state, set, on, screen: view.screen, frames: cloud.frames,
    /** @param {number} row */
    color: (row) => unpacked(view.coloring.colors[row]),
    get renderer() { return cloud.kind; },
    destroy() {
      ending.abort();
      clearTimeout(saying);
      root.replaceChildren();
      root.classList.remove('ll');
    },
  };
}

/**
 * The address's hash holds layer, colour, pick and selection.
 * @param {import('./types.js').View} view
 * @param {(patch: Record<string, any>) => void} set
 * @param {(name: string, f: (state: import('./types.js').State) => void) => unknown} on
 */
function keepInAddress(view, set, on) {
  const { data, state } = view;
  let timer = 0;
  let written = '';
  const write = () => {
    written = encodeHash({
      layer: data.layers[state.goal].name, by: typeof state.by === 'string' ? `~${state.by}` : (data.columns[state.by]?.name ?? ''),
      pick: state.pick >= 0 ? state.pick.toString(36) : '', sel: state.selected ? encodeRows(state.selection) : '',
    });
    try {
      history.replaceState(null, '', written || location.pathname);
    } catch {
      view.signal.aborted || clearTimeout(timer); // a page within a page has no address of its own
    }
  };
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(write, 200);
  };
  const read = () => {
    if (location.hash === written) return;
    const { layer, by, pick, sel } = decodeHash(location.hash);
    /** @type {Record<string, any>} */
    const patch = {};
    if (layer !== undefined) patch.layer = layer;
    if (by !== undefined) patch.by = by.startsWith('~') ? by.slice(1) : by;
    if (pick !== undefined) patch.pick = /^[0-9a-z]{1,6}$/.test(pick) ? parseInt(pick, 36) : -1;
    if (sel !== undefined) patch.selection = decodeRows(sel, data.n);
    set(patch);
  };
  read();
  window.addEventListener('hashchange', read, { signal: view.signal });
  view.signal.addEventListener('abort', () => clearTimeout(timer));
  on('layer', later);
  view.store.on('by pick selection goal', later);
}
