#!/bin/bash
# Event files for TensorBoard: what metrics.jsonl and test.json tell, by a reader of its own; also of a run that was killed and goes on.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
python=/usr/bin/python3 # Debian's, which the packages belong to
"$python" -c 'import crcmod.predefined, google.protobuf' 2>/dev/null ||
    skip "no python3-crcmod or python3-protobuf: cluster/install-packages formats installs them"
check() { # RUN FOLDER FILES
    "$python" "$source_folder/tests/integration/tensorboard.py" "$@" >"$work/checked.out" || die "the events are not what the run tells"
}

section "a run from beginning to end"
file=$work/sinusoid.yaml
sinusoid "$file" 300
sets=(--set pool.threads=1 --set evaluate.every=50 --set evaluate.val_tasks=10 --set run.pictures=true)
expect_code 0 whole mnemo train "$file" --run-dir "$work/whole" "${sets[@]}" --set run.tensorboard=true
check "$work/whole" "$work/whole" 2
ok "in its folder: $(cat "$work/checked.out")"
glyphs "$work/glyphs.yaml" 12
expect_code 0 glyphs mnemo train "$work/glyphs.yaml" --run-dir "$work/runs/glyphs" --set pool.threads=1 --set evaluate.every=5 \
    --set evaluate.val_tasks=10 --set run.pictures=true --set "run.tensorboard=$work/tb"
check "$work/runs/glyphs" "$work/tb/runs/glyphs" 2
ok "in a folder for all runs: $(cat "$work/checked.out")"
expect_code 0 none mnemo train "$file" --run-dir "$work/none" "${sets[@]}"
! ls "$work/none" | grep -q tfevents || die "events that nobody wants"
[ "$(theta_of whole)" = "$(theta_of none)" ] || die "events change the bits"
ok "none unless they are wanted, and they change no bit"

section "a run that is killed, twice, and goes on"
sinusoid "$file" 100000000
start first mnemo train "$file" --run-dir "$work/cut" "${sets[@]}" --set run.tensorboard=true --set run.checkpoint_every=70
first=$started
wait_until 60 "some meta-steps" has_steps "$work/cut" 300
slay "$first"
start second mnemo train --run-dir "$work/cut" "${sets[@]}" --set run.tensorboard=true
second=$started
wait_until 60 "some more" has_steps "$work/cut" $(($(steps_of "$work/cut") + 2000))
slay "$second"
done_steps=$(steps_of "$work/cut")
expect_code 0 third mnemo train --run-dir "$work/cut" "${sets[@]}" --set run.tensorboard=true --set outer.steps=$((done_steps + 20))
check "$work/cut" "$work/cut" 4
ok "it is one curve: $(cat "$work/checked.out")"

section "bad input"
sinusoid "$file" 10
for wrong in yes on none False; do
    expect_code 78 wrong mnemo train "$file" --check --set "run.tensorboard=$wrong"
    expect_words wrong 'run.tensorboard is' 'expected true, false, or a folder'
done
echo >"$work/plain"
expect_code 0 plain mnemo train "$file" --run-dir "$work/plain-run" "${sets[@]}" --set "run.tensorboard=$work/plain"
expect_words plain 'no events for TensorBoard of this run: .*plain' 'no pictures for TensorBoard'
ok "what is no folder is said, and the run goes on"
finish
