/** The first key of the advisory lock that a publish holds from before its first sequence number until its commit is visible. */
export const publishLockClass = (schema: string): string => `hashtext('mecha/publish/${schema}')`;

/** The first key of the advisory lock of a group, whose id is the second: of those who change what it has in hand, one goes at a time. */
export const groupLockClass = (schema: string): string => `hashtext('mecha/group/${schema}')`;

/** The second key of a lock has so many values: the lowest 31 bits of a sequence number stand for it. */
export const sequenceMask = 0x7fff_ffff;
