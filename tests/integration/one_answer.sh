#!/bin/bash
# One experiment, one answer: the same bytes of theta from one thread, from many ranks, from a pool of workers that are
# killed and hung all the time, and from a run that was stopped and resumed elsewhere.
#   one_answer.sh            sinusoids and glyphs, and on fewer shapes of a cluster one of each other family of learners
#   one_answer.sh omniglot   experiments/omniglot-5w1s-maml.yaml as users run it, but for 60 meta-steps
source "$(dirname "$0")/lib.sh"

steps=60
restless=(--set pool.threads=0 --set 'pool.listen=tcp://127.0.0.1:*'
    --set pool.heartbeat_ms=100 --set pool.silence_ms=1500 --set pool.lease_floor_ms=200)

same() { # NAME WHAT
    local theta
    theta=$(theta_of "$1")
    [ -n "$theta" ] || die "$2: mnemo train printed no theta"
    [ "$theta" = "$reference" ] || die "$2: theta $theta instead of $reference"
    ok "$2: theta ${theta:0:16}..."
}

train() { # NAME RANKS WHAT OPTION...
    local name=$1 ranks=$2 what=$3
    shift 3
    mpi "$ranks"
    expect_code 0 "$name" "${launch[@]}" mnemo train "$file" --run-dir "$work/$name" "$@"
    same "$name" "$what"
}

omniglot() { # FILE STEPS
    sed -e "s/^  steps: .*/  steps: $2/" -e 's/^  every: .*/  every: 0/' -e 's/^  tasks: .*/  tasks: 20/' \
        -e 's/^  keep_best: .*/  keep_best: false/' "$source_folder/experiments/omniglot-5w1s-maml.yaml" >"$1"
    printf 'run:\n  checkpoint_every: 5\n  pictures: false\n' >>"$1"
}

workers=()
add_worker() { # RUN
    start "worker$((${#sessions[@]}))" mnemo-worker "$1/endpoint" --threads 1
    workers+=("$started")
}

# Three ranks without threads, and five workers; then a disaster each time some steps are made.
pool_of_five() { # NAME WHAT DISASTER...
    local name=$1 what=$2 job i
    shift 2
    mpi 3
    start "$name" "${launch[@]}" mnemo train "$file" --run-dir "$work/$name" "${restless[@]}"
    job=$started
    wait_until 30 "$name shows its endpoint" test -s "$work/$name/endpoint"
    workers=()
    for i in 1 2 3 4 5; do
        add_worker "$work/$name"
    done
    [ $# -eq 0 ] || "$@" "$work/$name" "$job"
    exit_code_of 300 "$job" "$name"
    [ "$exit_code" -eq 0 ] || die "$what: exit code $exit_code"
    same "$name" "$what"
}

# All workers are halted first, so that the disaster strikes with leases in their hands and before the run is over.
disasters() { # RUN JOB
    local n_killed=0 at
    for at in 5 13 21 29 37 45; do
        wait_until 120 "$at steps" has_steps "$1" "$at"
        kill -STOP "${workers[@]}"
        ! gone "$2" || die "the run was over after $n_killed workers were killed: it is too short for this test"
        slay "${workers[0]}" "${workers[1]}"
        n_killed=$((n_killed + 2))
        # The third stays halted, as a hung machine would, until the next disaster kills it.
        kill -CONT "${workers[3]}" "${workers[4]}"
        workers=("${workers[2]}" "${workers[3]}" "${workers[4]}")
        add_worker "$1"
        add_worker "$1"
    done
    kill -CONT "${workers[@]}"
    ok "$n_killed workers killed with SIGKILL, 6 times one hung, 12 started anew"
}

stopped_and_resumed() {
    local run=$work/stopped
    mpi 2
    start stopped "${launch[@]}" mnemo train "$file" --run-dir "$run" --set pool.threads=1
    local job=$started
    wait_until 120 "$((steps / 3)) steps" has_steps "$run" "$((steps / 3))"
    kill -USR2 "$job"
    exit_code_of 60 "$job" "the stopped run"
    [ "$exit_code" -eq 75 ] || die "SIGUSR2: exit code $exit_code instead of 75"
    local made
    made=$(steps_of "$run")
    [ "$made" -lt "$steps" ] || die "the run was over before SIGUSR2 came: it is too short for this test"
    mpi 3
    expect_code 0 resumed "${launch[@]}" mnemo train "$file" --run-dir "$run" --set pool.threads=1
    same resumed "2 ranks, stopped by SIGUSR2 after $made steps, resumed with 3 ranks"
}

# The answer that all others are held against, and the file of its experiment.
refer_to() { # KIND
    section "$1, $steps meta-steps"
    file=$work/$1.yaml
    "$1" "$file" "$steps"
    expect_code 0 "$1-1" mnemo train "$file" --run-dir "$work/$1-1" --set pool.threads=1
    reference=$(theta_of "$1-1")
    [ -n "$reference" ] || die "mnemo train printed no theta"
    ok "1 process, 1 thread: theta ${reference:0:16}..."
}

# A module or rule that the program has and no family of this test uses would be promised and never tried.
every_kind_has_a_family() {
    local kind key choice choices
    for kind in "${families[@]}" "${kinds[@]}"; do
        "$kind" "$work/$kind.yaml" 1
        mnemo train "$work/$kind.yaml" --check || die "the family $kind is no experiment"
    done | awk '/^[a-z]/ { section = $1 } /^  [a-z]/ { print section $1 $2 }' >"$work/used"
    for key in model.input model.memory model.reasoning model.output meta.kind meta.update; do
        # The line after the help has the choices: "a, b, c; default a"
        choices=$(mnemo help "$key" | sed -n 's/; default .*//; s/,//g; 2p')
        [ -n "$choices" ] || die "mnemo help $key names no choices"
        for choice in $choices; do
            grep -qx "${key/./:}:$choice" "$work/used" ||
                die "no family here has $key $choice: add one to lib.sh and to this test"
        done
    done
    ok "each input, memory, reasoning, output and rule is in one of ${#families[@]} + ${#kinds[@]} families"
}

kinds=(sinusoid glyphs)
families=(memory prototypes proto_maml matching sequences process stories reduction
    learned_update curvature mixture reptile letters entities key_value fast_weights context implicit maml_plus
    tables difficulty ranges rows row_values row_ids described ridge dialogues class_stream sinusoid_stream)
if [ $# -gt 0 ]; then
    kinds=("$@")
    families=()
fi
[ ${#families[@]} -eq 0 ] || every_kind_has_a_family
for kind in "${families[@]}"; do
    refer_to "$kind"
    train "$kind-3" 2 "2 ranks of 2 threads" --set pool.threads=2
    pool_of_five "$kind-5" "3 ranks without threads, 5 workers"
done
for kind in "${kinds[@]}"; do
    refer_to "$kind"
    expect_code 0 "$kind-2" mnemo train "$file" --run-dir "$work/$kind-2" --set pool.threads=2
    same "$kind-2" "1 process, 2 threads"
    train "$kind-3" 2 "2 ranks of 1 thread" --set pool.threads=1
    pool_of_five "$kind-5" "3 ranks without threads, 5 workers"
done
# A step of the last kind takes long enough to be hit.
pool_of_five "$kind-disasters" "3 ranks, workers killed and hung" disasters
stopped_and_resumed
finish
