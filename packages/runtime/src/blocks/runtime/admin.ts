import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "@mecha/api/runtime";
import { ComponentError } from "@mecha/component";
import { logLevels, type RuntimeLogger } from "../../telemetry/logger.js";

/** `mecha.runtime.v1.AdminService`: what changes or stops the runtime. On the admin socket only. */
export function createAdminService(logger: RuntimeLogger, shutDown: () => void) {
  return {
    setLogLevel({ level }) {
      if (!logLevels.some((known) => known === level)) {
        const description = `is "${level}"; it must be one of ${logLevels.join(", ")}`;
        throw new ComponentError("BAD_REQUEST", `level ${description}`, {
          violations: [{ field: "level", description }],
        });
      }
      const previousLevel = logger.level;
      logger.level = level;
      return { previousLevel };
    },
    shutdown() {
      // After the answer is on its way: the drain closes the socket that it goes over.
      setImmediate(shutDown);
      return {};
    },
  } satisfies ServiceImpl<typeof AdminService>;
}
