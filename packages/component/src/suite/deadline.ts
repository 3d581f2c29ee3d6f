import assert from "node:assert/strict";

/** Waits for `work`; fails after `deadlineMs`. */
export async function within<T>(deadlineMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const message = `not over after ${deadlineMs} ms: a call was not answered`;
    timer = setTimeout(() => reject(new assert.AssertionError({ message })), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
