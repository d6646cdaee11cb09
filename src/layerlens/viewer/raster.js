// The reference renderer: points written into an image. The same pixels everywhere, without a GPU.

/**
 * What a point covers: places of pixels that it fills, half fills, a quarter fills.
 * @typedef {{parts: number[][][], side: number}} Stamp
 */

/** @type {Map<string, Stamp>} */
const STAMPS = new Map();

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
  const stamp = { parts: [[], [], []], side };
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++) {
      let covered = 0;
      for (let k = 0; k < 64; k++) {
        const u = (2 * (x + ((k & 7) + 0.5) / 8)) / side - 1;
        const v = (2 * (y + ((k >> 3) + 0.5) / 8)) / side - 1;
        if (COVERS[shape](u, v)) covered++;
      }
      if (covered > 6) stamp.parts[covered > 48 ? 0 : covered > 24 ? 1 : 2].push([x, y]);
    }
  STAMPS.set(name, stamp);
  return stamp;
}

/** An image in memory. @typedef {{pixels: Uint32Array, width: number, height: number}} Target */

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
export function paintRows({ pixels, width, height }, xy, rows, colors, camera, { parts, side }, dim) {
  const [full, half, quarter] = (dim ? [[...parts[0], ...parts[1]], [], []] : parts).map((places) => Int32Array.from(places, ([x, y]) => y * width + x));
  const F = full.length, H = half.length, Q = quarter.length;
  const { k } = camera;
  const ox = camera.x - side / 2 + 0.5, oy = camera.y - side / 2 + 0.5;
  const right = width - side + 1, bottom = height - side + 1;
  for (let i = 0; i < rows.length; i++) {
    const r = rows[i];
    const fx = xy[2 * r] * k + ox, fy = xy[2 * r + 1] * k + oy;
    if (!(fx >= 0 && fy >= 0 && fx < right && fy < bottom)) continue;
    const at = (fy | 0) * width + (fx | 0);
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
  target.pixels.fill(frame.ground);
  for (const { rows, style, shape } of frame.groups)
    paintRows(target, frame.xy, rows, frame.colors, frame.camera, stampOf(stampSide(style, shape ? frame.size * 1.2 : frame.size), shape), style === 'dim');
}

/** @param {HTMLCanvasElement} canvas @returns {import('./types.js').Renderer} */
export function rasterRenderer(canvas) {
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false, willReadFrequently: true }));
  /** @type {ImageData | null} */
  let image = null;
  return {
    kind: 'raster',
    draw(frame) {
      const { width, height } = canvas;
      if (!image || image.width !== width || image.height !== height) image = context.createImageData(width, height);
      paintFrame({ pixels: new Uint32Array(image.data.buffer), width, height }, frame);
      context.putImageData(image, 0, 0);
    },
    release() {},
  };
}
