// The samples' images, cut from the sheets of the page.

import { idOf } from './data.js';
import { atEnd, element } from './util.js';

/**
 * @param {import('./types.js').View} view
 */
export function createThumbs(view) {
  const { data } = view;
  const { thumbnails } = data;
  view.sheetPart = view.picture = () => null;
  if (!thumbnails) return;
  const { perSheet, columns, width, height, slots } = thumbnails;
  /** @type {(ImageBitmap | undefined)[]} */
  const images = [];
  const read = thumbnails.sheets.map((blob, sheet) => createImageBitmap(blob).then((image) => {
    if (view.signal.aborted) return image.close();
    images[sheet] = image;
    view.draw();
  }, () => view.say(`The images of sheet ${sheet + 1} cannot be read.`)));
  atEnd(view, () => images.forEach((image) => image?.close()));

  const slotOf = (/** @type {number} */ row) => slots ? slots[row] : row;

  view.sheetPart = (row) => {
    const slot = slotOf(row);
    const image = images[Math.floor(slot / perSheet)];
    const at = slot % perSheet;
    return image && slot >= 0 ? { image, x: (at % columns) * width, y: Math.floor(at / columns) * height } : null;
  };

  view.picture = (row, side) => {
    const slot = slotOf(row);
    if (slot < 0) return null;
    const scale = side / Math.max(width, height);
    const canvas = element('canvas.ll-thumb', {
      width, height, role: 'img', 'aria-label': `image of ${idOf(data, row).slice(0, 80)}`,
      style: `width:${width * scale}px;height:${height * scale}px;image-rendering:${scale > 1 ? 'pixelated' : 'auto'}`,
    });
    const paint = () => {
      const part = view.sheetPart(row);
      if (part) canvas.getContext('2d')?.drawImage(part.image, part.x, part.y, width, height, 0, 0, width, height);
      return part;
    };
    if (!paint()) read[Math.floor(slot / perSheet)].then(paint);
    return canvas;
  };
}
