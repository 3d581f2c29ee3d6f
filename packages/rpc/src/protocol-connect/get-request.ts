import { base64Decode } from "@bufbuild/protobuf/wire";

/** A unary request in a URL's query. */
export interface GetRequest {
  readonly binary: boolean;
  readonly compression: string | undefined;
  /** Decodes the message; throws when it is no base64. */
  message(): Uint8Array;
}

/** Reads a Connect GET request; undefined when its encoding is not one that Connect knows. */
export function readGetRequest(url: string): GetRequest | undefined {
  const query = url.indexOf("?");
  const parameters = new URLSearchParams(query === -1 ? "" : url.slice(query + 1));
  const encoding = parameters.get("encoding");
  if (encoding !== "proto" && encoding !== "json") return undefined;
  const message = parameters.get("message") ?? "";
  return {
    binary: encoding === "proto",
    compression: parameters.get("compression") ?? undefined,
    message: () => (parameters.get("base64") === "1" ? base64Decode(message) : new Uint8Array(Buffer.from(message))),
  };
}
