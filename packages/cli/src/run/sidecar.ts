// The runtime beside an app: the child process of `mecha run`, which tells it what to do over the channel between them.
import type { Runtime } from "@mecha/runtime";
import { createLogger } from "../logger.js";
import { describeError } from "../report.js";
import { startRuntime } from "../start-runtime.js";
import { signalGroup } from "./app.js";
import type { FromSidecar, StartMessage, ToSidecar } from "./protocol.js";

/** Once it is ready. */
let runtime: Runtime | undefined;
let appProcessId: number | undefined;

process.on("message", (message: ToSidecar) => {
  if (message.type === "start") void start(message);
  else if (message.type === "app") appProcessId = message.processId;
  else void stop();
});
// `mecha run` is gone without a word: nobody else is left to stop the app.
process.on("disconnect", () => {
  if (appProcessId !== undefined) signalGroup(appProcessId, "SIGTERM");
  void stop();
});
process.on("SIGTERM", () => void stop());

async function start(message: StartMessage): Promise<void> {
  try {
    const { settings, token, appToken, portIsChosen } = message;
    const logger = await createLogger(settings.logLevel, message);
    const running = await startRuntime({ settings, token, appToken, anyPort: !portIsChosen, logger });
    runtime = running.runtime;
    const { endpoint } = runtime;
    if (endpoint === undefined) throw new Error("the runtime listens nowhere");
    await tell({ type: "ready", endpoint });
    // By `stop`, or by `AdminService.Shutdown`.
    await running.ended;
    process.exit(0);
  } catch (error) {
    await tell({ type: "failed", message: describeError(error) });
    process.exit(1);
  }
}

/** Drains and ends; a runtime that is not ready yet has nothing to drain. */
async function stop(): Promise<void> {
  if (runtime === undefined) process.exit(0);
  await runtime.close();
}

function tell(message: FromSidecar): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, () => resolve());
  });
}
