"""Mnemo for Spack: `spack repo add cluster/spack`, then `spack install mnemo`. What it builds is the clone that this file lies in, as last committed."""

import os

from spack.package import *


class Mnemo(CMakePackage):
    """Distributed meta-training of memory networks: one experiment gives the same bits whatever the shape of the cluster."""

    maintainers = []

    version("main", git="file://" + os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4)), branch="main", preferred=True)

    variant("pictures", default=True, description="Learning curves and tasks are drawn, by gnuplot")
    variant("man", default=True, description="Man pages of the programs, by help2man")

    depends_on("c", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("protobuf-c", type=("build", "link"))
    depends_on("help2man", type="build", when="+man")

    # The build asks Open MPI's own pkg-config file, ompi-c; other MPI libraries are not looked for.
    depends_on("openmpi@4:")
    depends_on("libzmq@4.3.3:+libsodium")
    depends_on("openblas")
    depends_on("libyaml")
    depends_on("libsodium")
    depends_on("xxhash")
    depends_on("jansson@2.7:")
    depends_on("libarchive")
    depends_on("libpng")
    depends_on("libjpeg-turbo")
    depends_on("libmicrohttpd@0.9.72:")
    depends_on("curl")
    depends_on("random123")
    depends_on("gnuplot", type="run", when="+pictures")
    depends_on("cmocka", type=("build", "test"))

    # The curves of the live page are drawn by Chart.js, which is put into the program; Spack has no package of it.
    resource(
        name="chart.js",
        url="https://registry.npmjs.org/chart.js/-/chart.js-3.9.1.tgz",
        sha256="111e0751796f087a51e94dfed910ccfb1278fd30e584a6e48514dba9ae7e72c6",
        destination="",
        placement="chart.js",
    )

    generator("ninja")

    def cmake_args(self):
        chart = join_path(self.stage.source_path, "chart.js")
        return [
            self.define("CHART_JS", join_path(chart, "dist", "chart.min.js")),
            self.define("CHART_LICENCE", join_path(chart, "LICENSE.md")),
            self.define("RANDOM123_INCLUDE", self.spec["random123"].prefix.include),
            self.define("BUILD_TESTING", self.run_tests),
        ]

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def self_test(self):
        Executable(self.prefix.bin.mnemo)("self-test")
