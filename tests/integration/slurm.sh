#!/bin/bash
# The Slurm script: told that its time is up, it writes a checkpoint, asks for its place in the queue and goes on there
# to the same bits. A stand-in for scontrol notes what it is asked.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

mkdir "$work/slurm"
printf '#!/bin/sh\necho "$*" >>%s/asked\n' "$work" >"$work/slurm/scontrol"
chmod +x "$work/slurm/scontrol"
export PATH=$work/slurm:$PATH SLURM_JOB_ID=42 OMPI_MCA_rmaps_base_oversubscribe=1

steps=40
file=$work/glyphs.yaml
glyphs "$file" "$steps"
expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=1

start first "$source_folder/cluster/mnemo.sbatch" "$file" "$work/run" --set pool.threads=1
job=$started
wait_until 60 "5 steps" has_steps "$work/run" 5
kill -USR1 "$job"
exit_code_of 60 "$job" "the job"
[ "$exit_code" -eq 75 ] || die "the job: exit code $exit_code instead of 75"
[ "$(cat "$work/asked")" = "requeue 42" ] || die "scontrol was asked: $(cat "$work/asked")"
ok "USR1 after 5 or more steps: exit code 75 and 'scontrol requeue 42'"

expect_code 0 again "$source_folder/cluster/mnemo.sbatch" "$file" "$work/run" --set pool.threads=1
[ "$(theta_of again)" = "$(theta_of alone)" ] || die "theta $(theta_of again) instead of $(theta_of alone)"
[ "$(wc -l <"$work/asked")" -eq 1 ] || die "a finished run was put into the queue again"
ok "started again it ends with the same theta, and asks for nothing"

printf 'experiment: glyphs.yaml\nset: {outer.steps: %s}\ngrid: {outer.lr: [0.001, 0.002]}\n' "$steps" >"$work/sweep.yaml"
start sweep "$source_folder/cluster/mnemo.sbatch" "$work/sweep.yaml" "$work/sweep" --slots 1
job=$started
wait_until 60 "a run has 5 steps" has_steps "$work/sweep/runs/0000" 5
kill -USR1 "$job"
exit_code_of 60 "$job" "the job of a sweep"
[ "$exit_code" -eq 75 ] || die "the job of a sweep: exit code $exit_code instead of 75"
[ "$(wc -l <"$work/asked")" -eq 2 ] || die "a sweep that was cut was not put into the queue again"
expect_code 0 swept "$source_folder/cluster/mnemo.sbatch" "$work/sweep.yaml" "$work/sweep" --slots 1
[ "$(sed -n 's/^theta sha256=//p' "$work/sweep/logs/0000.log")" = "$(theta_of alone)" ] || die "a sweep's run has another theta"
ok "a sweep as well"
finish
