// The live page: connects the stream, the list, the charts and the controls.

import { Chart, SPANS, choice, make, write } from './chart.js';
import { Flame } from './flame.js';
import { clock, duration, human, period, plural, visible } from './format.js';
import { List } from './list.js';
import { repaint } from './paint.js';
import { Panel, extremes } from './panel.js';
import { Range } from './range.js';
import { Store } from './store.js';
import { Stream } from './stream.js';
import { format, parse } from './view.js';

const $ = (id) => document.getElementById(id);
const RESORT = 5; // seconds between two orders by change, so that rows can be read
const NEAR = 0.7; // of its limit, from which on memory is drawn below it
const RECENT = 300; // seconds for which a restart stands in the tab's title

const kept = {
  get(key) {
    try { return JSON.parse(localStorage.getItem(`expvar.${key}`)); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`expvar.${key}`, JSON.stringify(value)); } catch { /* nothing to do */ }
  },
};

const settings = parse(location.search, kept.get('pinned') ?? []);
settings.turned = new Set(kept.get('turned') ?? []); // groups that are not as they are at first
settings.pick = null; // the chart that another variable is chosen for

const store = new Store();
const range = new Range(store);
const panels = new Map();
const page = { store, range, settings, zoom, close: (name) => toggle(name), compare };
const list = new List($('rows'), settings, {
  open: (row) => choose(row),
  pin,
  panel,
  shut: (entry) => {
    if (!settings.turned.delete(entry.group)) settings.turned.add(entry.group);
    kept.set('turned', [...settings.turned].slice(-500));
    arrange();
  },
});
list.onsight = () => {
  clearTimeout(list.seeding);
  const charted = [...memory.rows, ...[...panels.values()].flatMap((one) => one.rows)];
  if (![...charted, ...list.rows()].some((row) => row.numeric && !row.seeded)) return;
  list.seeding = setTimeout(async () => {
    // Including the following ones, so that most scrolling needs no request.
    const seeded = await store.seed([...charted, ...list.rows(20)]);
    list.tick();
    if (charted.some((row) => seeded.includes(row))) draw();
  }, 100);
};

/** A predicate on rows from the filter: `/expression/`, or words that all occur in name or help. */
function matcher(text) {
  const expression = /^\/(.*?)\/?$/s.exec(text);
  if (expression) {
    const pattern = new RegExp(expression[1], 'i');
    return (row) => pattern.test(row.name) || (row.help !== '' && pattern.test(row.help));
  }
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (row) => {
    const lower = `${row.name}\n${row.help}`.toLowerCase();
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
  write($('wrong'), wrong);
  arrange();
}

function remember(step = false) {
  const address = format(settings) || location.pathname;
  if ((location.search || location.pathname) === address) return;
  history[step ? 'pushState' : 'replaceState'](null, '', address);
}

const ZERO = 'Always zero';
const OWN = 'expvar';
const PINNED = 'Pinned';
const SYSTEM = /^(process|memstats|cmdline|heap\.top)(\.|$)/;

function place(row) {
  if (row.idle && !settings.filter && !settings.open.has(row.name)) return 3;
  return row.name.startsWith('expvar.') ? 2 : SYSTEM.test(row.name) ? 1 : 0;
}

function arrange() {
  const found = [...store.rows.values()].filter(matches);
  // An open chart stays, so that the next one can be searched for.
  const rows = found.length === store.rows.size ? found
    : [...store.rows.values()].filter((row) => settings.open.has(row.name) || matches(row));
  const flat = !settings.grouped || settings.sort === 'change';
  const entries = [];
  const below = new Set();
  const push = (entry) => {
    entries.push(entry);
    const { row } = entry;
    if (!settings.open.has(row.name) || below.has(row.name)) return;
    below.add(row.name);
    entries.push(row.numeric ? { key: `panel ${row.name}`, panel: row.name } : { key: `fold ${row.name}`, fold: row });
  };
  let group = null;
  const begin = (name, note, fold, start = false) => {
    group = { key: `group ${name}`, group: name, note, count: 0, fixed: !fold, shut: fold && start !== settings.turned.has(name) };
    entries.push(group);
  };
  const pinned = rows.filter((row) => settings.pinned.has(row.name) && matches(row));
  if (pinned.length) begin(PINNED, '', true);
  for (const row of pinned) {
    group.count += 1;
    if (!group.shut) push({ key: `pinned ${row.name}`, row, flat: true, pinned: true });
  }
  const where = new Map(rows.map((row) => [row, place(row)]));
  const by = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const weight = settings.sort === 'change' && new Map(rows.map((row) => [row, row.movement]));
  rows.sort((a, b) => by(where.get(a), where.get(b)) || (weight ? weight.get(b) - weight.get(a) : flat ? 0 : by(a.group, b.group)) || by(a.name, b.name));
  group = null;
  for (const row of rows) {
    const at = where.get(row);
    const name = at === 3 ? ZERO : at === 2 && !settings.filter ? OWN : flat ? '' : row.group || 'Without a group';
    const key = name && `${name} ${at}`;
    if (key !== (group?.at ?? '')) {
      if (name) begin(name, at === 3 ? 'numbers that were never anything else' : at === 2 ? 'about this library' : '', !settings.filter, at >= 2);
      else group = null;
      if (group) group.at = key;
    }
    if (group) group.count += 1;
    if (!group?.shut) push({ key: row.name, row, flat: flat || at >= 2, stays: found.length < rows.length && !matches(row) });
  }
  list.show(entries);
  const total = store.rows.size;
  write($('count'), `${found.length === total ? plural(total, 'variable') : `${human(found.length)} of ${plural(total, 'variable')}`}${store.hidden ? `, ${human(store.hidden)} more not shown` : ''}`);
  $('empty').hidden = rows.length > 0 || !store.start;
  remember();
}

function pin(row) {
  if (!settings.pinned.delete(row.name)) settings.pinned.add(row.name);
  settings.pinned = new Set([...settings.pinned].slice(-500));
  kept.set('pinned', [...settings.pinned]);
  arrange();
}

function panel(name) {
  let one = panels.get(name);
  if (!one) panels.set(name, one = new Panel(name, page));
  one.other = settings.open.get(name);
  requestAnimationFrame(() => one.draw());
  return one;
}

function choose(row) {
  const { pick } = settings;
  if (pick === null) return toggle(row.name);
  compare(pick, row.numeric && row.name !== pick ? row.name : null);
}

function toggle(name) {
  if (!settings.open.delete(name)) settings.open.set(name, null);
  remember(true);
  opened();
  $('rows').focus({ preventScroll: true });
}

/** Draws `other` into the chart of `name`; `undefined` prompts for it, `null` removes it. */
function compare(name, other) {
  settings.pick = other === undefined ? name : null;
  $('pick').hidden = other !== undefined;
  write($('pick-text'), other === undefined ? `Choose a variable to draw beside ${visible(name, 80)}.` : '');
  if (other === undefined) return;
  if (settings.open.has(name) && settings.open.get(name) !== other) {
    settings.open.set(name, other);
    remember(true);
  }
  opened();
}

function opened() {
  for (const [name, one] of panels) {
    one.other = settings.open.get(name) ?? null;
    if (settings.open.has(name)) continue;
    one.close();
    panels.delete(name);
  }
  for (const name of list.folds.keys()) if (!settings.open.has(name)) list.folds.delete(name);
  arrange();
  fetch(true);
}

async function fetch(force = false) {
  draw();
  const rows = [...memory.rows, ...[...panels.values()].flatMap((one) => one.rows)];
  if (await range.refresh(rows, force)) draw();
}

function draw() {
  memory.draw();
  for (const one of panels.values()) one.draw();
}

function zoom(from, to) {
  settings.zoom = [from, to];
  remember(true);
  timed();
}

function timed() {
  range.set(settings.span, settings.zoom);
  spans.pick(settings.zoom ? '' : settings.span);
  $('unzoom').hidden = !settings.zoom;
  if (settings.zoom) write($('unzoom'), `${period(...settings.zoom, range.shown.step)} ✕`);
  fetch(true);
}

const spans = choice('Span of time', Object.fromEntries(Object.entries(SPANS).map(([key, span]) => [key, span.name])), settings.span,
  (span) => { Object.assign(settings, { span, zoom: null }); remember(true); timed(); });
$('unzoom').addEventListener('click', () => { settings.zoom = null; remember(true); timed(); });

const MEMORY = [
  { name: 'limit', colour: 'bad', dashed: true, of: ['process.cgroup.memory_max_bytes', 'process.cgroup.memory_high_bytes'] },
  { name: 'resident', colour: 'b', fill: true, of: ['process.resident_bytes', 'memstats.Sys'] },
  { name: 'heap', colour: 'a', fill: true, of: ['memstats.HeapAlloc'] },
];
const memory = {
  chart: new Chart('Memory; arrow keys move the crosshair, drag to zoom', zoom),
  rows: [],
  draw() {
    const rows = MEMORY.map((line) => line.of.map((name) => store.named.get(name)).find((r) => r?.numeric && r.value > 0));
    const [limit] = rows;
    this.rows = rows.filter(Boolean);
    $('memory').hidden = !rows[1] && !rows[2];
    if ($('memory').hidden) return;
    const share = (x) => (limit ? `${human(x / limit.value, 'ratio')} of the limit` : '');
    const lines = MEMORY.map((line, i) => rows[i] && { ...line, unit: 'bytes', now: rows[i].value, ...range.points(rows[i], 0), note: i ? share : undefined }).filter(Boolean);
    // A limit far above would flatten the line; the percentage shows it instead.
    const high = Math.max(...lines.filter((line) => line.name !== 'limit').map((line) => extremes(line)?.high ?? 0));
    const shown = lines.filter((line) => line.name !== 'limit' || high > NEAR * limit.value);
    const { start, step, frozen } = range.shown;
    this.chart.show({ lines: shown.reverse(), unit: 'bytes', start, step, frozen, zero: true, marks: store.restarts });
    write($('memory-limit'), limit ? `limit ${human(limit.value, 'bytes')}` : '');
  },
};
$('memory-chart').append(memory.chart.element);

const flame = new Flame($('flame'));

/** Shows the heap profile, if the service samples it. */
function heap() {
  $('heap').hidden = !store.sampled;
  const open = store.sampled && settings.heap;
  $('heap').setAttribute('aria-expanded', String(open));
  if (open === !$('flame').hidden) return;
  $('flame').hidden = !open;
  if (open) flame.read();
  list.show(list.entries);
}
$('heap').addEventListener('click', () => {
  settings.heap = !settings.heap;
  remember(true);
  heap();
});

let state = 'connecting';
let since = 0;
let silent = 0;

function tell() {
  const words = {
    connecting: 'Connecting', live: 'Live', quiet: `No news for ${silent} s`,
    lost: `Lost since ${clock(since)}`, paused: `Paused at ${clock(since)}`,
  };
  write($('state'), words[state]);
  $('state').className = `state ${state}`;
  document.body.classList.toggle('stale', state !== 'live' && state !== 'connecting');
  const title = store.title ? visible(store.title, 60) : 'Variables';
  const restart = store.restarts.at(-1);
  const marks = { lost: `✕ lost ${clock(since)} · `, paused: '‖ paused · ', quiet: '… waiting · ' };
  const again = restart && store.now - restart < RECENT * 1000 ? `↻ restarted ${clock(restart)} · ` : '';
  const text = (marks[state] ?? again) + title;
  if (document.title !== text) document.title = text;
  write($('title'), title);
  write($('restarted'), restart ? `Restarted ${clock(restart)}` : '');
}

const stream = new Stream({
  message: (message) => store.take(message),
  state: (next, secs) => {
    if (next !== state && (next === 'lost' || next === 'paused')) since = next === 'paused' ? store.now || Date.now() : Date.now();
    if (next === state && next !== 'quiet') return;
    state = next;
    silent = secs;
    tell();
  },
});

store.onrows = () => {
  tell();
  heap();
  // Names that change several times a second are batched into one update.
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
  fetch();
  if (store.restarts.length) tell();
  // After everything that measures, so that layout runs once.
  const uptime = store.named.get('process.uptime_seconds')?.value ?? (store.now - store.began) / 1000;
  write($('up'), `up ${duration(Math.max(1, Math.round(uptime)))}`);
};
store.onrestart = () => tell();
document.addEventListener('visibilitychange', () => store.now && store.ontick());

const sorts = choice('Sort by', { name: 'By name', change: 'By change' }, settings.sort, (value) => { settings.sort = value; refilter(); });
const groups = choice('Group', { on: 'Grouped', off: 'Flat' }, settings.grouped ? 'on' : 'off', (value) => { settings.grouped = value === 'on'; refilter(); });
const counters = choice('Counters as', { rate: 'Rates', total: 'Totals' }, settings.totals ? 'total' : 'rate',
  (value) => { settings.totals = value === 'total'; refilter(); draw(); });
$('tools').prepend(spans, $('unzoom'), make('span', { class: 'gap' }), sorts, groups, counters);

$('filter').value = settings.filter;
$('filter').addEventListener('input', () => { settings.filter = $('filter').value; refilter(); });
$('filter').addEventListener('keydown', (event) => {
  if (event.key === 'ArrowDown' || event.key === 'Enter') {
    list.choose();
    $('rows').focus({ preventScroll: true });
  } else if (event.key === 'Escape') { $('filter').value = settings.filter = ''; refilter(); } else return;
  event.preventDefault();
});

function pause() {
  stream.pause(!stream.paused);
  write($('pause'), stream.paused ? 'Resume' : 'Pause');
  $('pause').setAttribute('aria-pressed', String(stream.paused));
}
$('pause').addEventListener('click', pause);

// Back and forward, and edited URLs.
addEventListener('popstate', () => {
  Object.assign(settings, parse(location.search, kept.get('pinned') ?? []));
  $('filter').value = settings.filter;
  sorts.pick(settings.sort);
  groups.pick(settings.grouped ? 'on' : 'off');
  counters.pick(settings.totals ? 'total' : 'rate');
  refilter();
  opened();
  timed();
  heap();
});

const dark = matchMedia('(prefers-color-scheme: dark)');
function theme(choice) {
  const name = choice ?? (dark.matches ? 'dark' : 'light');
  document.documentElement.dataset.theme = name;
  $('theme').setAttribute('aria-label', name === 'dark' ? 'Light colours' : 'Dark colours');
  write($('theme'), name === 'dark' ? '☀' : '☾');
  repaint();
  draw();
}
$('theme').addEventListener('click', () => {
  const next = document.documentElement.dataset.theme === 'dark' ? 'light' : 'dark';
  kept.set('theme', next);
  theme(next);
});
dark.addEventListener('change', () => { if (!kept.get('theme')) theme(); });
// Paper is light.
addEventListener('beforeprint', () => theme('light'));
addEventListener('afterprint', () => theme(kept.get('theme')));

$('help-open').addEventListener('click', () => $('help').showModal());
$('pick-end').addEventListener('click', () => compare(settings.pick, null));
for (const button of document.querySelectorAll('[data-close]')) {
  button.addEventListener('click', () => button.closest('dialog').close());
}
$('help').addEventListener('click', (event) => { if (event.target === $('help')) $('help').close(); });

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape' && settings.pick !== null) return compare(settings.pick, settings.open.get(settings.pick) ?? null);
  if (event.target.matches('input, [role=slider]')) return;
  if (event.key === '/') { $('filter').focus(); $('filter').select(); } else if (event.key === '?') $('help').showModal();
  else if (event.key === ' ' && event.target === document.body) pause();
  else return;
  event.preventDefault();
});

theme(kept.get('theme'));
range.set(settings.span, settings.zoom);
refilter();
timed();
stream.open();
