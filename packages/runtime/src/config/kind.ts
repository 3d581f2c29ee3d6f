import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GetInfoResponseSchema } from "@mecha/api/runtime";
import type { ComponentDefinition } from "@mecha/component";
import type { ZodType } from "zod";
import type { AppClient } from "../app/client.js";
import type { AppHealth } from "../app/health.js";
import type { BlockContext } from "../blocks/block.js";
import type { DefinitionLookup } from "../components/definitions.js";
import type { Gate } from "../gate/gate.js";
import type { Policies } from "../policy/policies.js";
import type { Sample } from "../telemetry/metrics.js";
import type { ComponentPlan } from "./component-plan.js";
import type { ResourceDocument } from "./documents.js";
import type { Problem } from "./problem.js";
import type { ResourcePlan } from "./resource.js";
import type { Shape } from "./shape.js";

/** A kind of resource: all that the runtime knows of it. Adding one adds an entry to `kinds`. */
export interface Kind<Resource = unknown, Plan extends ResourcePlan = ResourcePlan> {
  /** "Subscription" */
  readonly kind: string;
  /** What a document of it may say. */
  readonly schema: ZodType<Resource>;
  /** What editors are told of it; `shape` is that of the schema. Default: just that. */
  editorShape?(shape: Shape, definitions: readonly ComponentDefinition[]): Shape;
  /** Plans one document: judges what can be judged by it alone. */
  plan(resource: Resource, document: ResourceDocument, context: PlanContext): Promise<Plan | undefined>;
  /** Judges its plans together with what else is planned. Asked only when every resource could be read. */
  relate(plans: readonly Plan[], context: RelationContext): void;
  /** Starts what runs its resources. Components are there before all others, and run otherwise: everything is made with their registry. */
  start?(context: ServiceContext): ResourceService<Plan>;
}

/** What planning takes; problems are added. */
export interface PlanContext {
  readonly definitions: DefinitionLookup;
  readonly problems: Problem[];
}

/** What relations are judged by; problems are added. */
export interface RelationContext {
  readonly components: readonly ComponentPlan[];
  readonly appId: string;
  readonly problems: Problem[];
}

/** What running resources takes. */
export interface ServiceContext extends BlockContext {
  /** The way to the app; undefined if it listens nowhere that is known. */
  readonly app: App | undefined;
  /** The name of the `kind: App` resource that describes the app, if there is one. */
  readonly appName: string;
  /** What the runtime's policies say. */
  readonly policies: Policies;
  /** What other apps' calls pass before they reach the app. */
  readonly gate: Gate;
}

/** The app, as the runtime reaches it. */
export interface App {
  readonly client: AppClient;
  readonly health: AppHealth;
}

/** What runs the resources of one kind. */
export interface ResourceService<Plan extends ResourcePlan = ResourcePlan> {
  /**
   * Makes what runs what `plans` say: starts what is new, replaces what changed, leaves alone what did not, ends what is gone. One that cannot be
   * taken goes on as it was, and its problems are returned.
   */
  apply(plans: readonly Plan[]): Promise<readonly Problem[]>;
  /** Takes no more work. */
  drain(): void;
  /** What `GetInfo` tells of them. */
  info(): MessageInitShape<typeof GetInfoResponseSchema>;
  /** What Prometheus is told of them. */
  metrics(): readonly Sample[];
  /** Waits for what is in flight until `timedOut` settles, hands back the rest, and ends. */
  close(timedOut: Promise<unknown>): Promise<void>;
}
