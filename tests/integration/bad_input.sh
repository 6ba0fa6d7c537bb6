#!/bin/bash
# Whatever a person gets wrong ends at once with the documented exit code and a sentence that says what, where and
# what to do; nothing is started and nothing is lost.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

good=$work/good.yaml
sinusoid "$good" 5
run=$work/run

# One row of the table: exit code, name, words of the message, command.
row() { # CODE NAME WORDS COMMAND...
    local code=$1 name=${2// /-} what=$2 words=$3
    shift 3
    expect_code "$code" "$name" "$@"
    # shellcheck disable=SC2086 # words are several
    expect_words "$name" $words
    [ "$section" != files ] || [ ! -e "$run" ] || die "$what: a run folder was made"
    ok "$what: exit code $code: $(grep -v '^ *$' "$work/$name.log" | tail -n 1 | cut -c 1-160)"
}

# A copy of the good file with one line changed.
with_line() { # NAME SED-EXPRESSION
    sed "$2" "$good" >"$work/$1.yaml"
    ! cmp -s "$good" "$work/$1.yaml" || die "the expression for $1 changes nothing"
    file=$work/$1.yaml
}

section=files # nothing is begun before all files are read
section "command line"
row 64 "no command" "train --help" mnemo
row 64 "unknown command" "trian" mnemo trian "$good"
row 64 "unknown option" "--run-dri" mnemo train "$good" --run-dri "$run"
row 64 "no experiment" "experiment" mnemo train --run-dir "$run"

section "experiment file"
row 66 "missing file" "nowhere.yaml" mnemo train "$work/nowhere.yaml" --run-dir "$run"
with_line key 's/inner_lr/iner_lr/'
row 78 "wrong key" "key.yaml:[0-9]+ iner_lr inner_lr" mnemo train "$file" --run-dir "$run"
with_line type 's/batch: 12/batch: twelve/'
row 78 "wrong type" "type.yaml:[0-9]+ batch twelve" mnemo train "$file" --run-dir "$run"
with_line range 's/inner_lr: .*/inner_lr: -1/'
row 78 "out of range" "range.yaml:[0-9]+ inner_lr -1" mnemo train "$file" --run-dir "$run"
with_line choice 's/kind: sinusoid/kind: sinusiod/'
row 78 "wrong choice" "choice.yaml:[0-9]+ kind sinusiod sinusoid" mnemo train "$file" --run-dir "$run"
with_line syntax 's/\[24, 24\]/[24, 24/'
row 78 "wrong YAML" "syntax.yaml:[0-9]+" mnemo train "$file" --run-dir "$run"
head -c 3000 /dev/urandom >"$work/noise.yaml"
row 78 "noise" "noise.yaml" mnemo train "$work/noise.yaml" --run-dir "$run"
row 78 "wrong override" "outer.stepz outer.steps" mnemo train "$good" --run-dir "$run" --set outer.stepz=3
row 78 "wrong value in an override" "outer.steps many" mnemo train "$good" --run-dir "$run" --set outer.steps=many
row 0 "check a good one" "inner_lr" mnemo train --check "$good"
with_line check 's/inner_lr/iner_lr/'
row 78 "check a bad one" "iner_lr inner_lr" mnemo train --check "$file"

section "data"
cat >"$work/images.yaml" <<YAML
tasks:
  kind: images
  data: no-such-set.mnd
  way: 5
  shot: 1
  query: 1
model:
  input: conv4
YAML
mkdir "$work/empty"
row 66 "missing data" "no-such-set.mnd $work/empty" \
    mnemo train "$work/images.yaml" --run-dir "$run" --set "run.data_path=$work/empty"
mkdir "$work/damaged"
head -c 4096 /dev/urandom >"$work/damaged/no-such-set.mnd"
row 65 "damaged data" "no-such-set.mnd" \
    mnemo train "$work/images.yaml" --run-dir "$run" --set "run.data_path=$work/damaged"

section=network
section "network"
start holder mnemo train "$good" --run-dir "$work/holder" --set outer.steps=1000000 --set pool.threads=0 \
    --set 'pool.listen=tcp://127.0.0.1:*'
holder=$started
wait_until 30 "the holder listens" test -s "$work/holder/endpoint"
address=$(sed -n 's/^endpoint: *//p' "$work/holder/endpoint")
key=$(sed -n 's/^key: *//p' "$work/holder/endpoint")
row 69 "port taken" "${address##*:}" mnemo train "$good" --run-dir "$run" --set "pool.listen=$address"
row 78 "not an address" "pool.listen" mnemo train "$good" --run-dir "$run" --set 'pool.listen=tcp//nonsense'
row 78 "open to strangers" "insecure" mnemo train "$good" --run-dir "$run" --set 'pool.listen=tcp://0.0.0.0:*'
row 69 "run folder in use" "holder" mnemo train "$good" --run-dir "$work/holder"
row 66 "worker without an endpoint" "nowhere" mnemo-worker "$work/nowhere/endpoint" --once
[ "$key" != - ] || key=''
expect_code 0 wrong-version "$tests_bin/wrong_hello" "$address" ${key:+"$key"}
ours=$(sed -n 's/^#define MN_PROTOCOL_VERSION \([0-9]*\)u$/\1/p' "$source_folder/proto/message.h")
expect_words wrong-version "protocol $ours;" "protocol $((ours + 1)),"
ok "wrong protocol version: refused: $(cat "$work/wrong-version.out")"
kill -TERM "$holder"
exit_code_of 30 "$holder" "the holder"
[ "$exit_code" -eq 75 ] || die "the holder survived all that, but ended with $exit_code instead of 75"
ok "the coordinator survived all that"

section "rights"
if [ "$(id -u)" -eq 0 ]; then
    # Nobody may look into root's folders, so the program comes to a place that nobody may enter.
    chmod 711 "$work"
    install -m 755 "$bin/mnemo" "$work/mnemo"
    chmod 644 "$good"
    mkdir -m 755 "$work/locked"
    expect_code 77 locked setpriv --reuid 65534 --regid 65534 --clear-groups env "HOME=$work" \
        "$work/mnemo" train "$good" --run-dir "$work/locked/run"
else
    mkdir -m 555 "$work/locked"
    expect_code 77 locked mnemo train "$good" --run-dir "$work/locked/run"
fi
expect_words locked "$work/locked" permission
ok "no permission: exit code 77: $(tail -n 1 "$work/locked.log" | cut -c 1-160)"
finish
