#!/bin/bash
# Test tasks as a list of their items: written, judged again to the same scores, made by another program, refused with the
# line that is wrong; and replayed in PyTorch, task by task. Scores, tables and pictures for other programs.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
cd "$work" || exit 1

python3 "$source_folder/tests/integration/draw.py" own 7 || die "draw.py"
expect_code 0 import mnemo data import folder own -o own.mnd --size 16 --rotations
export MNEMO_DATA=$work
family means.yaml 30 31 8 <<YAML
tasks: {kind: images, data: own.mnd, way: 3, shot: 1, query: 3, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2, memory: class-means, output: distance, batch_norm_statistics: item}
meta: {kind: episodic}
YAML
family maml.yaml 5 31 8 <<YAML
tasks: {kind: images, data: own.mnd, way: 3, shot: 1, query: 3, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2}
meta: {kind: maml, inner_steps: 3, inner_lr: 0.2}
YAML
expect_code 0 means mnemo train means.yaml --run-dir means --set pool.threads=1
expect_code 0 maml mnemo train maml.yaml --run-dir maml --set pool.threads=1 --set evaluate.inner_steps=1,3

section "a list"
for run in means maml; do
    expect_code 0 "write-$run" mnemo evaluate "$run" --set evaluate.tasks=40 --write-episodes "$run.tsv" --scores "$run.csv"
    expect_code 0 "read-$run" mnemo evaluate "$run" --read-episodes "$run.tsv" --scores "again-$run.csv"
    cmp -s "$run.csv" "again-$run.csv" || die "$run is judged otherwise by its own list"
    [ "$(grep -c '^40 tasks\|over 40 tasks' "read-$run.out")" -eq 1 ] || die "$run: not all tasks of the list were judged"
done
cmp -s means.tsv maml.tsv || die "equal seeds and tasks have different lists"
grep -qF 'test tasks of own.mnd by the list means.tsv' read-means.out || die "the list is not named"
expect_code 0 both mnemo evaluate means maml --read-episodes means.tsv --png both.png --csv both.csv
[ "$(head -c 4 both.png | tail -c 3)" = PNG ] || note "no gnuplot, no picture"
[ "$(cut -d , -f 1-4 both.csv)" = 'run,score,axis,point
means,loss,,
means,accuracy,,
maml,loss,inner_steps,1
maml,accuracy,inner_steps,1
maml,loss,inner_steps,3
maml,accuracy,inner_steps,3' ] || die "the table of points is $(cat both.csv)"
mpi 2
expect_code 0 ranks "${launch[@]}" "$bin/mnemo" evaluate maml --read-episodes maml.tsv --set pool.threads=1 --scores ranks.csv
cmp -s maml.csv ranks.csv || die "two ranks judge a list otherwise"
ok "a list is judged as the tasks it was written of, by two ranks too"

section "a list that another program made"
{
    printf 'task\tlabel\tclass\tturns\tset\titem\r\n'
    for task in 0 1; do
        for label in 0 1; do
            for item in 0 1 2; do
                set=query
                [ "$item" -ne 0 ] || set=support
                printf '%d\t%d\tall/train7%d\t%d\t%s\t%d\r\n' "$task" "$label" "$label" "$task" "$set" "$item"
            done
        done
    done
} >made.tsv
expect_code 0 made mnemo evaluate means --read-episodes made.tsv --set evaluate.way=2 --set evaluate.query=2
expect_words made 'over 2 tasks' '2 of 2 test classes are training classes'
expect_code 78 way mnemo evaluate means --read-episodes made.tsv
expect_words way 'set evaluate.(way|shot and evaluate.query)'
sed 's/train71/nobody/' made.tsv >nobody.tsv
expect_code 65 nobody mnemo evaluate means --read-episodes nobody.tsv --set evaluate.way=2 --set evaluate.query=2
expect_words nobody 'nobody.tsv:5: class all/nobody is not in'
python3 "$source_folder/tests/integration/draw.py" other 8
expect_code 0 import-other mnemo data import folder other -o other.mnd --size 16
expect_code 65 other mnemo evaluate means --set tasks.data=other.mnd --read-episodes means.tsv
expect_words other 'means.tsv:1: made from data'
expect_code 66 missing mnemo evaluate means --read-episodes missing.tsv
expect_code 78 split mnemo evaluate means --read-episodes means.tsv --split val
expect_words split 'evaluate.episodes' 'split'
sinusoid sine.yaml 1
expect_code 0 sine mnemo train sine.yaml --run-dir sine
expect_code 78 curves mnemo evaluate sine --write-episodes sine.tsv
expect_words curves 'not chosen from the items' 'mnemo task --dump'
expect_code 64 jpg mnemo evaluate sine --png picture.jpg
ok "training classes are told, and what is wrong with a list, by its line"

section "PyTorch"
python=/usr/bin/python3 # Debian's, which python3-torch belongs to
"$python" -c 'import torch' 2>/dev/null || skip "no python3-torch: lists cannot be replayed"
export PYTHONDONTWRITEBYTECODE=1
for run in means maml; do
    expect_code 0 "export-$run" mnemo export "$run" -o "$run.safetensors"
    expect_code 0 "replay-$run" "$python" "$source_folder/tests/reference/replay_episodes.py" \
        "$run.safetensors" "$run.tsv" own.mnd "$run.csv"
    ok "$run: $(tail -n 1 "replay-$run.out")"
done
sed '/support/s/0$/1/' means.tsv >wrong.tsv
expect_code 1 wrong "$python" "$source_folder/tests/reference/replay_episodes.py" means.safetensors wrong.tsv own.mnd means.csv
ok "another list is seen to be another"
finish
