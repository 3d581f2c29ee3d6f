import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import type { Clock } from "@mecha/component";
import type { AppHealth } from "../app/health.js";
import type { ComponentRegistry } from "../components/registry.js";
import type { Outbox } from "../outbox/outbox.js";
import type { HttpRequest, HttpResponse } from "../server/http.js";
import type { DeliveryTelemetry } from "../telemetry/deliveries.js";
import type { RuntimeLogger } from "../telemetry/logger.js";
import type { Observer } from "../telemetry/observe.js";
import type { Identity } from "./runtime/info.js";

/** What the runtime has for a block. */
export interface BlockContext {
  readonly registry: ComponentRegistry;
  readonly observer: Observer;
  /** Where deliveries to the app are counted and traced. */
  readonly deliveries: DeliveryTelemetry;
  readonly identity: Identity;
  readonly clock: Clock;
  readonly logger: RuntimeLogger;
  readonly outbox: Outbox;
  /** Whether the app can be given work. */
  readonly health: AppHealth;
}

/** A running block: its service, and its plain-HTTP doors if it has any. */
export interface RunningBlock {
  /** Registers the service. */
  routes(router: ConnectRouter): void;
  /** Its plain HTTP. */
  readonly door?: Door;
}

/** Plain HTTP beside the contracts. */
export interface Door {
  /** "/state/": every path that begins so; "/healthz", without the slash: this very path. */
  readonly prefix: string;
  handle(request: HttpRequest, response: HttpResponse): Promise<void>;
}

/** A building block, as the runtime serves it. */
export interface Block {
  readonly service: DescService;
  /** Whether calls name their component as a rule: then several need no default. */
  readonly named?: boolean;
  start(context: BlockContext): RunningBlock;
}
