import { readFileSync } from "node:fs";

/** What the machine's processors have done since it started, in ticks. */
interface Ticks {
  readonly all: number;
  readonly busy: number;
  /** Wanted, but given to other machines on the same host. */
  readonly stolen: number;
}

/** Begins to watch the processors; the function tells how busy they were until it is called, and how much was not to be had, from 0 to 1. Linux only. */
export function watchMachine(): () => { readonly busy: number; readonly stolen: number } {
  const before = readTicks();
  return () => {
    const after = readTicks();
    const all = after.all - before.all;
    return { busy: (after.busy - before.busy) / all, stolen: (after.stolen - before.stolen) / all };
  };
}

/**
 * Watches which moments the host gave to other machines, until it is let go of. A reading every 50 ms costs next to nothing; the kernel counts in
 * ticks of 10 ms. Linux only.
 */
export class StolenTime implements Disposable {
  readonly #readings: { readonly atMs: number; readonly ticks: number }[] = [];
  readonly #timer = setInterval(() => this.#read(), 50);

  constructor() {
    this.#read();
  }

  /** Whether no processor was taken away between two moments, in ms since 1970. Call it after the second one, by a reading at least. */
  isNone(fromMs: number, toMs: number): boolean {
    const before = this.#readings.findLast(({ atMs }) => atMs <= fromMs);
    const after = this.#readings.find(({ atMs }) => atMs >= toMs);
    return before !== undefined && after !== undefined && before.ticks === after.ticks;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #read(): void {
    this.#readings.push({ atMs: Date.now(), ticks: readTicks().stolen });
  }
}

/** proc(5): user, nice, system, idle, iowait, irq, softirq, steal. */
function readTicks(): Ticks {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const ticks = line.split(/ +/).slice(1, 9).map(Number);
  const [idle = 0, waiting = 0, stolen = 0] = [ticks[3], ticks[4], ticks[7]];
  const all = ticks.reduce((sum, each) => sum + each, 0);
  return { all, busy: all - idle - waiting - stolen, stolen };
}
