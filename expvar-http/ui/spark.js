// Sparklines of the last minute for the visible rows: a few paths of one drawing, because a canvas
// or drawing for each row would dominate the page's cost.

const SVG = 'http://www.w3.org/2000/svg';
const FINE = 10; // steps in a px, so that coordinates are short whole numbers

function shape(tag, attributes, ...inside) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...inside);
  return element;
}

/** Lines through the finite `points`; an isolated one becomes a dot. */
export function trace(points, x, y) {
  let path = '';
  let drawn = false;
  for (let i = 0; i < points.length; i += 1) {
    const at = points[i];
    if (at !== at) {
      drawn = false;
    } else {
      path += `${drawn ? 'L' : 'M'}${x(i)} ${y(at)}`;
      if (!drawn && !(points[i + 1] === points[i + 1])) path += 'h.1';
      drawn = true;
    }
  }
  return path;
}

/** The area between two lines, or under one down to `floor`. */
export function band(upper, lower, x, y, floor) {
  let path = '';
  const ok = (i) => upper[i] === upper[i] && (!lower || lower[i] === lower[i]) && i < upper.length;
  for (let from = 0; from < upper.length; from += 1) {
    if (!ok(from)) continue;
    let to = from;
    path += `M${x(from)} ${y(upper[from])}`;
    for (; ok(to + 1); to += 1) path += `L${x(to + 1)} ${y(upper[to + 1])}`;
    if (lower) for (let i = to; i >= from; i -= 1) path += `L${x(i)} ${y(lower[i])}`;
    else path += `V${floor}H${x(from)}`;
    path += 'z';
    from = to;
  }
  return path;
}

/** The paths of a line, or of two and what is between them, `top` px down the drawing. */
export function spark(kind, lines, top, width, height) {
  let low = Infinity;
  let high = -Infinity;
  for (const line of lines) {
    for (let i = 0; i < line.length; i += 1) {
      if (line[i] < low) low = line[i];
      if (line[i] > high) high = line[i];
    }
  }
  if (low > high) return null;
  if (kind !== 'g' || (low > 0 && low < high * 0.5)) low = Math.min(low, 0);
  if (high < 0 && high > low * 0.5) high = 0;
  // Differences too small or too large to divide by are drawn as none.
  const flat = !Number.isFinite(height * FINE / (high - low)) || high - low === Infinity;
  const n = lines[0].length - 1;
  const across = (width - 5) * FINE / n;
  const x = (i) => Math.round(FINE + i * across);
  const floor = (top + height - 2) * FINE;
  const base = flat && high !== 0 ? (top + height / 2) * FINE : floor;
  const up = flat ? 0 : (height - 5) * FINE / (high - low);
  const y = (at) => Math.round(flat ? base : base - (at - low) * up);
  const [line] = lines;
  if (flat) return { kind, flat: trace(line, x, y), band: '', line: '', dot: '' };
  const dot = line[n] === line[n] ? `M${x(n)} ${y(line[n])}h.1` : '';
  return { kind, flat: '', band: band(lines[0], lines[1], x, y, low < 0 ? y(Math.min(high, 0)) : floor), line: trace(line, x, y), dot };
}

export class Sparks {
  constructor(kinds = ['c', 'g', 'h']) {
    this.paths = {};
    const all = shape('g', { transform: `scale(${1 / FINE})` });
    for (const kind of kinds) {
      const of = {};
      for (const part of ['band', 'flat', 'line', 'dot']) of[part] = shape('path', { class: part });
      this.paths[kind] = of;
      all.append(shape('g', { class: kind }, ...Object.values(of)));
    }
    this.element = shape('svg', { class: 'sparks', 'aria-hidden': 'true' }, all);
  }

  place(top) {
    this.element.style.top = `${top}px`;
  }

  show(sparks) {
    for (const [kind, paths] of Object.entries(this.paths)) {
      const those = sparks.filter((spark) => spark?.kind === kind);
      for (const [part, path] of Object.entries(paths)) {
        const text = those.map((spark) => spark[part]).join('');
        if (path.text === text) continue;
        path.text = text;
        path.setAttribute('d', text);
      }
    }
  }
}
