import type { IncomingMessage, ServerResponse } from "node:http";
import { ComponentError } from "@mecha/component";
import type { ProxyHandler } from "@mecha/rpc";
import { sendError } from "../server/http.js";
import { fromComponentError } from "../telemetry/errors.js";
import type { Front } from "./front.js";
import { appHeader, isForApp } from "./headers.js";
import type { Mesh, MeshContext } from "./mesh.js";

/** The mesh of a runtime. It is loaded, with its TLS and certificates, by the first call, or when there is an app to be found. */
export interface LazyMesh {
  /** For the app-facing listener. */
  readonly proxy: ProxyHandler;
  /** For the edge port. */
  readonly edge: ProxyHandler;
  /** Whether others find the app, if they are to. */
  readonly found: boolean;
  serveApp: Mesh["serveApp"];
  leave: Mesh["leave"];
  close: Mesh["close"];
}

export function createLazyMesh(context: Omit<MeshContext, "identity">): LazyMesh {
  let mesh: Mesh | undefined;
  let loading: Promise<Mesh> | undefined;
  const load = async (): Promise<Mesh> => {
    const [{ createMesh }, { createIdentity }] = await Promise.all([import("./mesh.js"), import("./identity.js")]);
    mesh = createMesh({ ...context, identity: await createIdentity(context) });
    return mesh;
  };
  /** What failed is tried again by the next call: somebody may have put the certificates right. */
  const get = (): Promise<Mesh> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  const explain = (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    context.logger.error({ err: error }, `this runtime cannot prove who it is: ${message}`);
    // What is wrong names files of the runtime's host: that is for its log.
    return new ComponentError(
      "APP_UNAVAILABLE",
      "this runtime cannot prove who it is, so it calls no other app; its log says why",
    );
  };
  /** Hands requests to one of the mesh's fronts, once it is there. */
  const handTo = (pick: (mesh: Mesh) => Front): ProxyHandler => ({
    takes: (url, headers) => isForApp(url, headers[appHeader] !== undefined),
    handle(request, response) {
      if (mesh !== undefined) pick(mesh).handle(request, response);
      else void loadAndHandle(pick, request, response);
    },
    handleWhole(exchange) {
      if (mesh === undefined) return false;
      pick(mesh).handleWhole(exchange);
      return true;
    },
    upgrade(request, socket, head) {
      if (mesh !== undefined) pick(mesh).upgrade(request, socket, head);
      else
        get().then(
          (loaded) => pick(loaded).upgrade(request, socket, head),
          (error: unknown) => {
            explain(error);
            socket.end("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
          },
        );
    },
  });
  return {
    proxy: handTo((loaded) => loaded),
    edge: handTo((loaded) => loaded.edge),
    get found() {
      return mesh?.found ?? true;
    },
    serveApp: async (app) => (await get()).serveApp(app),
    leave: async () => mesh?.leave(),
    close: async (timedOut) => mesh?.close(timedOut),
  };

  async function loadAndHandle(
    pick: (mesh: Mesh) => Front,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    try {
      pick(await get()).handle(request, response);
    } catch (error) {
      await sendError(response, fromComponentError(explain(error)));
    }
  }
}
