// The URL holds the state: filter, order, span, pins and open charts, so that links reproduce it.

import { SPANS } from './chart.js';

const MOST = 6000; // characters of an address, which every server and browser takes

/** The view from the URL; pins default to those `kept` in the browser. */
export function parse(search, kept) {
  const query = new URLSearchParams(search);
  const view = {
    filter: query.get('q') ?? '',
    sort: query.get('sort') === 'change' ? 'change' : 'name',
    grouped: query.get('group') !== '0',
    totals: query.get('counters') === 'total',
    heap: query.get('heap') === '1',
    span: query.get('span') in SPANS ? query.get('span') : 'second',
    zoom: null,
    pinned: new Set(query.has('pin') ? query.getAll('pin') : kept),
    open: new Map(), // the name of an open row, and that of the one it is compared with
  };
  const [from, to] = ['from', 'to'].map((name) => Number(query.get(name)));
  if (from > 0 && to > from && to < 8e15) view.zoom = [from, to];
  let last = null;
  for (const [key, name] of query) {
    if (key === 'open') view.open.set(last = name, null);
    else if (key === 'with' && last !== null) view.open.set(last, name);
  }
  return view;
}

export function format(view) {
  const query = new URLSearchParams();
  if (view.filter) query.set('q', view.filter);
  if (view.sort !== 'name') query.set('sort', view.sort);
  if (!view.grouped) query.set('group', '0');
  if (view.totals) query.set('counters', 'total');
  if (view.span !== 'second') query.set('span', view.span);
  if (view.heap) query.set('heap', '1');
  if (view.zoom) view.zoom.forEach((ms, i) => query.set(i ? 'to' : 'from', String(Math.round(ms))));
  let room = MOST;
  const add = (key, name) => {
    room -= encodeURIComponent(name).length + key.length + 2;
    if (room > 0) query.append(key, name);
  };
  for (const [name, other] of view.open) {
    add('open', name);
    if (other) add('with', other);
  }
  for (const name of view.pinned) add('pin', name);
  const text = query.toString();
  return text ? `?${text}` : '';
}
