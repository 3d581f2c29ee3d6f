import { z } from "@mecha/component";
import { Cron } from "croner";

/** Why a schedule is none; undefined if it is one. */
function findFault({ schedule, timeZone }: { schedule: string; timeZone: string }): string | undefined {
  // croner also takes a date, which is no schedule: once it is over the component could not start.
  if (!/^(@\w+|\S+( +\S+){4,6})$/.test(schedule.trim())) {
    return 'must have 5 fields (minute, hour, day of month, month, day of week), 6 with seconds first or 7 with the year last, or be "@daily" or alike';
  }
  try {
    if (new Cron(schedule, { timezone: timeZone }).nextRun() !== null) return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^Cron\w+: /, "") : String(error);
  }
  return "never fires: there is no such day, or it is over";
}

const isTimeZone = (timeZone: string) => {
  try {
    return new Intl.DateTimeFormat("en", { timeZone }) !== undefined;
  } catch {
    return false;
  }
};

/** Every option says its purpose, unit, default and limit: the documentation is made of it. */
export const config = z
  .strictObject({
    schedule: z
      .string()
      .max(200)
      .describe(
        'When it fires: minute, hour, day of month, month, day of week (`"30 2 * * 1-5"`), with seconds before them or the year after them if you like; or `"@hourly"`, `"@daily"`, `"@weekly"`, `"@monthly"`, `"@yearly"`. One that never fires is refused.',
      ),
    timeZone: z
      .string()
      .default("UTC")
      .refine(isTimeZone, 'is no time zone; write one such as "Europe/Berlin"')
      .describe(
        "The IANA time zone that the schedule is in. A time that a change of clocks skips fires at the change; one that it repeats fires once.",
      ),
    catchUp: z
      .enum(["none", "last", "all"])
      .default("last")
      .describe(
        "What of the firings that nobody took in time (the app was down, or still at work on an earlier one) is delivered later: `none`, the `last` one, or `all` of them, the oldest first.",
      ),
    maxCatchUp: z
      .int()
      .min(1)
      .max(1000)
      .default(100)
      .describe("With `catchUp: all`: how many at the most, the latest ones."),
    maxLateMs: z
      .int()
      .min(1_000)
      .max(86_400_000)
      .default(60_000)
      .describe("With `catchUp: none`: how late a firing may be delivered, in ms. A later one is passed over."),
  })
  .superRefine((value, context) => {
    if (!isTimeZone(value.timeZone)) return;
    const fault = findFault(value);
    if (fault !== undefined)
      context.addIssue({ code: "custom", path: ["schedule"], message: `"${value.schedule.slice(0, 80)}" ${fault}` });
  });

export type CronConfig = z.infer<typeof config>;
