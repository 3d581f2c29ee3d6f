import { isIPv6 } from "node:net";
import type { Clock } from "@mecha/component";

/** After how many refusals within how many ms an address is refused unheard. */
export const maxRefusals = 10;
const windowMs = 60_000;
/** The most addresses that are kept count of: of more the oldest is forgotten. */
const maxAddresses = 10_000;

/** Counts what addresses were refused for, so that nobody can guess, or fill the log, for long. */
export interface Refusals {
  /** For how long an address is to wait, in ms; 0 if it need not. */
  waitMs(address: string | undefined): number;
  /** Counts a refusal. */
  count(address: string | undefined): void;
}

/** Makes the counts; all are 0. */
export function createRefusals(clock: Clock): Refusals {
  const counts = new Map<string, { readonly endTime: number; refused: number }>();
  const current = (key: string) => {
    const found = counts.get(key);
    // A clock that was set back must lock nobody out for longer.
    const isCurrent = found !== undefined && clock.now() < found.endTime && found.endTime - clock.now() <= windowMs;
    return isCurrent ? found : undefined;
  };
  return {
    waitMs(address) {
      const found = current(groupOf(address));
      return found !== undefined && found.refused >= maxRefusals ? found.endTime - clock.now() : 0;
    },
    count(address) {
      const key = groupOf(address);
      const found = current(key);
      if (found !== undefined) {
        found.refused++;
        return;
      }
      counts.delete(key);
      counts.set(key, { endTime: clock.now() + windowMs, refused: 1 });
      const [oldest] = counts.size > maxAddresses ? counts.keys() : [];
      if (oldest !== undefined) counts.delete(oldest);
    },
  };
}

/** Who has one IPv6 address has all of its /64. */
export function groupOf(address = ""): string {
  const [plain = ""] = address.split("%");
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
  if (mapped !== undefined || !isIPv6(plain)) return mapped ?? plain;
  const [head = "", tail] = plain.split("::");
  const groups = (part: string) => (part === "" ? [] : part.split(":"));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const all = [...before, ...Array<string>(Math.max(0, zeros)).fill("0"), ...after];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":");
}
