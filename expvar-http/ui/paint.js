// Canvases: sharp on any screen, in the style sheet's colours.

let palette = null;

/** The current colours; read again after `repaint`. */
export function colours() {
  if (!palette) {
    const style = getComputedStyle(document.documentElement);
    palette = {};
    for (const name of ['text', 'dim', 'line', 'panel', 'a', 'b', 'c', 'd', 'warn', 'bad']) {
      palette[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }
  return palette;
}

export function repaint() {
  palette = null;
}

export function sheet(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  const pen = canvas.pen ??= canvas.getContext('2d');
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
