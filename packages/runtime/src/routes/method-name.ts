import { z } from "@mecha/component";

/** An HTTP method that is passed on: what `requireMethod` of the mesh takes. */
export const methodName = z.string().regex(/^[A-Z][A-Z-]{0,31}$/, "must be an HTTP method in capitals: GET");
