#!/bin/bash
# What programs read of a run is as docs/schema says, by a validator that is not ours, for every family of learners; and docs/metrics.md names every key.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
python=/usr/bin/python3 # Debian's, which the package belongs to
"$python" -W ignore -c 'import jsonschema; jsonschema.Draft202012Validator' 2>/dev/null ||
    skip "no python3-jsonschema: cluster/install-packages formats installs it"
fits() { # NAME FILE: prints its keys
    "$python" -W ignore "$source_folder/tests/integration/schema.py" "$1" "$2" keys >>"$work/keys" || die "$2 is not as its schema says"
}
refused() { # NAME FILE WHAT
    ! "$python" -W ignore "$source_folder/tests/integration/schema.py" "$1" "$2" >/dev/null 2>&1 || die "$3 passes for a good $1"
}
sets=(--set pool.threads=1 --set evaluate.every=2 --set evaluate.val_tasks=4 --set evaluate.tasks=5 --set run.page=none)

section "metrics.jsonl, test.json, status --json of each family"
for name in sinusoid glyphs memory prototypes proto_maml matching sequences process stories reduction learned_update mixture difficulty ranges reptile \
    letters entities key_value fast_weights context implicit maml_plus tables rows row_values row_ids described ridge dialogues class_stream \
    sinusoid_stream entity_stories; do
    "$name" "$work/$name.yaml" 4
    own=()
    case $name in described | ridge) own=(--set evaluate.every=0) ;; esac # they have no classes for it
    expect_code 0 "$name" mnemo train "$work/$name.yaml" --run-dir "$work/runs/$name" "${sets[@]}" "${own[@]}"
    fits metrics "$work/runs/$name/metrics.jsonl"
    fits test "$work/runs/$name/test.json"
    expect_code 0 status mnemo status "$work/runs/$name" --json
    fits status "$work/status.out"
done
ok "$(ls "$work/runs" | wc -l) families"

section "journal.jsonl, explain, adapt, predict, ask and bench --json"
for name in sinusoid glyphs stories rows; do
    fits journal "$work/runs/$name/journal.jsonl"
    expect_code 0 explain mnemo explain "$work/runs/$name" --json
    fits explain "$work/explain.out"
done
cp -r "$work/runs/sinusoid" "$work/lively" # a journal with all that may befall
cat >>"$work/lively/journal.jsonl" <<'END'
{"at": 1764246000.5, "rank": 1, "event": "joined", "who": "a:1", "threads": 2, "mixed": true}
{"at": 1764246001.5, "rank": 0, "event": "ran out", "step": 7, "who": "a:1", "task": 0, "tasks": 2, "span_s": 1.5, "pause_s": 1.5, "work_s": 1.5, "repeated_s": 0.5}
{"at": 1764246001.5, "rank": 0, "event": "waited", "judges": "test", "step": 7, "who": "a:1", "threads": 3, "span_s": 1.5, "left_out": 3, "left_out_s": 1.5}
{"at": 1764246001.5, "rank": 0, "event": "repeated", "step": 7, "who": "a:1", "task": 4, "tasks": 2, "lost_s": 1.5, "why": "slow"}
END
fits journal "$work/lively/journal.jsonl"
expect_code 0 lively mnemo explain "$work/lively" --json
fits explain "$work/lively.out"
printf 'x,y\n0,0\n1,0.8\n-1,-0.8\n' >"$work/own.csv"
expect_code 0 adapted mnemo adapt "$work/runs/sinusoid" --support "$work/own.csv" --query "$work/own.csv" --holdout leave-one-out -o "$work/adapted-own" --json
fits predictions "$work/adapted.out"
fits predictions "$work/adapted-own/predictions.json"
expect_code 0 predicted mnemo predict "$work/adapted-own" --query "$work/own.csv" --json
fits predictions "$work/predicted.out"
expect_code 0 asked mnemo ask "$work/runs/stories" --story "$source_folder/experiments/story.txt" --json
fits ask "$work/asked.out"
expect_code 0 benched mnemo bench "$work/sinusoid.yaml" --threads 1 --seconds 0.05 --profile --json
fits bench "$work/benched.out"
ok "of runs as they go, and of one with all that may befall"

section "seeds.json, evaluate --json, the page"
expect_code 0 seeds mnemo train "$work/sinusoid.yaml" --seeds 2 --run-dir "$work/seeds" "${sets[@]}"
fits seeds "$work/seeds/seeds.json"
expect_code 0 one mnemo train "$work/sinusoid.yaml" --seeds 1 --run-dir "$work/one" --set pool.threads=1
fits seeds "$work/one/seeds.json"
expect_code 0 compared mnemo evaluate "$work/seeds/seed-11" "$work/seeds/seed-12" --json --set seed=1
fits evaluate "$work/compared.out"
expect_code 0 other mnemo evaluate "$work/runs/mixture" --set evaluate.tasks=3 --json
fits evaluate "$work/other.out"
printf 'experiment: sinusoid.yaml\nset: {evaluate.every: 2, evaluate.val_tasks: 4, evaluate.tasks: 5}\ngrid: {meta.inner_lr: [0.01, 0.02]}\nseeds: 2\nhalving: {first: 2, factor: 2}\n' >"$work/sweep.yaml"
expect_code 0 sweep mnemo sweep "$work/sweep.yaml" --run-dir "$work/sweep" --json
fits sweep "$work/sweep.out"
fits sweep "$work/sweep/sweep.json"
expect_code 0 sweep_status mnemo status "$work/sweep" --json
fits sweep "$work/sweep_status.out"
sinusoid "$work/long.yaml" 100000000
start long mnemo train "$work/long.yaml" --run-dir "$work/long" --set pool.threads=1 --set evaluate.every=50 --set evaluate.val_tasks=5
long=$started
wait_until 60 "some meta-steps" has_steps "$work/long" 200
expect_code 0 running mnemo status "$work/long" --json
fits status "$work/running.out"
"$python" - "$work/long" "$work" <<'PY' || die "the page does not answer"
import json, sys, time, urllib.request
run, work = sys.argv[1:]
url = open(run + "/page").read().strip()
while True:
    text = urllib.request.urlopen(url + "state.json").read()
    if json.loads(text)["validation"]:
        break
    time.sleep(0.05)
open(work + "/state.json", "wb").write(text)
with urllib.request.urlopen(url + "events") as events:
    for n in range(2):
        for line in events:
            if line.startswith(b"data: "):
                open(f"{work}/event-{n}.json", "wb").write(line[6:])
                break
for n in range(2):
    open(f"{work}/task-{n}.json", "wb").write(urllib.request.urlopen(url + "task.json").read())
    time.sleep(1)
PY
kill -TERM "$long"
exit_code_of 60 "$long" long
for file in state event-0 event-1; do
    fits state "$work/$file.json"
done
fits task "$work/task-0.json"
fits task "$work/task-1.json"
ok "of seeds, of runs side by side, of a run that goes on"

section "what is not so is refused"
spoil() { # SCHEMA FILE WHAT PYTHON: of `record`
    "$python" - "$2" "$4" >"$work/spoilt.json" <<'PY'
import json, sys
text = open(sys.argv[1]).read()
record = json.loads(text.splitlines()[0] if sys.argv[1].endswith("jsonl") else text)
exec(sys.argv[2])
print(json.dumps(record))
PY
    refused "$1" "$work/spoilt.json" "$3"
}
spoil metrics "$work/runs/glyphs/metrics.jsonl" "a record without wall_s" 'del record["wall_s"]'
spoil metrics "$work/runs/glyphs/metrics.jsonl" "a score of no such name" 'record["acuracy"] = 0.5'
spoil metrics "$work/runs/glyphs/metrics.jsonl" "an accuracy of 110 %" 'record["accuracy"] = 1.1'
spoil metrics "$work/runs/glyphs/metrics.jsonl" "NaN" 'record["loss"] = float("nan")'
spoil test "$work/runs/glyphs/test.json" "a score without its interval" 'del record["scores"][0]["loss_ci95"]'
spoil test "$work/runs/glyphs/test.json" "an axis that there is not" 'record["scores"][0]["steps"] = 1'
spoil seeds "$work/seeds/seeds.json" "a seed without theta" 'del record["seeds"][0]["theta_sha256"]'
spoil sweep "$work/sweep.out" "a point without its fate" 'del record["points"][0]["fate"]'
spoil sweep "$work/sweep_status.out" "a state without the folder" 'del record["sweep"]'
spoil status "$work/status.out" "a state that there is not" 'record["state"] = "asleep"'
spoil status "$work/running.out" "a last step that is none" 'record["last"].pop("lr")'
spoil evaluate "$work/compared.out" "a comparison without its pairs" 'del record["runs"][1]["differences"][0]["pairs"]'
spoil state "$work/state.json" "a whole state without its run" 'del record["run"]'
spoil state "$work/event-1.json" "an event of changes with the run" 'record["run"] = {}'
spoil journal "$work/lively/journal.jsonl" "a version that there is not" 'record["version"] = 2'
spoil explain "$work/lively.out" "an event of no such name" 'record["entries"][-1]["event"] = "died"'
spoil explain "$work/lively.out" "a share of 110 %" 'record["repeated_share"] = 1.1'
spoil predictions "$work/adapted.out" "neither run nor file" 'del record["run"]'
spoil ask "$work/asked.out" "an answer without its probability" 'del record["questions"][0]["answers"][0]["probability"]'
spoil bench "$work/benched.out" "no speed" 'del record["tasks_per_second"]'
spoil task "$work/task-0.json" "a task of another state" 'record["state"] = "soon"'
ok "twenty-one ways"

section "docs/metrics.md"
sed -E 's/_ci95$//; s/^val_([a-z]+_)?(accuracy|squared_error)_.*/val_\1\2/' "$work/keys" | sort -u >"$work/names"
[ "$(wc -l <"$work/names")" -gt 50 ] || die "hardly any keys: $(wc -l <"$work/names")"
while read -r key; do
    grep -q "\`$key\`" "$source_folder/docs/metrics.md" "$source_folder/docs/page.md" || die "neither docs/metrics.md nor docs/page.md tells of $key"
done <"$work/names"
ok "tells of every key"
finish
