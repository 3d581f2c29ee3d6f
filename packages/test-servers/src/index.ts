export { type MosquittoOptions, startMosquitto } from "./mosquitto.js";
export { type NatsOptions, startNats } from "./nats.js";
export { type PostgresOptions, startPostgres } from "./postgres.js";
export { startRabbitmq } from "./rabbitmq.js";
export { type RedisOptions, startRedis } from "./redis.js";
export { freePort, spawnBound, startServer, type TestServer } from "./server.js";
export { find, locate, missing, type Tool } from "./tools.js";
