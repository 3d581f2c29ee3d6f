import { ComponentError } from "@mecha/component";
import { abortOnClose, type HttpRequest, readBody, send } from "../../server/http.js";
import type { BlockContext, Door } from "../block.js";

const prefix = "/webhook/";

/** `/webhook/<component>[/…]`: what a binding takes by plain HTTP. Its senders have no token of the runtime: the component knows them itself. */
export function createEndpointDoor({ registry }: Pick<BlockContext, "registry">): Door {
  return {
    prefix,
    async handle(request, response) {
      const { name, path } = target(request);
      const { live, serve, keyspace } = registry.use("binding", name);
      const { endpoint } = serve;
      if (endpoint === undefined) {
        throw new ComponentError("COMPONENT_NOT_FOUND", `component "${name}" takes no plain HTTP`);
      }
      const limit = endpoint.maxBodyBytes;
      let actual = 0;
      const tooLarge = (bytes: number) => {
        actual = bytes;
        return new ComponentError("TOO_LARGE", `the body is larger than ${limit} bytes`);
      };
      const signal = abortOnClose(response);
      try {
        const body = await readBody(request, limit, tooLarge);
        const method = request.method ?? "";
        const call = { keyspace, method, path, headers: headersOf(request), body, signal };
        const answer = await live.track(Promise.resolve(endpoint.handle(call)));
        send(response, answer.status, { "cache-control": "no-store", ...answer.headers }, answer.body);
      } catch (error) {
        if (actual === 0) throw error;
        send(response, 413, { "content-type": "text/plain" }, `the body is larger than ${limit} bytes\n`);
      }
    },
  };
}

/** The component is the first segment of the path; the rest, with the query, is the component's business. */
function target({ url = "" }: HttpRequest): { name: string; path: string } {
  const rest = url.slice(prefix.length);
  const end = rest.search(/[/?]/);
  return end === -1 ? { name: rest, path: "" } : { name: rest.slice(0, end), path: rest.slice(end) };
}

function headersOf({ headers }: HttpRequest): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(":")) plain[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return plain;
}
