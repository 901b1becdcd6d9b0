# docker build -t andon .
# docker run -d --network host -v andon:/var/lib/andon \
#   -e ANDON_SITE=fra -e ANDON_KEY="$(cat grid.key)" -e ANDON_JOIN=10.0.1.2:8777 andon
#
# With --network host the node sees the host's own network. Without it, publish the port
# (-p 8777:8777/tcp -p 8777:8777/udp) and say where it is reached (-e ANDON_ADVERTISE=ADDR:8777).
FROM rust:1.95-slim AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --package andon

FROM debian:trixie-slim
COPY --from=build /src/target/release/andon /usr/local/bin/andon
# For seed lists and targets behind https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY LICENSE /usr/share/doc/andon/LICENSE
RUN useradd --system --uid 10001 --home-dir /var/lib/andon --shell /usr/sbin/nologin andon \
    && install -d -o andon -g andon -m 700 /var/lib/andon
USER 10001
ENV ANDON_DATA_DIR=/var/lib/andon
VOLUME /var/lib/andon
EXPOSE 8777/tcp 8777/udp
STOPSIGNAL SIGTERM
ENTRYPOINT ["andon"]
CMD ["node"]
