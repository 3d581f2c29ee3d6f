import type { IncomingHttpHeaders } from "node:http";

/** A name as Node keeps it: no other needs to be looked for in another spelling, or refused. */
const plainName = /^[a-z0-9-]+$/;

/**
 * Request headers that are looked up where Node has put them, until somebody wants more than a look: filling real Headers costs
 * several times what reading one of them does.
 */
class RequestHeaders {
  readonly #source: IncomingHttpHeaders;
  #filled: Headers | undefined;

  constructor(source: IncomingHttpHeaders) {
    this.#source = source;
  }

  get(name: string): string | null {
    if (this.#filled === undefined && plainName.test(name)) {
      const value = this.#source[name];
      if (typeof value === "string") return value;
      if (value === undefined) return null;
    }
    return this.#fill().get(name);
  }

  has(name: string): boolean {
    if (this.#filled === undefined && plainName.test(name)) return Object.hasOwn(this.#source, name);
    return this.#fill().has(name);
  }

  set(name: string, value: string): void {
    this.#fill().set(name, value);
  }

  append(name: string, value: string): void {
    this.#fill().append(name, value);
  }

  delete(name: string): void {
    this.#fill().delete(name);
  }

  getSetCookie(): string[] {
    return this.#fill().getSetCookie();
  }

  forEach(call: (value: string, name: string, parent: Headers) => void, thisArgument?: unknown): void {
    this.#fill().forEach(call, thisArgument);
  }

  keys() {
    return this.#fill().keys();
  }

  values() {
    return this.#fill().values();
  }

  entries() {
    return this.#fill().entries();
  }

  [Symbol.iterator]() {
    return this.#fill().entries();
  }

  #fill(): Headers {
    if (this.#filled !== undefined) return this.#filled;
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.#source)) {
      // Pseudo headers of HTTP/2 are no headers.
      if (name.startsWith(":")) continue;
      if (typeof value === "string") headers.append(name, value);
      else if (value) for (const item of value) headers.append(name, item);
    }
    this.#filled = headers;
    return headers;
  }
}

// `instanceof Headers` holds without the cost of making one; every method is replaced.
Object.setPrototypeOf(RequestHeaders.prototype, Headers.prototype);

/** Headers of a request that Node has read. */
export function toRequestHeaders(source: IncomingHttpHeaders): Headers {
  return new RequestHeaders(source) as unknown as Headers;
}
