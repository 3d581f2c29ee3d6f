import { ComponentError, type Logger } from "@mecha/component";
import { connect, type IClientOptions, type IPublishPacket, type MqttClient } from "mqtt";
import type { MqttConfig } from "./config.js";

/** A connection to a broker, made again when it is lost. */
export interface MqttConnection {
  readonly client: MqttClient;
  /** Rejects with why while there is none. */
  check(): void;
  close(): Promise<void>;
}

/** Who hears what comes. */
export interface ConnectionHandlers {
  /** `resumed`: the broker still has the session, and sends again what it was not told about. */
  onConnect(resumed: boolean): void;
  /** Whether the broker is told at once that the message is done. */
  onMessage(packet: IPublishPacket): boolean;
}

/** Between attempts to connect again, in ms. */
const reconnectMs = 1_000;

/** Connects and subscribes; rejects with what to do about it. */
export async function connectBroker(
  config: MqttConfig,
  handlers: ConnectionHandlers,
  logger: Logger,
  signal: AbortSignal,
): Promise<MqttConnection> {
  const { subscribe } = config;
  const client = connect(config.url, toOptions(config));
  let fault: string | undefined = "not connected yet";
  let closed = false;
  const takeover = `another client uses clientId "${client.options.clientId}": every client, and every replica, needs one of its own`;

  let connectedAt = 0;
  /** Connections in a row that ended as soon as they were made. */
  let shortLived = 0;
  client.on("connect", ({ sessionPresent }) => {
    fault = undefined;
    connectedAt = performance.now();
    handlers.onConnect(sessionPresent);
  });
  client.on("close", () => {
    if (fault !== undefined) return;
    shortLived = performance.now() - connectedAt < shortLivedMs ? shortLived + 1 : 0;
    fault = shortLived < 2 ? "the connection was lost" : `connections end as soon as they are made; ${takeover}`;
    logger.warn(fault);
  });
  client.on("disconnect", ({ reasonCode }) => {
    fault = reasonCode === sessionTakenOver ? takeover : `the broker ended the connection (reason ${reasonCode})`;
    logger.warn(fault);
  });
  client.on("error", ({ message }) => {
    // Every attempt to connect again ends so while the broker is away: it is told once.
    if (fault !== message) logger.warn("the connection has trouble; it is made again", { error: message });
    fault = message;
  });
  // Reads on at once whatever a message waits for. An "error" here keeps mqtt.js from telling the broker that it is done: that is said later.
  client.handleMessage = (packet, next) => next(handlers.onMessage(packet) ? undefined : heldBack);

  const host = new URL(config.url).host;
  try {
    await firstConnection(client, host, config.connectTimeoutMs, signal);
    if (subscribe !== undefined) {
      const topics = subscribe.topics.map((topic) =>
        subscribe.share === undefined ? topic : `$share/${subscribe.share}/${topic}`,
      );
      const granted = await client.subscribeAsync(topics, { qos: 1 });
      const refused = granted.find(({ qos }) => qos >= 128);
      if (refused !== undefined)
        throw new ComponentError("COMPONENT_UNAVAILABLE", `the broker refuses a subscription to "${refused.topic}"`);
    }
  } catch (error) {
    client.end(true);
    throw error;
  }

  return {
    client,
    check() {
      if (closed) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      if (client.connected) return;
      throw new ComponentError(
        "COMPONENT_UNAVAILABLE",
        `no connection to the broker at ${host}: ${fault ?? "it was lost"}`,
        { retryAfterMs: reconnectMs },
      );
    },
    async close() {
      closed = true;
      // Without a disconnect of its own the broker would wait for the connection to time out.
      await client.endAsync(!client.connected);
    },
  };
}

const sessionTakenOver = 142;

/** A connection that ends sooner after it was made did not end by chance. */
const shortLivedMs = 5_000;

const heldBack = new Error("held back until the app is done");

function toOptions({
  clientId,
  username,
  password,
  ca,
  subscribe,
  maxInFlight,
  keepAliveMs,
  connectTimeoutMs,
}: MqttConfig): IClientOptions {
  return {
    protocolVersion: 5,
    clean: subscribe === undefined,
    keepalive: Math.ceil(keepAliveMs / 1000),
    connectTimeout: connectTimeoutMs,
    reconnectPeriod: reconnectMs,
    reconnectOnConnackError: true,
    queueQoSZero: false,
    ...(clientId !== undefined && { clientId }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(ca !== undefined && { ca }),
    properties: {
      receiveMaximum: maxInFlight,
      ...(subscribe !== undefined && { sessionExpiryInterval: Math.ceil(subscribe.sessionExpiryMs / 1000) }),
    },
  };
}

/** Waits for the first connection: later ones are made again without end, this one must be, or the configuration is wrong. */
async function firstConnection(
  client: MqttClient,
  host: string,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  const late = AbortSignal.timeout(timeoutMs);
  const given = AbortSignal.any([signal, late]);
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
      given.addEventListener("abort", () => reject(given.reason), { once: true });
    });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = late.aborted ? `no answer within ${timeoutMs} ms` : typeof code === "string" ? code : message;
    throw new ComponentError(
      "COMPONENT_UNAVAILABLE",
      `cannot connect to the broker at ${host}: ${why}; is it running, and does it speak MQTT 5?`,
      { cause },
    );
  }
}
