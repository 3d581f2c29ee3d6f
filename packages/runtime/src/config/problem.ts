/** Something wrong with the resources, where it stands, and what to do about it. */
export interface Problem {
  /** The file as it was named (or `resources[0]` for an object), and the line in it: "mecha.yaml:12". */
  readonly source: string;
  /** The resource it is about, if that far is known: "Component/orders-db". */
  readonly resource?: string;
  readonly message: string;
}

/** Every problem of the resources at once. The message lists them, one per line, each with its file and line. */
export class ConfigurationError extends Error {
  override readonly name = "ConfigurationError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** `mecha.yaml:12: unknown field "ulr"; did you mean "url"?` */
export function formatProblem({ source, message }: Problem): string {
  return `${source}: ${message}`;
}
