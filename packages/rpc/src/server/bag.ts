/** What a {@link Bag} holds: it knows its place there, and is in one bag at a time. */
export interface Bagged {
  /** -1: in none. */
  bagPlace: number;
}

/**
 * A set of things that come and go with every call. A `Set` would do, but for V8: when its hash table is full of what has gone it takes a new one, to
 * which the old one points. An old table that has reached the old generation then keeps all tables after it, and what was in them, through every
 * scavenge (`OrderedHashTable::SetNextTable`): what is held there for the time of a call is kept for seconds.
 */
export class Bag<Thing extends Bagged> {
  readonly #things: Thing[] = [];

  add(thing: Thing): void {
    if (thing.bagPlace === -1) thing.bagPlace = this.#things.push(thing) - 1;
  }

  delete(thing: Thing): void {
    const { bagPlace } = thing;
    if (bagPlace === -1) return;
    thing.bagPlace = -1;
    const last = this.#things.pop() as Thing;
    if (last === thing) return;
    this.#things[bagPlace] = last;
    last.bagPlace = bagPlace;
  }

  /** All that are in it now; they may leave meanwhile. */
  list(): Thing[] {
    return [...this.#things];
  }
}
