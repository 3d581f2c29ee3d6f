/** Where a server is. */
export type Endpoint =
  | { kind: "tcp"; host: string; port: number; authority: string; secure: boolean; baseUrl: string }
  | { kind: "unix"; path: string; authority: string; secure: false; baseUrl: string };

/** Reads `http://host:port`, `https://host:port` or `unix:/path`. */
export function parseEndpoint(text: string): Endpoint {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
    if (path === "") throw new TypeError(`the endpoint "${text}" names no socket: write unix:/path/to/socket`);
    return { kind: "unix", path, authority: "localhost", secure: false, baseUrl: "http://localhost" };
  }
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:") || url.hostname === "") {
    throw new TypeError(`"${text}" is no endpoint: write http://host:port, https://host:port or unix:/path`);
  }
  if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.username !== "") {
    throw new TypeError(`the endpoint "${text}" may only name a scheme, a host and a port`);
  }
  const secure = url.protocol === "https:";
  return {
    kind: "tcp",
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (secure ? 443 : 80) : Number(url.port),
    authority: url.host,
    secure,
    baseUrl: `${url.protocol}//${url.host}`,
  };
}
