#!/bin/bash
# One experiment with several seeds: each run is the one that this seed gives alone, a set that was stopped goes on, ranks
# change nothing, and the table over seeds is that of the runs' own tests.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

sinusoid sine.yaml 30
sets=(--set pool.threads=1 --set evaluate.every=10 --set evaluate.val_tasks=10 --set evaluate.keep_best=true)
expect_code 0 set mnemo train sine.yaml --seeds 3 --run-dir set "${sets[@]}"
for seed in 11 12 13; do
    expect_code 0 "alone-$seed" mnemo train sine.yaml --run-dir "alone-$seed" "${sets[@]}" --set "seed=$seed"
    cmp -s "set/seed-$seed/test.json" "alone-$seed/test.json" || die "seed $seed is tested otherwise in a set"
done
[ "$(sed -n 's/^theta sha256=//p' set.out)" = "$(for seed in 11 12 13; do theta_of "alone-$seed"; done)" ] ||
    die "a seed of a set has another theta than alone"
python3 - <<'PY' || die "set/seeds.json is not what the tests of the runs say"
import json, math
table = json.load(open("set/seeds.json"))
tests = [json.load(open(f"set/seed-{seed}/test.json"))["scores"][-1]["loss"] for seed in (11, 12, 13)]
mean = sum(tests) / 3
sd = math.sqrt(sum((x - mean) ** 2 for x in tests) / 2)
(score,) = table["scores"]
assert score["by_seed"] == tests and abs(score["mean"] - mean) < 1e-12 and abs(score["sd"] - sd) < 1e-12
assert abs(score["ci95"] - 4.3027 * sd / math.sqrt(3)) < 1e-3 * sd
best = min(table["seeds"], key=lambda row: row["validation"])
assert table["best_by_validation"] == best["seed"]
PY
expect_words set '3 seeds' 'best by validation: seed 1[123], whose test loss is'
ok "three seeds in a set are the three runs alone; mean, deviation, interval and the best by validation"

mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" train sine.yaml --seeds 3 --run-dir ranks "${sets[@]}"
cmp -s set/seeds.json ranks/seeds.json || die "two ranks give another table"
ok "two ranks: the same table"

start stopped mnemo train sine.yaml --seeds 2 --run-dir stopped "${sets[@]}" --set outer.steps=2000000 --set evaluate.every=0 \
    --set evaluate.keep_best=false
stopped=$started
wait_until 60 "the first seed is under way" has_steps stopped/seed-11 5
kill -TERM "$stopped"
exit_code_of 60 "$stopped" stopped
[ "$exit_code" -eq 75 ] || die "a stopped set ended with $exit_code"
expect_words stopped 'to go on: mnemo train sine\.yaml --seeds 2 --run-dir stopped'
[ ! -e stopped/seed-12 ] && [ ! -e stopped/seeds.json ] || die "a stopped set went on to the next seed"
done_steps=$(steps_of stopped/seed-11)
expect_code 0 on mnemo train sine.yaml --seeds 2 --run-dir stopped "${sets[@]}" --set outer.steps=$((done_steps + 5)) \
    --set evaluate.every=0 --set evaluate.keep_best=false
expect_words on 'seed-11 goes on at meta-step' 'no seed was validated'
[ -e stopped/seeds.json ] || die "the set has no table"
ok "a stopped set goes on where it was"

expect_code 64 folder mnemo train --seeds 2 --run-dir set
expect_words folder 'expected one experiment file'
expect_code 64 theta mnemo train sine.yaml --seeds 2 --theta set/seed-11/checkpoints/step-000000030.safetensors
expect_words theta 'leave --theta out'
expect_code 64 none mnemo train sine.yaml --seeds 0
expect_words none 'at least 1'
finish
