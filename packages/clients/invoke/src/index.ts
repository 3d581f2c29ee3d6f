export { createMeshClient, type MeshClient, type MeshClientOptions } from "./client.js";
