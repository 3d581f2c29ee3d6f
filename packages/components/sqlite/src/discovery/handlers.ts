import { appMemoryMs } from "@mecha/component";
import type { CreateJobHandlers } from "../jobs.js";
import type { DiscoveryJobs } from "./jobs.js";

/** How many rows that are over one registration removes: few enough that no writer waits long behind it. */
const forgetLimit = 256;

/** The discovery block's jobs, on the writer's thread. */
export const createDiscoveryHandlers: CreateJobHandlers<DiscoveryJobs> = (db) => {
  const register = db.prepare(`
    INSERT OR REPLACE INTO discovery_instance (namespace, app, id, address, version, zone, weight, expire_time)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
  `);
  const renew = db.prepare(`
    UPDATE discovery_instance SET expire_time = ?1 WHERE namespace = ?2 AND app = ?3 AND id = ?4 AND expire_time > ?5
  `);
  // A row that is over stays for a while: by it the app is known.
  const end = db.prepare(`
    UPDATE discovery_instance SET expire_time = ?1 WHERE namespace = ?2 AND app = ?3 AND id = ?4 AND expire_time > ?1
  `);
  const forget = db.prepare(`
    DELETE FROM discovery_instance WHERE (namespace, app, id) IN
      (SELECT namespace, app, id FROM discovery_instance WHERE expire_time <= ? LIMIT ?)
  `);

  return {
    "discovery.register"({ namespace, instance, ttlMs }, _blobs, { now }) {
      const { app, id, address, version, zone, weight } = instance;
      forget.run(now - appMemoryMs, forgetLimit);
      register.run(namespace, app, id, address, version, zone, weight, now + ttlMs);
      return null;
    },
    "discovery.renew": ({ namespace, app, id, ttlMs }, _blobs, { now }) =>
      renew.run(now + ttlMs, namespace, app, id, now).changes > 0,
    "discovery.deregister"({ namespace, app, id }, _blobs, { now }) {
      end.run(now, namespace, app, id);
      return null;
    },
  };
};
