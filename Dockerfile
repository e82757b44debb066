# Convoy from its wheel. Run tools/wheel first, then
#
#   docker build -t convoy .                            for GPUs; for CPUs only add --build-arg EXTRAS=
#   docker run --rm --gpus all --shm-size=1g -v "$PWD:/work" convoy train configs/quickstart.yaml
#
# Several ranks: docs/install.md.
FROM debian:12-slim
ARG EXTRAS=cuda13
COPY dist/ /tmp/wheels/
COPY packaging/image_setup /tmp/image_setup
RUN /tmp/image_setup "$EXTRAS" && rm -r /tmp/wheels /tmp/image_setup
# mpirun refuses root unless told twice.
ENV OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
WORKDIR /work
ENTRYPOINT ["convoy"]
