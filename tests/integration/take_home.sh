#!/bin/bash
# Versions, change log, environment module and Spack recipe agree with the source and with what is installed.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

python=$(command -v python3) || skip "no python3"

section "one version"
version=$(sed -n 's/^project(mnemo VERSION \([0-9.]*\) .*/\1/p' "$source_folder/CMakeLists.txt")
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "CMakeLists.txt has no version: '$version'"
for program in mnemo mnemo-worker; do
    [ "$("$program" --version | head -n 1 | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1)" = "$version" ] || die "$program --version is not $version"
done
newest=$(sed -n 's/^## \([0-9.]*\) - [0-9]*-[0-9]*-[0-9]*$/\1/p' "$source_folder/CHANGELOG.md" | head -n 1)
[ "$newest" = "$version" ] || die "the newest release of CHANGELOG.md is $newest, that of CMakeLists.txt $version"
if found=$(grep -rnF "VERSION $version" "$source_folder" --include=CMakeLists.txt --include='*.cmake' --include='*.in' | grep -v '/build' | grep -v '^[^:]*/CMakeLists.txt:2:'); then
    die "the version stands in a second place: $found"
fi
ok "$version, in the programs and in CHANGELOG.md"

section "environment module"
prefix=$work/prefix
expect_code 0 install cmake --install "$build" --prefix "$prefix"
module=$prefix/share/modulefiles/mnemo/$version
[ -s "$module" ] || die "not installed: $module"
grep -q '@' "$module" && die "$module has a place that was not filled: $(grep '@' "$module")"
init=
for file in /usr/share/modules/init/bash /usr/share/lmod/lmod/init/bash; do
    [ -n "$init" ] || [ ! -e "$file" ] || init=$file
done
if [ -n "$init" ]; then
    # As a user has it: a shell without anything of ours.
    expect_code 0 module env -i HOME="$work" PATH=/usr/bin:/bin bash -c '
        . "$1" || exit 9
        module use "$2" && module load mnemo && command -v mnemo && mnemo --version && module list 2>&1 && module whatis mnemo 2>&1 || exit 8
        [ "$(command -v mnemo)" = "$3/bin/mnemo" ] || exit 7
        [ ! -e "$3/share/man/man1/mnemo.1" ] || ! command -v man || [ "$(man -w mnemo)" = "$3/share/man/man1/mnemo.1" ] || exit 6
        ! command -v pkg-config || [ "$(pkg-config --modversion mnemo)" = "$4" ] || exit 5
        module unload mnemo && ! command -v mnemo || exit 4' bash "$init" "$prefix/share/modulefiles" "$prefix" "$version"
    expect_words module "mnemo/$version" "distributed meta-training"
    ok "loaded and unloaded by $init: program, man page and pkg-config are found, and gone again"
else
    note "no environment modules here (package environment-modules): the file is only looked at"
    for line in '^#%Module' "set prefix \"$prefix\"" 'prepend-path PATH \$prefix/bin'; do
        grep -qE -- "$line" "$module" || die "$module lacks $line"
    done
fi

section "Spack"
"$python" - "$source_folder" <<'END' || die "the Spack recipe is not of this source"
# Spack itself is not here: its words are played by others, which write down what the recipe says.
import re, sys, types
from pathlib import Path
root = Path(sys.argv[1])
said = {"depends_on": [], "version": [], "variant": [], "resource": []}
words = types.ModuleType("spack.package")
for name in said:
    setattr(words, name, lambda *a, _name=name, **k: said[_name].append((a, k)))
same = lambda *a, **k: (lambda f: f)
words.CMakePackage = type("CMakePackage", (), {"define": staticmethod(lambda key, value: f"-D{key}={value}")})
words.run_after = words.on_package_attributes = same
words.generator = lambda *a: None
words.join_path = lambda *a: "/".join(a)
words.Executable = None
sys.modules["spack"], sys.modules["spack.package"] = types.ModuleType("spack"), words
recipe = root / "cluster/spack/packages/mnemo/package.py"
scope = {"__file__": str(recipe)}
exec(compile(recipe.read_text(), str(recipe), "exec"), scope)
package = scope["Mnemo"]

assert re.search(r"^repo:\n  namespace: mnemo$", (root / "cluster/spack/repo.yaml").read_text(), re.M)
(_, version), = said["version"]
assert version["git"] == f"file://{root}", version
needed = {re.split(r"[@+~ ]", a[0])[0] for a, _ in said["depends_on"]}
# pkg-config's name or CMake's -> Spack's
spack = {"yaml-0.1": "libyaml", "libsodium": "libsodium", "libxxhash": "xxhash", "jansson": "jansson", "openblas": "openblas", "libpng": "libpng",
         "libjpeg": "libjpeg-turbo", "libarchive": "libarchive", "libzmq": "libzmq", "libprotobuf-c": "protobuf-c", "ompi-c": "openmpi",
         "libmicrohttpd": "libmicrohttpd", "libcurl": "curl", "cmocka": "cmocka", "RANDOM123_INCLUDE": "random123", "PROTOC_C": "protobuf-c", "HELP2MAN": "help2man"}
asked = set()
for path in [root / "CMakeLists.txt", *(p for d in ("cmake", "common", "proto", "worker", "coordinator") for p in (root / d).rglob("*"))]:
    if path.name == "CMakeLists.txt" or path.suffix == ".cmake":
        text = path.read_text()
        asked |= {re.split("[><=]", m)[0] for m in re.findall(r"pkg_check_modules\(\w+ REQUIRED IMPORTED_TARGET ([^)\s]+)\)", text)}
        asked |= {m for m in re.findall(r"find_(?:program|path|library|file)\((\w+)", text)}
given = set(re.findall(r"-D(\w+)=", " ".join(package.cmake_args(types.SimpleNamespace(
    stage=types.SimpleNamespace(source_path="/s"), define=words.CMakePackage.define, run_tests=False,
    spec={"random123": types.SimpleNamespace(prefix=types.SimpleNamespace(include="/i"))})))))
optional = {"LOWDOWN", "AWK", "MPIRUN"}  # the last is of tests, and the manual's pages are left out without
for name in sorted(asked - optional):
    assert name in given or spack.get(name) in needed, f"the build asks for {name}, and the recipe does not bring it"
for name in sorted(needed - set(spack.values()) - {"c", "cmake", "ninja", "pkgconfig", "gnuplot"}):
    raise AssertionError(f"the recipe brings {name}, for which nothing asks")
minimum = re.search(r"cmake_minimum_required\(VERSION ([\d.]+)\)", (root / "CMakeLists.txt").read_text()).group(1)
assert f"cmake@{minimum}:" in {a[0] for a, _ in said["depends_on"]}, minimum
print("asked for:", *sorted(asked))
END
ok "it brings what the build asks for, and nothing else"
finish
