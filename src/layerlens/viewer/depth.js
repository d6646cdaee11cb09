// Depth: the chart of what each layer knows and its picture shows, over the scrubber that goes through it.

import { along, clamp, count, drawing, element, figure, onResize, printable, refill } from './util.js';

/**
 * What is charted: name of the metric, word, meaning, class of its mark.
 * @type {[string, string, string, string][]}
 */
export const SERIES = [
  ['knn_accuracy', 'classes apart', 'share of points whose nearest neighbours in the picture tell their class', 'll-class'],
  ['knn_accuracy_native', '… in the layer', 'the same by the neighbours in the layer: where it is higher, the picture hides it', 'll-class-native'],
  ['trustworthiness', 'trustworthy', 'how far points that are close in the picture are close in the layer; 1 is all', 'll-trust'],
  ['neighbor_recall', 'neighbours kept', 'share of a point’s nearest neighbours in the layer that are near it in the picture', 'll-recall'],
  ['neighbor_recall_sketch', 'sketch kept', 'share of the nearest neighbours that the sketch of the layer kept', 'll-sketch'],
  ['motion_previous', 'motion', 'how far points went since the layer before, in radii of the picture', 'll-motion'],
];

const HEIGHT = 100;
const PAD = 8;
const THUMB = 18; // of the slider, as viewer.css has it

/** @param {number} share where the chart has it, from above */
function heightOf(share) {
  return PAD + (1 - clamp(share, 0, 1)) * (HEIGHT - 2 * PAD);
}

/**
 * @param {import('./types.js').View} view
 */
export function createDepth(view) {
  const { data: { layers }, store, state } = view;
  const L = layers.length;
  const series = SERIES.filter(([name]) => layers.some(({ metrics }) => name in metrics));
  const chart = drawing('svg.ll-chart', {
    'aria-hidden': true,
    onclick: (/** @type {MouseEvent} */ event) => view.go(Math.floor(along(event) * L)),
  });
  const slider = element('input.ll-slider', {
    type: 'range', min: 0, max: L - 1, step: 'any', disabled: L < 2, 'aria-label': 'Layer', title: 'Drag through the layers',
    oninput: () => view.seek(Number(slider.value)), onchange: () => view.go(state.t),
  });
  const needle = element('i.ll-needle');
  const track = element('div.ll-track', chart, needle, slider);
  const values = series.map(() => element('dd'));
  const figures = element('dl.ll-figures', series.map(([, word, meaning, kind], i) => element('div', { title: meaning },
    element('dt', drawing(`svg.ll-mark ${kind}`, { viewBox: '0 0 22 10', 'aria-hidden': true }, drawing('path', { d: kind === 'll-motion' ? 'M7 1h8v8h-8z' : 'M0 5h22' })), word), values[i])));

  function redraw() {
    const width = track.clientWidth;
    if (!width) return;
    const column = width / L;
    const X = (/** @type {number} */ l) => (l + 0.5) * column;
    chart.setAttribute('viewBox', `0 0 ${width} ${HEIGHT}`);
    refill(chart, [0, 0.5, 1].map((v) => [
      drawing('path.ll-rule', { d: `M0 ${heightOf(v)}H${width}` }), drawing('text.ll-tick', { x: width - 2, y: heightOf(v) - 2 }, String(v)),
    ]).flat(), series.map(([name, , , kind]) => {
      const given = layers.map(({ metrics }) => metrics[name]);
      const known = [...given.keys()].filter((l) => name in layers[l].metrics);
      if (kind === 'll-motion') {
        const most = Math.max(1, ...known.map((l) => given[l]));
        const w = clamp(column * 0.4, 1, 14);
        return known.filter(Boolean).map((l) => drawing(`path.${kind}`, { d: `M${X(l) - column / 2 - w / 2} ${heightOf(0)}V${heightOf(given[l] / most)}h${w}V${heightOf(0)}z` }));
      }
      return [
        drawing(`path.ll-line ${kind}`, { d: known.map((l) => `${known.includes(l - 1) ? 'L' : 'M'}${X(l)} ${heightOf(given[l])}`).join('') }),
        ...(column > 14 ? known : []).map((l) => drawing(`circle.ll-dot ${kind}`, { cx: X(l), cy: heightOf(given[l]), r: 2.25 })),
      ];
    }).reverse().flat());
    slider.style.width = `${width - column + THUMB}px`;
    slider.style.marginLeft = `${(column - THUMB) / 2}px`;
  }

  function follow() {
    const { name, metrics } = layers[view.layer];
    slider.value = String(state.t);
    slider.setAttribute('aria-valuetext', `${view.layer + 1} of ${L}, ${printable(name)}`);
    needle.style.left = `${((state.t + 0.5) / L) * 100}%`;
    series.forEach(([metric], i) => (values[i].textContent = figure(metrics[metric])));
  }

  store.on('t step', follow);
  store.on('step', redraw);
  follow();
  onResize(view, track, redraw);
  return { track, figures };
}

/** All figures of all layers as a table. @param {import('./types.js').View} view */
export function depthTable({ data: { layers, head } }) {
  const names = [...new Set([...SERIES.map(([name]) => name), ...layers.flatMap(({ metrics }) => Object.keys(metrics))])]
    .filter((name) => !name.endsWith('_se') && layers.some(({ metrics }) => name in metrics));
  const titles = names.map((name) => {
    const [, word, title] = SERIES.find(([known]) => known === name) ?? ['', printable(name.replaceAll('_', ' ')), printable(name)];
    return element('th', { scope: 'col', title }, word);
  });
  const cells = (/** @type {string[]} */ texts) => texts.map((text) => element('td', text));
  const notes = layers.flatMap(({ name, notes: said = [] }) => said.map((note) => `${printable(name)}: ${printable(note, 400)}`));
  return [
    element('div.ll-scroll', { tabIndex: 0 }, element('table',
      element('thead', element('tr', ['', 'layer', 'module', 'width'].map((text) => element('th', { scope: 'col' }, text)), titles)),
      element('tbody', layers.map(({ name, type = '', dim, sketched, width = 0, metrics }, l) => element('tr', cells([String(l + 1)]), element('th', { scope: 'row' }, printable(name)),
        cells([printable(type), dim ? count(dim) + (sketched ? ` → ${count(width)}` : '') : '', ...names.map((each) => each in metrics ? figure(metrics[each]) : '')])))))),
    [...(head.notes ?? []).map((/** @type {string} */ note) => printable(note, 400)), ...notes].map((text) => element('p', text)),
  ].flat();
}
