import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { EventSchema, type PublishEntrySchema, PubSubService } from "@mecha/api/pubsub";
import { ErrorInfoSchema } from "@mecha/api/rpc";
import { RuntimeService } from "@mecha/api/runtime";
import { type OperationSchema, StateService } from "@mecha/api/state";
import {
  type ComponentDefinition,
  ComponentError,
  defineComponent,
  type PubSub,
  type PubSubEntry,
  type StateStore,
  setFaultyAside,
} from "@mecha/component";
import { createManualClock, startComponent } from "@mecha/component/conformance";
import { memory } from "@mecha/component-memory";
import { onTestFinished } from "vitest";
import { createRuntime, type ResourceObject, type Runtime, type RuntimeOptions } from "../src/index.js";
import type { RuntimeLogger } from "../src/telemetry/logger.js";
import { component, until } from "./helpers.js";

/** What a test does to a component, and sees of it. */
export interface Controls {
  /** What publishing fails with; undefined: it does not. */
  fault: ((entry: PubSubEntry) => Error | undefined) | undefined;
  /** What single events fail with, while the others of a call are published. */
  refusal: ((entry: PubSubEntry) => ComponentError | undefined) | undefined;
  /** What asking for a backlog fails with. */
  backlogFault: Error | "hangs" | undefined;
  maxEventBytes: number;
  features: PubSub["features"];
  stateFeatures: StateStore["features"];
  /** How often somebody published. */
  calls: number;
}

/** A database in memory: it outlives the runtimes that use it, and they share it. Its pubsub can be broken. */
async function lastingComponent(type: string, clock: ReturnType<typeof createManualClock>) {
  const { blocks } = await startComponent(memory, {}, { clock });
  const pubsub = blocks.pubsub as PubSub;
  const state = blocks.state as StateStore;
  const controls: Controls = {
    fault: undefined,
    refusal: undefined,
    backlogFault: undefined,
    maxEventBytes: pubsub.maxEventBytes,
    features: pubsub.features,
    stateFeatures: state.features,
    calls: 0,
  };
  const store: StateStore = {
    get features() {
      return controls.stateFeatures;
    },
    durability: state.durability,
    get: (call) => state.get(call),
    getMany: (call) => state.getMany(call),
    write: (call) => state.write(call),
    list: (call) => state.list(call),
    watch: (call) => state.watch(call),
  };
  const breakable: PubSub = {
    ...pubsub,
    get features() {
      return controls.features;
    },
    get maxEventBytes() {
      return controls.maxEventBytes;
    },
    async backlog(call) {
      if (controls.backlogFault === "hangs") return new Promise(() => {});
      if (controls.backlogFault !== undefined) throw controls.backlogFault;
      return pubsub.backlog(call);
    },
    async publish(call) {
      controls.calls += 1;
      for (const entry of call.entries) {
        const fault = controls.fault?.(entry);
        if (fault !== undefined) throw fault;
      }
      const { sound, merge } = setFaultyAside(call.entries, (entry) => controls.refusal?.(entry));
      return merge(await pubsub.publish({ ...call, entries: sound }));
    },
  };
  const definition: ComponentDefinition = defineComponent({
    type,
    description: memory.description,
    config: memory.config,
    serves: memory.serves,
    create: async () => ({
      blocks: { state: store, pubsub: breakable },
      health: async () => {},
      close: async () => {},
    }),
  }) as ComponentDefinition;
  return { controls, definition };
}

/** A line that was logged. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

function createRecordingLogger(lines: LogLine[]): RuntimeLogger {
  const log = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  const logger: RuntimeLogger = {
    level: "debug",
    isLevelEnabled: () => true,
    child: () => logger,
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
  };
  return logger;
}

export const storeAndEvents: readonly ResourceObject[] = [
  component("main", { type: "store", default: ["state"] }),
  component("events", { type: "events", default: ["pubsub"] }),
];

/** State in the component "main", events in "events", both of which outlive the runtimes that `start` starts on them. */
export async function createWorld() {
  const clock = createManualClock();
  const main = await lastingComponent("store", clock);
  const events = await lastingComponent("events", clock);
  const logged: LogLine[] = [];
  return {
    clock,
    main: main.controls,
    events: events.controls,
    logged,
    async start(options: RuntimeOptions = {}) {
      const runtime = await createRuntime({
        appId: "shop",
        clock,
        components: [main.definition, events.definition, memory as ComponentDefinition],
        resources: storeAndEvents,
        environment: {},
        logger: createRecordingLogger(logged),
        ...options,
      });
      let closing: Promise<void> | undefined;
      const close = () => (closing ??= runtime.close({ deadlineMs: 1_000 }));
      onTestFinished(close);
      return new App(runtime, close);
    },
    /** Waits until something holds, while time passes. */
    async passes(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
      await until(async () => {
        if (await condition()) return true;
        clock.advance(500);
        return false;
      }, what);
    },
  };
}

type PublishInit = Exclude<MessageInitShape<typeof PublishEntrySchema>, { $typeName: string }>;
type OperationInit = MessageInitShape<typeof OperationSchema>;

/** `publish` of a transaction. */
export const publish = (topic: string, text: string, entry: PublishInit = {}, pubsub = ""): OperationInit => ({
  operation: {
    case: "publish",
    value: { pubsub, entry: { topic, event: { data: new TextEncoder().encode(text) }, ...entry } },
  },
});

/** `set` of a transaction. */
export const set = (key: string, text = ""): OperationInit => ({
  operation: { case: "set", value: { key, value: new TextEncoder().encode(text) } },
});

/** A check that fails if the key is absent. */
export const requirePresent = (key: string): OperationInit => ({
  operation: { case: "check", value: { key, precondition: { condition: { case: "exists", value: true } } } },
});

/** An app on a runtime. */
export class App {
  readonly state: Client<typeof StateService>;
  readonly pubsub: Client<typeof PubSubService>;
  readonly runtimeService: Client<typeof RuntimeService>;

  constructor(
    readonly runtime: Runtime,
    readonly close: () => Promise<void>,
  ) {
    this.state = createClient(StateService, runtime.transport);
    this.pubsub = createClient(PubSubService, runtime.transport);
    this.runtimeService = createClient(RuntimeService, runtime.transport);
  }

  async transact(...operations: OperationInit[]): Promise<string[]> {
    const { results } = await this.state.transact({ operations });
    return results.map(({ result }) => (result.case === "publish" ? result.value.eventId : (result.case ?? "")));
  }

  /** Opens this app's group, so that it gets what is published from now on. */
  async listen(topic: string, ordered = false): Promise<void> {
    await this.pubsub.pull({ open: { topic, settings: { ordered } } });
  }

  /** What came to the app's group since, acked. */
  async received(topic: string): Promise<string[]> {
    const { deliveries } = await this.pubsub.pull({ open: { topic } });
    const deliveryIds = deliveries.map(({ deliveryId }) => deliveryId);
    if (deliveryIds.length > 0) await this.pubsub.ack({ settle: { deliveryIds, disposition: 1 } });
    return deliveries.map(({ event = create(EventSchema) }) => new TextDecoder().decode(event.data));
  }

  /** How much waits in the outbox. */
  async backlog(): Promise<number | undefined> {
    const { components } = await this.runtimeService.getInfo({});
    const outbox = components.flatMap(({ outboxes }) => outboxes)[0];
    return outbox && Number(outbox.backlog);
  }
}

/** What a component that is away answers. */
export const away = () => new ComponentError("COMPONENT_UNAVAILABLE", "the test says so", { retryAfterMs: 100 });

/** Why a call was refused: the reason, and what it names. */
export async function refusal(call: Promise<unknown>): Promise<{ reason: string; metadata: Record<string, string> }> {
  const error = await call.then(
    () => undefined,
    (error: unknown) => ConnectError.from(error),
  );
  const [info] = error?.findDetails(ErrorInfoSchema) ?? [];
  return { reason: info?.reason ?? "answered", metadata: { message: error?.rawMessage ?? "", ...info?.metadata } };
}
