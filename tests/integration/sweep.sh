#!/bin/bash
# A sweep gives the bits of its runs alone, whoever takes part, dies or comes late; a sweep that is cut goes on; and what
# is wrong is said before anything starts, or ends only its own run.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

sinusoid base.yaml 1500
cat >sweep.yaml <<'YAML'
experiment: base.yaml
set:
  evaluate.every: 500
  evaluate.val_tasks: 10
grid:
  meta.kind: [maml, reptile]
random:
  meta.inner_lr: log 0.002 .. 0.05
  tasks.mix: ["", "3 slow: phase=0,1; 1 fast: phase=2,3"]
draws: 2
seeds: [11, 5]
turn: 1
YAML

theta_in() { # SWEEP NAME
    sed -n 's/^theta sha256=//p' "$1/logs/$2.log" | tail -n 1
}
same_as_alone() { # SWEEP: all of its runs have the thetas of the runs alone
    local run
    for run in "${!alone[@]}"; do
        [ "$(theta_in "$1" "$run")" = "${alone[$run]}" ] || die "$1: run $run has another theta than alone"
    done
}
# Lines of --check: a name, then KEY=VALUE with blanks inside some.
declare -A alone
expect_code 0 check mnemo sweep sweep.yaml --check
expect_words check '4 points of .*base\.yaml, each with 2 seeds: 8 runs, 12000 meta-steps'
while IFS=$'\t' read -r name kind rate mix seed; do
    expect_code 0 "alone-$name" mnemo train base.yaml --run-dir "alone-$name" --set pool.threads=1 --set run.page=none \
        --set evaluate.every=500 --set evaluate.val_tasks=10 --set "$kind" --set "$rate" --set "$mix" --set "$seed"
    alone[$name]=$(theta_of "alone-$name")
done < <(sed -nE 's/^  ([0-9]{4}-seed-([0-9]+))  (meta\.kind=[^ ]*) (meta\.inner_lr=[^ ]*) (tasks\.mix=.*)$/\1\t\3\t\4\t\5\tseed=\2/p' check.out)
[ "${#alone[@]}" -eq 8 ] || die "--check lists ${#alone[@]} runs instead of 8"
[ "$(printf '%s\n' "${alone[@]}" | sort -u | wc -l)" -eq 8 ] || die "some of the 8 runs are the same"
[ ! -e runs ] || die "--check has made a folder"

section "workers come, are killed and come again, and so is a run"
start one mnemo sweep sweep.yaml --run-dir one --slots 2
sweep=$started
wait_until 30 "the door is open" test -s one/endpoint
start guest mnemo-worker one --threads 1
guest=$started
start other mnemo-worker "$(sed -n 's/^endpoint: //p' one/endpoint)" --threads 1
works_for() { [ "$(grep -c 'working for run' "$1.log")" -ge "$2" ]; }
wait_until 60 "the guest works" works_for guest 1
slay "$guest"
start guest mnemo-worker one --threads 1
find_victim() { victim=$(pgrep -f "mnemo train .*$work/one/runs/" | head -n 1) && [ -n "$victim" ]; }
killed=
for _ in 1 2 3; do # one that is just ending may be gone already
    wait_until 60 "a run is under way" find_victim
    kill -KILL "$victim" 2>/dev/null
    for _ in {1..100}; do
        ! logged one 'ended by signal 9; it will go on' || { killed=yes && break 2; }
        sleep 0.02
    done
done
[ -n "$killed" ] || die "a run that was killed is not told of"
exit_code_of 300 "$sweep" one
[ "$exit_code" -eq 0 ] || die "the sweep ended with $exit_code"
same_as_alone one
works_for other 2 || die "a worker has served one run only"
expect_code 0 status mnemo status one
expect_words status '^sweep one: done$' '^8 of 8 runs are over; of 4 points 4 are done' '^best so far by validation: point [0-3] \(meta\.kind='
expect_code 0 top mnemo top one
cmp status.out top.out || die "top tells something else of a sweep that is over"
expect_code 0 explain mnemo explain one
expect_words explain 'no run has failed' 'mnemo explain .*/runs/NAME'
expect_code 0 report mnemo report one
grep -q '<h2>Sweep</h2>' one/report.html && grep -q 'image/png;base64' one/report.html && grep -q '0003-seed-5' one/report.html ||
    die "the report lacks its table, its picture or its runs"
expect_code 66 export mnemo export one
expect_words export 'one is a sweep: expected one of its runs, as one/runs/'
[ ! -e one/runs/latest ] || die "runs/latest of runs that go side by side"
wait_until 30 "the guest has heard that all is over" logged guest 'the run is over'
[ ! -e one/endpoint ] || die "the sweep is over, but it can be found"
expect_words one '4 points with 2 seeds each: 4 done' 'best by validation: point [0-3] \(meta\.kind=' 'tasks\.mix'
[ -s one/sweep.png ] && [ -s one/sweep.json ] || note "no picture, or no table"
ok "eight runs with the thetas of the runs alone"

python3 - <<'PY' || die "one/sweep.json is not what the tests of the runs say"
import json, math
table = json.load(open("one/sweep.json"))
assert len(table["points"]) == 4 and table["judged"] == "loss"
for point in table["points"]:
    tests = [json.load(open(f"one/runs/{run['run']}/test.json"))["scores"][-1]["loss"] for run in point["runs"]]
    mean = sum(tests) / 2
    assert abs(point["test"]["mean"] - mean) < 1e-12, point
    sd = math.sqrt(sum((x - mean) ** 2 for x in tests))
    assert abs(point["test"]["ci95"] - 12.7062 * sd / math.sqrt(2)) < 1e-3 * sd
means = [point["validation"]["mean"] for point in table["points"]]
assert means == sorted(means) and table["best_by_validation"] == table["points"][0]["point"]
for key, groups in table["marginals"].items():
    assert sum(group["points"] for group in groups) == 4, key
PY
ok "means, intervals, marginals and the best are those of the runs' own tests"

section "stopped, killed, and going on"
start two mnemo sweep sweep.yaml --run-dir two --slots 2
sweep=$started
wait_until 60 "runs are under way" has_steps two/runs/0000-seed-11 50
kill -INT "$sweep"
exit_code_of 60 "$sweep" two
[ "$exit_code" -eq 75 ] || die "a stopped sweep ended with $exit_code"
expect_words two 'to go on: mnemo sweep sweep\.yaml --run-dir '
expect_code 0 stopped mnemo status two
expect_words stopped '^sweep two: stopped$' ' of 8 runs are over; of 4 points' 'to go on: mnemo sweep sweep\.yaml --run-dir .*two$'
start killed mnemo sweep sweep.yaml --run-dir two --slots 2
sweep=$started
wait_until 60 "a run is done" grep -q '"done"' two/journal.jsonl
slay "$sweep"
alive() { pgrep -f "mnemo train .*$work/two/runs/" >/dev/null; }
none_alive() { ! alive; }
wait_until 30 "runs do not outlive the sweep" none_alive
expect_code 0 on mnemo sweep sweep.yaml --run-dir two --slots 2 --json
same_as_alone two
python3 -c 'import json; json.load(open("on.out"))' || die "--json prints no JSON"
drop_seconds() { grep -v '"seconds"' "$1/sweep.json"; }
cmp <(drop_seconds one) <(drop_seconds two) || die "a sweep that was cut has another table"
expect_code 0 again mnemo sweep sweep.yaml --run-dir two
expect_words again '8 runs, 8 over'
ok "the same runs, the same table"

section "two ranks"
mpi 2
start ranks "${launch[@]}" "$bin/mnemo" sweep sweep.yaml --run-dir ranks --slots 1
exit_code_of 300 "$started" ranks
[ "$exit_code" -eq 0 ] || die "two ranks: exit code $exit_code"
same_as_alone ranks
cmp <(drop_seconds one) <(drop_seconds ranks) || die "two ranks give another table"
ok "each makes runs of its own: the same table"

section "halving, on a pool of workers alone"
cat >halving.yaml <<'YAML'
experiment: base.yaml
set: {evaluate.every: 100, outer.steps: 900, pool.threads: 0}
quasi-random: {meta.inner_lr: log 0.001 .. 0.1}
draws: 6
halving: {first: 100, factor: 3}
slots: 3
turn: 1
YAML
start halving mnemo sweep halving.yaml --run-dir halving
sweep=$started
wait_until 30 "the door is open" test -s halving/endpoint
start only mnemo-worker halving --threads 1
exit_code_of 300 "$sweep" halving
[ "$exit_code" -eq 0 ] || die "halving ended with $exit_code"
expect_words halving '1 done, 5 stopped on the way' 'stopped at 100' 'stopped at 300'
done_run=$(sed -nE 's/.* (000[0-9]) is done.*/\1/p' halving.log)
rate=$(sed -nE "s/.*$done_run begins.*(meta\\.inner_lr=[^ ]*)\$/\\1/p" halving.log)
expect_code 0 undisturbed mnemo train base.yaml --run-dir undisturbed --set evaluate.every=100 --set outer.steps=900 \
    --set "$rate" --set pool.threads=1
[ "$(theta_in halving "$done_run")" = "$(theta_of undisturbed)" ] || die "a run that paused twice has another theta"
ok "two of six, then one; its theta is that of a run that never paused"

section "with keys"
expect_code 0 keys mnemo keys new -o keys
cat >keyed.yaml <<'YAML'
experiment: base.yaml
set: {outer.steps: 300, pool.threads: 0, pool.keys: keys}
grid: {meta.inner_lr: [0.01, 0.02]}
YAML
start keyed mnemo sweep keyed.yaml --run-dir keyed
sweep=$started
wait_until 30 "the door is open" test -s keyed/endpoint
expect_code 77 keyless mnemo-worker keyed --threads 1
start with_key mnemo-worker keyed --threads 1 --secret keys/worker.secret
exit_code_of 120 "$sweep" keyed
[ "$exit_code" -eq 0 ] || die "a sweep with keys ended with $exit_code"
ok "the door's key is the runs' key"

section "what is wrong"
expect_code 78 mistaken mnemo train sweep.yaml --check
expect_words mistaken 'sweep\.yaml describes a sweep of many runs, not one experiment: mnemo sweep sweep\.yaml'
expect_code 78 mistaken mnemo sweep base.yaml --check
expect_words mistaken 'base\.yaml:[0-9]+: "[a-z]+" is a key of experiments: this is one experiment, not a sweep \(mnemo train base\.yaml\)'
printf 'experiment: base.yaml\n\nrandom:\n  meta.inner_lr: 0.01 .. 0.1\n' >drawless.yaml
expect_code 78 drawless mnemo sweep drawless.yaml --check
expect_words drawless 'drawless\.yaml:4: is drawn, but the file says neither'
printf 'experiment: base.yaml\nrandom: {meta.inner_lr: 0.01 .. 0.1}\ngrid: {outer.lr: [0.1, 0.01, 0.001]}\nbudget: {runs: 10000}\n' >most.yaml
expect_code 0 most mnemo sweep most.yaml --check
expect_words most '^9999 points of '
cat >runaway.yaml <<'YAML'
experiment: base.yaml
set: {outer.steps: 200, meta.inner_steps: 20, pool.listen: ""}
grid: {meta.inner_lr: [0.001, 100, 0.002]}
YAML
expect_code 79 runaway mnemo sweep runaway.yaml --run-dir runaway
expect_words runaway '0001 failed, code 79' '2 done, 1 failed' '1 of 3 runs failed; the first is 0001'
grep -q '"failed": 79' runaway/sweep.json || die "the table does not tell the failure"
ok "a run that fails ends itself alone, and the exit code tells"

wrong() { # NAME CODE WORDS, the sweep on standard input
    cat >"$1.yaml"
    expect_code "$2" "$1" mnemo sweep "$1.yaml" --run-dir "not-$1"
    expect_words "$1" "$3"
    [ ! -e "not-$1" ] || die "$1: something was started"
}
wrong unknown 78 'unknown\.yaml:3: unknown key "meta\.iner_lr"; did you mean "meta\.inner_lr"' <<<$'experiment: base.yaml\ngrid:\n  meta.iner_lr: [0.1]'
wrong range 78 'range\.yaml:2: point 1: meta\.inner_steps' <<<$'experiment: base.yaml\ngrid: {meta.inner_steps: [1, -2]}'
wrong lost 66 'lost\.yaml:1: experiment: .*nowhere\.yaml' <<<'experiment: nowhere.yaml'
expect_code 66 nofile mnemo sweep nowhere.yaml
expect_code 64 nothing mnemo sweep
ok "files, keys and values are looked at before anything starts"

sed 's/0.05/0.06/' sweep.yaml >changed.yaml
expect_code 78 changed mnemo sweep changed.yaml --run-dir one
expect_words changed 'was made with other settings'
expect_code 64 arun mnemo sweep sweep.yaml --run-dir undisturbed
expect_words arun 'is the folder of a run'
start holder mnemo sweep halving.yaml --run-dir held --set pool.listen=tcp://127.0.0.1:*
holder=$started
wait_until 30 "the door is open" test -s held/endpoint
expect_code 69 second mnemo sweep halving.yaml --run-dir held
expect_words second 'is being written by process'
port=$(sed -n 's/^endpoint: .*://p' held/endpoint)
expect_code 69 port mnemo sweep halving.yaml --run-dir port --set "pool.listen=tcp://127.0.0.1:$port"
expect_words port "$port"
kill -TERM "$holder"
exit_code_of 60 "$holder" holder
[ "$exit_code" -eq 75 ] || die "a sweep without workers ended with $exit_code"
ok "changed settings, a run's folder, two sweeps in one, a port in use"

section "a budget of time"
sed 's/^draws: 2/draws: 2\nbudget: {hours: 0.0003}/' sweep.yaml >hours.yaml
expect_code 0 hours mnemo sweep hours.yaml --run-dir hours --slots 1
expect_words hours 'the budget of 0\.0003 hours is spent' 'still to come'
sed -i '/^budget/d' hours.yaml
expect_code 0 more mnemo sweep hours.yaml --run-dir hours --slots 2
same_as_alone hours
ok "it ends in order, and goes on with more"
finish
