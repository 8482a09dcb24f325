// Canvases: sharp on any screen, in the colours of the style sheet.

let palette = null;

/** The colours in force; read again after `repaint`. */
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

/** Forgets the colours, after the theme changed. */
export function repaint() {
  palette = null;
}

/** A context in CSS pixels for a canvas of `width` by `height` of them, cleared. */
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

/** Lines through `points` where they are numbers; a lone one becomes a dot. */
export function trace(pen, points, x, y) {
  pen.beginPath();
  let drawn = false;
  for (let i = 0; i < points.length; i += 1) {
    const at = points[i];
    if (at !== at || at === null) {
      drawn = false;
    } else if (drawn) {
      pen.lineTo(x(i), y(at));
    } else {
      pen.moveTo(x(i), y(at));
      const next = points[i + 1];
      if (next === undefined || next === null || next !== next) pen.lineTo(x(i) + 0.01, y(at));
      drawn = true;
    }
  }
  pen.stroke();
}

/** The area between two lines, or under one down to `floor`. */
export function band(pen, upper, lower, x, y, floor) {
  for (let from = 0; from < upper.length; from += 1) {
    const ok = (i) => Number.isFinite(upper[i]) && (!lower || Number.isFinite(lower[i]));
    if (!ok(from)) continue;
    let to = from;
    while (to + 1 < upper.length && ok(to + 1)) to += 1;
    pen.beginPath();
    pen.moveTo(x(from), y(upper[from]));
    for (let i = from + 1; i <= to; i += 1) pen.lineTo(x(i), y(upper[i]));
    for (let i = to; i >= from; i -= 1) pen.lineTo(x(i), lower ? y(lower[i]) : floor);
    pen.closePath();
    pen.fill();
    from = to;
  }
}
