import { resourceJsonSchema } from "@mecha/runtime";
import { componentTypes, loadComponent } from "./components.js";
import { print } from "./terminal/print.js";

/** Prints the JSON Schema of resource files. */
export async function schema(): Promise<void> {
  const definitions = await Promise.all(componentTypes.map(loadComponent));
  const known = definitions.filter((definition) => definition !== undefined);
  await print(`${JSON.stringify(resourceJsonSchema(known), null, 2)}\n`);
}
