import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Has V8 collect garbage as suits a runtime. To be called before there is work.
 *
 * - After some idle seconds V8 would give back what the next call needs ("memory reducer"): in the first second after each pause one call of a hundred
 *   took 10 to 120 ms, and takes 5 to 13 so. What is kept for that, 20 to 50 MiB, a runtime that was never busy does not have.
 * - What calls make while a runtime is new and slow may live long enough for V8 to make such things in its old generation from then on; in two of some
 *   thirty starts that is how it looked, with scavenges of 30 ms for as long as the process lived.
 */
export function tuneHeap(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
  setFlagsFromString("--memory-reducer-gc-count=0");
}

/**
 * Gives back what only the start needed: a fifth of the process's own memory, which V8 would keep for as long as it is idle. To be called once,
 * when the runtime is ready and before there is work: it holds everything up for some 20 ms.
 */
export function trimMemory(): void {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as (options: { type: "major"; flavor: "last-resort" }) => void;
  // "Last resort" also lets go of compiled code that is not in use; it is compiled again if it is needed.
  collect({ type: "major", flavor: "last-resort" });
}
