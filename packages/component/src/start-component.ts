import { systemClock } from "./clock.js";
import type { Component, ComponentContext, ComponentDefinition, Logger } from "./component.js";

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Starts a component as the runtime does, but without one: `config` is validated by the definition's schema. What `context` leaves out is the
 * machine's clock, a logger that says nothing, and the working directory as `baseDir`; a component that keeps files must be given a
 * `dataDir`. For tests of components.
 */
export async function startComponent<Config>(
  definition: ComponentDefinition<Config>,
  config: unknown,
  context: Partial<ComponentContext> = {},
): Promise<Component> {
  return definition.create(definition.config.parse(config), {
    name: definition.type,
    baseDir: process.cwd(),
    clock: systemClock,
    logger: silent,
    signal: new AbortController().signal,
    get dataDir(): string {
      throw new TypeError(
        `component ${definition.type} keeps files: pass startComponent a dataDir, a folder of the test's own`,
      );
    },
    ...context,
  });
}
