import type { ServiceImpl } from "@connectrpc/connect";
import type { GetInfoResponse, RuntimeService } from "@mecha/api/runtime";
import type { ResourceStatus } from "../../config/status.js";
import { badRequest, checkPageSize } from "../validation.js";

/** `mecha.runtime.v1.RuntimeService`: what the runtime is, and what it was configured with. */
export function createRuntimeService(
  describe: () => Promise<GetInfoResponse>,
  listResources: () => readonly ResourceStatus[],
) {
  return {
    getInfo: describe,
    listResources({ pageSize, pageToken }) {
      const limit = checkPageSize("page_size", pageSize);
      const all = [...listResources()].sort((a, b) => (positionOf(a) < positionOf(b) ? -1 : 1));
      // The token is the last resource told: what comes and goes between pages shifts nothing.
      const after = pageToken === "" ? "" : decode(pageToken);
      const rest = all.filter((resource) => positionOf(resource) > after);
      const resources = rest.slice(0, limit);
      const last = resources.at(-1);
      const more = last !== undefined && resources.length < rest.length;
      return { resources, nextPageToken: more ? Buffer.from(positionOf(last)).toString("base64url") : "" };
    },
  } satisfies ServiceImpl<typeof RuntimeService>;
}

/** Where a resource stands in the list: by kind and name. No kind or name has a space. */
function positionOf({ kind, name }: ResourceStatus): string {
  return `${kind} ${name}`;
}

function decode(token: string): string {
  const position = Buffer.from(token, "base64url").toString();
  if (/^\w+ \S+$/.test(position)) return position;
  const description = "is not one that this call was given; leave it out to begin anew";
  throw badRequest([{ field: "page_token", description }]);
}
