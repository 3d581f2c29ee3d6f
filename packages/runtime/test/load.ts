import * as http from "node:http";

/** What a load brought: how often which answer came. "error: …" is no answer. */
export interface Load {
  readonly answers: Map<string, number>;
  /** Calls that were made. */
  readonly calls: number;
  /** Makes no more calls; resolves when all have ended. */
  stop(): Promise<void>;
}

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
  const call = () => {
    calls++;
    open++;
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
  const start = performance.now();
  // As many as are due by now: a tick that comes late makes up for it.
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - start) * perSecond) / 1000);
    while (calls < due) call();
  }, 5);
  return {
    answers,
    get calls() {
      return calls;
    },
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
