import type { StateOperation, StatePublish, StateRequestId } from "@mecha/component";
import type { CallContext } from "./service.js";

/**
 * What every call to a store carries. The signal is made when the store asks for it: making and aborting one costs several times what a store
 * takes that answers at once, before anybody could leave.
 */
class StoreCall {
  readonly keyspace: string;
  readonly #context: CallContext;

  constructor(keyspace: string, context: CallContext) {
    this.keyspace = keyspace;
    this.#context = context;
  }

  get signal(): AbortSignal {
    return this.#context.signal;
  }
}

/** `StateStore.get` */
export class GetCall extends StoreCall {
  readonly key: string;

  constructor(keyspace: string, context: CallContext, key: string) {
    super(keyspace, context);
    this.key = key;
  }
}

/** `StateStore.write` */
export class WriteCall extends StoreCall {
  readonly operations: readonly StateOperation[];
  readonly publishes: readonly StatePublish[];
  readonly requestId: StateRequestId | undefined;

  constructor(
    keyspace: string,
    context: CallContext,
    operations: readonly StateOperation[],
    publishes: readonly StatePublish[],
    requestId: StateRequestId | undefined,
  ) {
    super(keyspace, context);
    this.operations = operations;
    this.publishes = publishes;
    this.requestId = requestId;
  }
}
