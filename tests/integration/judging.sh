#!/bin/bash
# What a run is worth: judged again with other values than in training, against a random start and against other runs,
# always on the same tasks; what is not as in training is told, and runs whose tasks differ are not compared.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

json() { # NAME EXPRESSION: of the object d that mnemo printed
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/$1.out" "$2"
}
says() { # NAME TEXT: on a line of its output
    grep -qF -- "$2" "$work/$1.out" || die "$1 does not say: $2"
}

section "one run, with other values"
sinusoid sine.yaml 60
expect_code 0 train mnemo train sine.yaml --run-dir sine --set pool.threads=1 \
    --set evaluate.every=20 --set evaluate.val_tasks=10 --set evaluate.keep_best=true
says train 'split test; 5 + 5 points; one theta, no ensemble'
says train 'theta: last, of meta-step 60'
last=$(tail -n 1 train.out)
[[ $last =~ ^theta\ sha256=[0-9a-f]{64}$ ]] || die "the last line of training is '$last'"
expect_code 0 same mnemo evaluate sine
says same 'theta: best on validation, of meta-step'
[ "$(sed -n 's/^tested: .* sha256=//p' train.out)" = "$(sed -n 's/.*theta sha256=//p' same.out)" ] ||
    die "training tests another theta than evaluate"
expect_code 0 other mnemo evaluate sine --split val --set meta.inner_lr=0.01 --set evaluate.inner_steps=0,1,4 \
    --set evaluate.shot=7 --set seed=3 --json
[ "$(json other 'd["runs"][0]["not_as_in_training"]')" = 'seed 3 instead of 11, meta.inner_lr 0.01 instead of 0.02' ] ||
    die "$(json other 'd["runs"][0]["not_as_in_training"]')"
[ "$(json other '[d["runs"][0]["test"]["conditions"][k] for k in ("split", "shot", "query")]')" = "['val', 7, 5]" ] ||
    die 'conditions'
[ "$(json other '[row["inner_steps"] for row in d["runs"][0]["test"]["scores"]]')" = '[0, 1, 4]' ] || die 'inner steps'
expect_code 64 no_split mnemo evaluate sine --split tests
expect_words no_split 'expected train, val or test'
ok "another rate, shot, number of steps, seed and split: told beside the scores"

section "a random start"
expect_code 0 baseline mnemo evaluate sine --baseline --json
[ "$(json baseline 'd["runs"][1]["run"]')" = 'random start, seed 11' ] || die 'no random start'
[ "$(json baseline 'd["runs"][1]["step"]')" = 0 ] || die 'the random start is trained'
expect_code 0 start mnemo train sine.yaml --run-dir start --set pool.threads=1 --set outer.steps=0
[ "$(json baseline 'd["runs"][1]["theta_sha256"]')" = "$(theta_of start)" ] || die 'not the theta of meta-step 0'
expect_code 0 compared mnemo evaluate sine start --json
[ "$(json baseline 'd["runs"][1]["differences"]')" = "$(json compared 'd["runs"][1]["differences"]')" ] ||
    die 'a random start differs from a run of no steps'
[ "$(json baseline 'd["runs"][1]["differences"][0]["difference"] > 0')" = True ] || die 'training has gained nothing'
ok "a random start is the theta of meta-step 0, on the same tasks"

section "several runs"
expect_code 0 itself mnemo evaluate sine sine
says itself '20 tasks, the same for all'
expect_code 0 itself_too mnemo evaluate sine sine --json
[ "$(json itself_too '[d["runs"][1]["differences"][0][k] for k in ("difference", "equal", "sign_test_p")]')" = '[0.0, 20, 1.0]' ] ||
    die 'a run differs from itself'
mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" evaluate sine start --baseline --set pool.threads=1 --json
expect_code 0 alone mnemo evaluate sine start --baseline --set pool.threads=1 --json
cmp -s ranks.out alone.out || die 'two ranks compare otherwise than one'
glyphs glyphs.yaml 2
prototypes prototypes.yaml 2
expect_code 0 maml mnemo train glyphs.yaml --run-dir maml --set pool.threads=1 --set evaluate.inner_steps=0,1
expect_code 0 means mnemo train prototypes.yaml --run-dir means --set pool.threads=1 --set tasks.way=5 \
    --set tasks.image_size=20 --set model.blocks=3
expect_code 78 seeds mnemo evaluate maml means --set evaluate.tasks=5
expect_words seeds 'means is not judged on the same tasks as maml' 'seed 14 instead of 12'
expect_code 0 kinds mnemo evaluate maml means --set evaluate.tasks=5 --set seed=1 --json
[ "$(json kinds '[row["score"] for row in d["runs"][1]["differences"]]')" = "['loss', 'accuracy']" ] ||
    die 'learners of different kinds are not compared by what stands for all'
expect_code 64 nobody mnemo evaluate
ok "paired on the same tasks, whatever the learners; other tasks are refused with the keys that differ"

section "ensembles"
glyphs more.yaml 15
for seed in 1 2; do
    expect_code 0 "more-$seed" mnemo train more.yaml --run-dir "more-$seed" --set pool.threads=1 \
        --set evaluate.inner_steps=1 --set seed="$seed"
done
expect_code 0 newest mnemo evaluate more-1 --ensemble 3 --scores newest.csv --json --set pool.threads=2
[ "$(json newest '[d["runs"][k]["test"]["conditions"]["ensemble"] for k in (0, 1)]')" = '[1, 3]' ] || die 'ensemble is not told'
[ "$(json newest 'd["runs"][1]["theta"]')" = 'those of meta-steps 5 to 15' ] || die 'not the newest three'
expect_code 0 one_thread mnemo evaluate more-1 --ensemble 3 --scores one_thread.csv --json --set pool.threads=1
cmp -s newest.csv one_thread.csv || die 'an ensemble depends on the threads'
expect_code 0 twice mnemo evaluate more-1 more-1 --ensemble 2 --set seed=1 --json
[ "$(json twice 'd["runs"][2]["differences"][1]["equal"]')" = 20 ] || die 'a run with itself is not itself'
[ "$(json twice 'abs(d["runs"][2]["differences"][0]["difference"]) < 1e-6')" = True ] || die 'a run with itself has another loss'
expect_code 0 seeds_together mnemo evaluate more-1 more-2 --ensemble 2 --set seed=1
says seeds_together 'mean of 2: split test; 5 classes, 1 + 2 items of each; batch norm by the statistics of the batch at hand (transductive); mean of the probabilities of 2 thetas'
expect_code 66 too_many mnemo evaluate more-1 --ensemble 4
expect_words too_many '3 checkpoints, not 4' 'run\.keep'
expect_code 64 not_all mnemo evaluate more-1 more-2 --ensemble 3 --set seed=1
expect_code 78 values mnemo evaluate sine --ensemble 2
expect_words values 'no probabilities of classes'
expect_code 78 steps mnemo evaluate more-1 --ensemble 2 --set evaluate.inner_steps=0
expect_words steps 'evaluate\.inner_steps=1'
ok "the mean of probabilities of the newest checkpoints, and of several runs; said with the score"

section "test classes among training classes"
pack() { # NAME [FROM=TO]
    python3 "$source_folder/tests/integration/draw.py" "$1" "$(printf '%d' "'$1")" "${@:2}" || die "draw.py"
    expect_code 0 "import-$1" mnemo data import folder "$1" -o "$1.mnd" --size 16
}
pack a
pack b
pack c train/train990=test/another_name
family own.yaml 4 31 8 <<YAML
tasks: {kind: images, data: a.mnd, way: 3, shot: 1, query: 2, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2, memory: class-means, output: distance, batch_norm_statistics: item}
meta: {kind: episodic}
YAML
export MNEMO_DATA=$work
expect_code 0 own mnemo train own.yaml --run-dir own
expect_words own 'none of 4 test classes is a training class; 0 of 24 test pictures'
expect_code 78 leak mnemo train own.yaml --run-dir leak --set tasks.data=c.mnd
expect_words leak '1 of 5 test classes are training classes' '1 by their pictures' 'another_name' 'evaluate\.shared_classes'
[ ! -e leak/experiment.yaml ] || die 'a run with a leak has begun'
expect_code 0 allowed mnemo train own.yaml --run-dir allowed --set tasks.data=c.mnd --set evaluate.shared_classes=true
expect_words allowed 'warn.*1 of 5 test classes are training classes'
expect_code 0 leaky mnemo evaluate allowed
says leaky '1 of 5 test classes are training classes'
ok "a training class under another name: refused for training, warned of where it is allowed, told with the score"

section "other data than those of training"
expect_code 0 elsewhere mnemo evaluate own --set tasks.data=b.mnd
says elsewhere 'not as in training: data of b.mnd instead of a.mnd'
says elsewhere 'split test of b.mnd; 3 classes, 1 + 2 items of each; quarter turns that the data list are classes'
says elsewhere 'none of 4 test classes is a training class'
expect_code 0 seen mnemo evaluate own --split train
grep -q 'test class' seen.out && die 'training classes are said to be none'
mv a.mnd a.away
expect_code 0 gone mnemo evaluate own --set tasks.data=b.mnd --json
[[ $(json gone 'd["runs"][0]["training_classes"]') == 'whether test classes were training classes is not known: '*a.mnd* ]] ||
    die 'what cannot be known is not told'
ok "other data: told, and compared with the training classes as far as these are at hand"
finish
