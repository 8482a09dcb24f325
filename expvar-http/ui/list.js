// The list of variables: of thousands, only the rows in sight exist.

import { human, visible } from './format.js';
import { make } from './chart.js';
import { spark } from './paint.js';
import { fetchWhole } from './store.js';

const SPARE = 3; // rows kept ready above and below
const FOLD = 240; // px of a value folded out

/** What one variable shows in the list's last column. */
export function shown(row, totals) {
  switch (row.kind) {
    case 'c': return totals ? human(row.value, row.unit) : human(row.latest, row.unit, true);
    case 'g': return human(row.value, row.unit);
    case 'h': return row.value[0] ? human(row.value[3], row.unit) : '–';
    default: return visible(String(row.value ?? 'null'), 120);
  }
}

export class List {
  /** `on` has `open(row)` and `pin(row)`; `settings` has `totals`, `pinned` and `shut`. */
  constructor(element, settings, on) {
    this.element = element;
    this.settings = settings;
    this.on = on;
    this.entries = [];
    this.offsets = [0];
    this.live = new Map(); // entry key -> element
    this.folds = new Map(); // row name -> what is folded out
    this.active = null;
    this.spare = [];
    const soon = () => { this.asked ??= requestAnimationFrame(() => { this.asked = null; this.draw(); }); };
    addEventListener('scroll', soon, { passive: true });
    addEventListener('resize', () => { this.measure(); soon(); });
    element.addEventListener('click', (event) => this.click(event));
    element.addEventListener('keydown', (event) => this.key(event));
    element.addEventListener('focus', () => { if (!this.active && this.entries.length) this.move(0); });
    this.measure();
  }

  measure() {
    const phone = matchMedia('(max-width: 640px)').matches;
    const before = this.height;
    this.height = phone ? 52 : 36;
    this.spark = phone ? [84, 30] : [180, 24];
    if (before && before !== this.height) this.show(this.entries);
  }

  /** Takes what to list: `{key, row}` or `{key, group, count}`, in order. */
  show(entries) {
    const out = [];
    for (const entry of entries) {
      if (entry.fold) continue;
      out.push(entry);
      if (entry.row && this.folds.has(entry.row.name) && !entry.pinned) {
        out.push({ key: `fold ${entry.row.name}`, fold: entry.row });
      }
    }
    this.entries = out;
    this.offsets = new Float64Array(out.length + 1);
    out.forEach((entry, i) => { this.offsets[i + 1] = this.offsets[i] + (entry.fold ? FOLD : this.height); });
    this.element.style.height = `${this.offsets[out.length]}px`;
    this.element.setAttribute('aria-rowcount', String(out.length));
    if (this.active && !out.some((entry) => entry.key === this.active)) this.active = null;
    this.top = null;
    this.draw();
  }

  /** The first entry that ends below `y`. */
  at(y) {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.offsets[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The rows in sight, and so many below them. */
  rows(ahead = 0) {
    return this.entries.slice(this.from, this.to + ahead).map((entry) => entry.row).filter(Boolean);
  }

  draw() {
    // Where the list begins changes only with what stands above it.
    this.top ??= this.element.getBoundingClientRect().top + scrollY;
    const from = Math.max(0, this.at(scrollY - this.top) - SPARE);
    const to = Math.min(this.entries.length, this.at(scrollY - this.top + innerHeight) + 1 + SPARE);
    Object.assign(this, { from, to });
    const wanted = new Set();
    for (let i = from; i < to; i += 1) wanted.add(this.entries[i].key);
    for (const [key, element] of this.live) {
      if (wanted.has(key)) continue;
      this.live.delete(key);
      element.remove();
      if (element.entry.row && this.spare.length < 40) this.spare.push(element);
    }
    let next = this.element.firstElementChild;
    for (let i = from; i < to; i += 1) {
      const entry = this.entries[i];
      let element = this.live.get(entry.key);
      if (!element || (entry.fold && element.entry.fold !== entry.fold)) {
        element?.remove();
        element = entry.row ? this.spare.pop() ?? this.blank() : entry.fold ? this.fold(entry.fold) : this.head();
        element.drawn = null;
        this.live.set(entry.key, element);
      }
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
      this.fill(element, entry, i);
    }
    this.onsight?.();
  }

  blank() {
    const pin = make('button', { class: 'pin', type: 'button', tabindex: '-1' });
    const name = make('span', { class: 'name', role: 'rowheader' }, make('i'), make('bdi'));
    const line = make('canvas', { 'aria-hidden': 'true' });
    const element = make('div', { class: 'row', role: 'row' },
      make('span', { role: 'gridcell', class: 'cell' }, pin), name,
      make('span', { role: 'gridcell', class: 'spark', 'aria-label': 'last minute' }, line),
      make('span', { role: 'gridcell', class: 'value' }));
    Object.assign(element, { pin, path: name.children[0], leaf: name.children[1], line, value: element.lastChild });
    return element;
  }

  head() {
    const element = make('div', { class: 'row group', role: 'row' },
      make('span', { role: 'rowheader', class: 'name' }), make('span', { role: 'gridcell', class: 'count' }));
    return element;
  }

  fill(element, entry, i) {
    if (element.place !== this.offsets[i]) {
      element.place = this.offsets[i];
      element.style.transform = `translateY(${element.place}px)`;
    }
    if (element.index !== i) {
      element.index = i;
      element.setAttribute('aria-rowindex', String(i + 1));
      element.id = `row-${i}`;
    }
    element.entry = entry;
    const active = entry.key === this.active;
    if (element.lit !== active) {
      element.lit = active;
      element.classList.toggle('active', active);
    }
    const level = entry.group !== undefined || entry.flat ? '1' : '2';
    if (element.level !== level) {
      element.level = level;
      element.setAttribute('aria-level', level);
    }
    if (active) this.element.setAttribute('aria-activedescendant', element.id);
    if (entry.row) this.fillRow(element, entry);
    else if (!entry.fold) this.fillHead(element, entry);
  }

  fillHead(element, entry) {
    const text = visible(entry.group, 160) || 'ungrouped';
    const [name, count] = element.children;
    if (name.textContent !== text) name.textContent = text;
    const number = entry.shut ? `${entry.count} hidden` : String(entry.count);
    if (count.textContent !== number) count.textContent = number;
    element.setAttribute('aria-expanded', String(!entry.shut));
  }

  fillRow(element, entry) {
    const { row } = entry;
    const { totals, pinned } = this.settings;
    const flat = entry.flat && row.group;
    const state = `${row.id} ${row.version} ${totals} ${flat} ${pinned.has(row.name)} ${this.folds.has(row.name)} ${this.paint}`;
    if (element.drawn === state) return;
    if (element.row !== row || element.flat !== flat) {
      element.row = row;
      element.flat = flat;
      element.path.textContent = flat ? `${visible(row.group, 120)}.` : '';
      element.leaf.textContent = visible(row.leaf, 160);
      element.value.className = row.numeric ? 'value' : 'value text';
      element.line.hidden = !row.numeric;
    }
    element.drawn = state;
    const on = pinned.has(row.name);
    if (element.pinned !== on || element.said !== row.name) {
      element.pinned = on;
      element.said = row.name;
      element.pin.textContent = on ? '★' : '☆';
      element.pin.setAttribute('aria-pressed', String(on));
      element.pin.setAttribute('aria-label', `Pin ${visible(row.name, 80)}`);
      element.pin.title = on ? 'Unpin (p)' : 'Pin to the top (p)';
    }
    if (row.numeric) element.removeAttribute('aria-expanded');
    else element.setAttribute('aria-expanded', String(this.folds.has(row.name)));
    const text = shown(row, totals);
    if (element.value.textContent !== text) element.value.textContent = text;
    if (row.numeric) spark(element.line, row.rings, row.kind, ...this.spark);
  }

  /** A text or JSON value at its full length. */
  fold(row) {
    const box = make('pre', { tabindex: '0', 'aria-label': `Value of ${visible(row.name, 80)}` });
    const element = make('div', { class: 'row fold', role: 'row' }, make('div', { role: 'gridcell' }, box));
    const known = this.folds.get(row.name);
    box.textContent = known.text ?? 'Loading…';
    this.load(row, box);
    return element;
  }

  async load(row, box) {
    const known = this.folds.get(row.name);
    try {
      const value = await fetchWhole(row);
      const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2) ?? 'gone';
      known.text = visible(text, 200000, true);
    } catch (error) {
      known.text = `Could not be read: ${error.message}`;
    }
    if (box.textContent !== known.text) box.textContent = known.text;
  }

  /** Draws what changed of what is in sight; reads folded-out values again. */
  tick() {
    // What stands above the list comes and goes: a notice, the memory chart.
    this.top = this.element.getBoundingClientRect().top + scrollY;
    const top = scrollY - this.top;
    for (const element of this.live.values()) {
      // The rows kept ready are drawn when they come into sight.
      const near = element.place > top - this.height && element.place < top + innerHeight;
      if (element.entry.row && near) this.fillRow(element, element.entry);
      else if (element.entry.fold && this.folds.has(element.entry.fold.name)) this.load(element.entry.fold, element.querySelector('pre'));
    }
  }

  /** Draws everything in sight anew, after the colours changed. */
  repaint() {
    this.paint = (this.paint ?? 0) + 1;
    this.tick();
  }

  click(event) {
    const element = event.target.closest('.row');
    if (!element || element.entry.fold) return;
    this.active = element.entry.key;
    if (event.target.closest('.pin')) this.on.pin(element.entry.row);
    else this.enter(element.entry);
    this.draw();
  }

  /** Does what a click on an entry does. */
  enter(entry) {
    if (entry.group !== undefined) {
      this.on.shut(entry);
    } else if (entry.row.numeric) {
      this.on.open(entry.row);
    } else {
      const { name } = entry.row;
      if (!this.folds.delete(name)) this.folds.set(name, {});
      this.show(this.entries);
    }
  }

  move(index) {
    let i = Math.max(0, Math.min(this.entries.length - 1, index));
    if (this.entries[i]?.fold) i += index > (this.index ?? 0) && i + 1 < this.entries.length ? 1 : -1;
    const entry = this.entries[i];
    if (!entry) return;
    this.index = i;
    this.active = entry.key;
    const y = this.top + this.offsets[i];
    const bar = document.querySelector('.bar').offsetHeight;
    if (y < scrollY + bar) scrollTo(0, y - bar);
    else if (y + this.height > scrollY + innerHeight) scrollTo(0, y + this.height - innerHeight + 8);
    this.draw();
  }

  key(event) {
    if (event.target !== this.element || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.entries.findIndex((entry) => entry.key === this.active);
    const page = Math.max(1, Math.floor(innerHeight / this.height) - 4);
    const to = {
      ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, PageDown: at + page, PageUp: at - page,
      Home: 0, End: this.entries.length - 1,
    }[event.key];
    const entry = this.entries[at];
    if (to !== undefined) this.move(to);
    else if (entry && (event.key === 'Enter' || event.key === ' ')) this.enter(entry);
    else if (entry?.group !== undefined && event.key === 'ArrowLeft' && !entry.shut) this.enter(entry);
    else if (entry?.group !== undefined && event.key === 'ArrowRight' && entry.shut) this.enter(entry);
    else if (entry?.row && event.key === 'p') this.on.pin(entry.row);
    else return;
    event.preventDefault();
  }
}
