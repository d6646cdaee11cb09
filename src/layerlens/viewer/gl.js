// The accelerator: WebGL2 points, for many points on real hardware. Draws the same frame as the raster.

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
  const places = gl.createBuffer(), inks = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, places);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  gl.bindBuffer(gl.ARRAY_BUFFER, inks);
  gl.enableVertexAttribArray(1);
  gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
  const [camera, size, alpha, shape] = ['camera', 'size', 'alpha', 'shape'].map((u) => gl.getUniformLocation(program, u));
  /** @type {Map<Uint32Array, WebGLBuffer>} */
  const indices = new Map();
  /** @type {Uint32Array | null} */
  let inked = null;

  /** @param {import('./types.js').Group[]} groups */
  function keepOnly(groups) {
    const used = new Set(groups.map((group) => group.rows));
    for (const [rows, buffer] of indices)
      if (!used.has(rows)) {
        gl?.deleteBuffer(buffer);
        indices.delete(rows);
      }
  }

  return {
    kind: 'webgl2',
    draw(frame) {
      const { width, height } = canvas;
      const back = [0, 8, 16].map((shift) => ((frame.ground >> shift) & 255) / 255);
      gl.viewport(0, 0, width, height);
      gl.clearColor(back[0], back[1], back[2], 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.bindBuffer(gl.ARRAY_BUFFER, places);
      gl.bufferData(gl.ARRAY_BUFFER, frame.xy, gl.DYNAMIC_DRAW);
      if (inked !== frame.colors) {
        gl.bindBuffer(gl.ARRAY_BUFFER, inks);
        gl.bufferData(gl.ARRAY_BUFFER, frame.colors, gl.DYNAMIC_DRAW);
        inked = frame.colors;
      }
      const { x, y, k } = frame.camera;
      gl.uniform4f(camera, x / height, y / height, k / height, width / height);
      keepOnly(frame.groups);
      for (const group of frame.groups) {
        let buffer = indices.get(group.rows);
        if (!buffer) {
          buffer = gl.createBuffer();
          indices.set(group.rows, buffer);
          gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
          gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, group.rows, gl.STATIC_DRAW);
        } else gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, buffer);
        gl.uniform1f(size, sideOf(group.style, group.shape ? frame.size * 1.2 : frame.size));
        gl.uniform1f(alpha, group.style === 'dim' ? 0.14 : 1);
        gl.uniform1i(shape, group.shape);
        gl.drawElements(gl.POINTS, group.rows.length, gl.UNSIGNED_INT, 0);
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
