#!/bin/bash
# What is installed works away from the source: programs, experiments, man pages.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

prefix=$work/prefix
expect_code 0 install cmake --install "$build" --prefix "$prefix"
for file in bin/mnemo bin/mnemo-worker lib/python3/dist-packages/mnemo_worker/libmnemo_sums.so share/mnemo/experiments/sinusoid-maml.yaml share/mnemo/cluster/mnemo.sbatch; do
    [ -s "$prefix/$file" ] || die "not installed: $file"
done
ok "programs and experiments are there"
if ldd "$prefix/bin/mnemo-worker" | grep -E 'lib(png|jpeg|zip)'; then
    die "mnemo-worker links a reader of pictures or archives"
fi
ok "mnemo-worker links no reader of pictures or archives"

cd "$work" || die "cannot go to $work"
expect_code 0 version env -i "$prefix/bin/mnemo" --version
expect_words version '[0-9]+\.[0-9]+'
expect_code 0 self "$prefix/bin/mnemo" self-test
expect_words self 'MAML, convolutions .*numeric class' 'stories, attention' 'all as it should be'
ok "the installed program finds that this machine computes what the reference does"
expect_code 64 word "$prefix/bin/mnemo" self-test now
expect_code 0 train "$prefix/bin/mnemo" train "$prefix/share/mnemo/experiments/sinusoid-maml.yaml" \
    --run-dir "$work/run" --set outer.steps=3 --set evaluate.tasks=10 --set run.pictures=false
[ -n "$(theta_of train)" ] || die "the installed program printed no theta"
ok "the installed program trains an installed experiment"

for name in mnemo mnemo-worker; do
    page=$prefix/share/man/man1/$name.1
    if [ ! -e "$page" ]; then
        note "no man pages: help2man was not there when this was built, or it is a sanitizer build"
        break
    fi
    grep -q '^\.SH' "$page" || die "$page is no man page"
    # Every option that the program tells of is in its page.
    all=(--help)
    [ "$name" = mnemo-worker ] || all=(help all)
    "$prefix/bin/$name" "${all[@]}" | grep -oE -- '(^| )--[a-z][a-z-]+' | tr -d ' ' | sort -u >"$work/options"
    [ -s "$work/options" ] || die "$name ${all[*]} names no option"
    while read -r option; do
        grep -qF -- "$option" <(sed 's/\\-/-/g; s/\\f.//g' "$page") || die "$page lacks $option"
    done <"$work/options"
    ok "$name.1 has all $(wc -l <"$work/options") options that it tells of"
done
finish
