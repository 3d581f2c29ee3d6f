import type { CelInput } from "@bufbuild/cel";
import type { Event } from "@mecha/api/pubsub";
import { ComponentError } from "@mecha/component";
import { isJsonType } from "../../cloudevents/media-type.js";

/** Says whether a group wants an event. */
export type Filter = (event: Event) => boolean;

/** A compiled CEL expression (https://cel.dev) over an event. */
export type Expression = (view: EventView) => boolean;

/** An event as expressions see it; made once, for however many of them. */
export type EventView = ReturnType<typeof viewOf>;

/**
 * Compiles a group's filter once. What it says of events where it fails, see {@link compileExpression}.
 *
 * @throws BAD_REQUEST with the position of what does not compile
 */
export async function compileFilter(source: string, onFailure: (error: Error) => void): Promise<Filter> {
  if (source === "") return () => true;
  const matches = await compileExpression(source, onFailure).catch((error: unknown) => {
    const description = error instanceof Error ? error.message : String(error);
    throw new ComponentError("BAD_REQUEST", `filter ${description}`, {
      violations: [{ field: "settings.filter", description }],
    });
  });
  return (event) => matches(viewOf(event));
}

/**
 * Compiles an expression. The evaluator is loaded by the first one. An expression that fails on an event (a field that is not there) does not match;
 * `onFailure` is told. Rejects with the words and the position of what does not compile.
 */
export async function compileExpression(source: string, onFailure: (error: Error) => void): Promise<Expression> {
  const { parse, plan, celEnv, isCelError } = await import("@bufbuild/cel");
  const evaluate = plan(celEnv(), parsed(source, parse));
  return (view) => {
    const result = evaluate(view);
    if (!isCelError(result)) return result === true;
    onFailure(result);
    return false;
  };
}

function parsed<Parsed>(source: string, parse: (source: string) => Parsed): Parsed {
  try {
    return parse(source);
  } catch (error) {
    const message = error instanceof Error ? error.message.replace("<input>:", "") : String(error);
    throw new Error(`is no CEL expression: ${message} (line:column); see https://cel.dev`, { cause: error });
  }
}

export function viewOf(event: Event) {
  let decoded: CelInput | undefined;
  return {
    event: {
      id: event.id,
      source: event.source,
      type: event.type,
      subject: event.subject,
      data_content_type: event.dataContentType,
      data_schema: event.dataSchema,
      extensions: event.extensions,
      ...(event.time !== undefined && { time: event.time }),
    },
    /** JSON as its value, anything else as bytes. Decoded only for an expression that asks for it. */
    get data(): CelInput {
      decoded ??= jsonData(event);
      return decoded;
    },
  };
}

function jsonData({ dataContentType, data }: Event): CelInput {
  if (!isJsonType(dataContentType)) return data;
  try {
    return JSON.parse(Buffer.from(data).toString("utf8"));
  } catch {
    return data;
  }
}
