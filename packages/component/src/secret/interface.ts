/** Where configuration finds secrets: `{ $secret: <component>/<key> }`. */
export interface SecretStore {
  /** The secret, or undefined if there is none by this key. The key comes from a resource file. */
  get(key: string, options: { signal: AbortSignal }): Promise<string | undefined>;
}
