#!/bin/bash
# One task, for people and for PyTorch: text, a picture, and a dump whose numbers PyTorch's autograd finds too.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

sinusoid "$work/sinusoid.yaml" 4
glyphs "$work/glyphs.yaml" 4

section "show"
for kind in sinusoid glyphs; do
    expect_code 0 "$kind" mnemo task "$work/$kind.yaml" --split test --index 7 --png "$work/$kind.png"
    [ "$(wc -c <"$work/$kind.out")" -gt 200 ] || die "$kind: hardly any text"
    [ "$(head -c 4 "$work/$kind.png" | tail -c 3)" = PNG ] || die "$kind: no PNG"
    expect_code 0 "$kind-again" mnemo task "$work/$kind.yaml" --split test --index 7
    expect_code 0 "$kind-other" mnemo task "$work/$kind.yaml" --split test --index 8
    cmp -s "$work/$kind-again.out" "$work/$kind-other.out" && die "$kind: tasks 7 and 8 look the same"
    ok "$kind: text and picture"
done

section "dump"
python=/usr/bin/python3 # Debian's, which python3-torch belongs to
"$python" -c 'import torch' 2>/dev/null || skip "no python3-torch: the dumps cannot be checked"

agrees() { # WHAT EXPERIMENT OPTION-OF-MNEMO... -- OPTION-OF-CHECK...
    local what=$1 experiment=$2 options=()
    shift 2
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    expect_code 0 dump mnemo task "$experiment" --split train --index 3 --dump "$work/task.safetensors" "${options[@]}"
    expect_code 0 check "$python" "$source_folder/tests/reference/check_dump.py" "$work/task.safetensors" "$@"
    ok "$what: $(tail -n 1 "$work/check.out")"
}

agrees "mlp, 2 steps" "$work/sinusoid.yaml" -- --inner-lr 0.02 --inner-steps 2
agrees "mlp, tanh, 5 steps" "$work/sinusoid.yaml" --set model.activation=tanh --set meta.inner_steps=5 -- \
    --inner-lr 0.02 --inner-steps 5 --activation tanh
agrees "mlp, first order" "$work/sinusoid.yaml" --set meta.order=1 -- --inner-lr 0.02 --inner-steps 2 --order 1
agrees "conv, stride, mean" "$work/glyphs.yaml" -- --inner-lr 0.4 --inner-steps 1
agrees "conv, 3 steps" "$work/glyphs.yaml" --set meta.inner_steps=3 --set meta.inner_lr=0.1 -- --inner-lr 0.1 --inner-steps 3
agrees "conv, max-pool, flatten" "$work/glyphs.yaml" --set model.downsampling=max-pool --set model.readout=flatten \
    --set model.blocks=2 -- --inner-lr 0.4 --inner-steps 1 --downsampling max-pool --readout flatten
agrees "conv, anil" "$work/glyphs.yaml" --set meta.kind=anil -- --inner-lr 0.4 --inner-steps 1 --kind anil

cp "$source_folder/experiments/sinusoid-cnp.yaml" "$work"
for activation in relu tanh; do
    expect_code 0 dump mnemo task "$work/sinusoid-cnp.yaml" --split train --index 3 --dump "$work/cnp.safetensors" \
        --set model.activation=$activation
    expect_code 0 check "$python" "$source_folder/tests/reference/check_cnp.py" "$work/cnp.safetensors" \
        --activation $activation
    ok "neural process, $activation: $(tail -n 1 "$work/check.out")"
done

sequences() { # WHAT OPTION...
    local what=$1
    shift
    expect_code 0 dump mnemo task "$source_folder/experiments/glyph-sequences-mann.yaml" --split train --index 3 \
        --dump "$work/mann.safetensors" --set tasks.length=25 --set tasks.bundle=4 --set model.input=identity "$@"
    expect_code 0 check "$python" "$source_folder/tests/reference/check_mann.py" "$work/mann.safetensors" \
        --sequences 4
    ok "$what: $(tail -n 1 "$work/check.out")"
}

sequences "memory-augmented network" --set model.sharpness=one
sequences "learned sharpness" --set model.sharpness=learned
sequences "labels of five letters" --set model.sharpness=learned --set tasks.labels=letters
sequences "feed-forward controller" --set model.reasoning=feedforward --set model.activation=tanh
sequences "LSTM alone" --set model.memory=none --set tasks.labels=letters

section "of a trained run"
expect_code 0 run mnemo train "$work/glyphs.yaml" --run-dir "$work/run"
checkpoint=$(find "$work/run/checkpoints" -name '*.safetensors' | sort | tail -n 1)
agrees "conv, theta of a run" "$work/glyphs.yaml" --theta "$checkpoint" -- --inner-lr 0.4 --inner-steps 1
finish
