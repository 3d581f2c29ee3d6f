import { BindingService } from "@mecha/api/binding";
import type { Block } from "../block.js";
import { createEndpointDoor } from "./http.js";
import { createBindingService } from "./service.js";

/** `mecha.binding.v1`: the service, and `/webhook/<component>` beside it. */
export const bindingBlock: Block = {
  service: BindingService,
  named: true,
  start(context) {
    const service = context.observer.watch(BindingService, createBindingService(context));
    return { routes: (router) => router.service(BindingService, service), door: createEndpointDoor(context) };
  },
};
