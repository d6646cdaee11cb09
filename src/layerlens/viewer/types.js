// Shapes of the values that the modules hand on: read by the type checker only, no part of the page.

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string} [title]
 * @property {string} [short] its name without the step or the model, where there are several
 * @property {string} [type] class of the module
 * @property {number} [dim] native width
 * @property {number} [width] kept width
 * @property {boolean} [sketched]
 * @property {Record<string, number>} metrics
 * @property {string[]} [notes]
 * @property {string[]} [lacks] what others know of every row, and this one not
 * @property {string} [reducer]
 */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {"category" | "number" | "text"} kind
 * @property {string[]} levels of a category, else empty
 * @property {number} missing code of what is not known, or -1
 * @property {Uint8Array | Uint16Array | Float32Array | string[]} values
 */

/**
 * @typedef {object} Neighbors
 * @property {number} k
 * @property {Uint16Array | Uint32Array} table (L, m, k)
 * @property {number} rows m
 * @property {Int32Array | null} slots row -> place in the table, -1 for none; null where all rows are in it
 */

/**
 * @typedef {object} Thumbnails
 * @property {number} width
 * @property {number} height
 * @property {number} perSheet
 * @property {number} columns
 * @property {Blob[]} sheets
 * @property {Int32Array | null} slots
 */

/**
 * @typedef {object} Data
 * @property {any} head
 * @property {number} n rows
 * @property {number} components 2 or 3
 * @property {Layer[]} layers
 * @property {Uint16Array} positions (L, n, C)
 * @property {Uint8Array | null} present (L, n)
 * @property {Column[]} columns
 * @property {{label?: number, prediction?: number, correct?: number, id: number}} roles
 * @property {Uint8Array | null} stress
 * @property {Uint8Array | null} spread
 * @property {Uint16Array | null} clusters
 * @property {Neighbors | null} neighbors
 * @property {Thumbnails | null} thumbnails
 * @property {Float64Array[] | null} maps that align the layers to a selection
 */

/** @typedef {{x: number, y: number, k: number}} Camera a place u in [0, 1] is drawn at u * k + x */

/** @typedef {number | "stress" | "clusters"} By */

/**
 * @typedef {object} State
 * @property {number} t
 * @property {number} goal
 * @property {number} [step] of the training, or which model; the nearest, like `view.layer`
 * @property {number} [u] where one is along the steps: the number of one, or between two
 * @property {number} [depth] the nearest layer, for what shows all steps of it
 * @property {By} by
 * @property {string} palette
 * @property {Uint8Array} selection
 * @property {number} selected
 * @property {number} pick
 * @property {number} hover
 * @property {"move" | "lasso" | "box"} mode
 * @property {Camera} camera
 * @property {Float64Array} spin
 * @property {"light" | "dark"} theme
 * @property {ReadonlySet<number>} hidden levels that are not drawn
 * @property {boolean} contours
 * @property {boolean} names
 * @property {boolean} images
 * @property {boolean} paths
 * @property {boolean} fade
 * @property {boolean} grid
 * @property {boolean} align
 * @property {boolean} playing
 */

/**
 * @typedef {object} Store
 * @property {State} state
 * @property {(patch: Partial<State>, forget?: boolean) => void} set
 * @property {(names: string, f: (state: State) => void) => () => unknown} on
 * @property {() => boolean} undo
 * @property {() => boolean} redo
 */

/** @typedef {{label: string, level: number, color: number[], shape: number, count: number}} Key */

/**
 * @typedef {object} Coloring
 * @property {Uint32Array} colors packed, a row each
 * @property {Uint16Array | Uint8Array | null} codes the level of a row, where rows have levels
 * @property {Uint8Array | null} shapes of a level
 * @property {string} name
 * @property {Key[]} keys
 * @property {{low: number, high: number, stops: number[][]} | null} ramp
 */

/** @typedef {{rows: Uint32Array, style: "dim" | "plain" | "chosen", shape: number}} Group */

/**
 * @typedef {object} Frame
 * @property {Float32Array} xy places, two a row, in units of the frame
 * @property {Uint32Array} colors
 * @property {Group[]} groups
 * @property {Camera} camera in device pixels
 * @property {number} size of a point, in device pixels
 * @property {number} ground packed colour behind the points
 */

/**
 * @typedef {object} Renderer
 * @property {"raster" | "webgl2"} kind
 * @property {(frame: Frame) => void} draw
 * @property {() => void} release
 */

/**
 * @typedef {object} View what the parts of the page share
 * @property {HTMLElement} root
 * @property {Data} data
 * @property {Store} store
 * @property {State} state
 * @property {AbortSignal} signal ends every listener
 * @property {{page?: boolean, renderer?: string, theme?: string, ratio?: number}} options
 * @property {Coloring} coloring
 * @property {Uint8Array | null} visible rows that are drawn, null for all
 * @property {number} layer the nearest
 * @property {() => void} draw ask for a frame
 * @property {() => Float32Array} places where rows are now
 * @property {(layer: number) => Float32Array} placesOnce where rows are in a layer, until the next call
 * @property {(row: number, layer: number) => {x: number, y: number} | null} placeOf
 * @property {() => Group[]} groups in drawing order
 * @property {typeof import('./geometry.js').blend} [between] where rows are between two steps
 * @property {View} [all] the layers of all steps at once
 * @property {(name: string) => void} [toStepOf] go to the step that has the layer
 * @property {number[]} lasso that is being drawn, CSS pixels
 * @property {number[]} pictured rows that are drawn as images
 * @property {(row: number) => {image: ImageBitmap, x: number, y: number} | null} sheetPart
 * @property {() => void} redrawLegend
 * @property {(row: number) => {x: number, y: number, shown: boolean}} screen
 * @property {(layer: number) => void} go
 * @property {(t: number) => void} seek
 * @property {(on: boolean) => void} play
 * @property {(row: number, side: number) => HTMLCanvasElement | null} picture a thumbnail
 * @property {() => void} fit
 * @property {(factor: number, x?: number, y?: number) => void} zoom
 * @property {(rows: Uint8Array, add?: boolean) => void} select
 * @property {(text: string) => void} searchFor select what a text means
 * @property {(text: string) => void} say something that is read for a while
 * @property {(text: string) => void} note something that stays to be read
 * @property {Record<string, (row?: number) => unknown>} actions by name: what keys and buttons do
 * @property {number} width of the cloud, CSS pixels
 * @property {number} height
 */

/** @typedef {ReturnType<typeof import('./cloud.js').createCloud>} Cloud */

export {};
