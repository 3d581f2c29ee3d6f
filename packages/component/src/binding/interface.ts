import type { DeliverySource, Lease } from "../delivery/interface.js";
import type { Awaitable } from "../state/interface.js";
import type { BindingFeature } from "./features.js";

/** One entry of `metadata`, as it is described to callers. */
export interface Parameter {
  /** Its key. One that ends in "*" stands for every key that begins so: "header.*". */
  readonly name: string;
  /** What its value is. A duration is "250ms", "30s", "10m", "1.5h" or "7d". */
  readonly type: "string" | "integer" | "boolean" | "duration" | "json";
  readonly required: boolean;
  /** What it means, with its default and its limits. */
  readonly description: string;
}

/** Something that a binding does, as it is described to callers. The runtime lets nothing else through. */
export interface Operation {
  /** What callers name it by: "get". */
  readonly name: string;
  /** What it does, in a sentence. */
  readonly description: string;
  /** What it takes as `metadata`: a parameter that is missing, unknown or not of its type never reaches the component. */
  readonly parameters: readonly Parameter[];
  /** The media type of the data that it takes: "application/json", "*\/*" for any; undefined: it takes none. */
  readonly input?: string;
  /** The media type of the data that it answers with; "*\/*" if that differs; undefined: it answers with none. */
  readonly output?: string;
  /** What it answers with as `metadata`. */
  readonly results?: readonly Parameter[];
}

/** What the events of a binding are, as they are described to callers. */
export interface InputDescription {
  /** What happens, in a sentence. */
  readonly description: string;
  /** The media type of their data; "*\/*" if that differs; undefined: they have none. */
  readonly contentType?: string;
  /** What they carry as `metadata`. */
  readonly metadata: readonly Parameter[];
}

/** What goes into an operation, and what comes out of it. */
export interface BindingData {
  /** Given away: neither side changes it afterwards. */
  readonly data: Uint8Array;
  /** The media type of `data`; empty if there is none. */
  readonly contentType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What every call carries. */
export interface BindingCall {
  /** The app that calls, as `<namespace>/<app id>`. At most 256 bytes of `[a-z0-9/_.-]`. */
  readonly keyspace: string;
}

/** One operation to do. The runtime has validated it against its description. */
export interface InvokeCall extends BindingCall, BindingData {
  readonly operation: string;
  /**
   * Aborts when the caller is gone or its deadline passed. A call that finds it aborted does nothing and rejects with its reason; one that
   * is under way settles soon: with an answer, with that reason, or, if it may have been done, with OUTCOME_UNKNOWN.
   */
  readonly signal: AbortSignal;
}

/** Something that happened outside. */
export interface InputEvent extends BindingData {
  /** Unique within the binding; the same when it comes again. 1 to 256 bytes. */
  readonly id: string;
  /** When it happened, ms since the epoch. */
  readonly time: number;
}

/** One attempt at delivering one event. */
export interface InputLease extends Omit<Lease, "payload" | "orderingKey"> {
  readonly event: InputEvent;
}

/** The events of a binding for one app. The delivery engine drives it; see {@link DeliverySource} for what each method promises. */
export interface InputSource extends Omit<DeliverySource, "receive"> {
  receive(call: Parameters<DeliverySource["receive"]>[0]): Promise<readonly InputLease[]>;
}

/** A plain-HTTP request to a binding's endpoint. */
export interface EndpointRequest extends BindingCall {
  readonly method: string;
  /** The path below the endpoint with the query, from the slash on: "/orders?x=1"; empty if there is none. */
  readonly path: string;
  /** By name in lower case; several of a name are joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The body, byte for byte as it came. */
  readonly body: Uint8Array;
  /** Aborts when the sender goes. */
  readonly signal: AbortSignal;
}

/** What the sender gets. */
export interface EndpointResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Plain HTTP that a binding takes at `/webhook/<component>` of the runtime's port. No token is asked for there: it must know its senders itself. */
export interface Endpoint {
  /** A larger body is answered 413 without being read. */
  readonly maxBodyBytes: number;
  handle(request: EndpointRequest): Awaitable<EndpointResponse>;
}

/**
 * A binding. Failures are ComponentErrors: COMPONENT_UNAVAILABLE while what it talks to is away (nothing was done), OUTCOME_UNKNOWN if an
 * operation may have been done.
 */
export interface Binding {
  /** OUTPUT with `invoke`, INPUT with `input`, as configured. */
  readonly features: readonly BindingFeature[];
  /** What it does, as configured; none without OUTPUT. */
  readonly operations: readonly Operation[];
  /** The most data that an operation takes, in bytes. */
  readonly maxDataBytes: number;
  /** Does one operation. */
  invoke?(call: InvokeCall): Awaitable<BindingData>;
  /** Its events. */
  readonly input?: InputDescription & {
    /** Consumes for an app. Several sources of an app, in this process and others, share its events. */
    consume(call: BindingCall): InputSource;
  };
  readonly endpoint?: Endpoint;
}
