import { bindCases, type ConformanceCase } from "../suite/cases.js";
import { concurrencyCases } from "./conformance/concurrency.js";
import { expiryCases } from "./conformance/expiry.js";
import type { StateHarness } from "./conformance/harness.js";
import { itemCases } from "./conformance/items.js";
import { StateKit } from "./conformance/kit.js";
import { lifecycleCases } from "./conformance/lifecycle.js";
import { limitCases } from "./conformance/limits.js";
import { listCases } from "./conformance/list.js";
import { outboxCases } from "./conformance/outbox.js";
import { preconditionCases } from "./conformance/preconditions.js";
import { requestIdCases } from "./conformance/request-ids.js";
import { resumeCases } from "./conformance/resume.js";
import { watchCases } from "./conformance/watch.js";

export type { StateHarness } from "./conformance/harness.js";

/**
 * Every rule of `mecha.state.v1` that is a store's to keep, as cases for any test runner:
 * `for (const c of stateConformance(harness)) test(c.name, c.run)`.
 */
export function stateConformance(harness: StateHarness): ConformanceCase[] {
  const all = [
    ...lifecycleCases,
    ...itemCases,
    ...preconditionCases,
    ...concurrencyCases,
    ...listCases,
    ...expiryCases,
    ...requestIdCases,
    ...watchCases,
    ...resumeCases,
    ...limitCases,
    ...outboxCases,
  ];
  return bindCases(all, harness, (own) => new StateKit(own));
}
