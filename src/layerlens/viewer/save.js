// What can be taken along: the picture, the table, the ids.

import { openSheet } from './keys.js';
import { listed } from './query.js';
import { csvText, idLines, OUTLINES, svgText } from './texts.js';
import { counted, element, printable } from './util.js';

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = element('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * @param {import('./types.js').View} view
 * @param {import('./types.js').Cloud} cloud
 */
export function createSaving(view, cloud) {
  const { data, state, actions } = view;
  const base = () => `layerlens-${data.layers[view.layer].name.replace(/[^\w.-]+/g, '_').slice(0, 60)}`;
  const rows = () => (state.selected ? listed(state.selection) : [...Array(data.n).keys()]);
  const title = () => printable(`${data.layers[view.layer].name}, ${view.coloring.name}`, 90);
  const keys = () => view.coloring.keys.filter((key) => !state.hidden.has(key.level)).map((key) => ({ ...key, label: printable(key.label, 40) }));
  const ink = () => (state.theme === 'dark' ? '#f4f6fa' : '#14171c');

  actions.png = () => {
    cloud.paintNow();
    const { width, height } = cloud.canvas;
    const canvas = element('canvas', { width, height });
    const context = canvas.getContext('2d');
    if (!context) return;
    context.drawImage(cloud.canvas, 0, 0);
    context.drawImage(cloud.over, 0, 0);
    const ratio = width / view.width;
    context.scale(ratio, ratio);
    context.fillStyle = ink();
    context.font = '600 14px system-ui, sans-serif';
    context.fillText(title(), 14, 24);
    context.font = '13px system-ui, sans-serif';
    keys().slice(0, Math.floor((view.height - 50) / 18)).forEach(({ label, color, shape }, i) => {
      const outline = new Path2D(OUTLINES[shape]);
      if (!OUTLINES[shape]) outline.arc(0, 0, shape ? 0.8 : 1, 0, 7);
      context.fillStyle = context.strokeStyle = `rgb(${color.join(',')})`;
      context.save();
      context.translate(19, 46 + 18 * i);
      context.scale(5, 5);
      context.lineWidth = 0.5;
      if (shape && !OUTLINES[shape]) context.stroke(outline);
      else context.fill(outline);
      context.restore();
      context.fillStyle = ink();
      context.fillText(label, 30, 50 + 18 * i);
    });
    canvas.toBlob((blob) => blob && download(blob, `${base()}.png`));
  };
  actions.svg = () => {
    const text = svgText({ width: view.width, height: view.height, frame: cloud.frame(1), title: title(), keys: keys(), ink: ink() });
    download(new Blob([text], { type: 'image/svg+xml' }), `${base()}.svg`);
  };
  actions.csv = () => {
    // the mark at the beginning tells spreadsheets that it is UTF-8
    download(new Blob(['\ufeff', csvText(data, rows(), view.layer)], { type: 'text/csv;charset=utf-8' }), `${base()}.csv`);
    view.say(`${counted(rows().length, 'row')} saved.`);
  };
  actions.copyIds = () => {
    const text = idLines(data, rows());
    const shown = () => {
      const area = element('textarea', { value: text, readOnly: true, rows: 12 });
      area.setAttribute('aria-label', 'Ids');
      openSheet(view, 'Copy these ids', area);
      area.select();
    };
    if (!navigator.clipboard) return shown();
    navigator.clipboard.writeText(text).then(() => view.say(`${counted(rows().length, 'id')} copied.`), shown);
  };
}
