// The reference renderer: points written into an image. The same pixels everywhere, without a GPU.

/** @type {Map<string, Stamp>} */
const STAMPS = new Map();

/**
 * What a point covers: places of pixels that it fills, half fills, a quarter fills.
 * @typedef {{full: number[][], half: number[][], quarter: number[][], side: number}} Stamp
 */

/** Whether a shape covers a place; both coordinates go from -1 to 1. @type {((x: number, y: number) => boolean)[]} */
const COVERS = [
  (x, y) => x * x + y * y <= 1,
  (x, y) => y <= 0.75 && y >= 2 * Math.abs(x) - 1.05,
  (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= 0.82,
  (x, y) => Math.min(Math.abs(x - y), Math.abs(x + y)) <= 0.5 && Math.max(Math.abs(x), Math.abs(y)) <= 0.95,
  (x, y) => Math.abs(x) + Math.abs(y) <= 1.1,
  (x, y) => y >= -0.75 && y <= 1.05 - 2 * Math.abs(x),
  (x, y) => x * x + y * y <= 1 && x * x + y * y >= 0.3,
];

/** @param {number} side pixels @param {number} shape */
export function stampOf(side, shape) {
  const name = `${side} ${shape}`;
  const known = STAMPS.get(name);
  if (known) return known;
  /** @type {Stamp} */
  const stamp = { full: [], half: [], quarter: [], side };
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      let covered = 0;
      for (let k = 0; k < 64; k++) {
        const u = (2 * (x + ((k & 7) + 0.5) / 8)) / side - 1;
        const v = (2 * (y + ((k >> 3) + 0.5) / 8)) / side - 1;
        if (COVERS[shape](u, v)) covered++;
      }
      if (covered > 48) stamp.full.push([x, y]);
      else if (covered > 24) stamp.half.push([x, y]);
      else if (covered > 6) stamp.quarter.push([x, y]);
    }
  STAMPS.set(name, stamp);
  return stamp;
}

/**
 * Where an image lies in memory, and the part of it that is drawn into.
 * @typedef {{pixels: Uint32Array, stride: number, left: number, top: number, width: number, height: number}} Target
 */

/** @param {Target} target @param {number} color */
export function wipe({ pixels, stride, left, top, width, height }, color) {
  if (left === 0 && width === stride) pixels.fill(color, top * stride, (top + height) * stride);
  else for (let y = top; y < top + height; y++) pixels.fill(color, y * stride + left, y * stride + left + width);
}

/**
 * Draw rows. A point that would not lie wholly in the target is left out.
 * @param {Target} target
 * @param {Float32Array} xy
 * @param {Uint32Array} rows
 * @param {Uint32Array} colors
 * @param {import('./types.js').Camera} camera in pixels of the target
 * @param {Stamp} stamp
 * @param {boolean} dim only an eighth of the colour
 */
export function paintRows(target, xy, rows, colors, camera, stamp, dim) {
  const { pixels, stride, left, top, width, height } = target;
  const { side } = stamp;
  const offsets = (/** @type {number[][]} */ places) => Int32Array.from(places, ([x, y]) => y * stride + x);
  const full = offsets(dim ? [...stamp.full, ...stamp.half] : stamp.full);
  const half = offsets(dim ? [] : stamp.half);
  const quarter = offsets(dim ? [] : stamp.quarter);
  const F = full.length, H = half.length, Q = quarter.length;
  const { k } = camera;
  const ox = camera.x - side / 2 + 0.5, oy = camera.y - side / 2 + 0.5;
  const right = width - side + 1, bottom = height - side + 1;
  const base = top * stride + left;
  for (let i = 0; i < rows.length; i++) {
    const r = rows[i];
    const fx = xy[2 * r] * k + ox, fy = xy[2 * r + 1] * k + oy;
    if (!(fx >= 0 && fy >= 0 && fx < right && fy < bottom)) continue;
    const at = base + (fy | 0) * stride + (fx | 0);
    const c = colors[r];
    if (dim) {
      const eighth = (c >>> 3) & 0x1f1f1f;
      for (let z = 0; z < F; z++) {
        const v = pixels[at + full[z]];
        pixels[at + full[z]] = (v - ((v >>> 3) & 0x1f1f1f) + eighth) | 0xff000000;
      }
      continue;
    }
    for (let z = 0; z < F; z++) pixels[at + full[z]] = c;
    const c2 = (c & 0xfefefe) >>> 1, c4 = (c >>> 2) & 0x3f3f3f;
    for (let z = 0; z < H; z++) {
      const v = pixels[at + half[z]];
      pixels[at + half[z]] = (((v & 0xfefefe) >>> 1) + c2) | 0xff000000;
    }
    for (let z = 0; z < Q; z++) {
      const v = pixels[at + quarter[z]];
      pixels[at + quarter[z]] = (v - ((v >>> 2) & 0x3f3f3f) + c4) | 0xff000000;
    }
  }
}

/** @param {"dim" | "plain" | "chosen"} style @param {number} size device pixels */
export function stampSide(style, size) {
  return Math.max(1, Math.round(style === 'chosen' ? size * 1.15 + 1 : size));
}

/** @param {Target} target @param {import('./types.js').Frame} frame */
export function paintFrame(target, frame) {
  wipe(target, frame.ground);
  for (const { rows, style, shape } of frame.groups)
    paintRows(target, frame.xy, rows, frame.colors, frame.camera, stampOf(stampSide(style, shape ? frame.size * 1.2 : frame.size), shape), style === 'dim');
}

/** @param {HTMLCanvasElement} canvas @returns {import('./types.js').Renderer} */
export function rasterRenderer(canvas) {
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  if (!context) throw new Error('this browser cannot draw into a canvas');
  /** @type {ImageData | null} */
  let image = null;
  return {
    kind: 'raster',
    draw(frame) {
      const { width, height } = canvas;
      if (!image || image.width !== width || image.height !== height) image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      paintFrame({ pixels, stride: width, left: 0, top: 0, width, height }, frame);
      context.putImageData(image, 0, 0);
    },
    release() {
      image = null;
    },
  };
}
