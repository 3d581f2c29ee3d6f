/** Whether the app can be given work. Now it is whether its port takes connections; a probe can take its place. */
export interface AppHealth {
  readonly healthy: boolean;
  /** Calls back whenever it turned; the function that is returned stops that. */
  onTurn(listener: () => void): () => void;
  /** Somebody could not reach the app: it counts as away from now on, until it is seen again, and is looked for at once. */
  suspect(): void;
  close(): void;
}
