// Where points lie densely: counts on a grid, smoothed, and the lines of equal density.

const SIDE = 128;

/**
 * Smoothed counts of some rows on a grid over a window; three box filters are close to a Gaussian.
 * @param {Float32Array} xy
 * @param {(row: number) => boolean} meant
 * @param {{left: number, top: number, side: number}} area
 * @param {number} [radius] of a box, cells
 */
export function densityGrid(xy, meant, area, radius = 1) {
  let grid = new Float32Array(SIDE * SIDE);
  for (let r = 0, s = 0; s < xy.length; r++, s += 2) {
    const x = Math.floor(((xy[s] - area.left) / area.side) * SIDE), y = Math.floor(((xy[s + 1] - area.top) / area.side) * SIDE);
    if (x >= 0 && y >= 0 && x < SIDE && y < SIDE && meant(r)) grid[y * SIDE + x]++;
  }
  for (let pass = 0; pass < 3; pass++) grid = boxed(boxed(grid, radius, 1, SIDE), radius, SIDE, 1);
  return grid;
}

/** @param {Float32Array} grid @param {number} radius @param {number} step @param {number} line */
function boxed(grid, radius, step, line) {
  const out = new Float32Array(grid.length);
  const share = 1 / (2 * radius + 1);
  for (let i = 0; i < SIDE; i++) {
    const base = i * line;
    let sum = 0;
    for (let j = 0; j < radius; j++) sum += grid[base + j * step];
    for (let j = 0; j < SIDE; j++) {
      if (j + radius < SIDE) sum += grid[base + (j + radius) * step];
      if (j - radius - 1 >= 0) sum -= grid[base + (j - radius - 1) * step];
      out[base + j * step] = sum * share;
    }
  }
  return out;
}

/** The densest cell's middle. @param {Float32Array} grid @param {{left: number, top: number, side: number}} area */
export function densest(grid, area) {
  let best = 0;
  for (let i = 1; i < grid.length; i++) if (grid[i] > grid[best]) best = i;
  return {
    x: area.left + (((best % SIDE) + 0.5) * area.side) / SIDE,
    y: area.top + ((Math.floor(best / SIDE) + 0.5) * area.side) / SIDE,
    height: grid[best],
  };
}

/**
 * Segments x, y, x, y of the line where the grid crosses a level (marching squares, cell by cell).
 * @param {Float32Array} grid @param {number} level @param {{left: number, top: number, side: number}} area
 */
export function contour(grid, level, area) {
  /** @type {number[]} */
  const segments = [];
  const unit = area.side / SIDE;
  for (let y = 0; y < SIDE - 1; y++)
    for (let x = 0; x < SIDE - 1; x++) {
      const at = y * SIDE + x;
      const corners = [grid[at], grid[at + 1], grid[at + SIDE + 1], grid[at + SIDE]];
      const kind = corners.reduce((bits, value, i) => (value > level ? bits | (1 << i) : bits), 0);
      if (kind === 0 || kind === 15) continue;
      /** @type {number[]} */
      const cuts = [];
      for (let side = 0; side < 4; side++) {
        const a = corners[side], b = corners[(side + 1) & 3];
        if (a > level === b > level) continue;
        const f = (level - a) / (b - a);
        const px = side === 0 ? f : side === 1 ? 1 : side === 2 ? 1 - f : 0;
        const py = side === 0 ? 0 : side === 1 ? f : side === 2 ? 1 : 1 - f;
        cuts.push(area.left + (x + 0.5 + px) * unit, area.top + (y + 0.5 + py) * unit);
      }
      if (cuts.length === 8 && (corners[0] + corners[1] + corners[2] + corners[3]) / 4 > level !== corners[0] > level)
        cuts.push(...cuts.splice(0, 2)); // the saddle's other way
      segments.push(...cuts);
    }
  return segments;
}
