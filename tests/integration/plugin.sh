#!/bin/bash
# Plug-ins as a user has them: compiled by the installed header alone, checked, trained with on every shape of the
# cluster for the same bits; whoever lacks one, or has another, is told which it is; what is wrong with one is found.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || die "cannot go to $work"
unset MNEMO_PLUGINS

section "compiled"
expect_code 0 install cmake --install "$build" --prefix "$work/prefix"
pc=$(find "$work/prefix" -name mnemo.pc)
export PKG_CONFIG_PATH=${pc%/*}
compiler=$(command -v cc || command -v gcc || command -v clang) || die "no C compiler"
for name in spiral hebb heavy_ball; do
    source_file=$(find "$work/prefix" -name $name.c)
    [ -n "$source_file" ] || die "$name.c is not installed"
    # shellcheck disable=SC2046 # to be split
    expect_code 0 compile "$compiler" -std=c11 -Wall -Wextra -Wpedantic -Wconversion -Werror -shared -fPIC -O2 -ffp-contract=off \
        $(pkg-config --cflags mnemo) "$source_file" -o $name.so
done
echo '#include <mnemo/plugin.h>' >header.cc
# shellcheck disable=SC2046
! command -v c++ >/dev/null || expect_code 0 header c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags mnemo) header.cc
ok "by pkg-config, without a warning, in C++ too"
spiral_digest=$(sha256sum spiral.so | cut -d' ' -f1)

plugins=(--plugin ./spiral.so --plugin=./hebb.so --plugin ./heavy_ball.so)
experiment() { # FILE STEPS, model and meta on standard input
    family "$1" "$2" 21 8 < <(echo 'tasks: {kind: spiral, shot: 3, query: 4}
spiral: {turns: 0.4, arms: 3}'; cat)
}
experiment tasks.yaml 12 <<<'model: {input: mlp, hidden: [12]}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.05}'
experiment part.yaml 12 <<<'model: {input: mlp, hidden: [12], memory: hebb, reasoning: concat-linear, units: 8}
hebb: {width: 5}
meta: {kind: episodic}'
experiment rule.yaml 12 <<<'model: {input: mlp, hidden: [12], activation: tanh}
meta: {kind: heavy-ball, inner_steps: 3}
heavy-ball: {rate: 0.05}'

section "checked"
for name in spiral hebb heavy_ball; do
    expect_code 0 check mnemo plugin check $name.so
    expect_words check "all as it should be" "same bits"
done
expect_words check "gradients as central differences"
ok "the examples are as they should be"

section "one answer"
for name in tasks part rule; do
    mpi 2
    expect_code 0 $name-1 mnemo train $name.yaml "${plugins[@]}" --run-dir $name-1 --set pool.threads=1
    expect_code 0 $name-2 mnemo train $name.yaml "${plugins[@]}" --run-dir $name-2 --set pool.threads=2
    expect_code 0 $name-mpi "${launch[@]}" mnemo train $name.yaml "${plugins[@]}" --run-dir $name-mpi --set pool.threads=1
    expect_code 0 $name-half mnemo train $name.yaml "${plugins[@]}" --run-dir $name-half --set outer.steps=7
    expect_code 0 $name-whole mnemo train $name.yaml "${plugins[@]}" --run-dir $name-half
    [ -n "$(theta_of $name-1)" ] || die "$name: no theta"
    for shape in 2 mpi whole; do
        [ "$(theta_of $name-$shape)" = "$(theta_of $name-1)" ] || die "$name: another theta from $shape"
    done
    start $name-run mnemo train $name.yaml "${plugins[@]}" --run-dir $name-run --set pool.threads=0 --set 'pool.listen=tcp://127.0.0.1:*'
    run=$started
    wait_until 30 "$name: an endpoint" test -s $name-run/endpoint
    start $name-worker mnemo-worker "${plugins[@]}" $name-run --threads 1
    exit_code_of 60 "$run" "the run with a worker alone"
    [ "$exit_code" -eq 0 ] || die "$name: the run with a worker ends with $exit_code"
    [ "$(theta_of $name-run)" = "$(theta_of $name-1)" ] || die "$name: another theta from a worker"
    ok "$name: 1 thread, 2 threads, 2 ranks, stopped and resumed, a worker: ${name} $(theta_of $name-1 | cut -c1-12)"
done

section "another, or none"
# The same source, other bytes: another file as far as anybody can tell.
mkdir other
# shellcheck disable=SC2046
expect_code 0 compile "$compiler" -shared -fPIC -O1 -ffp-contract=off -DOTHER $(pkg-config --cflags mnemo) \
    "$(find "$work/prefix" -name spiral.c)" -o other/spiral.so
other_digest=$(sha256sum other/spiral.so | cut -d' ' -f1)
[ "$spiral_digest" != "$other_digest" ] || die "the same bytes"
start alone mnemo train tasks.yaml --plugin spiral.so --run-dir alone --set outer.steps=1000000 --set pool.threads=1 \
    --set 'pool.listen=tcp://127.0.0.1:*'
run=$started
wait_until 30 "an endpoint" test -s alone/endpoint
expect_code 78 none mnemo-worker alone --threads 1
expect_words none "plug-in spiral" "$spiral_digest" "--plugin FILE"
expect_code 78 different mnemo-worker alone --threads 1 --plugin other/spiral.so
expect_words different "plug-in spiral" "$spiral_digest" "$other_digest"
made=$(steps_of alone)
wait_until 30 "the run goes on" has_steps alone $((made + 2))
MNEMO_PLUGINS=:spiral.so start right mnemo-worker alone --threads 1
two_threads() {
    grep -qE '"threads": *2\b' <(tail -n 2 alone/metrics.jsonl)
}
wait_until 30 "the right one computes" two_threads
kill -USR2 "$run"
exit_code_of 30 "$run" "the run"
[ "$exit_code" -eq 75 ] || die "SIGUSR2: exit code $exit_code instead of 75"
ok "workers without it, or with another, are told which; the run goes on"

expect_code 78 lacking mnemo train --run-dir alone
expect_words lacking "plug-in spiral" "$spiral_digest" "--plugin FILE"
expect_code 78 resumed mnemo train --run-dir alone --plugin other/spiral.so
expect_words resumed "cannot go on" "$spiral_digest" "$other_digest" "pool.any_numeric_class"
made=$(steps_of alone)
expect_code 0 accepted mnemo train --run-dir alone --plugin other/spiral.so --set pool.any_numeric_class=true \
    --set "outer.steps=$((made + 1))" --set pool.listen=
ok "a run goes on with another on request alone"
mpi 1
expect_code 78 ranks "${launch[@]}" mnemo train tasks.yaml --plugin spiral.so --run-dir ranks \
    : -n 1 --oversubscribe --bind-to none mnemo train tasks.yaml --plugin other/spiral.so --run-dir ranks
expect_words ranks "plug-in spiral" "$spiral_digest" "$other_digest"
ok "ranks with two of one name do not begin"

section "everywhere"
export MNEMO_PLUGINS=spiral.so:hebb.so:heavy_ball.so
expect_code 0 help mnemo help tasks.kind=spiral
expect_words help "spiral.turns" "2 .. 64 arms" "tasks.shot"
expect_code 0 complete mnemo complete -- train --set tasks.kind=sp
expect_words complete "^tasks.kind=spiral$"
expect_code 0 printed mnemo train part.yaml --check
expect_words printed "spiral@$spiral_digest, hebb@" "width: 5"
expect_code 78 range mnemo train tasks.yaml --check --set spiral.arms=1
expect_words range "spiral.arms" "2 .. 64"
for name in tasks part rule; do
    expect_code 0 evaluated mnemo evaluate $name-1 --set evaluate.tasks=20
    expect_code 0 exported mnemo export $name-1 -o $name.safetensors
    expect_code 0 shown mnemo task $name-1 --split test --index 3 --dump $name.dump
    expect_words shown "query"
done
expect_code 0 judged mnemo evaluate tasks-1 --set spiral.turns=0.2
expect_words judged "spiral.turns 0.2 instead of 0.4"
cat >mix.yaml <<YAML
tasks: {kind: glyphs, way: 3, shot: 3, query: 4, mix: "1 a:; 1 b: kind=spiral"}
YAML
expect_code 78 mix mnemo train mix.yaml --run-dir mix
expect_words mix "tasks.mix, part b" "plug-in"
ok "help, completion, --check, evaluate, export, task; a mixture with a plug-in's tasks as a part is refused"
unset MNEMO_PLUGINS
cat >sweep.yaml <<YAML
experiment: tasks.yaml
grid: {spiral.turns: [0.3, 0.4]}
YAML
expect_code 0 swept mnemo sweep sweep.yaml "${plugins[@]}" --run-dir swept
expect_words swept "2 done"
ok "--plugin is handed on to the runs of a sweep"
for name in tasks part rule; do
    expect_code 0 looked mnemo status $name-1
    expect_words looked "$name: done" "made with the plug-in ([a-z_-]+@[0-9a-f]{64}(, )?)+, which is not here" '--plugin'
    expect_code 0 explained mnemo explain $name-1
    expect_words explained "$name: done"
    expect_code 78 judged mnemo evaluate $name-1
    expect_words judged "is needed, which is not here"
done
expect_code 0 reported mnemo report tasks-1 part-1 -o both.html
expect_code 0 watched mnemo top tasks-1
expect_code 0 json mnemo status tasks-1 --json
grep -q "was made with a plug-in that was not here" both.html || die "the report does not say that a plug-in is missing"
ok "status, top, explain and report of a run need no plug-in, and say that it is missing"
expect_code 0 closed sh -c 'exec mnemo plugin check spiral.so <&-'
ok "a check without standard input"

section "wrong ones"
plugins=$tests_bin/plugins
finds() { # NAME WORD...: the check finds it, and says so
    local name=$1
    shift
    expect_code 65 "check_$name" mnemo plugin check "$plugins/bad_$name.so"
    expect_words "check_$name" "^fault: " "$@"
}
expect_code 0 right mnemo plugin check "$plugins/bad_right.so"
expect_code 0 later mnemo plugin check "$plugins/bad_later.so"
finds other_abi "is of ABI 2"
MNEMO_PLUGINS=$plugins/bad_crashes_at_once.so finds crashes_at_once "it crashed \(Aborted\)" "loading"
finds crashes "it crashed \(Segmentation fault\)" "task set bad"
finds ends "it ended the process"
finds counts "other bits" "must be pure"
finds addresses "other bits in another process"
finds clock "other bits" "must be pure"
finds unwritten "not finite|other bits"
finds beyond "writes beyond the numbers of a field"
finds not_one_hot "not one-hot"
finds not_finite "not finite"
finds no_fields "it must call host->few_shot"
finds no_size "is empty, or makes a task larger"
finds huge_size "is empty, or makes a task larger"
finds no_classes "is empty, or makes a task larger"
finds unwilling_to_open "not with all options at their defaults"
finds stops "the meta-gradient of bad.weight says" "central differences say"
finds no_node "no array of this build"
finds misfit "add\(\): two shapes"
finds zero_times "0 times"
finds changes "input bad"
finds long_name "a tensor's name has letters"
finds no_loss "output bad of a plug-in, loss\(\)"
finds fails "it does not want to"
finds wrong_gradient "rule bad" "central differences say"
finds counting_rule "must be pure"
finds not_finite_rule "not finite"
finds many_vectors "expected at most 1024"
ok "impure, crashing, wrong in gradients and shapes: each found and told"
expect_code 66 nothing mnemo plugin check nothing.so
expect_code 64 usage mnemo plugin
expect_code 65 loaded mnemo train tasks.yaml --plugin "$plugins/bad_other_abi.so"
expect_words loaded "is of ABI 2" "loads those of ABI 1"
expect_code 65 text mnemo-worker --plugin tasks.yaml tcp://127.0.0.1:1
expect_words text "no shared object"
printf 'tasks: {kind: bad}\nmodel: {hidden: [4]}\n' >bad.yaml
expect_code 78 hostile mnemo train bad.yaml --plugin "$plugins/bad_huge_size.so" --run-dir hostile
expect_words hostile "tasks.kind bad of a plug-in, fields\(\)"
printf 'model: {input: bad}\nmeta: {kind: maml, inner_steps: 1}\n' >bad.yaml
expect_code 78 hostile mnemo train bad.yaml --plugin "$plugins/bad_no_node.so" --run-dir hostile
expect_words hostile "input bad of a plug-in, build\(\)"
expect_code 0 leaves mnemo plugin check "$plugins/bad_leaves_a_child.so"
! pgrep -f "plugin examine -- $plugins/bad_leaves_a_child.so" >/dev/null || die "what a plug-in has started outlives its check"
ok "what a plug-in starts ends with its check"
ok "one of another version, and what is none, are refused by the programs too"
finish
