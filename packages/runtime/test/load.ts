import * as http from "node:http";

/** What a load brought: how often which answer came. "error: …" is no answer. */
export interface Load {
  readonly answers: Map<string, number>;
  /** Calls that were made. */
  readonly calls: number;
  /** Resolves when so many calls were made. */
  reaches(calls: number): Promise<void>;
  /** Makes no more calls; resolves when all have ended. */
  stop(): Promise<void>;
}

/** Calls under way at the most: on a machine that is busy with something else the rate gives way, or nothing would be measured but that. */
const maxOpen = 64;

/** Calls `url` so many times a second, however long answers take; `nameOf` names an answer. */
export function startLoad(
  url: string,
  perSecond: number,
  options: { method?: string; body?: string; nameOf?: (status: number, body: string) => string } = {},
): Load {
  const { method = "GET", body, nameOf = (status) => String(status) } = options;
  const agent = new http.Agent({ keepAlive: true });
  const answers = new Map<string, number>();
  let calls = 0;
  let open = 0;
  let allEnded = () => {};
  const count = (answer: string) => {
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    if (--open === 0) allEnded();
  };
  const waiting = new Map<() => void, number>();
  const call = () => {
    calls++;
    open++;
    for (const [resolve, count] of waiting) if (calls >= count) resolve();
    const request = http.request(url, { agent, method }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.once("end", () => count(nameOf(response.statusCode ?? 0, text)));
      response.once("error", (error) => count(`error: ${error.message}`));
    });
    request.once("error", (error) => count(`error: ${error.message}`));
    request.end(body);
  };
  let due = 0;
  let last = performance.now();
  // As many as are due since the last tick.
  const timer = setInterval(() => {
    const now = performance.now();
    due = Math.min(due + ((now - last) * perSecond) / 1000, maxOpen);
    last = now;
    for (; due >= 1 && open < maxOpen; due--) call();
  }, 5);
  return {
    answers,
    get calls() {
      return calls;
    },
    reaches: (count) => new Promise((resolve) => waiting.set(resolve, count)),
    async stop() {
      clearInterval(timer);
      await new Promise<void>((resolve) => {
        if (open === 0) resolve();
        else allEnded = resolve;
      });
      agent.destroy();
    },
  };
}
