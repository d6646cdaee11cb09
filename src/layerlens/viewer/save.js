// What can be taken along: the picture, the table, the ids.

import { openSheet } from './keys.js';
import { cssColor, inkOf } from './palette.js';
import { listed } from './query.js';
import { csvText, idLines, OUTLINES, svgText } from './texts.js';
import { counted, element, printable } from './util.js';

/**
 * @param {import('./types.js').View} view
 * @param {import('./types.js').Cloud} cloud
 */
export function createSaving(view, cloud) {
  const { data, state, actions } = view;
  const layerName = () => data.layers[view.layer].name;
  const rows = () => (state.selected ? listed(state.selection) : [...Array(data.n).keys()]);
  const title = () => printable(`${layerName()}, ${view.coloring.name}`, 90);
  const keys = () => view.coloring.keys.filter((key) => !state.hidden.has(key.level)).map((key) => ({ ...key, label: printable(key.label) }));

  /** @param {string} kind of the file @param {string} type @param {...BlobPart} parts */
  function download(kind, type, ...parts) {
    const href = URL.createObjectURL(new Blob(parts, { type }));
    element('a', { href, download: `layerlens-${layerName().replace(/[^\w.-]+/g, '_').slice(0, 60)}.${kind}` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
  }

  actions.png = () => {
    cloud.paintNow();
    const { width, height } = cloud.canvas;
    const canvas = element('canvas', { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
    const ink = inkOf(state.theme);
    const write = (/** @type {string} */ text, /** @type {number} */ x, /** @type {number} */ y, weight = 400) => {
      context.fillStyle = ink;
      context.font = `${weight} 13px system-ui,sans-serif`;
      context.fillText(text, x, y);
    };
    context.drawImage(cloud.canvas, 0, 0);
    context.drawImage(cloud.over, 0, 0);
    context.scale(width / view.width, width / view.width);
    write(title(), 14, 24, 600);
    keys().slice(0, Math.floor((view.height - 50) / 18)).forEach(({ label, color, shape }, i) => {
      const outline = new Path2D(OUTLINES[shape]);
      if (!OUTLINES[shape]) outline.arc(0, 0, shape ? 0.8 : 1, 0, 7);
      context.save();
      context.translate(19, 46 + 18 * i);
      context.scale(5, 5);
      context.fillStyle = context.strokeStyle = cssColor(color);
      context.lineWidth = 0.5;
      if (shape && !OUTLINES[shape]) context.stroke(outline);
      else context.fill(outline);
      context.restore();
      write(label, 30, 50 + 18 * i);
    });
    canvas.toBlob((blob) => blob && download('png', 'image/png', blob));
  };
  actions.svg = () => download('svg', 'image/svg+xml', svgText({
    width: view.width, height: view.height, frame: cloud.frame(1), title: title(), keys: keys(), ink: inkOf(state.theme),
  }));
  actions.csv = () => {
    // the mark at the beginning tells spreadsheets that it is UTF-8
    download('csv', 'text/csv;charset=utf-8', '\ufeff', csvText(data, rows(), view.layer));
    view.say(`${counted(rows().length, 'row')} saved.`);
  };
  actions.copyIds = () => {
    const value = idLines(data, rows());
    const shown = () => {
      const area = element('textarea', { value, readOnly: true, rows: 12, 'aria-label': 'Ids' });
      openSheet(view, 'Copy these ids', area);
      area.select();
    };
    if (!navigator.clipboard) return shown();
    navigator.clipboard.writeText(value).then(() => view.say(`${counted(rows().length, 'id')} copied.`), shown);
  };
}
