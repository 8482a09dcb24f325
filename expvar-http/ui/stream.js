// The event stream: connects, and reconnects when it is lost.

const QUIET = 4000; // ms without a word after which the page says so
const SILENT = 30000; // ms after which the connection counts as dead
const LONGEST = 10000; // ms between two attempts

export class Stream {
  /** `on` has `message(data)` and `state('live' | 'quiet' | 'lost' | 'paused', secs)`. */
  constructor(on) {
    this.on = on;
    this.wait = 500;
    this.paused = false;
  }

  open() {
    this.close();
    const source = new EventSource('events');
    this.source = source;
    source.onmessage = (event) => {
      this.listen();
      this.wait = 500;
      this.on.state('live');
      this.on.message(JSON.parse(event.data));
    };
    // The browser's own retry stops at an error status; this one never does.
    source.onerror = () => this.retry();
    this.listen();
  }

  listen() {
    this.heard = performance.now();
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.quiet(), QUIET);
  }

  quiet() {
    // A variable's slow function delays the values, but the connection is fine.
    const silence = performance.now() - this.heard;
    if (silence > SILENT) {
      this.retry();
    } else {
      this.on.state('quiet', Math.round(silence / 1000));
      this.watch = setTimeout(() => this.quiet(), 1000);
    }
  }

  retry() {
    this.close();
    this.on.state('lost');
    this.again = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST);
  }

  close() {
    clearTimeout(this.again);
    clearTimeout(this.watch);
    this.source?.close();
    this.source = null;
  }

  pause(paused) {
    this.paused = paused;
    if (paused) {
      this.close();
      this.on.state('paused');
    } else {
      this.open();
    }
  }
}
