import type { Clock } from "@mecha/component";
import type { Identity } from "@mecha/identity";
import type { AppHealth } from "../app/health.js";
import type { ComponentRegistry } from "../components/registry.js";
import type { Gate } from "../gate/gate.js";
import type { Policies } from "../policy/policies.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import { createAppSender } from "./app-sender.js";
import { type CurrentDiscovery, createDirectory } from "./directory.js";
import { createEdge } from "./edge.js";
import { createFront, type Front } from "./front.js";
import { type Incoming, listenForPeers } from "./incoming.js";
import type { ResolvedMeshOptions } from "./options.js";
import { createOutgoing, type Outgoing } from "./outgoing.js";
import { createPeers } from "./peers.js";
import { type Registration, register } from "./registration.js";
import type { MeshTelemetry } from "./telemetry.js";

/** What lets apps call one another. */
export interface Mesh extends Front {
  /** Takes the calls of outsiders. */
  readonly edge: Front;
  /** Whether others find the app, if they are to. */
  readonly found: boolean;
  /** Takes calls for the app: listens on the mesh port and registers with discovery. */
  serveApp(health: AppHealth): Promise<void>;
  /** Is found no more, and waits until those who know this instance know that. */
  leave(): Promise<void>;
  /** Takes no more calls, waits for those in flight until `timedOut` settles, and lets everything go. */
  close(timedOut: Promise<unknown>): Promise<void>;
}

export interface MeshContext {
  readonly options: ResolvedMeshOptions;
  readonly identity: Identity;
  readonly appId: string;
  readonly namespace: string;
  readonly dataDir: string;
  readonly token: string | undefined;
  readonly appPort: number | undefined;
  readonly appToken: string | undefined;
  readonly registry: ComponentRegistry;
  readonly policies: Policies;
  readonly gate: Gate;
  readonly telemetry: MeshTelemetry;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
}

/** How long it takes until everybody who watches has heard that an instance has left, in ms. */
const heardMs = 250;

/** Makes the mesh; nothing listens yet, and nobody is called. It closes the identity. */
export function createMesh({ options, registry, clock, logger, ...context }: MeshContext): Mesh {
  const { appId, namespace } = context;
  const { identity } = context;
  const current = (): CurrentDiscovery => {
    const { live, serve } = registry.use("discovery", "");
    return { live, discovery: serve };
  };
  const peers = createPeers(identity);
  const directory = createDirectory({ namespace, current, clock, logger });
  const { policies } = context;
  const { balancing } = options;
  const { telemetry } = context;
  const observer = telemetry.attempts;
  const calls = createOutgoing({ appId, directory, peers, policies, balancing, observer, clock, logger });
  const outgoing: Outgoing = {
    call(app, inbound, options) {
      const watched = telemetry.watch({ direction: "outgoing", from: appId, to: app }, inbound);
      return calls.call(app, watched, options);
    },
  };
  const front = createFront({ outgoing, token: context.token, logger });
  let incoming: Incoming | undefined;
  let registration: Registration | undefined;
  let closeApp = () => {};

  return {
    ...front,
    edge: createEdge({ appId, outgoing, policies: context.policies, clock, logger }),
    get found() {
      return registration?.registered ?? true;
    },
    async serveApp(health) {
      if (context.appPort === undefined) return;
      const app = createAppSender(context.appPort);
      closeApp = app.close;
      const { host, port } = options;
      const { appToken, gate } = context;
      incoming = await listenForPeers({ host, port, identity, app, appToken, health, gate, telemetry, clock, logger });
      const address = options.addressFor(incoming.port);
      if (incoming.port !== options.port && options.port !== 0) {
        logger.info({ port: incoming.port }, `somebody has port ${options.port}: the mesh port is ${incoming.port}`);
      }
      const { version, zone, weight } = options;
      registration = register({
        namespace,
        instance: { app: appId, address, version, zone, weight },
        current: () => (registry.defaultOf("discovery") === undefined ? undefined : current()),
        health,
        clock,
        logger,
      });
    },
    async leave() {
      await registration?.end().catch((err: unknown) => {
        logger.warn({ err }, "cannot deregister; other apps may try this one until its lease ends");
      });
      if (incoming !== undefined && incoming.sessions > 0) await new Promise((resolve) => setTimeout(resolve, heardMs));
    },
    async close(timedOut) {
      const over = Promise.all([incoming?.close(), peers.close()]);
      await Promise.race([over, timedOut]);
      incoming?.destroy();
      peers.destroy();
      directory.close();
      closeApp();
      identity.close();
      await over;
    },
  };
}
