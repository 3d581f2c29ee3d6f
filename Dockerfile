# The runtime as an image: docker build -t mecha .
# Run it beside an app (deploy/compose.yaml, deploy/kubernetes.yaml): it listens on 127.0.0.1 unless MECHA_HOST says otherwise.

FROM node:24-slim AS build
WORKDIR /src
RUN npm install --global pnpm@12
COPY . .
RUN pnpm install --frozen-lockfile \
  && pnpm turbo run build --filter=@mecha/cli

FROM node:24-slim
# The CLI is a bundle: nothing to install beside it.
COPY --from=build /src/packages/cli/package.json /opt/mecha/package.json
COPY --from=build /src/packages/cli/dist /opt/mecha/dist
RUN ln -s /opt/mecha/dist/mecha.js /usr/local/bin/mecha \
  && install -d -o node -g node -m 700 /data \
  && install -d /etc/mecha
ENV NODE_ENV=production \
  MECHA_DATA_DIR=/data \
  MECHA_RESOURCES=/etc/mecha
USER node
VOLUME /data
# SIGTERM drains; what is in flight has 30 s to finish.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["mecha", "info"]
ENTRYPOINT ["mecha"]
CMD ["serve"]
