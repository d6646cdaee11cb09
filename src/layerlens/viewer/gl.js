// The accelerator: WebGL2 points, for many points on real hardware. Draws the same frame as the raster.

import { unpacked } from './palette.js';
import { pieces } from './pieces.js';

const VERTEX = `#version 300 es
layout(location=0) in vec2 place;
layout(location=1) in vec4 color;
uniform vec4 camera; uniform float size;
out vec4 ink;
void main() {
gl_Position = vec4((place * camera.z + camera.xy) * vec2(2, -2) / vec2(camera.w, 1.0) + vec2(-1, 1), 0, 1);
gl_PointSize = size; ink = color;
}`;
// the shapes are those of raster.js
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 ink; out vec4 pixel;
uniform float alpha; uniform int shape;
void main() {
vec2 p = gl_PointCoord * 2.0 - 1.0; vec2 a = abs(p); float r = dot(p, p); float d;
if (shape == 0) d = 1.0 - sqrt(r);
else if (shape == 1) d = min(.75 - p.y, (p.y - 2.0 * a.x + 1.05) * .45);
else if (shape == 2) d = .82 - max(a.x, a.y);
else if (shape == 3) d = min(.5 - min(abs(p.x - p.y), abs(p.x + p.y)), .95 - max(a.x, a.y));
else if (shape == 4) d = (1.1 - a.x - a.y) * .7;
else if (shape == 5) d = min(.75 + p.y, (1.05 - 2.0 * a.x - p.y) * .45);
else d = min(1.0 - sqrt(r), sqrt(r) - .55);
float edge = fwidth(p.x);
float cover = smoothstep(-.5 * edge, .5 * edge, d);
if (cover <= 0.0) discard;
pixel = vec4(ink.rgb, cover * alpha);
}`;

/** Whether a renderer's name is that of software. @param {string} name */
export function drawnInSoftware(name) {
  return /swiftshader|llvmpipe|softpipe|software|basic render|mesa offscreen/i.test(name);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {boolean} force also without hardware: for tests
 * @param {(style: "dim" | "plain" | "chosen", size: number) => number} sideOf
 * @returns {import('./types.js').Renderer | null} null where there is no WebGL2 on hardware
 */
export function glRenderer(canvas, force, sideOf) {
  const gl = canvas.getContext('webgl2', { antialias: false, alpha: false, preserveDrawingBuffer: true });
  if (!gl) return null;
  const release = () => gl.getExtension('WEBGL_lose_context')?.loseContext();
  const told = gl.getExtension('WEBGL_debug_renderer_info');
  const name = String(gl.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
  const program = force || !drawnInSoftware(name) ? linked(gl) : null;
  if (!program) {
    release();
    return null;
  }
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA);
  /** Fill a buffer. @param {number} kind @param {WebGLBuffer} buffer @param {Float32Array | Uint32Array} [values] */
  const bind = (kind, buffer, values) => {
    gl.bindBuffer(kind, buffer);
    if (values) gl.bufferData(kind, /** @type {BufferSource} */ (values), gl.DYNAMIC_DRAW);
    return buffer;
  };
  const [places, inks] = /** @type {[number, number, boolean][]} */ ([[2, gl.FLOAT, false], [4, gl.UNSIGNED_BYTE, true]]).map(([size, type, whole], i) => {
    const buffer = bind(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.enableVertexAttribArray(i);
    gl.vertexAttribPointer(i, size, type, whole, 0, 0);
    return buffer;
  });
  const [camera, size, alpha, shape] = ['camera', 'size', 'alpha', 'shape'].map((u) => gl.getUniformLocation(program, u));
  /** @type {Map<Uint32Array, WebGLBuffer>} */
  const indices = new Map();
  /** @type {Uint32Array | null} */
  let inked = null;

  return {
    kind: 'webgl2',
    draw(frame) {
      const { width, height } = canvas;
      const { xy, colors, groups, camera: { x, y, k } } = frame;
      const [r, g, b] = unpacked(frame.ground).map((part) => part / 255);
      gl.viewport(0, 0, width, height);
      gl.clearColor(r, g, b, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      bind(gl.ARRAY_BUFFER, places, xy);
      if (inked !== colors) bind(gl.ARRAY_BUFFER, inks, (inked = colors));
      gl.uniform4f(camera, x / height, y / height, k / height, width / height);
      for (const [rows, buffer] of indices)
        if (!groups.some((group) => group.rows === rows)) {
          gl.deleteBuffer(buffer);
          indices.delete(rows);
        }
      for (const { rows, style, shape: form } of groups) {
        const known = indices.get(rows);
        if (known) bind(gl.ELEMENT_ARRAY_BUFFER, known);
        else indices.set(rows, bind(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer(), rows));
        gl.uniform1f(size, sideOf(style, form ? frame.size * 1.2 : frame.size));
        gl.uniform1f(alpha, style === 'dim' ? 0.14 : 1);
        gl.uniform1i(shape, form);
        gl.drawElements(gl.POINTS, rows.length, gl.UNSIGNED_INT, 0);
      }
    },
    release,
  };
}

/** @param {WebGL2RenderingContext} gl */
function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of /** @type {[number, string][]} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]])) {
    const shader = gl.createShader(kind);
    if (!shader) return null;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return gl.getProgramParameter(program, gl.LINK_STATUS) ? program : null;
}

pieces.gl = glRenderer;
