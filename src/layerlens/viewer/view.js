// The page: puts the parts together, and is what Python and tests talk to.

import { createActions } from './actions.js';
import { colorChoices, createBar, createTools } from './bar.js';
import { createChosen } from './chosen.js';
import { createCloud } from './cloud.js';
import { idOf, labelColumn } from './data.js';
import { createDepth } from './depth.js';
import { createDetail, createTip } from './detail.js';
import { decodeHash, decodeRow, decodeRows, encodeHash, encodeRows } from './hash.js';
import { command, listenToKeys } from './keys.js';
import { createLegend } from './legend.js';
import { createMultiples } from './multiples.js';
import { unpacked } from './palette.js';
import { pieces } from './pieces.js';
import { listenToPointer } from './pointer.js';
import { composition, marked, rowOfId } from './query.js';
import { createSaving } from './save.js';
import { createStore } from './store.js';
import { createThumbs } from './thumbs.js';
import { createTravel } from './travel.js';
import { unturned } from './turning.js';
import { atEnd, clamp, count, counted, element, figure, group, listen, percent, printable, quoted, refill } from './util.js';

/** @param {import('./types.js').Data} data @param {"light" | "dark"} theme @returns {import('./types.js').State} */
function firstState(data, theme) {
  return {
    t: 0, goal: 0, by: labelColumn(data), palette: 'petroff', selection: new Uint8Array(data.n), selected: 0, pick: -1, hover: -1, mode: 'move',
    camera: { x: 0, y: 0, k: 1 }, spin: unturned(), theme,
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
  const begin = pieces.steps?.(data); // before anything asks which layers there are
  const ending = new AbortController();
  const system = matchMedia('(prefers-color-scheme: dark)');
  const themeOf = (/** @type {boolean} */ dark) => (dark ? 'dark' : 'light');
  const store = createStore(firstState(data, themeOf(options.theme ? options.theme === 'dark' : system.matches)));
  const { state } = store;
  const { layers, n, head } = data;
  const L = layers.length;
  const live = element('p.ll-live', { role: 'status' });
  let saying = 0;
  /** Say something in a while, unless something else is said before. @param {() => void} f @param {number} time */
  const later = (f, time) => {
    clearTimeout(saying);
    saying = setTimeout(f, time);
  };
  /** @type {string[]} */
  const notes = head.total > n ? [`a sample: ${count(n)} of ${count(head.total)} points`] : [];
  const view = /** @type {import('./types.js').View} */ (/** @type {unknown} */ ({
    root, data, store, state, options, signal: ending.signal, visible: null, lasso: [], pictured: [], actions: {}, width: 0, height: 0,
    get layer() { return clamp(Math.round(state.t), 0, L - 1); },
    say(/** @type {string} */ text) {
      live.textContent = text;
      later(describe, 6000);
    },
    note(/** @type {string} */ text) {
      notes.push(text);
      title();
    },
  }));

  root.replaceChildren();
  root.classList.add('ll');
  createTravel(view);
  const beside = begin?.(view);
  const caption = element('div.ll-caption');
  const place = element('output');
  const stage = element('div.ll-stage');
  const cloud = createCloud(view, stage);
  createActions(view);
  createSaving(view, cloud);
  const bar = createBar(view);
  createThumbs(view);
  cloud.recolor();
  const legend = createLegend(view);
  const detail = createDetail(view);
  const invitation = element('p.ll-invitation', { hidden: L < 2 }, 'Play: every layer moves the points. Click one to see what it is and where it goes.');
  stage.append(caption, ...createTools(view), invitation, createTip(view));
  const { track, figures } = createDepth(view);
  const alone = { disabled: L < 2 };
  const play = command(view, 'play', { className: 'll-play' }, alone);
  const grid = createMultiples(view.all ?? view, false);
  root.append(bar,
    element('div.ll-body',
      element('div.ll-main', stage, grid, group('div.ll-depth', 'Depth',
        element('div.ll-gutter', element('div.ll-steps', command(view, 'previous', alone), play, command(view, 'next', alone), place), figures),
        element('div.ll-along', track, createMultiples(view, true)), beside)),
      element('aside.ll-side', legend, pieces.alike?.(view), detail, createChosen(view))),
    live);

  function summary() {
    const { selected, selection, pick } = state;
    const made = composition(view.coloring, selection).slice(0, 3).map(({ key, count: size }) => `${count(size)} ${printable(key.label, 24)}`);
    return [
      `Layer ${view.layer + 1} of ${L}, ${printable(layers[view.layer].name)}: ${counted(n, 'point')}${head.total > n ? ` of ${count(head.total)}` : ''}, coloured by ${printable(view.coloring.name)}.`,
      selected && `${count(selected)} selected${made.length ? `: ${made.join(', ')}` : ''}.`,
      pick >= 0 && `Picked ${printable(idOf(data, pick))}.`,
    ].filter(Boolean).join(' ');
  }

  function describe() {
    live.textContent = summary();
    const figured = Object.entries(layers[view.layer].metrics).filter(([name]) => !name.endsWith('_se')).map(([name, v]) => `${printable(name.replaceAll('_', ' '))} ${figure(v)}`);
    cloud.over.setAttribute('aria-label', `${summary()} ${figured.join(', ')}`);
  }

  function title() {
    const { name, title: given, type, dim, width = 0, sketched, metrics: { neighbor_recall: kept, trustworthiness: trust } } = layers[view.layer];
    const known = (/** @type {unknown[]} */ facts) => element('p', facts.filter(Boolean).join(' · '));
    refill(caption, element('h2', quoted(given || name)),
      known([type && printable(type), dim && `${count(dim)} values${sketched ? `, sketched to ${count(width)}` : ''}`]),
      known([kept !== undefined && `shows ${percent(kept)} of each point’s nearest neighbours`, trust !== undefined && `trustworthiness ${figure(trust)}`]),
      notes.map((note) => element('p', note)));
    place.textContent = `${view.layer + 1} / ${L}`;
  }

  /** What follows from the state alone, of the parts that stay. */
  function follow() {
    root.dataset.theme = state.theme;
    stage.hidden = state.grid;
    grid.hidden = !state.grid;
    play.textContent = state.playing ? 'Pause' : 'Play';
  }

  /** @type {import('./types.js').Layer | undefined} */
  let titled;
  store.on('t step', () => {
    if (titled === layers[view.layer]) return;
    titled = layers[view.layer];
    title();
  });
  store.on('t step goal by selection pick', () => later(describe, 100));
  store.on('theme grid playing', follow);
  store.on('playing pick selection', () => (invitation.hidden = true));
  if (!options.theme) listen(view, system, 'change', () => store.set({ theme: themeOf(system.matches) }));
  listenToPointer(view, cloud.over);
  listenToKeys(view);

  /** @param {Record<string, any>} patch from outside: names and ids as well as numbers */
  function set(patch) {
    /** @type {Record<string, any>} */
    const known = {};
    for (const [name, value] of Object.entries(patch)) {
      if (name === 't') view.seek(Number(value) || 0);
      else if (name === 'layer') {
        view.toStepOf?.(value);
        const layer = layers.findIndex((each) => each.name === value);
        if (layer >= 0 && layer !== state.goal) view.seek(layer);
      } else if (name === 'by') {
        const column = data.columns.findIndex((each) => each.name === value);
        const by = column < 0 ? value : column;
        if (colorChoices(data).some(([choice]) => choice === by)) known.by = by;
      } else if (name === 'selection') {
        known.selection = value instanceof Uint8Array && value.length === n ? value.slice() : marked(n, Array.from(value));
      } else if (name === 'pick' || name === 'hover') {
        const row = typeof value === 'number' ? value : rowOfId(data, String(value));
        known[name] = row in state.selection ? row : -1;
      } else if (name === 'hidden') known.hidden = new Set(value);
      else if (typeof value === typeof (/** @type {any} */ (state)[name]) && !['goal', 'selected', 'camera', 'spin', 'playing'].includes(name)) known[name] = value;
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
    let settled = layers[view.layer];
    return store.on('t u', () => {
      const here = layers[state.t]; // none between two
      if (!here || Number(state.u) % 1 || settled === here) return;
      settled = here;
      f(state);
    });
  }

  if (options.page) keepInAddress(view, set, on);
  follow();
  title();
  view.redrawLegend();
  later(describe, 100);

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
      // a page within a page has no address of its own
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
    if (pick !== undefined) patch.pick = decodeRow(pick);
    if (sel !== undefined) patch.selection = decodeRows(sel, data.n);
    set(patch);
  };
  read();
  listen(view, window, 'hashchange', read);
  atEnd(view, () => clearTimeout(timer));
  on('layer', later);
  view.store.on('by pick selection goal step', later);
}
