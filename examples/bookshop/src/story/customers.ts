// Those who look at books: they know the storefront's address and nothing else.
import { randomBytes } from "node:crypto";
import type { Book } from "../apps/books.ts";

/** How many look at a time. */
export const atATime = 4;

/** One look at a book. */
export interface Visit {
  readonly status: number;
  /** The version of the reviews that the page shows; undefined if there is no page. */
  readonly version: string | undefined;
  /** The trace that the visit began. */
  readonly traceId: string;
}

/** Looks at a book, through the storefront at `url`. */
export async function visit(url: string, headers: Record<string, string> = {}): Promise<Visit> {
  const traceId = randomBytes(16).toString("hex");
  // https://www.w3.org/TR/trace-context/: as a browser or a gateway with OpenTelemetry sends it.
  const traceparent = `00-${traceId}-${randomBytes(8).toString("hex")}-01`;
  const answer = await fetch(`${url}/books/9780141439600`, { headers: { traceparent, ...headers } });
  const text = await answer.text();
  const version = answer.ok ? (JSON.parse(text) as Book).reviews.version : undefined;
  return { status: answer.status, version, traceId };
}

/** What many visits came to. */
export class Visits {
  readonly all: readonly Visit[];

  constructor(all: readonly Visit[]) {
    this.all = all;
  }

  /** How many pages showed the reviews of a version. */
  of(version: string): number {
    return this.all.filter((visit) => visit.version === version).length;
  }

  get answered(): number {
    return this.all.filter(({ status }) => status === 200).length;
  }
}

/** Looks at a book many times, a few at a time. */
export async function visitOften(count: number, url: string, headers?: Record<string, string>): Promise<Visits> {
  const all: Visit[] = [];
  let begun = 0;
  const customer = async () => {
    while (begun++ < count) all.push(await visit(url, headers));
  };
  await Promise.all(Array.from({ length: atATime }, customer));
  return new Visits(all);
}
