// The runtime beside an app: a child process of `mecha run` and `mecha up`, which tell it what to do over the channel between them.
import type { Runtime } from "@mecha/runtime";
import { createLogger } from "../logger.js";
import { describeError } from "../report.js";
import { startRuntime } from "../start-runtime.js";
import { endGroup } from "./process-group.js";
import type { FromSidecar, StartMessage, ToSidecar } from "./protocol.js";

/** Once it is ready. */
let runtime: Runtime | undefined;
let appProcessId: number | undefined;

process.on("message", (message: ToSidecar) => {
  if (message.type === "start") void start(message);
  else if (message.type === "stop") {
    appProcessId = undefined;
    void stop();
  } else if (message.type === "withdraw") void withdraw();
  else {
    appProcessId = message.type === "app" ? message.processId : undefined;
    // It is there anew, or away for a while: either way what the probes found so far holds no more.
    runtime?.appRestarted();
  }
});
// Our parent is gone without a word: nobody else is left to stop the app, which may use the runtime until it is done.
process.on("disconnect", async () => {
  if (appProcessId !== undefined) await endGroup(appProcessId);
  await stop();
});
process.on("SIGTERM", () => void stop());

async function start(message: StartMessage): Promise<void> {
  try {
    const { settings, token, appToken, portIsChosen, style } = message;
    const logger = await createLogger(settings.logLevel, style);
    const running = await startRuntime({
      settings,
      token,
      appToken,
      anyPort: !portIsChosen,
      logger,
      onAppFailed(reason) {
        if (appProcessId !== undefined) void tell({ type: "app-failed", processId: appProcessId, reason });
      },
    });
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

async function withdraw(): Promise<void> {
  await runtime?.withdraw();
  await tell({ type: "withdrawn" });
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
