import type { GroupCall, PubSub, StateStore } from "@mecha/component";

/** The calls that take one object and give one answer. */
export type Calls = {
  state: Exclude<keyof StateStore, "features" | "durability" | "watch">;
  pubsub: Exclude<keyof PubSub, "features" | "durability" | "maxEventBytes" | "consume">;
};

/** What a test asks of another process. Every question has one answer. */
export type Question = { readonly id: number } & (
  | { readonly type: "open"; readonly dataDir: string; readonly config: object }
  | { readonly type: "health" | "close"; readonly component: number }
  | {
      readonly type: "call";
      readonly component: number;
      readonly block: keyof Calls;
      readonly method: Calls[keyof Calls];
      readonly call: object;
    }
  | {
      /** Something of a consumer, which is there from the first question about it. */
      readonly type: "source";
      readonly component: number;
      readonly source: number;
      readonly group: GroupCall;
      readonly method: "receive" | "settle" | "extend" | "close";
      readonly given: readonly unknown[];
    }
  | { readonly type: "next"; readonly component: number; readonly watch: number; readonly call: object }
  | { readonly type: "return"; readonly watch: number }
);

/** The caller of a question, or of a watch, is gone. It has no answer. */
export interface Abort {
  readonly type: "abort";
  readonly call: number;
}

/** The answer to a question. `aborted`: it failed with the reason that the caller gave for leaving. */
export type Answer = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly aborted: true }
  | { readonly error: { readonly reason: string | undefined; readonly message: string; readonly metadata: object } }
);
