import assert from "node:assert/strict";
import { ComponentError, type Reason } from "../../errors.js";

/** Asks again and again until `condition` holds; fails after `deadlineMs` (default 5 s) with `what` was waited for. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = 5_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (let pauseMs = 0; !(await condition()); pauseMs = Math.min(pauseMs + 1, 10)) {
    assert(performance.now() < deadline, `waited ${deadlineMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Does `main` while others work; they go on until they are told that it is over, done or failed. */
export async function alongside(
  work: (over: () => boolean) => Promise<unknown>,
  main: () => Promise<void>,
): Promise<void> {
  let over = false;
  const done = main().finally(() => {
    over = true;
  });
  await Promise.all([work(() => over), done]);
}

/** Asserts that a call is refused for `reason`, and that the refusal carries `metadata`. */
export async function refused(
  call: Promise<unknown>,
  reason: Reason,
  metadata: Record<string, string> = {},
): Promise<void> {
  const error = await call.then(
    () => assert.fail(`expected ${reason}, but the call was answered`),
    (error: unknown) => error,
  );
  if (!(error instanceof ComponentError)) throw error;
  assert.equal(error.reason, reason, `expected ${reason}, not ${error.reason}: ${error.message}`);
  assert.notEqual(error.message, "", "an error says what happened");
  for (const [name, value] of Object.entries(metadata)) {
    assert.equal(error.metadata[name], value, `metadata.${name} of ${reason}`);
  }
}
