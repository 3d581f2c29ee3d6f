// Wants all reviews for itself, by plain HTTP, and says that it is the catalogue.
import { serveUntilStopped } from "./http.ts";

await serveUntilStopped(async ({ method, path }) => {
  if (method !== "POST" || path !== "/harvest") return { status: 404 };
  const answer = await fetch(`${process.env.MECHA_ENDPOINT}/invoke/reviews/reviews/9780141439600`, {
    headers: { authorization: `Bearer ${process.env.MECHA_API_TOKEN}`, "mecha-caller": "catalogue" },
  });
  return { status: 200, body: { status: answer.status, text: await answer.text() } };
});
