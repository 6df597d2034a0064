// A Dockerfile with every instruction, to be damaged.
#pragma once

inline constexpr const char* whole_dockerfile = R"(# syntax=docker/dockerfile:1
ARG base=debian
FROM ${base:-alpine} AS build
ENV PATH=/bin:$PATH name="a b" other=c\ d
ENV old form of it
LABEL a=b "c d"='e f'
COPY --from=0 --chown=1:2 ["a b", "c"] /to/
ADD --checksum=sha256:00 http://x/y .
RUN --mount=type=bind,target=/x echo "$name" \
    && true   # comment
RUN <<EOF cat > /file
$name ${other#c}
EOF
HEALTHCHECK --interval=5m --retries=3 CMD ["curl", "x"]
EXPOSE 80/tcp 8000-8010
VOLUME /a /b
STOPSIGNAL SIGRTMIN+3
ONBUILD RUN true
SHELL ["/bin/sh", "-c"]
USER me:staff
WORKDIR /a/../b
CMD ["a", "b"]
ENTRYPOINT exec x
)";
