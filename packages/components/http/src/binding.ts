import {
  type Binding,
  type BindingData,
  bindingLimits,
  ComponentError,
  durationMs,
  type InvokeCall,
} from "@mecha/component";
import type { HttpConfig } from "./config.js";
import type { Exchange, ExchangeResult, Exchanger } from "./exchange.js";
import { describeOperations } from "./operations.js";
import { toTarget } from "./target.js";

/** The binding block: one HTTP request a call. */
export function createHttpBinding(config: HttpConfig, exchanger: Exchanger, isClosed: () => boolean): Binding {
  return {
    features: ["OUTPUT"],
    operations: describeOperations(config),
    maxDataBytes: bindingLimits.maxDataBytes,
    async invoke(call) {
      if (isClosed()) throw new ComponentError("COMPONENT_UNAVAILABLE", "the component is closed");
      call.signal.throwIfAborted();
      const timeUp = new AbortController();
      const first = toExchange(config, call, AbortSignal.any([call.signal, timeUp.signal]));
      const limitMs = Math.min(config.timeoutMs, durationMs(call.metadata.timeout ?? "") ?? config.timeoutMs);
      const late = `${first.url.origin} did not answer within ${limitMs} ms`;
      const timer = setTimeout(
        () => timeUp.abort(new ComponentError("COMPONENT_UNAVAILABLE", late, { retryAfterMs: 1_000 })),
        limitMs,
      );
      try {
        const { url, result } = await follow(config, exchanger, first);
        return toAnswer(url, result);
      } finally {
        clearTimeout(timer);
      }
    },
  };
}

function toExchange(config: HttpConfig, call: InvokeCall, signal: AbortSignal): Exchange {
  const { operation, metadata, data, contentType } = call;
  const headers: Record<string, string> = { ...config.headers };
  for (const [key, value] of Object.entries(metadata)) {
    if (key.startsWith("header.")) headers[key.slice("header.".length)] = checkHeader(key, value);
  }
  if (contentType !== "") headers["content-type"] = checkHeader("content_type", contentType);
  return {
    method: operation === "request" ? toMethod(metadata.method ?? "") : operation.toUpperCase(),
    url: toTarget(config.baseUrl, metadata),
    headers,
    body: data,
    signal,
  };
}

/** Statuses that say where to look instead. */
const redirects = new Set([301, 302, 303, 307, 308]);

/** Sends, and follows redirects as far as it may: to another origin without what is meant for the first. */
async function follow(
  { maxRedirects }: HttpConfig,
  exchanger: Exchanger,
  first: Exchange,
): Promise<{ url: URL; result: ExchangeResult }> {
  let exchange = first;
  for (let left = maxRedirects; ; left--) {
    const result = await exchanger.send(exchange);
    const { location } = result.headers;
    const next = location === undefined ? null : URL.parse(location, exchange.url.href);
    if (left === 0 || next === null || !redirects.has(result.status)) return { url: exchange.url, result };
    if (!/^https?:$/.test(next.protocol) || (exchange.url.protocol === "https:" && next.protocol === "http:")) {
      throw new ComponentError(
        "TARGET_REFUSED",
        `${exchange.url.origin} redirects to ${next.protocol}//, which is not followed`,
      );
    }
    exchange = redirect(exchange, next, result.status);
  }
}

function redirect(exchange: Exchange, url: URL, status: number): Exchange {
  const isSame = url.origin === exchange.url.origin;
  // What a browser does (https://fetch.spec.whatwg.org/#http-redirect-fetch): 303 asks for another resource, and so do 301 and 302 after a POST.
  const reads =
    exchange.method !== "HEAD" &&
    exchange.method !== "GET" &&
    (status === 303 || (status < 303 && exchange.method === "POST"));
  const body = reads ? new Uint8Array() : exchange.body;
  const kept = Object.entries(exchange.headers).filter(
    ([name]) => (isSame || harmless.has(name)) && !(reads && name === "content-type"),
  );
  return { ...exchange, url, body, headers: Object.fromEntries(kept), ...(reads && { method: "GET" }) };
}

/** Headers that may go to another origin: no credential is among them, and nothing that an operator set for the first. */
const harmless = new Set(["accept", "accept-language", "content-type", "traceparent", "tracestate"]);

function toAnswer(url: URL, { status, headers, body }: ExchangeResult): BindingData {
  const metadata: Record<string, string> = { status: String(status), url: url.href };
  for (const [name, value] of Object.entries(headers)) metadata[`header.${name}`] = value;
  return { data: body, contentType: headers["content-type"] ?? "", metadata };
}

function toMethod(method: string): string {
  const upper = method.toUpperCase();
  // CONNECT opens a tunnel, TRACE sends back what may be secret.
  if (/^[A-Z][A-Z-]{0,30}$/.test(upper) && upper !== "CONNECT" && upper !== "TRACE") return upper;
  throw badRequest('metadata["method"]', `is "${method.slice(0, 50)}", which is no method that is sent`);
}

/** A header's value carries no line break: what follows it would be another header. */
function checkHeader(field: string, value: string): string {
  if (/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) return value;
  throw badRequest(`metadata["${field}"]`, "has characters that no header carries");
}

function badRequest(field: string, description: string): ComponentError {
  return new ComponentError("BAD_REQUEST", `${field} ${description}`, { violations: [{ field, description }] });
}
