#!/bin/bash
# The Debian packages hold what their names say and ask for what the programs link; unpacked, they work.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

command -v dpkg-shlibdeps >/dev/null || skip "no dpkg-shlibdeps here (package dpkg-dev)"
expect_code 0 cpack env -C "$build" cpack -B "$work/packages"
mapfile -t packages < <(find "$work/packages" -maxdepth 1 -name '*.deb' -printf '%f\n' | sort)
[ ${#packages[@]} -eq 6 ] || die "6 packages were expected: ${packages[*]}"

depends_of() { # PACKAGE
    dpkg-deb -f "$work/packages/$1"_*.deb Depends
}
holds() { # PACKAGE FILE...
    local package=$1 file
    shift
    for file in "$@"; do
        grep -qE "\\./usr/$file( ->|\$)" <<<"$(dpkg-deb -c "$work/packages/${package}"_*.deb)" || die "$package lacks $file"
    done
}
holds mnemo bin/mnemo share/man/man1/mnemo.1 share/mnemo/experiments/sinusoid-maml.yaml \
    share/bash-completion/completions/mnemo share/zsh/vendor-completions/_mnemo share/fish/vendor_completions.d/mnemo.fish
holds mnemo-worker bin/mnemo-worker share/bash-completion/completions/mnemo-worker share/man/man1/mnemo-worker.1
holds libmnemo0 'lib/libmnemo\.so\.[0-9.]+'
holds libmnemo-dev lib/libmnemo.so include/mnemo/mnemo.h include/mnemo/plugin.h lib/pkgconfig/mnemo.pc share/man/man3/libmnemo.3 share/man/man3/mnemo_plugin.3
holds python3-mnemo-worker lib/python3/dist-packages/mnemo_worker/{core.py,libmnemo_sums.so,mnemo.desc}
holds mnemo-doc share/doc/mnemo/README.md share/doc/mnemo/CHANGELOG.md share/doc/mnemo/manual/first-steps.md
if [ -d "$build/manual" ]; then
    for chapter in "$source_folder"/docs/manual/*.md; do
        name=$(basename "$chapter" .md)
        holds mnemo-doc "share/man/man7/mnemo-${name/#README/manual}.7" "share/doc/mnemo/manual/${name/#README/index}.html"
    done
    holds mnemo-doc share/doc/mnemo/manual/manual.css
else
    note "no pages of the manual: lowdown was not there when this was built"
fi
ok "six packages hold what their names say"

for library in libzmq5 libopenmpi3 libsodium23 libmicrohttpd12 openmpi-bin; do
    grep -q "$library" <<<"$(depends_of mnemo)" || die "mnemo does not depend on $library: $(depends_of mnemo)"
done
if depends_of mnemo-worker | grep -E 'libopenmpi|libpng|libarchive'; then
    die "mnemo-worker depends on what it should not link"
fi
for library in python3-zmq python3-numpy libxxhash0; do
    grep -q "$library" <<<"$(depends_of python3-mnemo-worker)" || die "python3-mnemo-worker does not depend on $library"
done
ok "they ask for what the programs link"

for package in "$work"/packages/*.deb; do
    dpkg-deb -x "$package" "$work/root" || die "cannot unpack $package"
done
expect_code 0 self "$work/root/usr/bin/mnemo" self-test
expect_words self 'all as it should be'
ok "unpacked, mnemo passes its self-test"

# Made again at another time they are the same, bit by bit; tests/reproducible builds the programs again, too.
(cd "$work/packages" && sha256sum ./*.deb) >"$work/sums"
expect_code 0 again env -C "$build" TZ=Asia/Kolkata cpack -B "$work/packages-again"
(cd "$work/packages-again" && sha256sum --quiet -c "$work/sums") >"$work/sums.log" 2>&1 || die "packed again, packages are others"
ok "packed again, they are the same bit by bit"
finish
