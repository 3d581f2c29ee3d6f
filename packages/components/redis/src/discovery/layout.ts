/**
 * The layout of a namespace's apps, all of it in the hash slot of its tag `{prefix:discovery:namespace}`:
 *
 *     {tag}:apps           zset  every app, by the time in ms at which it is forgotten
 *     {tag}:leases:APP     zset  the ids of its instances, by the time at which their leases end
 *     {tag}:instances:APP  hash  what is known of each, by id, as JSON: address, version, zone, weight
 *
 * A lease that is over stays until the next instance of its app registers: by it the app is known, and how long. Redis itself removes the
 * keys of an app when it is forgotten.
 */
export const namespaceTag = (keyPrefix: string, namespace: string) => `{${keyPrefix}:discovery:${namespace}}`;

/** Where a namespace says of which app an instance came, changed or left. */
export const changedChannel = (tag: string) => `${tag}:changed`;

export const appsKey = (tag: string) => `${tag}:apps`;

/** The keys of an app, in the order in which scripts have them. */
export const appKeys = (tag: string, app: string): readonly string[] => [
  `${tag}:leases:${app}`,
  `${tag}:instances:${app}`,
];
