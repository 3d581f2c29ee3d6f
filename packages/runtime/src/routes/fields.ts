import { z } from "@mecha/component";
import { methodName } from "./method-name.js";
import { type PathTemplate, PathTemplateError, parsePathTemplate } from "./path-template.js";

/** A list of path templates, read. */
export const paths = (what: string) =>
  z
    .array(
      z.string().transform((text, context): PathTemplate => {
        try {
          return parsePathTemplate(text);
        } catch (error) {
          if (!(error instanceof PathTemplateError)) throw error;
          context.issues.push({
            code: "custom",
            message: `"${text}" is no path template: ${error.message}`,
            input: text,
          });
          return z.NEVER;
        }
      }),
    )
    .min(1)
    .describe(
      `${what} Templates: \`/orders/{id}\` has any one segment for {id}, \`/admin/**\` is /admin and all below it.`,
    );

/** A list of HTTP methods. */
export const methods = (what: string) => z.array(methodName).min(1).describe(what);
