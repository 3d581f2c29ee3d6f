import { z } from "@mecha/component";
import { duration } from "../config/duration.js";
import { dnsLabel, resourceSchema } from "../config/resource.js";

const minute = 60_000;
const day = 24 * 60 * minute;

const port = (what: string) => z.int().min(1).max(65_535).describe(what);

const words = (what: string) =>
  z
    .union([z.array(z.string().min(1)).min(1), z.string().min(1)])
    .describe(`${what} A list, or one text that is split into words as a shell does; no shell is run.`);

/** One way to ask the app, and when. */
const probe = (what: string, failures: number) =>
  z
    .strictObject({
      http: z
        .string()
        .regex(/^\/[\x21\x22\x24-\x7e]*$/, 'must be a path of the app, beginning with "/", without spaces or "#"')
        .optional()
        .describe("A path that is asked by GET: 200 to 399 is well."),
      grpc: z
        .string()
        .optional()
        .describe(
          'A service that is asked for by `grpc.health.v1.Health`, or "" for the app as a whole: SERVING is well.',
        ),
      tcp: z.literal(true).optional().describe("Whether the app's port takes connections."),
      command: words("A command: exit code 0 is well.").optional(),
      interval: duration("The time between two probes. Default: 5s; 500ms for startup.", [50, day]).optional(),
      timeout: duration("How long an answer may take. Default: 1s.", [10, 10 * minute]).default(1_000),
      failures: z
        .int()
        .min(1)
        .max(100_000)
        .default(failures)
        .describe(`How many in a row it takes to believe a failure. Default: ${failures}.`),
      successes: z
        .int()
        .min(1)
        .max(1_000)
        .default(1)
        .describe("How many in a row it takes to believe a success. Default: 1."),
    })
    .describe(what);

const spec = z.strictObject({
  appId: dnsLabel("The app id. Default: the name. Several of one id are its versions, or its instances.").optional(),
  command: words("What starts it, for `mecha up`.").optional(),
  dir: z.string().min(1).optional().describe("Where it is started. Default: the folder of the file."),
  env: z
    .record(
      z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "must be a name of letters, digits and _"),
      z.union([z.string(), z.strictObject({ $env: z.string().min(1) })]),
    )
    .default({})
    .describe("Variables of its environment, beside those of `mecha up`: texts, or { $env: NAME }."),
  port: z
    .union([port("A TCP port."), z.literal("auto")])
    .optional()
    .describe(
      "Where it listens: other apps' calls and events go there. `auto` is any free port, which it is told in PORT. Default: it listens nowhere.",
    ),
  version: z.string().max(128).default("").describe("Its version, told to those who find it. Default: none."),
  zone: z.string().max(128).default("").describe("The failure domain that it runs in. Default: none."),
  weight: z
    .int()
    .min(0)
    .max(1_000)
    .default(100)
    .describe("Its share of the traffic beside other instances. Default: 100."),
  runtimePort: port("Where its runtime listens for it. Default: any free port.").optional(),
  restart: z
    .strictObject({
      policy: z
        .enum(["on-failure", "always", "never"])
        .default("on-failure")
        .describe("Whether it is started again when it ends: after an exit code other than 0, always, or never."),
      minBackoff: duration("The wait before the first restart; it doubles with each that follows. Default: 500ms.", [
        10,
        day,
      ]).default(500),
      maxBackoff: duration("The longest wait. Default: 30s.", [10, day]).default(30_000),
      resetAfter: duration("How long it must run for the waits to begin anew. Default: 10s.", [10, day]).default(
        10_000,
      ),
    })
    .prefault({})
    .describe("What happens when it ends."),
  watch: z
    .array(z.string().min(1))
    .default([])
    .describe("Files and folders whose change restarts it, relative to `dir`. Default: none."),
  dependsOn: z
    .array(dnsLabel("The name of another App."))
    .default([])
    .describe("The Apps that must be ready before it starts, and stop after it."),
  probes: z
    .strictObject({
      startup: probe(
        "Asked first, until it is well; then the others begin. Its failure restarts the app.",
        120,
      ).optional(),
      readiness: probe(
        "Whether it takes work: while it does not, it gets no calls and no events. Default: whether its port takes connections.",
        1,
      ).optional(),
      liveness: probe("Whether it is to be restarted. Default: never for this.", 3).optional(),
    })
    .default({})
    .describe("How the runtime finds out how the app is."),
});

/** `kind: App`: an app, how it is started, and how one finds out how it is. */
export const appResource = resourceSchema("App", {
  name: "What `mecha up` and logs call it, and its app id unless `spec.appId` says otherwise: a DNS label, unique among the Apps.",
  description: "An app: how `mecha up` starts it, and how its runtime probes it.",
  spec,
});

/** What a `kind: App` document says. */
export type AppResource = z.output<typeof appResource>;
export type AppSpec = AppResource["spec"];
/** One probe, as the resource has it; times in ms. */
export type ProbeSpec = NonNullable<AppSpec["probes"]["startup"]>;
