# lib.sh: what the integration tests share. A test sources it first, says what it checks, and ends with `finish`.
# No test waits for a time: it waits until something is true, and gives up at a deadline. Ports are chosen by the
# system and found through the run's endpoint file. Whatever a test started is gone when it ends.
# shellcheck shell=bash
set -uo pipefail

source_folder=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
build=${MNEMO_BUILD:-$source_folder/build/release}
bin=$build/bin
tests_bin=$build/tests
export PATH=$bin:$PATH
export LC_ALL=C

# Slow machines and sanitizers: every deadline below is multiplied by this.
patience=${MNEMO_TEST_PATIENCE:-1}

work=$(mktemp -d "${TMPDIR:-/tmp}/mnemo-test.XXXXXX")
export MNEMO_CACHE=$work/cache # never the user's own
sessions=()
mounts=()
trap 'clean_up' EXIT
trap 'exit 130' INT TERM HUP

# Each background command leads a session of its own, so that its children can be found even if it dies first.
session_members() { # SESSION
    local stat fields
    for stat in /proc/[0-9]*/stat; do
        # pid (name) state parent group session ...; a name may hold blanks and brackets.
        read -r fields 2>/dev/null <"$stat" || continue
        # shellcheck disable=SC2086 # to be split
        set -- "$1" ${fields##*)}
        [ "$5" != "$1" ] || { stat=${stat%/stat}; echo "${stat##*/}"; }
    done
}

clean_up() {
    local session mount members
    exec 2>/dev/null # no word of bash about whom it killed
    for session in ${sessions[@]+"${sessions[@]}"}; do
        mapfile -t members < <(session_members "$session")
        [ ${#members[@]} -eq 0 ] || kill -KILL "${members[@]}" 2>/dev/null
    done
    for mount in ${mounts[@]+"${mounts[@]}"}; do
        umount -l "$mount"
    done
    rm -rf --one-file-system "$work"
}

section() {
    printf -- '-- %s\n' "$*"
}

ok() {
    echo "ok: $*"
}

note() {
    echo "note: $*"
}

die() {
    echo "FAILED: $*"
    local log
    for log in "$work"/*.log; do
        [ ! -s "$log" ] || { echo "---- ${log##*/}"; tail -n 25 "$log"; }
    done
    exit 1
}

skip() { # the whole test
    echo "skipped: $*"
    exit 77
}

finish() {
    echo "all true"
    exit 0
}

# Start a command in the background; its process id is in $started, its output in $work/NAME.log and NAME.out.
start() { # NAME COMMAND...
    local name=$1
    shift
    setsid "$@" </dev/null >"$work/$name.out" 2>"$work/$name.log" &
    started=$!
    sessions+=("$started")
}

# The exit code of a process of start(), within a deadline; it is an error to be still alive then.
exit_code_of() { # SECONDS PID NAME: sets $exit_code
    wait_until "$1" "$3 has ended" gone "$2"
    local code=0
    wait "$2" || code=$?
    exit_code=$code
}

# SIGKILL to processes of start(), and no word of bash about it.
slay() { # PID...
    kill -KILL "$@"
    wait "$@" 2>/dev/null
}

gone() { # PID: ended, be it still a zombie of ours
    local fields
    read -r fields 2>/dev/null <"/proc/$1/stat" || return 0
    [[ ${fields##*) } == Z* ]]
}

wait_until() { # SECONDS WHAT COMMAND...
    local end=$((SECONDS + $1 * patience)) what=$2
    shift 2
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || die "not within the deadline: $what"
        sleep 0.02
    done
}

# Run to the end; die unless it ends with this code. Output in $work/NAME.out and NAME.log.
expect_code() { # CODE NAME COMMAND...
    local expected=$1 name=$2
    shift 2
    start "$name" "$@"
    exit_code_of 300 "$started" "$name"
    [ "$exit_code" -eq "$expected" ] || die "$name: exit code $exit_code instead of $expected: $*"
}

# A message must hold these words, in any case and order, each an extended regular expression.
expect_words() { # NAME WORD...
    local name=$1 word
    shift
    for word in "$@"; do
        grep -qiE -- "$word" "$work/$name.log" "$work/$name.out" || die "$name: its message lacks '$word'"
    done
}

# mpirun as a test needs it: more processes than cores, and inside containers as root.
if [ "$(id -u)" -eq 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
mpi() { # RANKS: sets $launch
    launch=(mpirun -n "$1" --oversubscribe --bind-to none)
}

theta_of() { # NAME: the fingerprint that a finished `mnemo train` printed
    sed -n 's/^theta sha256=\([0-9a-f]\{64\}\)$/\1/p' "$work/$1.out" | tail -n 1
}

steps_of() { # RUN: meta-steps done so far
    local last
    last=$(grep -c '"tasks_per_s"' "$1/metrics.jsonl" 2>/dev/null) || last=0
    echo "$last"
}

has_steps() { # RUN N
    [ "$(steps_of "$1")" -ge "$2" ]
}

logged() { # NAME WORD
    grep -qiE -- "$2" "$work/$1.log" 2>/dev/null
}

# Small experiments, a second or two each. Both end up with more than one checkpoint.
sinusoid() { # FILE STEPS
    cat >"$1" <<YAML
seed: 11
tasks:
  kind: sinusoid
  shot: 5
  query: 5
model:
  input: mlp
  hidden: [24, 24]
meta:
  inner_steps: 2
  inner_lr: 0.02
outer:
  steps: $2
  batch: 12
  lr: 0.002
evaluate:
  tasks: 20
run:
  checkpoint_every: 5
  keep: 3
  pictures: false
YAML
}

# One of each family of learners beside those two, small.
family() { # FILE STEPS SEED BATCH, the rest of the experiment on standard input
    {
        echo "seed: $3"
        cat
        cat <<YAML
outer:
  steps: $2
  batch: $4
  lr: 0.002
evaluate:
  tasks: 10
run:
  checkpoint_every: 5
  keep: 3
  pictures: false
YAML
    } >"$1"
}

memory() { # FILE STEPS: a table of slots, which an inner loop alone moves
    family "$1" "$2" 13 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: mlp, hidden: [24], memory: table, slots: 6, slot_size: 8, reasoning: concat-linear, units: 16}
meta: {kind: maml, adapts: memory, inner_steps: 2, inner_lr: 0.1}
YAML
}

prototypes() { # FILE STEPS: class means, batch norm by running statistics; the average of theta is judged
    family "$1" "$2" 14 8 <<YAML
tasks: {kind: glyphs, way: 4, shot: 1, query: 2, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2, memory: class-means, output: distance, batch_norm_statistics: running}
meta: {kind: episodic}
YAML
    sed -i -e 's/^  lr: .*/&\n  average: 0.9/' -e 's/^  tasks: 10/&\n  every: 4\n  val_tasks: 4/' "$1"
}

proto_maml() { # FILE STEPS: a head from prototypes, a learned update, statistics of the support set
    family "$1" "$2" 18 8 <<YAML
tasks: {kind: glyphs, way: 4, shot: 1, query: 2, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2, batch_norm_statistics: support}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.1, head_start: prototypes, update: learned, update_units: 3}
YAML
}

matching() { # FILE STEPS: support items as the memory, embedded in full context
    family "$1" "$2" 19 8 <<YAML
tasks: {kind: glyphs, way: 4, shot: 1, query: 2, image_size: 16}
model: {input: conv4, filters: 8, blocks: 2, memory: support, output: match, full_context: true, batch_norm_statistics: item}
meta: {kind: episodic}
YAML
}

sequences() { # FILE STEPS: an LSTM with least-recently-used access
    family "$1" "$2" 15 6 <<YAML
tasks: {kind: sequences, way: 3, length: 6, bundle: 4, image_size: 8}
model: {input: identity, memory: lrua, slots: 10, slot_size: 6, read_heads: 2, reasoning: lstm, units: 12}
meta: {kind: episodic}
YAML
}

process() { # FILE STEPS: a conditional neural process
    family "$1" "$2" 16 8 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: identity, memory: mean, encoder: [16, 16], reasoning: concat-mlp, decoder: [16], output: gaussian}
meta: {kind: episodic}
YAML
}

stories() { # FILE STEPS: an end-to-end memory network on stories that are made up; as few tasks a step as go as rows
    family "$1" "$2" 17 3 <<YAML
tasks: {kind: generated-stories, bundle: 8, sentences: 6, linear_start: 20}
model: {embedding: 12, hops: 2}
YAML
}

reduction() { # FILE STEPS: a query-reduction network on such stories, by Adagrad with decay of weights
    family "$1" "$2" 18 8 <<YAML
tasks: {kind: generated-stories, bundle: 8, sentences: 6}
model: {reasoning: query-reduction, embedding: 12}
YAML
    sed -i 's/^  lr: .*/  lr: 0.2\n  optimiser: adagrad\n  weight_decay: 0.001\n  decays: weights/' "$1"
}

learned_update() { # FILE STEPS: rates and momenta that are learned, of a head that the inner loop moves
    family "$1" "$2" 20 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: mlp, hidden: [16], activation: tanh}
meta: {kind: anil, inner_steps: 3, inner_lr: 0.1, update: learned}
YAML
}

mixture() { # FILE STEPS: tasks of two sets, with a rate for each number of theta
    family "$1" "$2" 21 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5, mix: "2 slow: phase=0,1; 1 fast: phase=2,3 amplitude=4,5"}
model: {input: mlp, hidden: [16, 16]}
meta: {kind: meta-sgd, inner_steps: 2, inner_lr: 0.02}
YAML
}

difficulty() { # FILE STEPS: curves of three kinds, each drawn as often as its loss of late is high
    family "$1" "$2" 31 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5, mix_by: difficulty, mix: "1 sine:; 1 line: curve=line; 1 step: curve=step"}
model: {input: mlp, hidden: [16, 16]}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.01}
YAML
}

ranges() { # FILE STEPS: tasks of two to four classes, each with its own shot; batch norm leaves padding out
    family "$1" "$2" 32 6 <<YAML
tasks: {kind: glyphs, way: 4, way_from: 2, shot: 3, shot_from: 1, unbalanced: true, image_size: 12}
model: {input: conv4, filters: 8, blocks: 2}
meta: {kind: maml, inner_steps: 1, inner_lr: 0.1, head_start: prototypes}
YAML
}

reptile() { # FILE STEPS: no gradient of a query set, but the way that the inner loop went
    family "$1" "$2" 22 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: mlp, hidden: [16, 16]}
meta: {kind: reptile, inner_steps: 3, inner_lr: 0.02}
YAML
}

curvature() { # FILE STEPS: matrices that turn the gradient of the inner loop, of convolutions too
    family "$1" "$2" 34 8 <<YAML
tasks: {kind: glyphs, way: 3, shot: 1, query: 2, image_size: 12}
model: {input: conv4, filters: 6, blocks: 2, readout: flatten}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.1, update: curvature}
YAML
}

letters() { # FILE STEPS: classes that are called by five letters, and a controller without a state of its own
    family "$1" "$2" 23 6 <<YAML
tasks: {kind: sequences, labels: letters, way: 3, length: 6, bundle: 4, image_size: 8}
model: {input: identity, memory: lrua, slots: 10, slot_size: 6, read_heads: 2, sharpness: learned, reasoning: feedforward, units: 12}
meta: {kind: episodic}
YAML
}

entities() { # FILE STEPS: a recurrent entity network in the grid world, stories of different lengths
    family "$1" "$2" 24 8 <<YAML
tasks: {kind: generated-stories, world: grid, bundle: 8, sentences: 7, shortest: 5}
model: {memory: entities, slots: 3, embedding: 8}
YAML
}

key_value() { # FILE STEPS: a key-value memory, each word under the sentence around it
    family "$1" "$2" 25 8 <<YAML
tasks: {kind: generated-stories, bundle: 8, sentences: 6}
model: {memory: key-value, embedding: 12, hops: 2}
YAML
}

fast_weights() { # FILE STEPS: fast weights, on pairs of a letter and a digit
    family "$1" "$2" 26 8 <<YAML
tasks: {kind: generated-stories, world: pairs, bundle: 8, sentences: 6}
model: {memory: fast-weights, embedding: 12}
YAML
}

context() { # FILE STEPS: context parameters alone are moved by the inner loop (CAVIA)
    family "$1" "$2" 27 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: identity, memory: context, context: 3, reasoning: concat-mlp, decoder: [16]}
meta: {kind: maml, adapts: memory, inner_steps: 2, inner_lr: 0.1}
YAML
}

implicit() { # FILE STEPS: a proximal inner loop, whose meta-gradient conjugate gradients find
    family "$1" "$2" 28 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: mlp, hidden: [16], activation: tanh}
meta: {kind: imaml, inner_steps: 4, inner_lr: 0.02, lambda: 5, cg_steps: 3}
YAML
}

maml_plus() { # FILE STEPS: MAML++: losses and rates of each inner step, first order at first
    family "$1" "$2" 29 12 <<YAML
tasks: {kind: sinusoid, shot: 5, query: 5}
model: {input: mlp, hidden: [16, 16]}
meta: {kind: maml, inner_steps: 3, inner_lr: 0.02, update: step-rates, step_losses: 8, second_order_from: 2}
YAML
}

tables() { # FILE STEPS: attention over the rows and the features of tables that are made up
    family "$1" "$2" 19 8 <<YAML
tasks: {kind: tables, way: 3, features: 3, shot: 8, query: 6}
model: {layers: 2, token_size: 16, heads: 2, mlp_size: 16}
YAML
}

rows_table() { # FOLDER: rows of classes and of tasks, by a rule, found by all programs of this test
    export MNEMO_DATA=$1
    awk 'BEGIN { print "kind,a,b,c,y"
        for (k = 0; k < 12; k++) for (r = 0; r < 8; r++)
            printf "k%d,%d,%.2f,%s,%d\n", k, k * 7 % 5, r / 4 + k % 3, (k + r) % 3 ? "red" : "blue", k + 2 * r }' >"$1/rows.csv"
}

rows() { # FILE STEPS: classes of the rows of a table, prototypes in a space that is learned
    rows_table "${1%/*}"
    family "$1" "$2" 31 12 <<YAML
tasks: {kind: rows, table: rows.csv, class_column: kind, columns: "a, b, c", words: one-hot, shares: [60, 20, 20], way: 2, shot: 2, query: 3}
model: {input: mlp, hidden: [16, 8], memory: class-means, output: distance}
meta: {kind: episodic}
YAML
}

row_values() { # FILE STEPS: numbers of the rows of a table, tasks that adapt to their other rows
    rows_table "${1%/*}"
    family "$1" "$2" 32 12 <<YAML
tasks: {kind: rows, table: rows.csv, task_column: kind, y_column: y, columns: "a, b", split_by: row, shot: 8, query: 2}
model: {input: mlp, hidden: [16]}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.05}
YAML
}

row_ids() { # FILE STEPS: the meta-memory network in its plainest parts, its table read by the id of a row
    rows_table "$(dirname "$1")"
    family "$1" "$2" 33 12 <<YAML
tasks: {kind: rows, table: rows.csv, task_column: kind, id_column: c, y_column: y, columns: "a, b", hidden_ids: 0.2, split_by: row, shot: 8, query: 2}
model: {input: linear, width: 6, memory: table, slots: 3, slot_size: 4, reasoning: concat-linear, units: 8}
meta: {kind: maml, inner_steps: 2, inner_lr: 0.05}
YAML
}

# Photographs of glyphs, and attributes that are made up for them: DIR/described.mnd and .csv.
described_data() { # DIR
    [ ! -e "$1/described.csv" ] || return 0
    printf 'seed: 5\ntasks: {kind: glyphs, way: 8, shot: 8, query: 1, image_size: 8}\n' >"$1/described-glyphs.yaml"
    mnemo task "$1/described-glyphs.yaml" --dump "$1/described.safetensors" >"$1/described-task.log" 2>&1
    python3 "$source_folder/tests/integration/pictures.py" "$1/described.safetensors" "$1/described" "$1/described-query" >"$1/described-draw.log" 2>&1
    mnemo data import folder "$1/described" --size 8 -o "$1/described.mnd" >"$1/described-import.log" 2>&1
    {
        echo class,first,second,third
        for class in 0 1 2 3 4 5 6 7; do
            echo "class$class,$((class % 2)),$((class / 2 % 2)).5,$((class / 4))"
        done
    } >"$1/described.csv"
}

described() { # FILE STEPS: classes' attributes become vectors that images are measured to
    described_data "$(dirname "$1")"
    family "$1" "$2" 31 4 <<YAML
tasks: {kind: described-images, data: described.mnd, descriptions: described.csv, class_split: 1, way: 5, unseen: 5, query: 2, image_size: 8}
model: {input: mlp, hidden: [16], memory: descriptions, describer: [8], output: distance}
YAML
    echo "  data_path: $(dirname "$1")" >>"$1"
    sed -i 's/^evaluate:/&\n  unseen: 2/' "$1"
}

ridge() { # FILE STEPS: ridge regression from images to attributes, trained through
    described_data "$(dirname "$1")"
    family "$1" "$2" 32 4 <<YAML
tasks: {kind: described-images, data: described.mnd, descriptions: described.csv, class_split: 1, way: 5, unseen: 2, shot: 2, query: 2, image_size: 8}
model: {input: mlp, hidden: [16], memory: ridge, output: compatibility}
YAML
    echo "  data_path: $(dirname "$1")" >>"$1"
}

# A small set of dialogues: restaurants whose telephone numbers are told and asked for. Those of tst-OOV, six and seven,
# are in no other file but the candidates and the facts.
dialog_files() { # FOLDER
    mkdir -p "$1"
    awk -v folder="$1" 'BEGIN {
        srand(5)
        n_files = split("trn dev tst tst-OOV", files, " ")
        print "1 hello what can i do\n1 which one" >(folder "/dialog-babi-candidates.txt")
        for (r = 0; r < 8; r++) {
            print "1 here it is phone_" r >(folder "/dialog-babi-candidates.txt")
            print "1 place_" r " R_phone\tphone_" r >(folder "/dialog-babi-kb-all.txt")
        }
        for (f = 1; f <= n_files; f++)
            for (d = 0; d < (f == 1 ? 60 : 12); d++) {
                r = f == 4 ? 6 + int(2 * rand()) : int(6 * rand())
                print "1 " (rand() < 0.5 ? "hi" : "good morning") "\thello what can i do\n2 its phone please\twhich one\n" \
                    "3 place_" r " R_phone phone_" r "\n4 place_" r "\there it is phone_" r "\n" \
                    >(folder "/dialog-babi-task1-phones-" files[f] ".txt")
            }
    }'
}

dialogues() { # FILE STEPS: a memory network that chooses among sentences, with match types
    dialog_files "$MNEMO_CACHE/babi/dialogs" # where workers look too
    family "$1" "$2" 31 3 <<YAML
tasks: {kind: dialogues, data: dialogs, bundle: 8, match: true}
model: {embedding: 12, hops: 2, candidates: tied}
YAML
}

class_stream() { # FILE STEPS: glyphs class after class, one a step, under a head that begins with zeros
    family "$1" "$2" 31 8 <<YAML
tasks: {kind: class-stream, way: 4, shot: 3, query: 2, image_size: 12}
model: {blocks: 2, filters: 6, readout: flatten}
meta: {inner_lr: 0.05}
YAML
}

sinusoid_stream() { # FILE STEPS: points of sinusoids that jump, each predicted and then adapted to
    family "$1" "$2" 32 8 <<YAML
tasks: {kind: sinusoid-stream, length: 20, jumps: 0.1}
model: {input: mlp, hidden: [16]}
meta: {kind: online, inner_lr: 0.02}
YAML
}

entity_stories() { # FILE STEPS: an entity network on stories of people and rooms
    family "$1" "$2" 30 8 <<YAML
tasks: {kind: generated-stories, bundle: 8, sentences: 6}
model: {memory: entities, slots: 5, reasoning: prelu-hops, embedding: 12}
YAML
}

glyphs() { # FILE STEPS
    cat >"$1" <<YAML
seed: 12
tasks:
  kind: glyphs
  way: 5
  shot: 1
  query: 2
  image_size: 20
model:
  input: conv4
  filters: 16
  blocks: 3
meta:
  inner_steps: 1
  inner_lr: 0.4
outer:
  steps: $2
  batch: 12
evaluate:
  tasks: 20
run:
  checkpoint_every: 5
  keep: 3
  pictures: false
YAML
}
