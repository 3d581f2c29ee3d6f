import type { DescMessage, DescMethodUnary, DescService, Message } from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";

/** A unary answer whose Headers are made when somebody looks at them. */
export class UnaryAnswer {
  readonly stream = false as const;
  readonly method: DescMethodUnary<DescMessage, DescMessage>;
  readonly message: Message;
  readonly #metadata: () => readonly [header: Headers, trailer: Headers];
  #made: readonly [header: Headers, trailer: Headers] | undefined;

  constructor(
    method: DescMethodUnary<DescMessage, DescMessage>,
    message: Message,
    metadata: () => readonly [header: Headers, trailer: Headers],
  ) {
    this.method = method;
    this.message = message;
    this.#metadata = metadata;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get header(): Headers {
    this.#made ??= this.#metadata();
    return this.#made[0];
  }

  get trailer(): Headers {
    this.#made ??= this.#metadata();
    return this.#made[1];
  }

  /** The same as a plain object, for interceptors, which may copy its properties. */
  toPlain(): UnaryResponse {
    const { stream, service, method, message, header, trailer } = this;
    return { stream, service, method, message, header, trailer } as UnaryResponse;
  }
}
