/** What a test asks of a component in another process. Every question has one answer. */
export type Question =
  | {
      readonly id: number;
      readonly type: "call";
      readonly method: "get" | "getMany" | "write" | "list";
      readonly call: object;
    }
  | { readonly id: number; readonly type: "next"; readonly watch: number; readonly call: object }
  | { readonly id: number; readonly type: "return"; readonly watch: number }
  | { readonly id: number; readonly type: "health" }
  | { readonly id: number; readonly type: "close" };

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
