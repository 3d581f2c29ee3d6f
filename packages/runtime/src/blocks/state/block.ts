import { StateService } from "@mecha/api/state";
import type { Block } from "../block.js";
import { createStateDoor } from "./http.js";
import { createStateService } from "./service.js";

/** `mecha.state.v1`: the service, and `/state/<key>` beside it. */
export const stateBlock: Block = {
  service: StateService,
  start(context) {
    const service = context.observer.watch(StateService, createStateService(context));
    return { routes: (router) => router.service(StateService, service), door: createStateDoor(service) };
  },
};
