/** Streams by their numbers, in place of a Map: {@link Bag} says why. The numbers of a client's streams follow one another, so they hardly ever meet. */
export class StreamTable<Stream extends { readonly id: number }> {
  #slots: (Stream | undefined)[] = new Array(16).fill(undefined);
  #mask = 15;
  size = 0;

  get(id: number): Stream | undefined {
    for (let at = (id >> 1) & this.#mask; ; at = (at + 1) & this.#mask) {
      const found = this.#slots[at];
      if (found === undefined || found.id === id) return found;
    }
  }

  /** Adds a stream that is not there. */
  add(stream: Stream): void {
    if (++this.size * 2 > this.#slots.length) this.#grow();
    this.#put(stream);
  }

  /** Says whether it was there. */
  delete(id: number): boolean {
    const slots = this.#slots;
    let at = (id >> 1) & this.#mask;
    while (slots[at]?.id !== id) {
      if (slots[at] === undefined) return false;
      at = (at + 1) & this.#mask;
    }
    slots[at] = undefined;
    this.size--;
    // What was moved on by the one that is gone moves back.
    for (let next = (at + 1) & this.#mask; ; next = (next + 1) & this.#mask) {
      const moved = slots[next];
      if (moved === undefined) return true;
      slots[next] = undefined;
      this.#put(moved);
    }
  }

  values(): Stream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  #put(stream: Stream): void {
    let at = (stream.id >> 1) & this.#mask;
    while (this.#slots[at] !== undefined) at = (at + 1) & this.#mask;
    this.#slots[at] = stream;
  }

  #grow(): void {
    const streams = this.values();
    this.#slots = new Array(this.#slots.length * 2).fill(undefined);
    this.#mask = this.#slots.length - 1;
    for (const stream of streams) this.#put(stream);
  }
}
