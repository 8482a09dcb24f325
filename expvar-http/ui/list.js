// The list of variables: of thousands, only visible rows are in the document, unless it is printed.

import { human, visible } from './format.js';
import { make, write } from './chart.js';
import { Sparks, spark } from './spark.js';
import { PARTS, fetchWhole } from './store.js';

const SPARE = 2; // rows kept ready above and below, at least
const BLOCK = 8; // rows made and put away together, which costs little more than one
const REACH = 16384; // px that lines are drawn down one origin, so that few have to be moved
const FOLD = 240; // px of a value folded out
const PANEL = { false: 356, true: 430 }; // px of a chart, on a desk and on a phone

export function shown(row, totals, short = false) {
  switch (row.kind) {
    case 'c': return totals ? human(row.value, row.unit) : human(row.latest, row.unit, true);
    case 'g': return human(row.value, row.unit);
    case 'h': {
      if (!row.value[0]) return '–';
      const said = (part) => `${PARTS[part]} ${human(row.value[part], row.unit)}`;
      return short ? said(3) : `${said(1)}  ${said(2)}  ${said(3)}`;
    }
    default: return visible(String(row.value ?? 'null'), 120);
  }
}

export class List {
  /** `on` has `open(row)`, `pin(row)`, `shut(entry)` and `panel(name)`; `settings` is the view. */
  constructor(element, settings, on) {
    this.element = element;
    this.here = document.getElementById('here');
    this.bar = document.querySelector('.bar');
    this.settings = settings;
    this.on = on;
    this.entries = [];
    this.offsets = [0];
    this.live = new Map(); // entry key -> element
    this.folds = new Map(); // row name -> its whole value
    this.active = null;
    this.spare = [];
    this.sparks = new Sparks();
    element.append(this.sparks.element);
    const soon = () => { this.asked ??= requestAnimationFrame(() => { this.asked = null; this.draw(); }); };
    addEventListener('scroll', soon, { passive: true });
    addEventListener('resize', () => { this.measure(); soon(); });
    addEventListener('beforeprint', () => { this.all = true; this.draw(); });
    addEventListener('afterprint', () => { this.all = false; this.draw(); });
    element.addEventListener('click', (event) => this.click(event));
    element.addEventListener('keydown', (event) => this.key(event));
    element.addEventListener('focus', () => { if (!this.active) this.choose(); });
    this.measure();
  }

  measure() {
    const phone = matchMedia('(max-width: 640px)').matches;
    const before = this.height;
    this.phone = phone;
    this.height = phone ? 52 : 36;
    this.spark = phone ? [64, 30] : [180, 24];
    this.top = null;
    if (before && before !== this.height) this.show(this.entries);
  }

  heightOf(entry) {
    return entry.panel ? PANEL[this.phone] : entry.fold ? FOLD : this.height;
  }

  /** Takes what to list: `{key, row}`, `{key, group, count}`, `{key, panel}` or `{key, fold}`. */
  show(entries) {
    this.stale = true;
    this.entries = entries;
    this.offsets = new Float64Array(entries.length + 1);
    let head = -1;
    entries.forEach((entry, i) => {
      this.offsets[i + 1] = this.offsets[i] + this.heightOf(entry);
      if (entry.group !== undefined) head = i;
      entry.head = head;
    });
    const out = entries;
    this.element.style.height = `${this.offsets[out.length]}px`;
    this.element.setAttribute('aria-rowcount', String(out.length));
    if (this.active && !out.some((entry) => entry.key === this.active)) this.active = null;
    this.top = null;
    this.draw();
  }

  at(y) {
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.offsets[middle + 1] <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  rows(ahead = 0) {
    return this.entries.slice(this.from, this.to + ahead).map((entry) => entry.row).filter(Boolean);
  }

  /** Finds the visible rows. Measures before writing, to avoid a second layout. */
  look() {
    // The list's position depends only on what is above it.
    if (this.top === null) {
      this.top = this.element.getBoundingClientRect().top + scrollY;
      this.under = this.bar.offsetHeight;
    }
    const y = scrollY - this.top;
    this.first = this.all ? 0 : this.at(y);
    this.last = this.all ? this.entries.length : Math.min(this.entries.length, this.at(y + innerHeight) + 1);
    // The heading of the topmost visible section, once it has scrolled away.
    const at = this.at(y + this.under);
    const head = this.entries[at]?.head ?? -1;
    this.heading = y + this.under > 0 && head >= 0 && this.offsets[head] < y + this.under ? this.entries[head] : null;
  }

  draw() {
    this.look();
    const block = (i) => Math.max(0, Math.min(this.entries.length, i * BLOCK));
    const from = block(Math.floor((this.first - SPARE) / BLOCK));
    const to = block(Math.ceil((this.last + SPARE) / BLOCK));
    if (this.stale || from !== this.from || to !== this.to) this.place(from, to);
    for (const element of this.live.values()) this.fill(element);
    this.trace();
    this.crown();
    this.onsight?.();
  }

  crown() {
    const { heading } = this;
    if (this.here.hidden !== !heading) this.here.hidden = !heading;
    if (heading) write(this.here, visible(heading.group, 160));
  }

  trace() {
    if (this.drawn) return;
    this.drawn = true;
    this.sparks.show([...this.live.values()].map((element) => element.spark));
  }

  place(from, to) {
    Object.assign(this, { from, to, stale: false });
    this.drawn = false;
    this.element.style.paddingTop = `${this.offsets[from]}px`;
    const origin = Math.floor(this.offsets[from] / REACH) * REACH;
    if (this.origin !== origin) this.sparks.place(this.origin = origin);
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
        element = entry.row ? this.spare.pop() ?? this.blank()
          : entry.panel ? this.on.panel(entry.panel).element
            : entry.fold ? this.fold(entry.fold) : this.head();
        this.live.set(entry.key, element);
      }
      if (element === next) next = next.nextElementSibling;
      else this.element.insertBefore(element, next);
      element.entry = entry;
      if (element.index !== i) {
        element.index = i;
        element.setAttribute('aria-rowindex', String(i + 1));
        element.id = `row-${i}`;
      }
      const level = entry.group !== undefined || entry.flat ? '1' : '2';
      if (element.level !== level) {
        element.level = level;
        element.setAttribute('aria-level', level);
      }
      if (entry.row) this.dress(element, entry);
      else if (entry.group !== undefined) this.fillHead(element, entry);
    }
  }

  blank() {
    const pin = make('button', { class: 'pin', type: 'button', tabindex: '-1' });
    const name = make('span', { class: 'name', role: 'rowheader' }, make('i'), make('bdi'), make('small'));
    const element = make('div', { class: 'row', role: 'row' },
      make('span', { role: 'gridcell', class: 'cell' }, pin), name,
      make('span', { role: 'gridcell', class: 'spark', 'aria-label': 'last minute' }),
      make('span', { role: 'gridcell', class: 'value' }));
    // Changing a text node is cheaper than replacing it.
    const value = element.lastChild.appendChild(new Text());
    Object.assign(element, { pin, path: name.children[0], leaf: name.children[1], note: name.children[2], name, value });
    return element;
  }

  head() {
    const element = make('div', { class: 'row group', role: 'row' },
      make('span', { role: 'rowheader', class: 'name' }), make('span', { role: 'gridcell', class: 'count' }));
    return element;
  }

  fill(element) {
    const { entry, index } = element;
    const active = entry.key === this.active;
    if (element.lit !== active) {
      element.lit = active;
      element.classList.toggle('active', active);
    }
    if (active) this.element.setAttribute('aria-activedescendant', element.id);
    if (entry.row && index >= this.first && index < this.last) this.refresh(element, entry.row);
  }

  fillHead(element, entry) {
    const [name, count] = element.children;
    write(name, visible(entry.group, 160));
    write(count, `${entry.shut ? `${entry.count} hidden` : entry.count}${entry.note ? ` · ${entry.note}` : ''}`);
    element.classList.toggle('fixed', Boolean(entry.fixed));
    element.setAttribute('aria-expanded', String(!entry.shut));
  }

  dress(element, entry) {
    const { row } = entry;
    const flat = entry.flat && row.group;
    if (element.row !== row || element.flat !== flat) {
      element.row = row;
      element.flat = flat;
      element.version = null;
      element.path.textContent = flat ? `${visible(row.group, 120)}.` : '';
      element.leaf.textContent = visible(row.leaf, 160);
      element.classList.toggle('text', !row.numeric);
      element.classList.toggle('h', row.kind === 'h');
      write(element.note, row.kind === 'h' ? 'last minute' : '');
      element.name.title = visible(row.help, 500);
    }
    const on = this.settings.pinned.has(row.name);
    if (element.pinned !== on || element.said !== row.name) {
      element.pinned = on;
      element.said = row.name;
      element.pin.textContent = on ? '★' : '☆';
      element.pin.setAttribute('aria-pressed', String(on));
      element.pin.setAttribute('aria-label', `Pin ${visible(row.name, 80)}`);
      element.pin.title = on ? 'Unpin (p)' : 'Pin to the top (p)';
    }
    const open = String(this.settings.open.has(row.name));
    if (element.open !== open) element.setAttribute('aria-expanded', element.open = open);
    this.refresh(element, row);
  }

  refresh(element, row) {
    const { totals } = this.settings;
    const [width, height] = this.spark;
    const y = this.offsets[element.index] - this.origin + (this.height - height) / 2;
    if (element.version === row.version && element.totals === totals && element.y === y) return;
    Object.assign(element, { version: row.version, totals, y });
    const text = shown(row, totals, this.phone);
    if (element.value.data !== text) element.value.data = text;
    const parts = row.kind === 'h' ? [3, 1] : [0];
    element.spark = row.numeric ? spark(row.kind, parts.map((part) => row.points(part)), y, width, height) : null;
    this.drawn = false;
  }

  fold(row) {
    const box = make('pre', { tabindex: '0', 'aria-label': `Value of ${visible(row.name, 80)}` });
    const element = make('div', { class: 'row fold', role: 'row' }, make('div', { role: 'gridcell' }, box));
    box.textContent = this.folds.get(row.name)?.text ?? 'Loading…';
    this.load(row, box);
    return element;
  }

  async load(row, box) {
    const known = {};
    try {
      const value = await fetchWhole(row);
      const text = typeof value === 'string' ? value : JSON.stringify(value, null, 2) ?? 'gone';
      known.text = visible(text, 200000, true);
    } catch (error) {
      known.text = `Could not be read: ${error.message}`;
    }
    this.folds.set(row.name, known);
    write(box, known.text);
  }

  tick() {
    // Elements above the list may change: a notice, the memory chart.
    this.top = null;
    this.look();
    for (const element of this.live.values()) {
      const { row, fold } = element.entry;
      if (row && element.index >= this.first && element.index < this.last) this.refresh(element, row);
      else if (fold) this.load(fold, element.querySelector('pre'));
    }
    this.crown();
    this.trace();
  }

  click(event) {
    const element = event.target.closest('.row');
    if (!element || element.entry.fold || element.entry.panel) return;
    this.active = element.entry.key;
    if (event.target.closest('.pin')) this.on.pin(element.entry.row);
    else this.enter(element.entry);
    this.draw();
  }

  enter(entry) {
    if (entry.row) this.on.open(entry.row);
    else if (!entry.fixed) this.on.shut(entry);
  }

  choose() {
    const first = this.entries.findIndex((entry) => entry.row && !entry.stays);
    if (first >= 0) this.move(first);
  }

  move(index) {
    let i = Math.max(0, Math.min(this.entries.length - 1, index));
    const beside = (at) => this.entries[at]?.fold || this.entries[at]?.panel;
    if (beside(i)) i += index > (this.index ?? 0) && i + 1 < this.entries.length ? 1 : -1;
    const entry = this.entries[i];
    if (!entry) return;
    this.index = i;
    this.active = entry.key;
    const y = this.top + this.offsets[i];
    const bar = this.under + this.height;
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
    else if (event.key === 'Escape' && entry?.row && this.settings.open.has(entry.row.name)) this.on.open(entry.row);
    else return;
    event.preventDefault();
  }
}
