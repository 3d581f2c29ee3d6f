import type { IncomingHttpHeaders } from "node:http";

/** A name as Node keeps it: no other needs to be looked for in another spelling, or refused. */
const plainName = /^[a-z0-9-]+$/;

/** A value that Headers would keep as it is. */
const plainValue = /^(?:[!-~](?:[ -~]*[!-~])?)?$/;

/**
 * Headers that are looked up, and set, in an object as Node's, until somebody wants more than that: filling real Headers costs several times what
 * reading or setting one of them does.
 */
class LazyHeaders {
  readonly #source: IncomingHttpHeaders;
  readonly #own: boolean;
  #filled: Headers | undefined;
  #touched: boolean = false;

  /** @param own whether the source may be changed. */
  constructor(source: IncomingHttpHeaders, own: boolean) {
    this.#source = source;
    this.#own = own;
  }

  static isTouched(headers: LazyHeaders): boolean {
    return headers.#touched || headers.#filled !== undefined;
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
    const own = this.#own && this.#filled === undefined;
    if (own && name !== "set-cookie" && typeof value === "string" && plainName.test(name) && plainValue.test(value)) {
      this.#source[name] = value;
      this.#touched = true;
    } else this.#fill().set(name, value);
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
    const names = this.#filled === undefined && this.#own ? Object.keys(this.#source) : [];
    const [only] = names;
    // One alone is in order.
    if (only !== undefined && names.length === 1) {
      call.call(thisArgument, this.#source[only] as string, only, this as unknown as Headers);
    } else this.#fill().forEach(call, thisArgument);
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
Object.setPrototypeOf(LazyHeaders.prototype, Headers.prototype);

/** Headers of a request that Node has read. */
export function toRequestHeaders(source: IncomingHttpHeaders): Headers {
  return new LazyHeaders(source, false) as unknown as Headers;
}

/** Headers of a response, which has none yet. */
export function createResponseHeaders(): Headers {
  return new LazyHeaders({}, true) as unknown as Headers;
}

/** Whether anybody has set one of them, or looked at all: else there is nothing to send. */
export function isTouched(headers: Headers | undefined): boolean {
  return headers !== undefined && LazyHeaders.isTouched(headers as unknown as LazyHeaders);
}
