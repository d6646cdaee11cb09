// The samples' images, cut from the sheets of the page.

import { idOf } from './data.js';
import { element } from './util.js';

/**
 * @param {import('./types.js').View} view
 */
export function createThumbs(view) {
  const { data } = view;
  const thumbnails = data.thumbnails;
  /** @type {(ImageBitmap | undefined)[]} */
  const images = [];
  /** @type {Map<number, Set<() => void>>} */
  const waiting = new Map();
  thumbnails?.sheets.forEach((blob, sheet) => {
    createImageBitmap(blob).then((image) => {
      if (view.signal.aborted) return image.close();
      images[sheet] = image;
      waiting.get(sheet)?.forEach((f) => f());
      waiting.delete(sheet);
      view.draw();
    }, () => view.say(`The images of sheet ${sheet + 1} cannot be read.`));
  });
  view.signal.addEventListener('abort', () => images.forEach((image) => image?.close()));

  /** @param {number} row */
  function placeOf(row) {
    if (!thumbnails) return null;
    const slot = thumbnails.slots ? thumbnails.slots[row] : row;
    if (slot < 0) return null;
    const { perSheet, columns, width, height } = thumbnails;
    const at = slot % perSheet;
    return { sheet: Math.floor(slot / perSheet), x: (at % columns) * width, y: Math.floor(at / columns) * height };
  }

  view.sheetPart = (row) => {
    const place = placeOf(row);
    const image = place && images[place.sheet];
    return image ? { image, x: place.x, y: place.y } : null;
  };

  view.picture = (row, side) => {
    const place = placeOf(row);
    if (!thumbnails || !place) return null;
    const { width, height } = thumbnails;
    const canvas = element('canvas', { width, height, className: 'll-thumb' });
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `image of ${idOf(data, row).slice(0, 80)}`);
    const scale = side / Math.max(width, height);
    canvas.style.width = `${width * scale}px`;
    canvas.style.height = `${height * scale}px`;
    if (width < side) canvas.style.imageRendering = 'pixelated';
    const paint = () => {
      const part = view.sheetPart(row);
      if (part) canvas.getContext('2d')?.drawImage(part.image, part.x, part.y, width, height, 0, 0, width, height);
    };
    if (images[place.sheet]) paint();
    else waiting.set(place.sheet, (waiting.get(place.sheet) ?? new Set()).add(paint));
    return canvas;
  };
}
