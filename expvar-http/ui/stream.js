// The connection to the service: opens the event stream, and opens it again when it was lost.

const QUIET = 4000; // ms without a word after which the service counts as silent
const LONGEST = 10000; // ms between two attempts

export class Stream {
  /** `on` has `message(data)` and `state('live' | 'lost' | 'paused')`. */
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
      this.heard = performance.now();
      this.wait = 500;
      this.on.state('live');
      this.on.message(JSON.parse(event.data));
    };
    // The browser's own way of trying again gives up on an error status; ours never does.
    source.onerror = () => this.retry();
    this.heard = performance.now();
    this.watch = setInterval(() => {
      if (performance.now() - this.heard > QUIET) this.on.state('lost');
      if (performance.now() - this.heard > QUIET * 3) this.retry();
    }, 1000);
  }

  retry() {
    this.close();
    this.on.state('lost');
    this.again = setTimeout(() => this.open(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(this.wait * 2, LONGEST);
  }

  close() {
    clearTimeout(this.again);
    clearInterval(this.watch);
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
