// Reads spans as OpenTelemetry sends them (https://github.com/open-telemetry/opentelemetry-proto): the few fields that the story draws.
import { BinaryReader } from "@bufbuild/protobuf/wire";

/** Something that a runtime did, and how long it took. */
export interface Span {
  readonly traceId: string;
  readonly id: string;
  /** Empty if the runtime knows of nothing above it. */
  readonly parentId: string;
  readonly name: string;
  /** Of the runtime: that of the app beside it. */
  readonly appId: string;
  /** In ms. */
  readonly start: number;
  readonly durationMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
}

/** The spans of an ExportTraceServiceRequest. */
export function readSpans(request: Uint8Array): Span[] {
  const spans: Span[] = [];
  readFields(request, { 1: (reader) => spans.push(...readResourceSpans(reader.bytes())) });
  return spans;
}

function readResourceSpans(bytes: Uint8Array): Span[] {
  const resource: Record<string, string | number> = {};
  const spans: Omit<Span, "appId">[] = [];
  const ofScope = (scope: Uint8Array) => readFields(scope, { 2: (reader) => spans.push(readSpan(reader.bytes())) });
  readFields(bytes, {
    1: (reader) => readFields(reader.bytes(), { 1: (inner) => readAttribute(inner.bytes(), resource) }),
    2: (reader) => ofScope(reader.bytes()),
  });
  return spans.map((span) => ({ ...span, appId: String(resource["mecha.app_id"]) }));
}

function readSpan(bytes: Uint8Array): Omit<Span, "appId"> {
  const attributes: Record<string, string | number> = {};
  const texts = { traceId: "", id: "", parentId: "", name: "" };
  let [start, end] = [0n, 0n];
  readFields(bytes, {
    1: (reader) => (texts.traceId = toHex(reader.bytes())),
    2: (reader) => (texts.id = toHex(reader.bytes())),
    4: (reader) => (texts.parentId = toHex(reader.bytes())),
    5: (reader) => (texts.name = reader.string()),
    7: (reader) => (start = BigInt(reader.fixed64())),
    8: (reader) => (end = BigInt(reader.fixed64())),
    9: (reader) => readAttribute(reader.bytes(), attributes),
  });
  return { ...texts, start: Number(start / 1000n) / 1000, durationMs: Number(end - start) / 1e6, attributes };
}

/** A KeyValue whose value is a text or a whole number. */
function readAttribute(bytes: Uint8Array, into: Record<string, string | number>): void {
  let key = "";
  let value: string | number | undefined;
  readFields(bytes, {
    1: (reader) => (key = reader.string()),
    2: (reader) =>
      readFields(reader.bytes(), {
        1: (inner) => (value = inner.string()),
        3: (inner) => (value = Number(inner.int64())),
      }),
  });
  if (value !== undefined) into[key] = value;
}

/** Reads the fields of a message that somebody wants. */
function readFields(bytes: Uint8Array, wanted: Record<number, (reader: BinaryReader) => unknown>): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const read = wanted[field];
    if (read === undefined) reader.skip(wireType, field);
    else read(reader);
  }
}

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
