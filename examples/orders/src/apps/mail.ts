// Tells the customer. It subscribes to nothing and knows no broker: the runtime posts each paid order to /paid (resources/mail.yaml).
import { createBindingClient } from "@mecha/binding";
import type { OrderPaid } from "./events.ts";
import { serveUntilStopped } from "./http.ts";

await using bindings = createBindingClient();

await serveUntilStopped(async (method, path, body, { headers }) => {
  if (method !== "POST" || path !== "/paid") return { status: 404 };
  // Only the runtime knows this token: nobody else makes this app send mail.
  if (headers.authorization !== `Bearer ${process.env.MECHA_APP_TOKEN}`) return { status: 401 };
  const { id, email, item, cents } = JSON.parse(body) as OrderPaid;
  await bindings.invoke("mailer", "send", `Order ${id}: ${(cents / 100).toFixed(2)} euro. Thank you!`, {
    metadata: {
      to: email,
      subject: `Your ${item} is paid`,
      // An event may come twice: the same id lets the provider see that it is the same mail.
      messageId: `<${headers["ce-id"]}@shop.example.com>`,
    },
  });
  return { status: 204 };
});
