import { ComponentError } from "@mecha/component";

/** One field that is wrong: its path in proto names, and what would be right. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Collects what is wrong with a request, so that the caller hears of all of it at once. Nothing is allocated while nothing is. */
export class Violations {
  #found: Violation[] | undefined;

  add(field: string, description: string): void {
    this.#found ??= [];
    this.#found.push({ field, description });
  }

  /** Throws BAD_REQUEST if something was found. */
  throwIfAny(): void {
    if (this.#found !== undefined) throw badRequest(this.#found);
  }
}

/** BAD_REQUEST with its violations, and the same in words. */
export function badRequest(found: readonly Violation[]): ComponentError {
  const message = found.map(({ field, description }) => `${field} ${description}`).join("; ");
  return new ComponentError("BAD_REQUEST", message, { violations: [...found] });
}

/** UTF-8 takes at most 3 bytes per UTF-16 unit: most strings need no counting. */
export function isLongerThan(text: string, maxBytes: number): boolean {
  return text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes;
}

/** Requires at most `maxBytes` of UTF-8. */
export function checkBytes(field: string, text: string, maxBytes: number, violations: Violations): void {
  if (!isLongerThan(text, maxBytes)) return;
  violations.add(field, `is ${Buffer.byteLength(text)} bytes long; at most ${maxBytes} are allowed`);
}

const maxPageSize = 1000;
const defaultPageSize = 100;

/** Requires 0 to 1000; 0 is the default. */
export function checkPageSize(field: string, pageSize: number): number {
  if (pageSize >= 0 && pageSize <= maxPageSize) return pageSize === 0 ? defaultPageSize : pageSize;
  const description = `is ${pageSize}; 1 to ${maxPageSize} are allowed, 0 means ${defaultPageSize}`;
  throw badRequest([{ field, description }]);
}

/** Requires a feature that a component may have beyond the block's core. */
export function requireFeature<Feature extends string>(
  features: readonly Feature[],
  feature: Feature,
  block: string,
  component: string,
): void {
  if (features.includes(feature)) return;
  const message = `component "${component}" does not serve feature ${feature} of block "${block}"`;
  throw new ComponentError("FEATURE_NOT_SERVED", message, { metadata: { component, block, feature } });
}
