// What is thought of books. Version 2 has stars, and a switch by which it fails.
import type { Reviews } from "./books.ts";
import { isbnOf, serveUntilStopped } from "./http.ts";

const version = process.env.VERSION ?? "1";
let broken = false;
let failures = 0;

await serveUntilStopped(({ method, path, headers }) => {
  // The operator's: breaks it, mends it, and tells how many calls it failed at.
  if (path === "/broken") {
    if (method === "PUT") broken = true;
    if (method === "DELETE") broken = false;
    return { status: 200, body: { broken, failures } };
  }
  // Only the runtime knows this token: who goes around it, goes around its access policies too.
  if (headers["mecha-token"] !== process.env.MECHA_APP_TOKEN) return { status: 401 };
  if (method !== "GET" || isbnOf(path, "reviews") === undefined) return { status: 404 };
  if (broken) {
    failures++;
    return { status: 500, body: { error: "no stars tonight" } };
  }
  const texts = ["It was the best of books.", "It was the worst of books."];
  return { status: 200, body: { version, texts, ...(version !== "1" && { stars: 3 }) } satisfies Reviews };
});
