/** A media type and its parameters, names in lower case. https://www.rfc-editor.org/rfc/rfc9110#name-media-type */
export interface MediaType {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Reads a content type leniently: what is malformed is left out, and an empty one is `application/octet-stream`. */
export function parseMediaType(contentType: string): MediaType {
  const [type = "", ...rest] = contentType.split(";");
  const parameters = new Map<string, string>();
  for (const parameter of rest) {
    const [name = "", value = ""] = parameter.split("=", 2);
    parameters.set(name.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, "$1"));
  }
  return { type: type.trim().toLowerCase() || "application/octet-stream", parameters };
}

/** Whether the bytes are a protobuf message: `application/protobuf`, and what others wrote before it was registered. */
export function isProtobuf(type: string): boolean {
  return type === "application/protobuf" || type === "application/x-protobuf";
}
