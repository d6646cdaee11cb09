// What only some pages need: such parts put themselves in here, and a page that has no use for them goes without.

/**
 * @type {{gl?: typeof import('./gl.js').glRenderer, space?: typeof import('./space.js').SPACE,
 *   steps?: typeof import('./steps.js').secondAxis, alike?: typeof import('./alike.js').createAlike}}
 */
export const pieces = {};

/** What three dimensions need, where there are three. @param {import('./types.js').Data} data */
export function spaceOf({ components }) {
  return components === 3 ? pieces.space : undefined;
}
