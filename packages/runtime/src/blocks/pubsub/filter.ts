import type { Event } from "@mecha/api/pubsub";
import { ComponentError } from "@mecha/component";

/** Says whether a group wants an event. */
export type Filter = (event: Event) => boolean;

/**
 * Compiles a group's filter, a CEL expression (https://cel.dev) over `event` and `data`, once. The evaluator is loaded by the first filter. An
 * expression that fails on an event (a field that is not there) does not match; `onFailure` is told.
 *
 * @throws BAD_REQUEST with the position of what does not compile
 */
export async function compileFilter(source: string, onFailure: (error: Error) => void): Promise<Filter> {
  if (source === "") return () => true;
  const { parse, plan, celEnv, isCelError } = await import("@bufbuild/cel");
  const evaluate = plan(celEnv(), parsed(source, parse));
  return (event) => {
    const result = evaluate(bindings(event));
    if (!isCelError(result)) return result === true;
    onFailure(result);
    return false;
  };
}

function parsed<Expression>(source: string, parse: (source: string) => Expression): Expression {
  try {
    return parse(source);
  } catch (error) {
    const message = error instanceof Error ? error.message.replace("<input>:", "") : String(error);
    const description = `is no CEL expression: ${message} (line:column); see https://cel.dev`;
    throw new ComponentError("BAD_REQUEST", `filter ${description}`, {
      violations: [{ field: "settings.filter", description }],
    });
  }
}

/** What an expression sees. */
function bindings(event: Event) {
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
    // Decoded only for an expression that asks for it.
    get data() {
      return jsonData(event);
    },
  };
}

const jsonType = /^application\/(?:[\w.+-]+\+)?json(?:;|$)/i;

function jsonData({ dataContentType, data }: Event) {
  if (!jsonType.test(dataContentType)) return data;
  try {
    return JSON.parse(Buffer.from(data).toString("utf8"));
  } catch {
    return data;
  }
}
