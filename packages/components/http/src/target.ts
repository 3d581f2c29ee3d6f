import { ComponentError } from "@mecha/component";

/** The address that a call is for, from its parameters; throws BAD_REQUEST if it is none, or leaves the base URL. */
export function toTarget(baseUrl: string | undefined, metadata: Readonly<Record<string, string>>): URL {
  const url = baseUrl === undefined ? toUrl(metadata.url ?? "") : below(new URL(baseUrl), metadata.path ?? "");
  for (const [key, value] of Object.entries(metadata)) {
    if (key.startsWith("query.")) url.searchParams.append(key.slice("query.".length), value);
  }
  return url;
}

function toUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw badRequest("url", `"${text.slice(0, 200)}" is no http or https URL`);
  if (url.username !== "" || url.password !== "")
    throw badRequest("url", "has a user name; send header.authorization instead");
  url.hash = "";
  return url;
}

/** A path below `base`, after everything that a URL parser makes of dots, slashes and backslashes. */
function below(base: URL, path: string): URL {
  const folder = base.pathname.replace(/\/+$/, "");
  if (path === "") return base;
  if (!/^[/?]/.test(path)) throw badRequest("path", `"${path.slice(0, 200)}" must begin with "/" or "?"`);
  const url = URL.parse(
    path.startsWith("?") ? `${base.origin}${base.pathname}${path}` : `${base.origin}${folder}${path}`,
  );
  const isBelow = url !== null && url.origin === base.origin && `${url.pathname}/`.startsWith(`${folder}/`);
  if (!isBelow) throw badRequest("path", `"${path.slice(0, 200)}" leaves ${base.origin}${base.pathname}`);
  url.hash = "";
  return url;
}

function badRequest(name: string, description: string): ComponentError {
  const field = `metadata["${name}"]`;
  return new ComponentError("BAD_REQUEST", `${field}: ${description}`, { violations: [{ field, description }] });
}
