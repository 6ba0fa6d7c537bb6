#!/bin/bash
# Training that ends by evaluate.patience: after the same meta-step and with the same bits on one rank and on two, and
# when the run was stopped on the way; taken up again it makes no more steps, unless it is given more patience.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

steps=400
file=$work/sinusoid.yaml
sinusoid "$file" "$steps"
options=(--set pool.threads=1 --set outer.lr=0.05 --set evaluate.every=2 --set evaluate.val_tasks=8 --set evaluate.choose=loss
    --set evaluate.keep_best=true --set evaluate.patience=4)

expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" "${options[@]}"
reference=$(theta_of alone)
made=$(steps_of "$work/alone")
[ "$made" -gt 8 ] && [ "$made" -lt "$steps" ] || die "it ended after $made meta-steps of $steps: that proves nothing"
logged alone 'training ends here: 4 validations in a row were no better' || die "the log does not say why it ended"
[ -s "$work/alone/test.json" ] || die "the run was not tested"
ok "ended after $made meta-steps of $steps, and tested"

expect_code 0 again mnemo train "$file" --run-dir "$work/alone" "${options[@]}"
[ "$(theta_of again)" = "$reference" ] && [ "$(steps_of "$work/alone")" -eq "$made" ] || die "the run that had enough went on"
ok "taken up again: no more meta-steps"

mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" train "$file" --run-dir "$work/ranks" "${options[@]}"
[ "$(theta_of ranks)" = "$reference" ] || die "2 ranks: theta $(theta_of ranks) instead of $reference"
ok "2 ranks: theta ${reference:0:16}..., as with one"

before=$((made - 3)) # between the last best validation and the end
expect_code 0 part mnemo train "$file" --run-dir "$work/part" "${options[@]}" --set outer.steps=$before
expect_code 0 whole mnemo train "$file" --run-dir "$work/part" "${options[@]}"
[ "$(theta_of whole)" = "$reference" ] && [ "$(steps_of "$work/part")" -eq "$made" ] ||
    die "stopped on the way: theta $(theta_of whole) after $(steps_of "$work/part") steps instead of $reference after $made"
ok "stopped after $before meta-steps and taken up again: the same end"

expect_code 0 more mnemo train "$file" --run-dir "$work/alone" "${options[@]}" --set evaluate.patience=6
[ "$(steps_of "$work/alone")" -gt "$made" ] || die "more patience changed nothing"
ok "with more patience it goes on"
expect_code 78 other mnemo train "$file" --run-dir "$work/alone" "${options[@]}" --set evaluate.choose=score
expect_words other 'evaluate.choose was loss when this run began'
ok "what chooses stays as the run began with it"
finish
