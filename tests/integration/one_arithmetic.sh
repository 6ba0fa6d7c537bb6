#!/bin/bash
# One numeric class for all machines: the same bytes of theta from each set of kernels that this machine has, for every
# family of learners, and from a pool whose workers have other kernels than the coordinator.
# With MNEMO_OTHER_BUILD, the folder of a build by another compiler or for another machine, its programs take part too.
#   one_arithmetic.sh [FAMILY]...
source "$(dirname "$0")/lib.sh"

steps=4
other=${MNEMO_OTHER_BUILD-}
[ -z "$other" ] || [ -x "$other/bin/mnemo" ] || die "MNEMO_OTHER_BUILD=$other has no bin/mnemo"

kernels_of() { # FOLDER: one a line, the best first; the reference has an arithmetic of its own
    "$1/mnemo" self-test | sed -n 's/^MAML, perceptron  *\([a-z0-9]*\)  *numeric class .*/\1/p' | grep -v '^plain$'
}
mapfile -t kernels < <(kernels_of "$bin")
mapfile -t others < <([ -z "$other" ] || kernels_of "$other/bin")
[ ${#kernels[@]} -gt 0 ] || die "mnemo self-test names no kernels"
[ ${#kernels[@]} -gt 1 ] || [ -n "$other" ] || { echo "skipped: this machine has one set of kernels, ${kernels[0]}"; exit 77; }

train() { # RUN KERNELS [FOLDER]: sets theta
    expect_code 0 "$1" env "MNEMO_KERNELS=$2" "${3:-$bin}/mnemo" train "$file" --run-dir "$work/$1" \
        --set pool.threads=1 --set run.page=none
    theta=$(theta_of "$1")
    [ -n "$theta" ] || die "$1: mnemo train printed no theta"
}

expect_same() { # WHAT
    [ "$theta" = "$reference" ] || die "$family, $1: theta $theta instead of $reference"
    made="$made $1"
}

of_family() { # FAMILY
    family=$1 file=$work/$1.yaml made=${kernels[0]}
    "$family" "$file" "$steps"
    train "$family-${kernels[0]}" "${kernels[0]}"
    reference=$theta
    local set
    for set in "${kernels[@]:1}"; do
        train "$family-$set" "$set"
        expect_same "$set"
    done
    for set in ${others[@]+"${others[@]}"}; do
        train "$family-other-$set" "$set" "$other/bin"
        expect_same "$set-of-another-build"
    done
    ok "$family: theta ${reference:0:16}... by $made"
}

# Taken in without a word of another class, each with a share of the work.
a_mixed_pool() { # FAMILY
    local run=$work/mixed job set i=0
    family=$1 file=$work/$1.yaml steps=200 made=
    "$family" "$file" "$steps"
    train alone "${kernels[0]}"
    reference=$theta
    start mixed env "MNEMO_KERNELS=${kernels[0]}" mnemo train "$file" --run-dir "$run" --set pool.threads=0 --set run.page=none
    job=$started
    wait_until 30 "the endpoint" test -s "$run/endpoint"
    for set in "${kernels[@]}"; do
        start "mixed-$set" env "MNEMO_KERNELS=$set" mnemo-worker "$run/endpoint" --threads 1
    done
    [ -z "$other" ] || start "mixed-other" "$other/bin/mnemo-worker" "$run/endpoint" --threads 1
    exit_code_of 300 "$job" mixed
    [ "$exit_code" -eq 0 ] || die "the mixed pool: exit code $exit_code"
    theta=$(theta_of mixed)
    expect_same "a mixed pool"
    ! grep -q "another numeric class" "$work/mixed.log" "$work/mixed.out" || die "a worker was of another numeric class"
    for set in "${kernels[@]}"; do
        grep -q "joined .* kernels=$set" "$work/mixed.log" || die "no worker with the kernels $set joined"
    done
    ok "workers with the kernels ${kernels[*]}${other:+ and one of another build} under one coordinator: theta ${theta:0:16}..."
}

section "each family of learners by ${kernels[*]}${other:+, and by programs of another build}"
[ $# -gt 0 ] || set -- sinusoid glyphs memory prototypes proto_maml matching sequences process stories reduction \
    learned_update curvature mixture reptile letters entities key_value fast_weights context implicit maml_plus \
    tables difficulty ranges rows row_values row_ids described ridge dialogues class_stream sinusoid_stream
for each in "$@"; do
    of_family "$each"
done
section "a pool of all of them"
a_mixed_pool sinusoid
finish
