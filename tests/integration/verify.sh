#!/bin/bash
# mnemo verify computes a run again and compares theta after every meta-step: whatever the run went through, on other threads and kernels; and
# tells where a run differs that was changed.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

section "a run of ranks and a worker, stopped and gone on with"
sinusoid curve.yaml 400
mpi 2
start run "${launch[@]}" "$bin/mnemo" train curve.yaml --run-dir run --set pool.threads=1 --set run.checkpoint_every=50 --set run.keep=3 --until 150
exit_code_of 120 "$started" run
[ "$exit_code" -eq 75 ] || die "--until ended with $exit_code"
start on mnemo train --run-dir run --set pool.threads=0
on=$started
wait_until 30 "the run can be joined" test -s run/endpoint
start worker mnemo-worker run/endpoint --threads 2
exit_code_of 120 "$on" on
[ "$exit_code" -eq 0 ] || die "it went on and ended with $exit_code"
expect_code 0 whole mnemo verify run
expect_words whole 'computed again from the beginning' '^meta-steps 1 to 400: theta is the same after each, and that of 3 checkpoints$'
expect_code 0 slice mnemo verify run --steps 330-360 --threads 1
expect_words slice 'from the checkpoint of meta-step 300 on' '^meta-steps 330 to 360: .* that of 1 checkpoint$'
MNEMO_KERNELS=portable expect_code 0 portable mnemo verify run --steps 360-400
ok "400 meta-steps, 31 of them from a checkpoint, 41 by other kernels"

section "tasks that depend on what was learned; theta of another run; batch norm"
difficulty hard.yaml 60
expect_code 0 hard mnemo train hard.yaml --run-dir hard --set pool.threads=2 --set run.checkpoint_every=20
expect_code 0 hard_verified mnemo verify hard --steps 30-60
expect_code 0 begun mnemo train curve.yaml --run-dir begun --theta run --set outer.steps=20 --set run.keep=100 --set run.checkpoint_every=10
expect_code 0 begun_verified mnemo verify begun
expect_words begun_verified 'from the checkpoint of meta-step 0 on|from the beginning' '^meta-steps 1 to 20: '
prototypes images.yaml 8
expect_code 0 images mnemo train images.yaml --run-dir images --set pool.threads=2
expect_code 0 images_verified mnemo verify images
ok "all come out alike"

section "what was changed is found"
cp -r run changed
sed -i '/"step": 251,/s/"theta_xxh3": "[0-9a-f]*"/"theta_xxh3": "0123456789abcdef"/' changed/metrics.jsonl
expect_code 65 line mnemo verify changed
expect_words line 'theta differs after meta-step 251: XXH3 [0-9a-f]{16} here, 0123456789abcdef in changed/metrics\.jsonl\. 250 before it agree'
cp -r run other
expect_code 65 key mnemo verify other --set outer.lr=0.0031
expect_words key 'theta differs after meta-step 1:'
cp run/checkpoints/step-000000400.safetensors other/checkpoints/step-000000350.safetensors
expect_code 65 swapped mnemo verify other --steps 345-352
expect_words swapped 'step-000000350\.safetensors holds another theta than was computed here'
expect_code 0 misnamed mnemo verify other --steps 352-355
expect_words misnamed 'step-000000350\.safetensors is of meta-step 400 by what is in it; the one before it is taken' 'from the checkpoint of meta-step 300 on'
rm other/checkpoints/step-000000300.safetensors
expect_code 0 anew mnemo verify other --steps 352-355
expect_words anew 'computed again from the beginning'
sed -i '/"step": 390,/d' changed/metrics.jsonl
expect_code 65 gap mnemo verify changed --steps 385-395
expect_words gap 'has no line of meta-step 390'
expect_code 64 beyond mnemo verify run --steps 390-500
expect_words beyond 'the run has come to meta-step 400'
expect_code 64 one mnemo verify run --steps 390
expect_words one 'expected the first and the last meta-step'
expect_code 66 none mnemo verify "$work"
head -c 300 run/checkpoints/step-000000350.safetensors >changed/checkpoints/step-000000350.safetensors
expect_code 0 damaged mnemo verify changed --steps 352-360
expect_words damaged 'the one before it is taken' 'from the checkpoint of meta-step 300 on'
ok "a line, a key, a checkpoint, a gap; a damaged checkpoint is left out"
finish
