#!/bin/bash
# A run that begins with the theta of another one: it is that theta, the bits do not depend on ranks or on a stop, and
# the other run is needed no more once this one has begun.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 10
expect_code 0 first mnemo train "$file" --run-dir "$work/first" --set pool.threads=1
given=$(find "$work/first/checkpoints" -name '*.safetensors' | sort | tail -n 1)
[ -n "$given" ] || die "the first run left no checkpoint"

expect_code 0 same mnemo train "$file" --theta "$given" --run-dir "$work/same" --set pool.threads=1 --set outer.steps=0
[ "$(theta_of same)" = "$(theta_of first)" ] || die "theta $(theta_of same) instead of $(theta_of first)"
ok "theta of meta-step 0 is the one that was given"

sinusoid "$file" 20
expect_code 0 whole mnemo train "$file" --theta "$given" --run-dir "$work/whole" --set pool.threads=1
reference=$(theta_of whole)
[ "$reference" != "$(theta_of first)" ] || die "20 meta-steps changed nothing"
expect_code 0 cold mnemo train "$file" --run-dir "$work/cold" --set pool.threads=1
[ "$reference" != "$(theta_of cold)" ] || die "the theta that was given made no difference"

mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" train "$file" --theta "$given" --run-dir "$work/ranks" --set pool.threads=1
[ "$(theta_of ranks)" = "$reference" ] || die "2 ranks: theta $(theta_of ranks) instead of $reference"
ok "2 ranks: theta ${reference:0:16}..., as with one"

# Stopped before the first checkpoint that training makes, and with the other run gone.
expect_code 0 begun mnemo train "$file" --theta "$given" --run-dir "$work/begun" --set pool.threads=1 --set outer.steps=0
expect_code 64 again mnemo train "$file" --theta "$given" --run-dir "$work/begun" --set pool.threads=1
expect_words again 'leave --theta out'
ok "a run that has begun takes no other theta"
mv "$given" "$work/elsewhere"
expect_code 0 on mnemo train "$file" --run-dir "$work/begun" --set pool.threads=1
[ "$(theta_of on)" = "$reference" ] || die "gone on: theta $(theta_of on) instead of $reference"
ok "gone on without the other run: theta ${reference:0:16}..."

expect_code 65 other mnemo train "$file" --theta "$work/elsewhere" --run-dir "$work/other" --set pool.threads=1 --set 'model.hidden=[25]'
expect_words other elsewhere
expect_code 66 missing mnemo train "$file" --theta "$work/none" --run-dir "$work/missing" --set pool.threads=1
expect_words missing none
[ ! -e "$work/other/experiment.yaml" ] && [ ! -e "$work/missing/experiment.yaml" ] || die "a run began without its theta"
ok "another network's theta, and none: refused before the run begins"
finish
