#!/bin/bash
# Damaged checkpoints: the newest whole one is used and the bits stay; if none is whole, the run stops and says so, and
# nothing is thrown away.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 20
expect_code 0 whole mnemo train "$file" --run-dir "$work/whole" --set pool.threads=1
reference=$(theta_of whole)
[ -n "$reference" ] || die "mnemo train printed no theta"

# Fifteen steps with checkpoints after 5, 10 and 15: the folder that every case starts from.
expect_code 0 begun mnemo train "$file" --run-dir "$work/begun" --set pool.threads=1 --set outer.steps=15
mapfile -t newest_first < <(cd "$work/begun/checkpoints" && ls -r)
[ ${#newest_first[@]} -eq 3 ] || die "3 checkpoints expected, there are: ${newest_first[*]}"

resume() { # NAME CODE
    expect_code "$2" "$1" mnemo train "$file" --run-dir "$work/run-$1" --set pool.threads=1
}

case_of() { # NAME: a fresh copy; $at is its newest checkpoint
    cp -a "$work/begun" "$work/run-$1"
    folder=$work/run-$1/checkpoints
    at=$folder/${newest_first[0]}
}

expect_same() { # NAME WHAT
    [ "$(theta_of "$1")" = "$reference" ] || die "$2: theta $(theta_of "$1") instead of $reference"
    expect_words "$1" "${newest_first[0]}"
    ok "$2: named, the older one used, theta ${reference:0:16}..."
}

case_of torn
truncate -s 60% "$at" 2>/dev/null || truncate -s $(($(stat -c %s "$at") * 6 / 10)) "$at"
resume torn 0
expect_same torn "torn"

case_of flipped
size=$(stat -c %s "$at")
printf '\377' | dd of="$at" bs=1 seek=$((size - 100)) conv=notrunc status=none
cmp -s "$at" "$work/begun/checkpoints/${newest_first[0]}" &&
    printf '\000' | dd of="$at" bs=1 seek=$((size - 100)) conv=notrunc status=none
resume flipped 0
expect_same flipped "one byte changed"

case_of empty
: >"$at"
resume empty 0
expect_same empty "empty"

case_of noise
head -c 20000 /dev/urandom >"$at"
resume noise 0
expect_same noise "noise"

case_of leftover
cp "$at" "$folder/.${newest_first[0]}.tmp-1234"
resume leftover 0
[ "$(theta_of leftover)" = "$reference" ] || die "a half-written file beside the checkpoints changed the answer"
ok "a half-written file beside them is no checkpoint"

case_of all
for name in "${newest_first[@]}"; do
    truncate -s 1000 "$folder/$name"
done
before=$(cd "$folder" && sha256sum -- *)
resume all 65
expect_words all checkpoints "${newest_first[@]}"
[ "$(cd "$folder" && sha256sum -- *)" = "$before" ] || die "the damaged checkpoints were touched"
ok "all damaged: exit code 65, files untouched: $(tail -n 1 "$work/all.log" | cut -c 1-160)"

case_of other
expect_code 78 other mnemo train "$file" --run-dir "$work/run-other" --set pool.threads=1 --set seed=999
expect_words other seed
ok "another seed: refused with code 78"
section "sequences that are longer than those of training"
sequences "$work/sequences.yaml" 3
expect_code 0 short mnemo train "$work/sequences.yaml" --run-dir "$work/short" --set pool.threads=1
expect_code 0 longer mnemo evaluate "$work/short" --set evaluate.length=15
[ "$(grep -cE '^ +[1-9] +[0-9.]+ %' "$work/longer.out")" -eq 5 ] || die "expected the scores of 5 showings of a class"
expect_code 78 endless mnemo evaluate "$work/short" --set evaluate.length=3000
expect_words endless 'evaluate\.length' 'out of range'
ok "a trained network is judged on sequences of 15 items that was trained on 6"

finish
