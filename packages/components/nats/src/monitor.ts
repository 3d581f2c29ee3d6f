import { ComponentError } from "@mecha/component";

/** What of `/jsz` is looked at. Servers before 2.10 do not have it: they never sync each write. */
interface JetStreamReport {
  readonly config?: { readonly sync_always?: boolean };
}

/** Asks the server's monitoring port whether every write is synced before it is answered. */
export async function syncsAlways(monitorUrl: string, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const url = new URL("jsz", monitorUrl.endsWith("/") ? monitorUrl : `${monitorUrl}/`);
  url.searchParams.set("config", "true");
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) });
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    const report = (await response.json()) as JetStreamReport;
    return report.config?.sync_always === true;
  } catch (error) {
    signal.throwIfAborted();
    const why =
      error instanceof Error ? `${error.message}${error.cause instanceof Error ? `: ${error.cause.message}` : ""}` : "";
    throw new ComponentError(
      "COMPONENT_UNAVAILABLE",
      `the monitoring port of NATS at ${url.host} does not answer (${why}); start nats-server with \`-m PORT\`, or leave monitorUrl out`,
      { cause: error },
    );
  }
}
