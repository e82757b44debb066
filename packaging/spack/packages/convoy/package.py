from spack.package import *


class Convoy(CMakePackage, CudaPackage):
    """Trains convolutional image classifiers, described in YAML, on one GPU, many GPUs or CPU cores."""

    # From a clone: spack repo add packaging/spack && spack dev-build convoy@0.1.0 +cuda cuda_arch=90
    license("MIT")
    version("0.1.0")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("git", type="build")
    depends_on("mpi")
    depends_on("cli11@2.1:")
    depends_on("curl")
    depends_on("fmt@8:")
    depends_on("libjpeg-turbo")
    depends_on("libpng")
    depends_on("libtiff")
    depends_on("libwebp")
    depends_on("nlohmann-json")
    depends_on("openssl")
    depends_on("protobuf@3.12:")
    depends_on("spdlog@1.9: +fmt_external")
    depends_on("yaml-cpp@0.7:")
    depends_on("zlib-api")
    depends_on("cuda@12.2:", when="+cuda")
    depends_on("nccl", when="+cuda")

    generator("ninja")
    conflicts("cuda_arch=none", when="+cuda", msg="say for which GPUs: cuda_arch=80,90a")

    def cmake_args(self):
        args = [self.define_from_variant("CONVOY_CUDA", "cuda"), self.define("CONVOY_TESTS", False),
                self.define("CONVOY_BENCH", False), self.define("CONVOY_ONE_LIBRARY", True)]
        if self.spec.satisfies("+cuda"):
            arches = self.spec.variants["cuda_arch"].value
            # Warpgroups are instructions of sm_90a alone.
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", [f"{'90a' if a == '90' else a}-real" for a in arches]))
        return args

    def setup_run_environment(self, env):
        # These are loaded when first needed, and lie in none of the loader's folders.
        for name in ("mpi", "cuda", "nccl"):
            if name in self.spec:
                env.prepend_path("CONVOY_LIBRARY_PATH", self.spec[name].libs.directories[0])

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_starts(self):
        Executable(self.prefix.bin.convoy)("--version")
