import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createMethodImplSpec,
  createServiceImplSpec,
  type MethodImplSpec,
} from "@connectrpc/connect";

/** A method and what implements it. */
export interface Route {
  readonly spec: MethodImplSpec;
  readonly method: DescMethod;
  /** The request path: "/mecha.state.v1.StateService/Get". */
  readonly path: string;
  /** Whether it was registered with options of its own, which only connect-node knows how to honour. */
  readonly custom: boolean;
}

/** The path of a method. */
export function toPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Collects what the routes register, by path. A path that is registered twice is the last one's, as in connect-node. */
export function collectRoutes(routes: (router: ConnectRouter) => void): Map<string, Route> {
  const collected = new Map<string, Route>();
  const add = (spec: MethodImplSpec, custom: boolean) => {
    const path = toPath(spec.method);
    collected.set(path, { spec, method: spec.method, path, custom });
  };
  const router: ConnectRouter = {
    handlers: [],
    service(service: DescService, implementation, options) {
      const { methods } = createServiceImplSpec(service, implementation);
      for (const spec of Object.values(methods)) add(spec, options !== undefined);
      return router;
    },
    rpc(method, implementation, options) {
      add(createMethodImplSpec(method, implementation), options !== undefined);
      return router;
    },
  };
  routes(router);
  return collected;
}
