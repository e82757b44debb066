#!/usr/bin/env python3
"""The ways to install agree with each other: what CMake looks for is installed by tools/setup and the Spack recipe, images are set
up by one script, and the wheel's extras are those that the module looks for.

usage: packaging_test.py CONVOY [unittest arguments]
"""
import pathlib
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# find_package -> Debian's package (None: with the compiler, or by hand), Spack's (None: with the compiler).
PACKAGES = {
    "ZLIB": ("zlib1g-dev", "zlib-api"), "fmt": ("libfmt-dev", "fmt"), "spdlog": ("libspdlog-dev", "spdlog"),
    "yaml-cpp": ("libyaml-cpp-dev", "yaml-cpp"), "nlohmann_json": ("nlohmann-json3-dev", "nlohmann-json"),
    "JPEG": ("libjpeg-dev", "libjpeg-turbo"), "PNG": ("libpng-dev", "libpng"), "MPI": ("libopenmpi-dev", "mpi"),
    "CLI11": ("libcli11-dev", "cli11"), "Protobuf": ("libprotobuf-dev", "protobuf"), "CURL": ("libcurl4-openssl-dev", "curl"),
    "OpenSSL": ("libssl-dev", "openssl"), "CUDAToolkit": (None, "cuda"), "NCCL": (None, "nccl"),
    "Threads": (None, None), "TIFF": ("libtiff-dev", "libtiff"), "WebP": ("libwebp-dev", "libwebp"),
}


def read(name):
    return (ROOT / name).read_text()


class Packaging(unittest.TestCase):
    def test_every_library_is_installed_everywhere(self):
        wanted = set(re.findall(r"find_package\(([^\s$]+)", read("CMakeLists.txt") + read("cmake/image_formats.cmake")))
        wanted |= set(re.findall(r" (\w+):\w+::", read("cmake/image_formats.cmake")))  # those that may be missing
        self.assertIn("WebP", wanted)
        self.assertGreater(len(wanted), 12)
        self.assertEqual(wanted - PACKAGES.keys(), set(), "add these to the table here, tools/setup and the Spack recipe")
        recipe, setup = read("packaging/spack/packages/convoy/package.py"), read("tools/setup")
        for name in sorted(wanted):
            debian, spack = PACKAGES[name]
            if spack:
                self.assertRegex(recipe, rf'depends_on\("{spack}[@"]', name)
            if debian:
                self.assertIn(debian, setup, name)

    def test_the_recipe_knows_what_cmake_asks_for(self):
        options = set(re.findall(r"option\((\w+)", read("CMakeLists.txt")))
        for option in re.findall(r'define(?:_from_variant)?\("(CONVOY_\w+)"', read("packaging/spack/packages/convoy/package.py")):
            self.assertIn(option, options)
        for option in re.findall(r"(?m)^(CONVOY_\w+) =", read("pyproject.toml")):
            self.assertIn(option, options)
        self.assertIn(re.search(r"project\(convoy VERSION (\S+)", read("CMakeLists.txt")).group(1),
                      re.findall(r'version\("([\d.]+)"', read("packaging/spack/packages/convoy/package.py")))

    def test_images_are_set_up_by_one_script(self):
        """Which tools/wheel_check runs in a bare root."""
        docker, apptainer = read("Dockerfile"), read("convoy.def")
        runs = re.findall(r"(?m)^RUN (.*)$", docker)
        (post,) = re.findall(r"%post\n    (.*)\n", apptainer)
        self.assertEqual([line.split('"')[0] for line in (*runs, post)], ["/tmp/image_setup "] * 2)
        for source, target in re.findall(r"(?m)^COPY (\S+) (\S+)$", docker):
            self.assertRegex(apptainer, rf"(?m)^    {source.rstrip('/')} {target.rstrip('/')}$")
            self.assertIn("!" + source.rstrip("/"), read(".dockerignore").split())
        self.assertEqual(re.search(r"FROM (\S+)", docker).group(1), re.search(r"From: (\S+)", apptainer).group(1))
        self.assertEqual(re.search(r"EXTRAS=(\S+)", docker).group(1), re.search(r"extras=(\S+)", apptainer).group(1))
        self.assertIn(re.search(r"EXTRAS=(\S+)", docker).group(1), re.findall(r"(?m)^(\w+) = \[", read("pyproject.toml")))
        self.assertIn("packaging/image_setup", read("tools/wheel_check"))


if __name__ == "__main__":
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        sys.argv.pop(1)
    unittest.main()
