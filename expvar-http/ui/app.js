// The live page: wires the stream, the list, the charts and the controls together.

import { Chart, SPANS, choice } from './chart.js';
import { Detail, Past } from './detail.js';
import { clock, duration, visible } from './format.js';
import { List } from './list.js';
import { repaint } from './paint.js';
import { Store } from './store.js';
import { Stream } from './stream.js';

const $ = (id) => document.getElementById(id);
const RESORT = 5; // seconds between two orders by change, so that rows can be read

/** What the browser keeps; private windows may keep nothing. */
const kept = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(`expvar.${key}`)); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`expvar.${key}`, JSON.stringify(value)); } catch { /* nothing to do */ }
  },
};

const url = new URLSearchParams(location.search);
const settings = {
  filter: url.get('q') ?? '',
  sort: url.get('sort') === 'change' ? 'change' : 'name',
  grouped: url.get('group') !== '0',
  totals: url.get('counters') === 'total',
  pinned: new Set(kept.get('pinned') ?? []),
  shut: new Set(kept.get('shut') ?? []),
};

const store = new Store();
const list = new List($('rows'), settings, {
  open: (row) => detail.open(row),
  pin: (row) => pin(row),
  shut: (entry) => {
    if (!settings.shut.delete(entry.group)) settings.shut.add(entry.group);
    kept.set('shut', [...settings.shut]);
    arrange();
  },
});
const detail = new Detail(store, settings, {
  pin: (row) => pin(row),
  totals: (on) => total(on),
  closed: () => $('rows').focus({ preventScroll: true }),
});
list.onsight = () => {
  clearTimeout(list.seeding);
  if (![...memory.rows, ...list.rows()].some((row) => row.numeric && !row.seeded)) return;
  list.seeding = setTimeout(async () => {
    // With those that come next, so that most of a reader's scrolling asks for nothing.
    const seeded = await store.seed([...memory.rows, ...list.rows(20)]);
    list.tick();
    if (memory.rows.some((row) => seeded.includes(row))) memory.draw();
  }, 100);
};

// ---- what is listed, in which order ----

/** A predicate on names from the filter: `/expression/`, or words that must all occur. */
function matcher(text) {
  const expression = /^\/(.*?)\/?$/s.exec(text);
  if (expression) {
    const pattern = new RegExp(expression[1], 'i');
    return (name) => pattern.test(name);
  }
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (name) => {
    const lower = name.toLowerCase();
    return words.every((word) => lower.includes(word));
  };
}

let matches = () => true;

function refilter() {
  let wrong = '';
  try {
    matches = matcher(settings.filter);
  } catch (error) {
    wrong = error.message;
  }
  $('filter').setAttribute('aria-invalid', String(wrong !== ''));
  $('wrong').textContent = wrong;
  const query = new URLSearchParams();
  if (settings.filter) query.set('q', settings.filter);
  if (settings.sort !== 'name') query.set('sort', settings.sort);
  if (!settings.grouped) query.set('group', '0');
  if (settings.totals) query.set('counters', 'total');
  const text = query.toString();
  history.replaceState(null, '', text ? `?${text}` : location.pathname);
  arrange();
}

function arrange() {
  const rows = [...store.rows.values()].filter((row) => matches(row.name));
  const flat = !settings.grouped || settings.sort === 'change';
  const entries = [];
  for (const row of rows.filter((r) => settings.pinned.has(r.name))) {
    if (!entries.length) entries.push({ key: 'group pinned', group: 'Pinned', count: 0, fixed: true });
    entries[0].count += 1;
    entries.push({ key: `pinned ${row.name}`, row, flat: true, pinned: true });
  }
  if (entries.length && settings.shut.has('Pinned')) {
    entries.length = 1;
    entries[0].shut = true;
  }
  if (settings.sort === 'change') {
    const weight = new Map(rows.map((row) => [row, row.movement]));
    rows.sort((a, b) => weight.get(b) - weight.get(a) || (a.name < b.name ? -1 : 1));
  } else {
    const by = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    rows.sort((a, b) => (flat ? 0 : by(a.group, b.group)) || by(a.name, b.name));
  }
  let group = null;
  for (const row of rows) {
    if (!flat && row.group !== group?.group) {
      group = { key: `group ${row.group}`, group: row.group, count: 0, shut: settings.shut.has(row.group) && !settings.filter };
      entries.push(group);
    }
    if (group) group.count += 1;
    if (!group?.shut) entries.push({ key: row.name, row, flat });
  }
  list.show(entries);
  const number = rows.length === store.rows.size ? `${rows.length}` : `${rows.length} of ${store.rows.size}`;
  $('count').textContent = `${number} variable${rows.length === 1 ? '' : 's'}${store.hidden ? `, ${store.hidden} more not shown` : ''}`;
  $('empty').hidden = rows.length > 0 || !store.start;
}

function pin(row) {
  if (!settings.pinned.delete(row.name)) settings.pinned.add(row.name);
  kept.set('pinned', [...settings.pinned].slice(-500));
  arrange();
}

function total(on) {
  settings.totals = on;
  counters.pick(on ? 'total' : 'rate');
  detail.draw();
  refilter();
}

// ---- memory on top ----

/** What each line of the memory chart is called in the document; the first found is shown. */
const MEMORY = [
  { name: 'limit', colour: 'bad', dashed: true, of: ['process.cgroup.memory_max_bytes', 'process.cgroup.memory_high_bytes'] },
  { name: 'resident', colour: 'b', fill: true, of: ['process.resident_bytes', 'memstats.Sys'] },
  { name: 'heap', colour: 'a', fill: true, of: ['memstats.HeapAlloc'] },
];
const memory = {
  chart: new Chart('Memory; arrow keys move the crosshair'),
  span: 'second',
  past: new Past(store, MEMORY.flatMap((line) => line.of)),
  rows: [],
  draw() {
    const lines = [];
    this.rows = MEMORY.map((line) => line.of.map((name) => store.named.get(name)).find((r) => r?.numeric && r.value > 0));
    this.rows.forEach((row, i) => row && lines.push({ ...MEMORY[i], points: this.past.points(row, 0, this.span) }));
    this.rows = this.rows.filter(Boolean);
    $('memory').hidden = lines.length === 0;
    if (!lines.length) return;
    this.chart.show({ lines, unit: 'bytes', step: SPANS[this.span].step, end: store.now, zero: true, marks: store.restarts });
  },
  tick() {
    if (!$('memory').hidden && $('memory').getBoundingClientRect().bottom < 0) return;
    this.draw();
    if (this.span !== 'second') this.past.refresh().then((read) => read && this.draw());
  },
};
$('memory-tools').append(choice('Span of time', Object.fromEntries(Object.entries(SPANS).map(([k, s]) => [k, s.name])), 'second',
  (span) => { memory.span = span; memory.draw(); memory.past.refresh(true).then(() => memory.draw()); }));
$('memory-chart').append(memory.chart.element);

// ---- the stream ----

const NAMES = { live: 'Live', lost: 'No connection', paused: 'Paused', connecting: 'Connecting' };
let state = 'connecting';
let since = 0;

function notice(text, kind) {
  const box = $('notice');
  $('notice-text').textContent = text;
  box.className = `notice ${kind}`;
  box.hidden = text === '';
}

const stream = new Stream({
  message: (message) => store.take(message),
  state: (next, secs) => {
    if (next === 'quiet') $('state').textContent = `No news for ${secs} s`;
    if (next === state) return;
    if (next === 'lost' && state !== 'lost') {
      since = Date.now();
      notice(`No word from the service since ${clock(since)}; trying again.`, 'bad');
    } else if (next === 'live' && state === 'lost') {
      notice('', '');
    }
    state = next;
    if (next !== 'quiet') $('state').textContent = NAMES[state];
    $('state').className = `state ${state}`;
  },
});

store.onrows = () => {
  if (store.title) {
    const title = visible(store.title, 60);
    $('title').textContent = title;
    document.title = title;
  }
  // Names that come and go several times a second are listed once for all of them.
  arranging ??= requestAnimationFrame(() => { arranging = null; arrange(); });
};
let arranging = null;

let sorted = 0;
store.ontick = () => {
  if (document.hidden) return;
  const busy = $('rows').matches(':hover') || document.activeElement === $('rows');
  if (settings.sort === 'change' && store.tick - sorted >= RESORT && !busy) {
    sorted = store.tick;
    arrange();
  } else {
    list.tick();
  }
  memory.tick();
  detail.tick();
  // After what measures the page, so that it is laid out once.
  const uptime = store.named.get('process.uptime_seconds')?.value ?? (store.now - store.began) / 1000;
  const up = `up ${duration(Math.max(1, Math.round(uptime)))}`;
  if ($('up').textContent !== up) $('up').textContent = up;
};
store.onrestart = () => notice(`The service restarted at ${clock(store.began)}; counters began again from zero.`, 'warn');
document.addEventListener('visibilitychange', () => store.now && store.ontick());

// ---- controls ----

const counters = choice('Counters as', { rate: 'Rates', total: 'Totals' }, settings.totals ? 'total' : 'rate',
  (value) => total(value === 'total'));
$('tools').append(
  choice('Sort by', { name: 'By name', change: 'By change' }, settings.sort, (value) => { settings.sort = value; refilter(); }),
  choice('Group', { on: 'Grouped', off: 'Flat' }, settings.grouped ? 'on' : 'off', (value) => { settings.grouped = value === 'on'; refilter(); }),
  counters,
);

$('filter').value = settings.filter;
$('filter').addEventListener('input', () => { settings.filter = $('filter').value; refilter(); });
$('filter').addEventListener('keydown', (event) => {
  if (event.key === 'ArrowDown' || event.key === 'Enter') $('rows').focus();
  else if (event.key === 'Escape') { $('filter').value = settings.filter = ''; refilter(); } else return;
  event.preventDefault();
});

function pause() {
  const paused = !stream.paused;
  stream.pause(paused);
  $('pause').textContent = paused ? 'Resume' : 'Pause';
  $('pause').setAttribute('aria-pressed', String(paused));
  if (paused) notice(`Paused at ${clock(store.now || Date.now())}; the service goes on.`, 'calm');
  else notice('', '');
}
$('pause').addEventListener('click', pause);

const dark = matchMedia('(prefers-color-scheme: dark)');
function theme(choice) {
  const name = choice ?? (dark.matches ? 'dark' : 'light');
  document.documentElement.dataset.theme = name;
  $('theme').setAttribute('aria-label', name === 'dark' ? 'Light colours' : 'Dark colours');
  $('theme').textContent = name === 'dark' ? '☀' : '☾';
  repaint();
  memory.draw();
  detail.draw();
}
$('theme').addEventListener('click', () => {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  kept.set('theme', next);
  theme(next);
});
dark.addEventListener('change', () => { if (!kept.get('theme')) theme(); });

$('help-open').addEventListener('click', () => $('help').showModal());
$('notice-close').addEventListener('click', () => notice('', ''));
for (const button of document.querySelectorAll('[data-close]')) {
  button.addEventListener('click', () => button.closest('dialog').close());
}
$('help').addEventListener('click', (event) => { if (event.target === $('help')) $('help').close(); });

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.target.matches('input, [role=slider]')) return;
  if (event.key === '/') { $('filter').focus(); $('filter').select(); } else if (event.key === '?') $('help').showModal();
  else if (event.key === ' ' && event.target === document.body) pause();
  else return;
  event.preventDefault();
});

theme(kept.get('theme'));
refilter();
stream.open();
