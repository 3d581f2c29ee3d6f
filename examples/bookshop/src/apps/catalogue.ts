// Knows the books, and asks the app "reviews" what is thought of them: which version answers is not its business.
import { createMeshClient } from "@mecha/invoke";
import type { Book, Reviews } from "./books.ts";
import { isbnOf, passOn, serveUntilStopped } from "./http.ts";

const titles = new Map([
  ["9780141439600", "A Tale of Two Cities"],
  ["9780140449136", "Crime and Punishment"],
]);

await using mesh = createMeshClient();

await serveUntilStopped(async ({ method, path, headers }) => {
  const isbn = isbnOf(path, "books");
  const title = isbn === undefined ? undefined : titles.get(isbn);
  if (method !== "GET" || isbn === undefined || title === undefined) return { status: 404 };
  const answer = await mesh.fetch("reviews", `/reviews/${isbn}`, { headers: passOn(headers) });
  if (!answer.ok) return { status: 502, body: { error: `the reviews say ${answer.status}: ${await answer.text()}` } };
  const reviews = (await answer.json()) as Reviews;
  return { status: 200, body: { isbn, title, reviews } satisfies Book };
});
