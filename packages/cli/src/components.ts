import type { ComponentDefinition } from "@mecha/component";

/**
 * The types of components that the CLI brings along; adding one adds its line. Each is loaded, with its driver, when it is needed. (A bundle
 * resolves no packages, so those that the runtime finds by itself elsewhere stand here too.)
 */
const loaders = new Map<string, () => Promise<ComponentDefinition>>([
  ["cron", async () => (await import("@mecha/component-cron")).cron],
  ["dns", async () => (await import("@mecha/component-dns")).dns],
  ["env", async () => (await import("@mecha/component-env")).env],
  ["file", async () => (await import("@mecha/component-file")).file],
  ["http", async () => (await import("@mecha/component-http")).http],
  ["localfile", async () => (await import("@mecha/component-localfile")).localfile],
  ["memory", async () => (await import("@mecha/component-memory")).memory],
  ["mqtt", async () => (await import("@mecha/component-mqtt")).mqtt],
  ["nats", async () => (await import("@mecha/component-nats")).nats],
  ["postgres", async () => (await import("@mecha/component-postgres")).postgres],
  ["rabbitmq", async () => (await import("@mecha/component-rabbitmq")).rabbitmq],
  ["redis", async () => (await import("@mecha/component-redis")).redis],
  ["smtp", async () => (await import("@mecha/component-smtp")).smtp],
  ["sqlite", async () => (await import("@mecha/component-sqlite")).sqlite],
  ["static", async () => (await import("@mecha/component-static")).staticApps],
  ["webhook", async () => (await import("@mecha/component-webhook")).webhook],
]);

/** The types that {@link loadComponent} knows. */
export const componentTypes = [...loaders.keys()];

/** Loads a type of component; undefined if it is none of the CLI's. */
export async function loadComponent(type: string): Promise<ComponentDefinition | undefined> {
  return await loaders.get(type)?.();
}
