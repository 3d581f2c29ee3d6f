import type { z } from "zod";
import type { Section } from "./section.js";
import { apiKeys } from "./sections/api-keys.js";
import { balancing } from "./sections/balancing.js";
import { bulkhead } from "./sections/bulkhead.js";
import { circuitBreaker } from "./sections/circuit-breaker.js";
import { concurrency } from "./sections/concurrency.js";
import { cors } from "./sections/cors.js";
import { edge } from "./sections/edge.js";
import { fault } from "./sections/fault.js";
import { jwt } from "./sections/jwt.js";
import { outlierEjection } from "./sections/outlier-ejection.js";
import { rateLimit } from "./sections/rate-limit.js";
import { request } from "./sections/request.js";
import { retry } from "./sections/retry.js";
import { split } from "./sections/split.js";
import { timeout } from "./sections/timeout.js";

/** All that a policy can say, in the order in which docs and `mecha policy explain` tell it: adding a section adds a line. */
export const sections = {
  bulkhead,
  timeout,
  retry,
  circuitBreaker,
  split,
  balancing,
  outlierEjection,
  fault,
  edge,
  cors,
  request,
  apiKeys,
  jwt,
  rateLimit,
  concurrency,
} as const satisfies Record<string, Section>;

export type SectionName = keyof typeof sections;

/** What a section says, as parsed. */
export type SectionValue<Name extends SectionName> = z.output<(typeof sections)[Name]["schema"]>;

/** What the sections of a policy say. */
export type SectionValues = { readonly [Name in SectionName]?: SectionValue<Name> | undefined };

export const sectionNames = Object.keys(sections) as SectionName[];

/** A section, whatever its values. */
export const sectionOf = (name: SectionName): Section => sections[name] as Section;
