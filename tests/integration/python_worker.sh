#!/bin/bash
# Workers in Python: a learner of the user's own is trained by the coordinator, with one answer whoever computes, dies and
# comes back; and what does not fit is told on both sides while the run goes on.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
python=
for candidate in python3 /usr/bin/python3; do
    [ -n "$python" ] || ! "$candidate" -c 'import numpy, zmq, google.protobuf' 2>/dev/null || python=$candidate
done
[ -n "$python" ] || skip "no python3-numpy, python3-zmq or python3-protobuf: cluster/install-packages python installs them"
[ -s "$build/python/mnemo_worker/libmnemo_sums.so" ] || skip "no $build/python/mnemo_worker: build the target python_worker"
export PYTHONPATH=$build/python PYTHONDONTWRITEBYTECODE=1 # nothing is left in the source
examples=$source_folder/worker/python/examples
worker=("$python" -m mnemo_worker)
fourier=$examples/fourier_maml.py:FourierMaml
cd "$work" || die "cannot go to $work"

section "parts"
expect_code 0 units "$python" -m unittest discover -s "$source_folder/worker/python/tests" -p '*_test.py'
ok "$(grep -E '^Ran' units.log)"
expect_code 0 check "${worker[@]}" check "$fourier"
expect_words check 'train: task 3 gives the same bits again' 'numeric class' 'self-test'
awk '/^gradient/ { split($0, n, /[:;] */); d = n[2] - n[4]; exit !(d < 1e-3 && d > -1e-3) }' check.out ||
    die "the gradient is not that of the loss: $(grep ^gradient check.out)"
expect_code 0 card "${worker[@]}" card "$fourier" -o fourier.safetensors
ok "a learner is checked, and its card written"

experiment() { # FILE STEPS
    cat >"$1" <<YAML
seed: 5
tasks: {kind: external, learner: fourier.safetensors}
outer: {steps: $2, batch: 12, optimiser: sgd, lr: 0.05}
evaluate: {tasks: 30, every: 100, val_tasks: 20}
run: {checkpoint_every: 50, pictures: false}
pool: {heartbeat_ms: 200, silence_ms: 1000, lease_floor_ms: 500}
YAML
}
experiment fourier.yaml 600

begin() { # NAME OPTIONS...: a run that waits for workers; its process is in $job
    local name=$1
    shift
    start "$name" mnemo train fourier.yaml --run-dir "$work/$name" "$@"
    job=$started
    wait_until 20 "$name listens" test -s "$work/$name/endpoint"
}
join() { # NAME RUN [LEARNER]
    start "$1" "${worker[@]}" "${3:-$fourier}" "$work/$2" --name "$1" --patience 60
}

if "$python" -c 'import setuptools, pip, wheel' 2>/dev/null; then
    cp -r "$build/python" project # what it leaves is left there
    expect_code 0 pip "$python" -m pip install --quiet --no-index --no-build-isolation --no-deps --no-cache-dir --root-user-action=ignore --target installed ./project
    expect_code 0 elsewhere env -C / PYTHONPATH="$work/installed" "$python" -c \
        'import mnemo_worker.sums, mnemo_worker.wire; assert "/installed/" in mnemo_worker.__file__'
    ok "pip installs it without a network"
else
    note "no python3-pip, python3-setuptools or python3-wheel: installing is not checked"
fi

section "one worker"
begin alone
join alone_1 alone
first=$started
exit_code_of 60 "$job" alone
[ "$exit_code" -eq 0 ] || die "the run: exit code $exit_code"
exit_code_of 20 "$first" alone_1
[ "$exit_code" -eq 0 ] || die "the worker: exit code $exit_code"
expect_words alone 'numeric class of this run: [0-9a-f]{16} \(python' 'step 600: validation loss'
expect_words alone_1 'FourierMaml: 16 numbers in 2 tensors' 'the run is over'
expect_code 0 export mnemo export alone -o theta.safetensors
expect_code 0 closed "$python" "$source_folder/tests/integration/python_worker.py" closed "$examples" theta.safetensors 600 12 0.05 5
ok "trained as by a loop in NumPy: $(cat closed.out)"
expect_code 0 status mnemo status alone --json
expect_words status '"steps"'
start judge mnemo evaluate alone
judge=$started
wait_until 20 "it says where it listens" logged judge 'workers come to tcp'
expect_code 0 judged "${worker[@]}" "$fourier" "$(sed -n 's/.*workers come to \(tcp[^ ]*\).*/\1/p' judge.log)"
exit_code_of 20 "$judge" judge
[ "$exit_code" -eq 0 ] || die "evaluate: exit code $exit_code"
row=$(grep -E '^ +[0-9.]+ \+- ' alone.out)
grep -qF -- "$row" judge.out || die "evaluate tells another test than the run: $(cat judge.out)"
ok "its test is the same again by mnemo evaluate: $row"

section "three workers: killed, hung, sent away and back; the coordinator stopped, killed and resumed"
experiment fourier.yaml 100000
begin many
for i in 1 2 3; do join "many_$i" many && pids[i]=$started; done
wait_until 30 "three compute" logged many 'workers=3'
wait_until 30 "it makes steps" has_steps "$work/many" 100
slay "${pids[1]}"
join many_4 many
kill -TERM "${pids[2]}"
exit_code_of 20 "${pids[2]}" many_2
[ "$exit_code" -eq 0 ] || die "SIGTERM: exit code $exit_code"
expect_words many_2 'left on request'
kill -STOP "${pids[3]}"
wait_until 30 "who hangs is noticed" logged many 'many_3.*(silent|not heard)'
kill -CONT "${pids[3]}"
twice() { # NAME WORDS
    [ "$(grep -cE -- "$2" "$work/$1.log")" -ge 2 ]
}
wait_until 30 "it comes back" twice many_3 'working for run'
kill -USR2 "$job"
exit_code_of 20 "$job" many
[ "$exit_code" -eq 75 ] || die "SIGUSR2: exit code $exit_code instead of 75"
made=$(steps_of "$work/many")
steps=$((made + 100))
start many_killed mnemo train --run-dir "$work/many" --set "outer.steps=$steps"
job=$started
wait_until 60 "it goes on" has_steps "$work/many" $((made + 20))
slay "$job"
start many_again mnemo train --run-dir "$work/many" --set "outer.steps=$steps"
job=$started
exit_code_of 60 "$job" many_again
[ "$exit_code" -eq 0 ] || die "resumed: exit code $exit_code"
begin same --set "outer.steps=$steps"
join same_1 same
exit_code_of 120 "$job" same
[ -n "$(theta_of same)" ] && [ "$(theta_of many_again)" = "$(theta_of same)" ] ||
    die "theta of three workers: $(theta_of many_again) instead of $(theta_of same)"
ok "after $steps steps theta is that of one worker; the workers outlived the coordinator"

expect_code 78 other_class mnemo train --run-dir "$work/many" --set "outer.steps=$((steps + 1))" --set "pool.numeric_class=$(printf '%064d' 7)"
expect_words other_class 'begun by workers of numeric class [0-9a-f]{16}' 'pool.any_numeric_class=true'

section "two ranks"
expect_code 0 check5 "${worker[@]}" check "$fourier" --seed 5
class=$(sed -n 's/^numeric class \([0-9a-f]\{64\}\),.*/\1/p' check5.out)
mpi 2
start two "${launch[@]}" mnemo train fourier.yaml --run-dir "$work/two" --set "outer.steps=$steps" --set "pool.numeric_class=$class"
job=$started
wait_until 30 "two listens" test -s "$work/two/endpoint"
mapfile -t doors < <(sed -n 's/^endpoint: //p' two/endpoint)
[ ${#doors[@]} -eq 2 ] || die "the endpoint file has ${#doors[@]} endpoints"
start two_1 "${worker[@]}" "$fourier" "${doors[0]}"
start two_2 "${worker[@]}" "$fourier" "${doors[1]}"
exit_code_of 120 "$job" two
[ -n "$class" ] && [ "$(theta_of two)" = "$(theta_of same)" ] || die "theta of two ranks: $(theta_of two) instead of $(theta_of same)"
ok "theta is that of one rank"

section "what does not fit"
# Variants of the example, a class each.
cat >strange.py <<PY
import time
import numpy as np
from fourier_maml import FourierMaml
from mnemo_worker import Learner
class Wide(FourierMaml):
    def parameters(self): return {"sine": np.zeros(9, np.float32), "cosine": np.zeros(8, np.float32)}
class Renamed(FourierMaml):
    def parameters(self): return {"sines": np.zeros(8, np.float32), "cosine": np.zeros(8, np.float32)}
class Scored(FourierMaml):
    scores = {"error": "lower"}
class Other(FourierMaml):
    pass  # another file
class Sometimes(FourierMaml):  # another class, and not finite for every fourth task
    def train(self, theta, task):
        gradients, scores = super().train(theta, task)
        return ({"sine": gradients["sine"] * np.nan, "cosine": gradients["cosine"]}, scores) if task[0][1][0] > 2 else (gradients, scores)
class Flat(FourierMaml):
    def train(self, theta, task):
        gradients, scores = super().train(theta, task)
        return ({"sine": gradients["sine"][:3], "cosine": gradients["cosine"]} if theta["sine"].any() else gradients), scores
class Raises(FourierMaml):
    def task(self, split, index, seed):
        if index > 50: raise KeyError("no such drawing")
        return super().task(split, index, seed)
class Large(Learner):  # its theta and its sums take several frames
    def parameters(self): return {"a": np.full((300, 1000), 0.5, np.float32), "b": np.zeros(300001, np.float32)}
    def task(self, split, index, seed): return index
    def train(self, theta, task):
        return {"a": theta["a"] * (1 + task % 3), "b": np.arange(300001) * 2.0**-20}, {"loss": float(theta["b"][-1])}
class Slow(FourierMaml):
    def train(self, theta, task):
        end = time.monotonic() + 1.5
        while time.monotonic() < end: pass
        return super().train(theta, task)
    def test(self, theta, task): return super().train(theta, task)[1]
PY
export PYTHONPATH=$PYTHONPATH:$examples
experiment fourier.yaml 100000
begin run
join good run
good=$started
wait_until 30 "one computes" has_steps "$work/run" 5
refuse() { # CODE CLASS WORD... : refused, and why, on its side
    local code=$1 class=$2
    shift 2
    expect_code "$code" "$class" "${worker[@]}" "strange.py:$class" "$work/run" --name "$class"
    expect_words "$class" "$@"
}
refuse 76 Wide 'sine has shape \[8\] in the run, but \[9\] in this learner' 'refused by the coordinator: the learners differ'
refuse 76 Renamed 'the run has a tensor sine \[8\], which this learner lacks' 'refused by the coordinator'
refuse 76 Scored 'the run has the scores loss \(lower number squared error\), but this learner error'
wait_until 10 "the coordinator tells too" logged run 'Wide.*the learners differ.*fourier.safetensors'
logged run 'Renamed.*the learners differ' || die "the coordinator says nothing of other names"
refuse 76 Other 'another numeric class' 'made of' 'learner [0-9a-f]{16}' 'self-test'
wait_until 10 "the coordinator tells too" logged run 'Other.*another numeric class'
expect_code 78 c_worker mnemo-worker "$work/run" --threads 1
expect_words c_worker 'not for mnemo-worker' 'python3 -m mnemo_worker'
now=$(steps_of "$work/run")
wait_until 20 "the run goes on" has_steps "$work/run" $((now + 50))
gone "$good" && die "the good worker ended"
ok "other shapes, names, scores and classes, and mnemo-worker, are refused on both sides, and the run goes on"
kill -USR2 "$job"
exit_code_of 20 "$job" run
kill -TERM "$good"

learner_fails() { # CLASS WORD...: it ends with the reason, a good one takes over, and the run ends well
    local class=$1
    shift
    begin "run_$class" --set outer.steps=30 --set evaluate.every=0
    start "$class" "${worker[@]}" "strange.py:$class" "$work/run_$class" --name "$class"
    exit_code_of 30 "$started" "$class"
    [ "$exit_code" -eq 78 ] || die "$class: exit code $exit_code instead of 78"
    expect_words "$class" "$@"
    grep -qiE "$class.*left|left.*$class|worker=$class" "run_$class.log" || die "the coordinator says nothing of $class"
    kill -USR2 "$job"
    exit_code_of 20 "$job" "run_$class"
    [ "$exit_code" -eq 75 ] || die "run_$class: exit code $exit_code instead of 75"
}
learner_fails Flat 'Flat.train\(\): the gradient of sine has shape \[3\]; expected \[8\]'
learner_fails Raises 'Raises failed at task [0-9]+ of train' 'KeyError.*no such drawing'
ok "a learner that fails ends its worker with the reason; tasks are given back"

begin nan --set outer.steps=20 --set evaluate.every=0
join nan_1 nan strange.py:Sometimes
exit_code_of 30 "$job" nan
[ "$exit_code" -eq 0 ] || die "numbers that are not finite ended the run: $exit_code"
expect_words nan_1 'task [0-9]+ of train: a gradient or score is not finite'
grep -q '"skipped": [1-9]' nan/metrics.jsonl || die "no task was skipped"
ok "tasks that are not finite are skipped and told, and the run ends well"

begin slow --set outer.steps=1 --set outer.batch=1 --set evaluate.every=0 --set evaluate.tasks=2 \
    --set pool.heartbeat_ms=200 --set pool.silence_ms=1000
join slow_1 slow strange.py:Slow
start slow_2 "${worker[@]}" strange.py:Slow "$work/slow" --verbose
slow_2=$started
wait_until 20 "it is on its way" logged slow_2 dialing
kill -TERM "$slow_2"
exit_code_of 20 "$slow_2" slow_2
[ "$exit_code" -eq 0 ] || die "SIGTERM in the midst of a task: exit code $exit_code"
exit_code_of 60 "$job" slow
[ "$exit_code" -eq 0 ] || die "slow: exit code $exit_code"
! logged slow 'silent' || die "a worker that computes was thought dead"
ok "the heart beats while it computes one task for longer than a silence may be"

expect_code 0 large_card "${worker[@]}" card strange.py:Large -o large.safetensors
start large mnemo train fourier.yaml --run-dir "$work/large" --set tasks.learner=large.safetensors --set outer.steps=3 \
    --set outer.batch=6 --set evaluate.every=0 --set evaluate.tasks=2
job=$started
wait_until 20 "large listens" test -s large/endpoint
join large_1 large strange.py:Large
join large_2 large strange.py:Large
exit_code_of 60 "$job" large
[ "$exit_code" -eq 0 ] || die "large: exit code $exit_code"
expect_code 0 large_export mnemo export large -o large_theta.safetensors
expect_code 0 large_theta "$python" -c '
import sys, numpy as np
from mnemo_worker import tensor_file
theta, _ = tensor_file.read("large_theta.safetensors")
a, b = 0.5 * (1 - 0.05 * 2) ** 3, -0.05 * 3 * 2.0**-20 * np.arange(300001)
sys.exit(not (np.allclose(theta["a"], a, rtol=1e-6) and np.allclose(theta["b"], b, rtol=1e-6, atol=0)))'
ok "600,001 numbers in several frames, forth and back"

section "who may come, and how it is asked"
expect_code 0 keys mnemo keys new -o keys
begin locked --set outer.steps=20 --set "pool.keys=$work/keys" --set evaluate.every=0
expect_code 77 keyless "${worker[@]}" "$fourier" "$work/locked"
expect_words keyless '--secret' 'mnemo keys worker'
expect_code 0 others mnemo keys new -o others
expect_code 77 stranger "${worker[@]}" "$fourier" "$work/locked" --secret others/worker.secret
expect_words stranger 'allow-list'
expect_code 0 keyed "${worker[@]}" "$fourier" "$work/locked" --secret keys/worker.secret
exit_code_of 20 "$job" locked
[ "$exit_code" -eq 0 ] || die "locked: exit code $exit_code"
ok "with keys only those on the list"

sinusoid ours.yaml 100000
start ours mnemo train ours.yaml --run-dir "$work/ours" --set pool.threads=1
job=$started
wait_until 20 "it listens" test -s "$work/ours/endpoint"
expect_code 78 not_ours "${worker[@]}" "$fourier" "$work/ours"
expect_words not_ours "learner of Mnemo's own" 'mnemo-worker'
slay "$job"
expect_code 69 nobody "${worker[@]}" "$fourier" "$work/ours" --patience 1
expect_words nobody 'no coordinator was heard'
expect_code 66 nowhere "${worker[@]}" nowhere.py:X "$work/ours"
expect_code 78 address "${worker[@]}" "$fourier" tcp://127.0.0.1
expect_words address 'cannot dial tcp://127.0.0.1' 'expected tcp://HOST:PORT'
expect_code 64 usage "${worker[@]}" "$fourier"
expect_code 78 threads mnemo train fourier.yaml --run-dir "$work/threads" --set pool.threads=2
expect_words threads 'pool.threads to 0 \(it is 2\)' 'python3 -m mnemo_worker'
sed 's/fourier.safetensors/absent.safetensors/' fourier.yaml >absent.yaml
expect_code 66 absent mnemo train absent.yaml --run-dir "$work/absent"
expect_words absent 'there is no absent.safetensors' 'mnemo_worker card'
printf 'tasks: {kind: external, learner: fourier.safetensors}\nmeta: {kind: maml}\n' >both.yaml
expect_code 78 both mnemo train both.yaml --run-dir "$work/both"
expect_words both 'both.yaml:2: meta.kind is read by nothing here, where tasks.kind is external'
mpi 2
start ranks "${launch[@]}" mnemo train fourier.yaml --run-dir "$work/ranks"
exit_code_of 60 "$started" ranks
expect_words ranks 'this job has 2 ranks' 'pool.numeric_class'
expect_code 78 bench mnemo bench fourier.yaml
expect_code 78 task mnemo task alone
expect_words task 'cannot look into'
expect_code 78 adapt mnemo adapt alone --support fourier.yaml --query fourier.yaml
expect_words adapt "program of the user's own"
ok "each has its word"

section "a sweep"
cat >sweep.yaml <<YAML
experiment: fourier.yaml
set: {outer.steps: 100, pool.threads: 0}
grid: {outer.lr: [0.05, 0.02]}
YAML
start sweep mnemo sweep sweep.yaml --run-dir "$work/sweep"
job=$started
wait_until 20 "the sweep's door is open" test -s sweep/endpoint
start sweep_worker "${worker[@]}" "$fourier" sweep
sweep_worker=$started
exit_code_of 60 "$job" sweep
[ "$exit_code" -eq 0 ] || die "sweep: exit code $exit_code"
exit_code_of 20 "$sweep_worker" sweep_worker
[ "$exit_code" -eq 0 ] || die "the sweep's worker: exit code $exit_code"
[ "$(grep -c 'working for run' sweep_worker.log)" -ge 2 ] || die "the worker did not go from run to run"
ok "a worker goes from run to run of a sweep"

section "PyTorch"
if ! "$python" -c 'import torch' 2>/dev/null; then
    note "no python3-torch: not checked"
    finish
fi
maml=$examples/sinusoid_maml.py:SinusoidMaml
expect_code 0 torch_card "${worker[@]}" card "$maml" -o sinusoid_maml.safetensors
expect_code 0 dump mnemo task "$source_folder/experiments/sinusoid-maml.yaml" --split train --index 7 --dump task.safetensors
expect_code 0 gradient "$python" "$source_folder/tests/integration/python_worker.py" gradient "$examples" task.safetensors
ok "$(cat gradient.out)"
torch_run() { # NAME: forty lines of MAML; its process is in $job
    start "$1" mnemo train "$examples/sinusoid_maml.yaml" --run-dir "$work/$1" --set outer.steps=8 --set outer.batch=10 \
        --set evaluate.tasks=12 --set pool.heartbeat_ms=200 --set pool.lease_floor_ms=500
    job=$started
    wait_until 20 "$1 listens" test -s "$work/$1/endpoint"
}
torch_run torch_alone
join torch_one torch_alone "$maml"
exit_code_of 120 "$job" torch_alone
[ "$exit_code" -eq 0 ] || die "torch_alone: exit code $exit_code"
torch_run torch_many
for i in 1 2 3; do join "torch_$i" torch_many "$maml" && pids[i]=$started; done
wait_until 60 "it makes steps" has_steps "$work/torch_many" 2
slay "${pids[1]}"
join torch_4 torch_many "$maml"
exit_code_of 120 "$job" torch_many
[ "$exit_code" -eq 0 ] || die "torch_many: exit code $exit_code"
[ -n "$(theta_of torch_alone)" ] && [ "$(theta_of torch_alone)" = "$(theta_of torch_many)" ] ||
    die "theta of three processes: $(theta_of torch_many) instead of $(theta_of torch_alone)"
ok "MAML by three processes, one of them killed: the same theta as by one"
finish
