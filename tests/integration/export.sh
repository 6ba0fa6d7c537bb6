#!/bin/bash
# What a run has learned, as a file for other programs: what is in it, and that PyTorch modules of a page each
# (docs/pytorch) that load it by name answer as Mnemo does, for every family of learners.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || die "cannot go to $work"

section "the file"
sinusoid sine.yaml 10
expect_code 0 train mnemo train sine.yaml --run-dir run --set evaluate.every=4 --set evaluate.val_tasks=10 \
    --set evaluate.keep_best=true
expect_code 0 best mnemo export run
expect_code 0 evaluate mnemo evaluate run
grep -qF "theta sha256=$(theta_of best)" evaluate.out || die "what is exported is not what is tested"
expect_words best 'run/model.safetensors: 6 tensors, 673 numbers; the best theta, after meta-step [48]'
expect_code 0 last mnemo export run --checkpoint last -o last.safetensors
expect_words last 'the last theta, after meta-step 10'
[ "$(theta_of last)" = "$(theta_of train)" ] || die "the last theta is another than the run ended with"
[ "$(theta_of last)" != "$(theta_of best)" ] || die "the last theta is the best one: that proves nothing"
expect_code 0 older mnemo export run --checkpoint run/checkpoints/step-000000005.safetensors -o older.safetensors
expect_words older 'the last theta, after meta-step 5'
ok "the theta that is tested, the last one, and an older one"

if grep -qaE '"(optimiser|best)\.' run/model.safetensors; then
    die "the file holds more than theta"
fi
expect_code 0 task mnemo task run --dump of_run.safetensors
expect_code 0 again mnemo task sine.yaml --theta run/model.safetensors --dump of_file.safetensors
# Only the run says which of its thetas it is.
cmp -s <(sed '1s/; theta: .*//' task.out) <(sed '1s/; theta: .*//' again.out) || die "mnemo task --theta answers otherwise with the exported file"
ok "theta alone, and --theta takes it"

section "what is refused"
expect_code 64 nothing mnemo export
expect_words nothing 'folder of one run'
expect_code 66 no_run mnemo export nowhere
expect_words no_run 'nowhere' 'is no run'
expect_code 0 untested mnemo train sine.yaml --run-dir untested --set outer.steps=5
expect_code 66 no_best mnemo export untested --checkpoint best
expect_words no_best 'no best theta' 'evaluate.every'
glyphs glyphs.yaml 4
expect_code 0 others mnemo train glyphs.yaml --run-dir glyphs
expect_code 65 foreign mnemo export run --checkpoint glyphs/checkpoints/step-000000004.safetensors
expect_words foreign 'no tensor of this model'
head -c 2000 run/checkpoints/step-000000010.safetensors >torn.safetensors
expect_code 65 torn mnemo export run --checkpoint torn.safetensors
ok "no run, no best theta, another network's checkpoint, a torn one"

section "PyTorch"
python=/usr/bin/python3 # Debian's, which python3-torch belongs to
"$python" -c 'import torch' 2>/dev/null || skip "no python3-torch: the modules of docs/pytorch cannot be run"
export PYTHONDONTWRITEBYTECODE=1

pairs=() classes=()
answers_as() { # CLASS EXPERIMENT OPTION-OF-TRAIN...: to be compared below, all at once
    local class=$1 name=$2 number=${#classes[@]}
    local folder=$number.$name
    shift 2
    expect_code 0 train mnemo train "$name.yaml" --run-dir "$folder" "$@"
    expect_code 0 export mnemo export "$folder"
    expect_code 0 task mnemo task "$folder" --split test --index 3 --dump "$folder/task.safetensors"
    pairs+=("$folder/model.safetensors" "$folder/task.safetensors")
    classes+=("$folder/model.safetensors: $class:")
}

for name in curvature memory row_ids prototypes matching sequences process stories reduction entity_stories; do
    "$name" "$name.yaml" 4
done
answers_as Perceptron sine
answers_as Perceptron sine --set model.activation=tanh --set meta.inner_steps=5 --set meta.order=1
answers_as Perceptron sine --set model.residual=true
answers_as Perceptron sine --set meta.kind=imaml --set meta.inner_steps=4 --set meta.lambda=50
answers_as Perceptron sine --set meta.update=curvature --set meta.inner_steps=3
answers_as Perceptron memory
answers_as Perceptron memory --set model.input=linear --set model.width=7
answers_as Perceptron memory --set model.input=linear --set model.memory=none --set meta.adapts=all
answers_as Perceptron row_ids
answers_as Perceptron row_ids --set meta.adapts=memory --set meta.order=1
answers_as Conv4 glyphs
answers_as Conv4 curvature
answers_as Conv4 glyphs --set model.downsampling=max-pool --set model.readout=flatten --set meta.inner_steps=3 \
    --set model.blocks=2
answers_as Conv4 glyphs --set meta.kind=anil --set model.batch_norm_statistics=item --set model.blocks=2 --set model.readout=blocks
answers_as Prototypes prototypes
answers_as Prototypes prototypes --set model.batch_norm_statistics=batch
answers_as Prototypes prototypes --set model.batch_norm_statistics=support --set model.batch_norm_eps=0.001
answers_as Matching matching --set model.full_context=false
answers_as NeuralProcess process
answers_as MemoryAugmented sequences
answers_as MemoryAugmented sequences --set model.sharpness=learned --set tasks.labels=letters
answers_as MemN2N stories
answers_as MemN2N stories --set model.tying=layer-wise --set model.encoding=bag --set model.hops=3 --set model.empty_slots=false
answers_as MemN2N stories --set model.encoding=mask --set tasks.linear_start=0
answers_as QueryReduction reduction
answers_as QueryReduction reduction --set model.gates=vector --set model.layers=3 --set model.encoding=position
answers_as QueryReduction reduction --set model.layer_weights=own --set model.gate_lean=-1
answers_as QueryReduction reduction --set model.bidirectional=false --set model.reset_gates=false
answers_as EntityNetwork entity_stories
answers_as EntityNetwork entity_stories --set model.hops=2 --set model.encoding=position

compare=$source_folder/docs/pytorch/compare.py
expect_code 0 compare "$python" "$compare" "${pairs[@]}" --tolerance 1e-5
for class in "${classes[@]}"; do
    grep -F "$class" compare.out | sed 's/^/ok: /' || die "not compared: $class"
done

section "another theta does not pass for it"
expect_code 1 differs "$python" "$compare" older.safetensors of_run.safetensors
expect_code 0 train mnemo train matching.yaml --run-dir context
expect_code 0 export mnemo export context
expect_code 2 no_module "$python" "$compare" context/model.safetensors of_run.safetensors
expect_words no_module 'no module for conv4, support'
finish
