import { join } from "node:path";
import type { ConnectRouter, Transport } from "@connectrpc/connect";
import { Health } from "@mecha/api/health";
import { AdminService, type GetInfoResponse, RuntimeService } from "@mecha/api/runtime";
import { createInProcessTransport, type RpcServer } from "@mecha/rpc";
import { createAccessControl } from "./access/control.js";
import { createAppClient } from "./app/client.js";
import { type AppHealth, createAppHealth } from "./app/health.js";
import { appBlocks } from "./blocks/registry.js";
import { createAdminService } from "./blocks/runtime/admin.js";
import { describeRuntime } from "./blocks/runtime/info.js";
import { createRuntimeService } from "./blocks/runtime/service.js";
import { createDefinitionLookup } from "./components/definitions.js";
import { createComponentRegistry } from "./components/registry.js";
import { ensureDataDir } from "./components/start.js";
import type { App, ResourceService } from "./config/kind.js";
import { kinds } from "./config/kinds.js";
import { type Plan, planResources, plansOf } from "./config/plan.js";
import { ConfigurationError, formatProblem, type Problem } from "./config/problem.js";
import { resourceStatuses } from "./config/status.js";
import { watchFiles } from "./config/watch.js";
import { createGate } from "./gate/gate.js";
import { createHealthDoors } from "./health/doors.js";
import { createLifecycle } from "./health/lifecycle.js";
import { createHealthService } from "./health/service.js";
import { createLazyMesh } from "./mesh/lazy.js";
import { createMeshTelemetry } from "./mesh/telemetry.js";
import {
  type EdgeOptions,
  type ResolvedRuntimeOptions,
  type RuntimeOptions,
  resolveRuntimeOptions,
} from "./options.js";
import { type Backlog, createOutbox } from "./outbox/outbox.js";
import { createComponentCalls } from "./policy/component-calls.js";
import { createPolicies } from "./policy/policies.js";
import { createRateLimiters } from "./policy/rate-limiters.js";
import { listenAtEdge } from "./server/edge.js";
import { listen } from "./server/listen.js";
import { createCallRecorder } from "./telemetry/calls.js";
import { createDeliveryTelemetry } from "./telemetry/deliveries.js";
import { createObserver } from "./telemetry/observe.js";

/** A running runtime. */
export interface Runtime {
  /** Calls it without a socket: `createStateClient({ transport: runtime.transport })`. */
  readonly transport: Transport;
  /** Where apps reach it: `http://127.0.0.1:3600` or `unix:/path`; undefined if it listens nowhere. */
  readonly endpoint: string | undefined;
  /** Where outsiders reach the apps that policies expose; undefined without an edge port. */
  readonly edgeEndpoint: string | undefined;
  /** Where its admin socket is: `unix:/path`; undefined without one. */
  readonly adminEndpoint: string | undefined;
  /** Whether it takes calls: false once it drains. */
  readonly ready: boolean;
  /** Settles when it has stopped, whoever stopped it. */
  readonly closed: Promise<void>;
  /** Tells that the app was started anew: its startup probe, if it has one, is asked before it gets work. */
  appRestarted(): void;
  /**
   * Has other apps go elsewhere: this app is found no more, and whoever calls it now has heard so when this resolves. Everything else goes on. It is
   * what `close` begins with; call it before that to stop an app that its callers should not find closed.
   */
  withdraw(): Promise<void>;
  /** What it is and serves, as `RuntimeService.GetInfo` tells, but for the outboxes: for those it asks the components. */
  info(): GetInfoResponse;
  /**
   * Drains and stops: not ready, no new work, what is in flight finishes, components close.
   *
   * @param options.deadlineMs how long what is in flight may take, in ms. Default: `drainTimeoutMs`.
   */
  close(options?: { deadlineMs?: number }): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Starts a runtime; resolves when it is ready. With no options it serves every block on the embedded `sqlite`, in process.
 *
 * ```ts
 * await using runtime = await createRuntime();
 * const state = createStateClient({ transport: runtime.transport });
 * ```
 *
 * Rejects with a {@link ConfigurationError} that has every problem of the resources, each with its file and line.
 */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  const settings = await resolveRuntimeOptions(options);
  const { logger, appId, namespace, dataDir } = settings;
  const planOptions = { ...settings, definitions: createDefinitionLookup(settings) };
  const lifecycle = createLifecycle();
  const { tracer, traceUnsampled } = settings;
  const tracing = tracer && (await import("./telemetry/tracing.js")).createTracing({ tracer, traceUnsampled });
  const policies = createPolicies();
  const limiters = createRateLimiters({ ...settings, registry: { use: (...call) => registry.use(...call) } });
  const calls = createComponentCalls({ policies, limiters, clock: settings.clock });
  const registry = createComponentRegistry({ ...settings, tracing, calls });
  const recorder = createCallRecorder();
  const observer = createObserver(recorder, logger, tracing);
  const identity = { appId, namespace, startTime: settings.clock.now() };

  // Everything is checked before anything is started.
  let plan: Plan = await planResources(planOptions);
  let refused: readonly Problem[] = [];
  if (plan.problems.length > 0) throw new ConfigurationError(plan.problems);

  const health = createAppHealth({ ...settings, port: settings.appPort, onFailed: settings.onAppFailed });
  const app = createApp(settings, health);
  const gate = createGate({ ...settings, access: createAccessControl(appId, logger), policies, limiters });
  const outbox = createOutbox({ registry, identity, clock: settings.clock, logger });
  const deliveries = createDeliveryTelemetry(settings.clock, tracing);
  const context = { deliveries, registry, observer, identity, clock: settings.clock, logger, outbox, health };
  const running = appBlocks.map((block) => block.start(context));
  const services = kinds.flatMap(({ kind, start }): [string, ResourceService][] => {
    const service = start?.({ ...context, app, appName: settings.appName, policies, gate });
    return service === undefined ? [] : [[kind, service]];
  });
  const describe = (backlogs: readonly Backlog[] = []) =>
    describeRuntime(identity, registry, backlogs, Object.assign({}, ...services.map(([, service]) => service.info())));
  const runtimeService = createRuntimeService(
    async () => describe(await outbox.backlogs()),
    () => resourceStatuses(plan, refused),
  );
  const meshTelemetry = createMeshTelemetry({ ...settings, tracing });
  const mesh =
    settings.mesh &&
    createLazyMesh({ ...settings, options: settings.mesh, registry, policies, gate, telemetry: meshTelemetry });
  const routes = (router: ConnectRouter) => {
    for (const block of running) block.routes(router);
    router.service(RuntimeService, observer.watch(RuntimeService, runtimeService));
    router.service(Health, observer.watch(Health, createHealthService(lifecycle, registry)));
  };
  const adminRoutes = (router: ConnectRouter) => {
    routes(router);
    router.service(
      AdminService,
      observer.watch(
        AdminService,
        createAdminService(logger, () => void close()),
      ),
    );
  };
  // An app that others are to find is there once they can.
  const reachable = {
    get healthy() {
      return health.healthy && (mesh === undefined || mesh.found);
    },
  };
  const healthDoors = createHealthDoors(
    lifecycle,
    registry,
    [recorder.histogram, deliveries.lag, meshTelemetry.durations],
    reachable,
    async () => [
      ...services.flatMap(([, { metrics }]) => metrics()),
      ...deliveries.metrics(),
      ...(mesh === undefined ? [] : meshTelemetry.metrics()),
      ...(await outbox.metrics()),
    ],
  );
  const doors = [...healthDoors.doors, ...running.flatMap(({ door }) => (door === undefined ? [] : [door]))];

  const servers: Pick<RpcServer, "close">[] = [];
  const listenOn = async (where: Parameters<typeof listen>[0]["listen"], isAdmin: boolean): Promise<string> => {
    const token = isAdmin ? undefined : settings.token;
    const { allowedHosts, allowedOrigins } = settings;
    const server = await listen({
      listen: where,
      routes: isAdmin ? adminRoutes : routes,
      doors,
      proxy: isAdmin ? undefined : mesh?.proxy,
      token,
      allowedHosts,
      allowedOrigins,
      logger,
    });
    servers.push(server);
    return server.endpoint;
  };

  const listenForOutsiders = async (where: EdgeOptions): Promise<string> => {
    if (mesh === undefined) throw new TypeError("option `edge` needs `mesh`: outsiders' calls go to other apps");
    const server = await listenAtEdge(where, { proxy: mesh.edge, clock: settings.clock, logger });
    servers.push(server);
    return server.endpoint;
  };

  /** Several runtimes may share a data directory: the first has the plain name. */
  const listenForAdmin = async (): Promise<string> => {
    ensureDataDir(dataDir);
    try {
      return await listenOn({ path: join(dataDir, "admin.sock") }, true);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
      return listenOn({ path: join(dataDir, `admin-${process.pid}.sock`) }, true);
    }
  };

  /** Makes `next` what runs, unless something stands against it. Components first: the other kinds refer to them. */
  const change = async (next: Plan): Promise<readonly Problem[]> => {
    const outboxes = await outbox.prepare(next);
    try {
      const problems = [...(outboxes.problems.length > 0 ? outboxes.problems : await registry.apply(next))];
      for (const [kind, service] of services) {
        if (problems.length === 0) problems.push(...(await service.apply(plansOf(kind, next.others))));
      }
      return problems;
    } finally {
      outboxes.release();
    }
  };

  const reload = async (): Promise<void> => {
    const next = await planResources(planOptions);
    const problems = next.problems.length > 0 ? next.problems : await change(next);
    refused = problems;
    if (problems.length === 0) plan = next;
    for (const problem of problems)
      logger.error({ source: problem.source }, `change refused: ${formatProblem(problem)}`);
    if (problems.length === 0) logger.info({}, "resources changed and taken");
  };

  let stopWatching = () => {};
  let closing: Promise<void> | undefined;
  const closed = Promise.withResolvers<void>();
  let withdrawing: Promise<void> | undefined;
  const withdraw = (): Promise<void> => (withdrawing ??= mesh?.leave() ?? Promise.resolve());
  const close = ({ deadlineMs = settings.drainTimeoutMs } = {}): Promise<void> => (closing ??= drain(deadlineMs));

  const drain = async (deadlineMs: number): Promise<void> => {
    logger.info({ deadlineMs }, "draining");
    lifecycle.turn("draining");
    stopWatching();
    for (const [, service] of services) service.drain();
    registry.endStreams("the runtime is stopping; open the stream again with its last resume token");
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, deadlineMs);
    try {
      // Other apps go elsewhere first, so that nobody calls what does not listen any more. While the listeners are there: what the app works
      // on may need the runtime.
      const left = Promise.race([withdraw(), timer.promise]);
      await Promise.all([left, ...services.map(([, service]) => service.close(timer.promise))]);
      await Promise.all([mesh?.close(timer.promise), ...servers.map((server) => server.close({ deadlineMs }))]);
      health.close();
      healthDoors.close();
      app?.client.close();
      await Promise.race([outbox.close(), timer.promise]);
      await registry.close(timer.promise);
    } finally {
      clearTimeout(timeout);
      lifecycle.turn("stopped");
      logger.info({}, "stopped");
      closed.resolve();
    }
  };

  let endpoint: string | undefined;
  let edgeEndpoint: string | undefined;
  let adminEndpoint: string | undefined;
  try {
    const problems = await change(plan);
    if (problems.length > 0) throw new ConfigurationError(problems);
    for (const { name, definition, blocks, implicit } of plan.components) {
      const fields = { component: name, type: definition.type, blocks };
      if (implicit)
        logger.info(fields, `no resource serves ${blocks.join(", ")}: the embedded ${definition.type} does`);
    }
    if (settings.adminSocket) adminEndpoint = await listenForAdmin();
    if (settings.listen !== false) endpoint = await listenOn(settings.listen, false);
    if (settings.edge !== undefined) edgeEndpoint = await listenForOutsiders(settings.edge);
    if (app !== undefined && registry.defaultOf("discovery") !== undefined) await mesh?.serveApp(health);
    if (settings.watchResources) stopWatching = await watchFiles(plan.watched, reload);
  } catch (error) {
    await close({ deadlineMs: 0 });
    throw error;
  }
  lifecycle.turn("ready");
  logger.info({ endpoint, ...(edgeEndpoint !== undefined && { edgeEndpoint }), appId, namespace }, "ready");

  return {
    transport: createInProcessTransport(routes),
    endpoint,
    edgeEndpoint,
    adminEndpoint,
    get ready() {
      return lifecycle.phase === "ready";
    },
    closed: closed.promise,
    appRestarted: () => health.restarted(),
    withdraw,
    info: describe,
    close,
    [Symbol.asyncDispose]: () => close(),
  };
}

/** The way to the app, if it listens. */
function createApp({ appPort, appToken, clock }: ResolvedRuntimeOptions, health: AppHealth): App | undefined {
  return appPort === undefined ? undefined : { client: createAppClient(appPort, appToken, clock), health };
}
