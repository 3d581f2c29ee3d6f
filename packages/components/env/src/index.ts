import { ComponentError, defineComponent, z } from "@mecha/component";

/** Secrets from the environment variables of the runtime's process. */
export const env = defineComponent({
  type: "env",
  description: "Secrets from environment variables.",
  config: z.strictObject({
    prefix: z
      .string()
      .default("")
      .describe(
        'Put before every key: with "SHOP_", `{ $secret: env/DB_URL }` is the variable SHOP_DB_URL, and no other is read.',
      ),
  }),
  serves: { secret: {} },
  async create({ prefix }) {
    return {
      blocks: {
        secret: {
          async get(key, { signal }) {
            signal.throwIfAborted();
            if (key === "" || /[=\0]/.test(key)) {
              const message = `${JSON.stringify(key)} cannot be the name of an environment variable`;
              throw new ComponentError("BAD_REQUEST", message, { metadata: { key } });
            }
            // Not `process.env[name]` alone: that finds "constructor" too.
            return Object.hasOwn(process.env, prefix + key) ? process.env[prefix + key] : undefined;
          },
        },
      },
      async health() {},
      async close() {},
    };
  },
});

export default env;
