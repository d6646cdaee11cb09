// A second axis: the steps of a training run, or two models on the same samples. Only pages of such a series carry it.
//
// The rest of the page knows one row of layers. Here that row is exchanged for another step's, and while one goes from
// step to step the points are between two rows. What shows depth shows steps too: the same slider, chart and strip
// are made once more, of a view whose "layers" are the steps of one layer.

import { createDepth } from './depth.js';
import { blend, identity, NOWHERE, placeIn } from './geometry.js';
import { command, KEYS } from './keys.js';
import { createMultiples } from './multiples.js';
import { pieces } from './pieces.js';
import { movers } from './query.js';
import { createTravel } from './travel.js';
import { alignments } from './turning.js';
import { button, clamp, counted, element, group, listen, printable, refill } from './util.js';

/** @typedef {import('./types.js').Data} Data */
/** @typedef {import('./types.js').Layer} Layer */
/** @typedef {import('./types.js').View} View */
/** @typedef {Pick<Data, "positions" | "present" | "maps" | "stress" | "spread" | "clusters" | "neighbors">} Parts what differs from step to step */
/** @typedef {{label: string, cells: number[], layers: Layer[], parts: Parts}} Row one step: which of the page's layers it has (-1: none), and what they know */

/** What the two kinds of series are called. */
const WORDS = {
  step: { one: 'step', all: 'Training steps', short: 'Steps', of: ' of ', at: ' at ', later: 'next training step', earlier: 'training step before', absent: 'not recorded at this step' },
  model: { one: 'model', all: 'Models', short: 'Models', of: ' at ', at: ' of ', later: 'next model', earlier: 'model before', absent: 'not in this model' },
};

/**
 * The layers of one step, as if they were all. Where they lie one behind the other nothing is copied.
 * @param {Data} full @param {number[]} cells
 * @returns {Parts}
 */
export function partsOf(full, cells) {
  const { n, components, neighbors } = full;
  const whole = cells.every((cell, d) => cell >= 0 && cell === cells[0] + d);
  /**
   * @template {Uint8Array | Uint16Array | Uint32Array} T
   * @param {T | null} values @param {number} size of a layer @param {number} none what stands where there is no layer
   */
  const part = (values, size, none) => {
    if (!values || whole) return values && /** @type {T} */ (values.subarray(cells[0] * size, (cells[0] + cells.length) * size));
    const out = /** @type {T} */ (new (/** @type {any} */ (values.constructor))(cells.length * size).fill(none));
    cells.forEach((cell, d) => cell >= 0 && out.set(values.subarray(cell * size, (cell + 1) * size), d * size));
    return out;
  };
  const there = full.present ?? (cells.includes(-1) ? new Uint8Array(full.layers.length * n).fill(1) : null);
  return {
    positions: /** @type {Uint16Array} */ (part(full.positions, n * components, 65535)),
    present: part(there, n, 0), stress: part(full.stress, n, 0), spread: part(full.spread, n, 0), clusters: part(full.clusters, n, 65535),
    // a number that is no row of the page
    maps: null,
    neighbors: neighbors && { ...neighbors, table: /** @type {Uint16Array} */ (part(neighbors.table, neighbors.rows * neighbors.k, -1)) },
  };
}

/**
 * Between two places of every row. A row that one of the two lacks is where the nearer has it.
 * @param {Float32Array} before @param {Float32Array} after @param {number} f how far one is on the way
 * @param {Float32Array} out may be one of both
 */
export function between(before, after, f, out) {
  const near = f < 0.5 ? before : after;
  for (let i = 0; i < out.length; i++) {
    const p = before[i], q = after[i];
    out[i] = p === NOWHERE || q === NOWHERE ? near[i] : p + (q - p) * f;
  }
  return out;
}

/**
 * @param {Data} full the page's data, of which from here on one step alone is seen
 * @returns {((view: View) => HTMLElement) | undefined} what makes the slider, once there is a view
 */
export function secondAxis(full) {
  const given = full.head['steps'];
  if (!given) return;
  const words = WORDS[/** @type {"step" | "model"} */ (given['axis'])];
  /** @type {string[]} */
  const shorts = given['layers'];
  const D = shorts.length;
  const whole = { ...full, layers: [...full.layers] };
  /** @type {Row[]} */
  const rows = given['names'].map((/** @type {string} */ name, /** @type {number} */ s) => {
    const label = given['axis'] === 'step' ? `step ${name}` : name;
    /** @type {number[]} */
    const cells = given['at'][s];
    return {
      label, cells, parts: partsOf(whole, cells),
      layers: cells.map((cell, d) => ({
        ...(whole.layers[cell] ?? { name: `${shorts[d]}@${name}`, type: words.absent, metrics: {}, lacks: ['stress', 'spread', 'clusters', 'neighbors'] }),
        title: `${shorts[d]}, ${label}`, short: shorts[d],
      })),
    };
  });
  /** @param {number} s */
  const show = (s) => {
    Object.assign(full, rows[s].parts);
    full.layers.splice(0, full.layers.length, ...rows[s].layers);
  };
  show(0);
  return (view) => createSteps(view, whole, rows, words, show, D);
}

/**
 * @param {View} view @param {Data} whole @param {Row[]} rows @param {typeof WORDS["step"]} words
 * @param {(step: number) => void} show @param {number} D layers of a step
 */
function createSteps(view, whole, rows, words, show, D) {
  const { data, store, state, root, actions } = view;
  const { n, components: C } = data;
  const last = rows.length - 1;
  const scratch = new Float32Array(2 * n);
  let shown = 0, seenU = 0, goal = 0, leads = D < 2;
  Object.assign(state, { step: 0, u: 0, depth: 0 });
  const u = () => Number(state.u), step = () => Number(state.step);

  /** The first to hear of a step: it exchanges what the others read. */
  function follow() {
    if (seenU === u() && step() !== Math.round(u())) return axis.seek(step()); // from outside
    const at = clamp(u(), 0, last), nearest = Math.round(at);
    seenU = at;
    if (at !== u() || nearest !== step()) return store.set({ u: at, step: nearest });
    if (nearest !== shown) show(shown = nearest);
    const i = Math.floor(at), f = at - i;
    view.between = f ? (full, t, spin, out, depth) => {
      const far = depth ? new Float32Array(n) : null;
      blend({ ...full, ...rows[i].parts }, t, spin, out, depth);
      blend({ ...full, ...rows[i + 1].parts }, t, spin, scratch, far);
      if (depth && far) between(depth, far, f, depth);
      return between(out, scratch, f, out);
    } : undefined;
  }

  store.on('u step', follow);
  store.on('t', () => store.set({ depth: view.layer }));
  store.on('align', () => {
    const cell = rows[step()].cells[view.layer];
    whole.maps = state.align && state.selected && cell >= 0 ? alignments(whole, state.selection, cell) : null;
    for (const { cells, parts } of rows) parts.maps = whole.maps && cells.map((each) => whole.maps?.[each] ?? identity(C));
  });

  /** Where rows are in one layer of one step. @param {number} s @param {number} d */
  const placesIn = (s, d) => (rows[s].cells[d] < 0 ? scratch.fill(NOWHERE) : blend(whole, rows[s].cells[d], state.spin, scratch));
  /** @param {number} row @param {number} s @param {number} d */
  const placeOf = (row, s, d) => (rows[s].cells[d] < 0 ? null : placeIn(whole, rows[s].cells[d], row, state.spin));

  /**
   * A store that calls what happens by other names.
   * @param {Record<string, string>} others @param {(patch: any) => void} [set]
   */
  const renamed = (others, set = store.set) => ({
    ...store, set, on: (/** @type {string} */ names, /** @type {(s: any) => void} */ f) => store.on(names.split(' ').map((name) => others[name] ?? name).join(' '), f),
  });

  /** The steps of the layer that is shown, as if they were the layers. @type {Layer[]} */
  const column = rows.map(() => ({ name: '', metrics: Object.fromEntries(whole.layers.flatMap(({ metrics }) => Object.keys(metrics).map((name) => [name, 0]))) }));
  const axis = /** @type {View} */ (/** @type {unknown} */ ({
    __proto__: view,
    data: { ...data, layers: column },
    get layer() { return step(); },
    state: { __proto__: state, get t() { return u(); }, get goal() { return goal; } },
    store: renamed({ t: 'u', step: 'depth', u: 'depth' }, ({ t = u(), goal: to = goal, ...rest }) => {
      goal = to;
      store.set({ ...rest, u: t, step: Math.round(t) });
    }),
    placesOnce: (/** @type {number} */ s) => placesIn(s, view.layer),
    placeOf: (/** @type {number} */ row, /** @type {number} */ s) => placeOf(row, s, view.layer),
  }));
  createTravel(axis);

  // which of both axes goes is settled by which was used last; one that plays makes the other rest
  const movesOf = (/** @type {View} */ { seek, go, play }) => /** @type {Record<string, (to: any) => void>} */ ({ seek, go, play });
  const through = movesOf(view), along = movesOf(axis);
  for (const name of /** @type {const} */ (['seek', 'go', 'play'])) {
    view[name] = (/** @type {any} */ to) => {
      lead(false);
      if (state.playing) along.go(goal);
      through[name](to);
    };
    axis[name] = (/** @type {any} */ to) => {
      lead(true);
      if (state.playing) through.go(state.goal);
      along[name](to);
    };
  }
  const { play } = view;
  view.play = (on) => (leads ? axis.play : play)(on);

  view.all = /** @type {View} */ (/** @type {unknown} */ ({
    __proto__: view,
    data: { ...whole, layers: rows.flatMap(({ label, layers }) => layers.map(({ short, ...layer }) => ({ ...layer, short: `${short}, ${label}` }))) },
    get layer() { return step() * D + view.layer; },
    store: renamed({ t: 't step', step: 'depth', u: 'depth' }),
    placesOnce: (/** @type {number} */ l) => placesIn(Math.floor(l / D), l % D),
    placeOf: (/** @type {number} */ row, /** @type {number} */ l) => placeOf(row, Math.floor(l / D), l % D),
    go(/** @type {number} */ l) {
      axis.go(Math.floor(l / D));
      view.go(l % D);
    },
  }));
  view.toStepOf = (name) => {
    const at = rows.findIndex(({ layers }) => layers.some((layer) => layer.name === name));
    if (at >= 0 && at !== u()) axis.seek(at);
  };

  Object.assign(actions, {
    later: () => axis.go(goal + 1), earlier: () => axis.go(goal - 1),
    stepMovers() {
      const from = Math.max(0, Math.min(step(), last - 1));
      const [a, b] = [from, from + 1].map((s) => rows[s].cells[view.layer]);
      view.select(a < 0 || b < 0 ? new Uint8Array(n) : movers(whole, a, b));
      view.say(`${counted(state.selected, 'point')} that move most in ${printable(data.layers[view.layer].short)}, between ${printable(rows[from].label)} and ${printable(rows[from + 1].label)}.`);
    },
  });
  KEYS[0][2] = `go through all layers, or ${words.all.toLowerCase()}: by the slider used last`;
  if (!KEYS.some(([key]) => key === 'ArrowUp')) // a second view of the same script has them already
    KEYS.splice(3, 0, ['ArrowUp', 'later', words.later, '›'], ['ArrowDown', 'earlier', words.earlier, '‹'],
      ['', 'stepMovers', `points that move most to the ${words.later.slice(5)}`, `Move most, by ${words.one}`]);

  const playing = button('Play', `go through the ${words.all.toLowerCase()}`, '', () => axis.play(!state.playing), { className: 'll-play' });
  const where = element('output'), of = element('span.ll-axis-name'), layersOf = element('span.ll-axis-name');

  /** @param {boolean} on */
  function lead(on) {
    leads = on;
    root.dataset.leads = on ? 'steps' : 'layers';
  }

  function tell() {
    const { short } = data.layers[view.layer];
    column.splice(0, rows.length, ...rows.map(({ label, layers }) => {
      const { metrics, ...layer } = layers[view.layer];
      // how far points went since the step before, where the chart of the layers has it since the layer before
      return { ...layer, short: label, metrics: Object.fromEntries(Object.entries(metrics).flatMap(([name, value]) => (name === 'motion_previous' ? [] : [[name === 'motion_step' ? 'motion_previous' : name, value]]))) };
    }));
    refill(of, element('b', words.short), words.of, element('bdi', printable(short)));
    refill(layersOf, element('b', 'Layers'), words.at, element('bdi', printable(rows[step()].label)));
    where.textContent = `${step() + 1} / ${rows.length}`;
  }

  store.on('step depth', tell);
  store.on('playing', () => (playing.textContent = state.playing ? 'Pause' : 'Play'));

  const { track } = createDepth(axis);
  const slider = /** @type {HTMLInputElement} */ (track.querySelector('input'));
  slider.title = `Drag through the ${words.all.toLowerCase()}`;
  slider.setAttribute('aria-label', words.all);
  listen(view, slider, 'keydown', (/** @type {KeyboardEvent} */ event) => {
    const to = /** @type {Record<string, number>} */ ({ ArrowRight: goal + 1, ArrowUp: goal + 1, ArrowLeft: goal - 1, ArrowDown: goal - 1, Home: 0, End: last })[event.key];
    if (to === undefined || event.shiftKey) return;
    event.preventDefault();
    event.stopPropagation(); // elsewhere these are of the layers
    axis.go(to);
  });

  const box = group('div.ll-along ll-training', words.all,
    element('div.ll-axis', of, element('span.ll-steps', command(view, 'earlier'), playing, command(view, 'later'), where)), track, createMultiples(axis, true));

  tell();
  queueMicrotask(() => { // the page is put together
    view.placeOf = (row, d) => {
      const f = u() % 1;
      const [a, b] = [Math.floor(u()), Math.ceil(u())].map((s) => placeOf(row, s, d));
      return a && b ? { x: a.x + (b.x - a.x) * f, y: a.y + (b.y - a.y) * f } : f < 0.5 ? a : b;
    };
    root.querySelector('.ll-along')?.prepend(element('div.ll-axis', layersOf));
    const grid = /** @type {HTMLElement} */ (root.querySelector('.ll-grid'));
    grid.style.gridTemplateColumns = `repeat(${D},minmax(84px,1fr))`;
    root.dataset.leads = leads ? 'steps' : 'layers';
    // the bar's own button is the layers', whichever slider was used last
    listen(view, root, 'click', ({ target }) => target.closest('.ll-gutter .ll-play') && !state.playing && lead(false), { capture: true });
    for (const menu of root.querySelectorAll('.ll-menu'))
      if (menu.textContent?.startsWith('Find')) menu.lastElementChild?.append(command(view, 'stepMovers'));
  });
  return box;
}

pieces.steps = secondAxis;
