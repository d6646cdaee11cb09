// Depth: the chart of what each layer knows and its picture shows, over the scrubber that goes through it.

import { drawing, element, figure, printable } from './util.js';

/**
 * What is charted: name of the metric, word, meaning, how it is drawn.
 * @type {[string, string, string, string][]}
 */
export const SERIES = [
  ['knn_accuracy', 'classes apart', 'share of points whose nearest neighbours in the picture tell their class', 'class'],
  ['knn_accuracy_native', '… in the layer', 'the same by the neighbours in the layer itself: what the picture hides, where it is higher', 'class-native'],
  ['trustworthiness', 'trustworthy', 'trustworthiness: how far points that are close in the picture are close in the layer too; 1 is all', 'trust'],
  ['neighbor_recall', 'neighbours kept', 'share of a point’s nearest neighbours in the layer that are near it in the picture', 'recall'],
  ['neighbor_recall_sketch', 'sketch kept', 'share of the nearest neighbours that the sketch of a wide layer kept', 'sketch'],
  ['motion_previous', 'motion', 'how far points went since the layer before, in radii of the picture (bars)', 'motion'],
];

const HEIGHT = 100;
const PAD = 8;

/** @param {import('./types.js').View} view */
export function chartedSeries(view) {
  return SERIES.filter(([name]) => view.data.layers.some((layer) => Number.isFinite(layer.metrics?.[name])));
}

/**
 * @param {import('./types.js').View} view
 */
export function createDepth(view) {
  const { data, store, state } = view;
  const L = data.layers.length;
  const series = chartedSeries(view);
  const chart = drawing('svg', { class: 'll-chart', 'aria-hidden': 'true' });
  const slider = element('input', { type: 'range', min: 0, max: Math.max(L - 1, 0), step: 'any', value: state.t, className: 'll-slider', disabled: L < 2 });
  slider.setAttribute('aria-label', 'Layer');
  slider.title = 'Drag through the layers';
  const needle = element('i', { className: 'll-needle' });
  const track = element('div', { className: 'll-track' }, chart, needle, slider);
  const figures = element('dl', { className: 'll-figures' });
  /** @type {HTMLElement[]} */
  const values = [];
  for (const [, word, meaning, kind] of series) {
    const value = element('dd');
    values.push(value);
    const mark = drawing('svg', { class: `ll-mark ll-s-${kind}`, viewBox: '0 0 22 10', 'aria-hidden': 'true' },
      kind === 'motion' ? drawing('rect', { x: 7, y: 1, width: 8, height: 8 }) : drawing('path', { d: 'M0 5H22' }));
    figures.append(element('div', { title: meaning }, element('dt', {}, mark, word), value));
  }

  slider.addEventListener('input', () => view.seek(Number(slider.value)));
  slider.addEventListener('change', () => view.go(state.t));
  chart.addEventListener('click', (event) => {
    const box = chart.getBoundingClientRect();
    view.go(Math.floor((/** @type {MouseEvent} */ (event).clientX - box.left) / box.width * L));
  });

  function redraw() {
    const width = track.clientWidth;
    if (!width) return;
    const column = width / L;
    const X = (/** @type {number} */ l) => (l + 0.5) * column;
    const Y = (/** @type {number} */ v) => PAD + (1 - v) * (HEIGHT - 2 * PAD);
    chart.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    chart.replaceChildren();
    for (const v of [0, 0.5, 1]) {
      chart.append(drawing('path', { class: 'll-rule', d: `M0 ${Y(v)}H${width}` }));
      chart.append(drawing('text', { x: width - 2, y: Y(v) - 2, class: 'll-tick' }, String(v)));
    }
    for (const [name, , , kind] of [...series].reverse()) {
      const given = data.layers.map((layer) => layer.metrics?.[name]);
      if (kind === 'motion') {
        const most = Math.max(1, ...given.filter(Number.isFinite));
        given.forEach((v, l) => {
          if (!Number.isFinite(v) || !l) return;
          const w = Math.max(1, Math.min(14, column * 0.4));
          const top = Y(Math.max(0, v) / most);
          chart.append(drawing('rect', { class: 'll-s-motion', x: X(l) - column / 2 - w / 2, y: top, width: w, height: Y(0) - top }));
        });
        continue;
      }
      let path = '', pen = false;
      given.forEach((v, l) => {
        if (!Number.isFinite(v)) return void (pen = false);
        path += `${pen ? 'L' : 'M'}${X(l).toFixed(1)} ${Y(Math.min(1, Math.max(0, v))).toFixed(1)}`;
        pen = true;
      });
      chart.append(drawing('path', { class: `ll-line ll-s-${kind}`, d: path }));
      if (column > 14)
        given.forEach((v, l) => Number.isFinite(v) && chart.append(drawing('circle', { class: `ll-dot ll-s-${kind}`, cx: X(l), cy: Y(Math.min(1, Math.max(0, v))), r: 2.25 })));
    }
    const thumb = 18;
    slider.style.width = `${width - column + thumb}px`;
    slider.style.marginLeft = `${(column - thumb) / 2}px`;
    follow();
  }

  function follow() {
    const layer = data.layers[view.layer];
    slider.value = String(state.t);
    slider.setAttribute('aria-valuetext', `${view.layer + 1} of ${L}, ${printable(layer?.name ?? '', 60)}`);
    needle.style.left = `${((state.t + 0.5) / L) * 100}%`;
    series.forEach(([name], i) => (values[i].textContent = figure(layer.metrics?.[name] ?? NaN)));
  }

  store.on('t', follow);
  const watcher = new ResizeObserver(redraw);
  watcher.observe(track);
  view.signal.addEventListener('abort', () => watcher.disconnect());
  return { track, figures, slider };
}

/** All figures of all layers as a table. @param {import('./types.js').View} view */
export function depthTable(view) {
  const { layers } = view.data;
  const known = new Map(SERIES.map(([name, word, meaning]) => [name, { word, meaning }]));
  const names = [...new Set([...known.keys(), ...layers.flatMap((layer) => Object.keys(layer.metrics ?? {}))])]
    .filter((name) => !name.endsWith('_se') && layers.some((layer) => Number.isFinite(layer.metrics?.[name])));
  const head = element('tr', {}, ...['', 'layer', 'module', 'width', ...names.map((name) => known.get(name)?.word ?? printable(name.replaceAll('_', ' '), 40))]
    .map((text) => element('th', { scope: 'col', textContent: text })));
  names.forEach((name, i) => (/** @type {HTMLElement} */ (head.children[i + 4]).title = known.get(name)?.meaning ?? printable(name)));
  const rows = layers.map((layer, l) => element('tr', {},
    element('td', { textContent: String(l + 1) }), element('th', { scope: 'row', textContent: printable(layer.name, 60) }),
    element('td', { textContent: printable(layer.type ?? '', 30) }),
    element('td', { textContent: layer.dim ? String(layer.dim) + (layer.sketched ? ` → ${layer.width}` : '') : '' }),
    ...names.map((name) => element('td', { textContent: Number.isFinite(layer.metrics?.[name]) ? figure(layer.metrics[name]) : '' }))));
  const ofPage = (view.data.head.notes ?? []).map((/** @type {string} */ note) => element('p', { textContent: printable(note, 400) }));
  const notes = layers.flatMap((layer) => (layer.notes ?? []).map((note) => element('p', { textContent: `${printable(layer.name, 60)}: ${printable(note, 400)}` })));
  return [element('div', { className: 'll-scroll', tabIndex: 0 }, element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows))), ...ofPage, ...notes];
}
