// Where points lie densely: counts on a grid, smoothed, and the lines of equal density.

const SIDE = 128;

/**
 * Smoothed counts of some rows on a grid over a window; three box filters are close to a Gaussian.
 * @param {Float32Array} xy
 * @param {(row: number) => boolean} meant
 * @param {{left: number, top: number, side: number}} area
 */
export function densityGrid(xy, meant, area) {
  let grid = new Float32Array(SIDE * SIDE);
  for (let r = 0, s = 0; s < xy.length; r++, s += 2) {
    const x = Math.floor(((xy[s] - area.left) / area.side) * SIDE), y = Math.floor(((xy[s + 1] - area.top) / area.side) * SIDE);
    if (x >= 0 && y >= 0 && x < SIDE && y < SIDE && meant(r)) grid[y * SIDE + x]++;
  }
  for (let pass = 0; pass < 3; pass++) grid = boxed(boxed(grid, 1), SIDE);
  return grid;
}

/** Means of three cells each, along a row or a column. @param {Float32Array} grid @param {number} step from cell to cell */
function boxed(grid, step) {
  return grid.map((value, i) => {
    const at = step === 1 ? i % SIDE : Math.floor(i / SIDE);
    return (value + (at > 0 ? grid[i - step] : 0) + (at < SIDE - 1 ? grid[i + step] : 0)) / 3;
  });
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
 * The line where the grid crosses a level (marching squares, cell by cell): places, of which every two are a segment.
 * @param {Float32Array} grid @param {number} level @param {{left: number, top: number, side: number}} area
 */
export function contour(grid, level, area) {
  /** @type {[number, number][]} */
  const segments = [];
  const unit = area.side / SIDE;
  for (let y = 0; y < SIDE - 1; y++)
    for (let x = 0; x < SIDE - 1; x++) {
      const at = y * SIDE + x;
      const corners = [grid[at], grid[at + 1], grid[at + SIDE + 1], grid[at + SIDE]];
      /** @type {[number, number][]} */
      const cuts = [];
      for (let side = 0; side < 4; side++) {
        const a = corners[side], b = corners[(side + 1) & 3];
        if (a > level === b > level) continue;
        const f = (level - a) / (b - a);
        const px = [f, 1, 1 - f, 0][side], py = [0, f, 1, 1 - f][side];
        cuts.push([area.left + (x + 0.5 + px) * unit, area.top + (y + 0.5 + py) * unit]);
      }
      if (cuts.length === 4 && (corners[0] + corners[1] + corners[2] + corners[3]) / 4 > level !== corners[0] > level)
        cuts.push(...cuts.splice(0, 1)); // the saddle's other way
      segments.push(...cuts);
    }
  return segments;
}
