#!/bin/bash
# Keys: of those who know where a run listens, only workers on the allow-list compute, and the answer stays.
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 12
expect_code 0 alone mnemo train "$file" --run-dir "$work/alone" --set pool.threads=1
reference=$(theta_of alone)

section "making keys"
keys=$work/keys
umask 022
expect_code 0 make mnemo keys new -o "$keys"
expect_code 0 add mnemo keys worker late -o "$keys"
expect_code 0 others mnemo keys new -o "$work/others"
for name in server worker late; do
    [ "$(stat -c %a "$keys/$name.secret")" = 600 ] || die "$name.secret is open to others"
    [ "$(stat -c %a "$keys/$name.public")" = 644 ] || die "$name.public: not mode 644"
done
for name in worker late; do
    [ "$(grep -cFx -- "$(cat "$keys/$name.public")" "$keys/workers.allow")" -eq 1 ] || die "$name is not on the list"
done
[ "$(stat -c %a "$keys")" = 700 ] || die "the folder of keys is open to others"
before=$(cat "$keys"/*)
expect_code 64 again mnemo keys new -o "$keys"
expect_words again "never overwritten" "keys worker NAME"
expect_code 64 again_worker mnemo keys worker late -o "$keys"
expect_code 64 nameless mnemo keys worker ../x -o "$keys"
expect_code 66 no_folder mnemo keys worker x -o "$work/nowhere"
[ "$(cat "$keys"/*)" = "$before" ] || die "a key was overwritten"
ok "made once, for their owners alone, and never overwritten"

section "beyond this machine"
expect_code 78 open mnemo train "$file" --run-dir "$work/open" --set 'pool.listen=tcp://0.0.0.0:*'
expect_words open "pool.keys" "mnemo keys new"
expect_code 0 open_keys mnemo train "$file" --run-dir "$work/open_keys" --set 'pool.listen=tcp://0.0.0.0:*' \
    --set "pool.keys=$keys"
[ "$(theta_of open_keys)" = "$reference" ] || die "theta with keys: $(theta_of open_keys) instead of $reference"
ok "with keys only"

section "strangers"
mpi 2
start run "${launch[@]}" mnemo train "$file" --run-dir "$work/run" --set pool.threads=0 \
    --set 'pool.listen=tcp://127.0.0.1:*' --set "pool.keys=$keys"
job=$started
wait_until 60 "the endpoint file is there" test -s "$work/run/endpoint"
grep -qFx "key: $(sed -n 's/^public: \([^ ]*\).*/\1/p' "$keys/server.public")" "$work/run/endpoint" ||
    die "the endpoint file lacks the server's public key"
address=$(sed -n 's/^endpoint: *//p' "$work/run/endpoint" | head -n 1)

expect_code 77 keyless mnemo-worker "$work/run" --threads 1
expect_words keyless "--secret" "MNEMO_WORKER_SECRET" "mnemo keys worker"
expect_code 77 stranger mnemo-worker "$work/run" --threads 1 --secret "$work/others/worker.secret"
expect_words stranger "allow-list" "workers.allow"
wait_until 10 "the refusal is logged with address and key" logged run "refused.*address=127\.0\.0\.1 key="
grep -qF "key=$(sed -n 's/^public: \([^ ]*\).*/\1/p' "$work/others/worker.public")" "$work/run.log" ||
    die "the refusal is logged without the key"
expect_code 69 plain mnemo-worker "$address" --threads 1 --patience 2
expect_words plain "with keys only"
expect_code 69 misled mnemo-worker "$address" --threads 1 --patience 2 --secret "$keys/worker.secret" \
    --key "$(sed -n 's/^public: \([^ ]*\).*/\1/p' "$work/others/server.public")"
expect_words misled "another key"
wait_until 10 "they are logged" logged run "has no key, or not that of this run"
chmod 644 "$keys/worker.secret" # 640 of root's is as volumes of secrets are mounted
expect_code 77 open_secret mnemo-worker "$work/run" --threads 1 --secret "$keys/worker.secret"
expect_words open_secret "chmod 600"
chmod 600 "$keys/worker.secret"
[ "$(steps_of "$work/run")" -eq 0 ] || die "a stranger computed"
! logged run "joined" || die "a stranger joined"
ok "without a key, with another one, in clear text, with an open secret: refused and told"

section "friends"
sed -i '/ late$/d' "$keys/workers.allow"
expect_code 77 revoked mnemo-worker "$work/run" --threads 1 --secret "$keys/late.secret"
cat "$keys/late.public" >>"$keys/workers.allow"
start worker mnemo-worker "$work/run" --threads 1 --secret "$keys/worker.secret"
worker=$started
start late env MNEMO_WORKER_SECRET="$keys/late.secret" mnemo-worker "$work/run" --threads 1
late=$started
exit_code_of 200 "$job" "the run"
[ "$exit_code" -eq 0 ] || die "the run: exit code $exit_code"
[ "$(theta_of run)" = "$reference" ] || die "theta with keys: $(theta_of run) instead of $reference"
logged run "joined" || die "no worker joined"
ok "2 ranks and allowed workers: the same theta; the list is read again when it changes"
kill -TERM "$worker" "$late" 2>/dev/null # one may have come too late to hear that the run is over
exit_code_of 60 "$worker" "the worker"
exit_code_of 60 "$late" "the late worker"
! grep -rqF "$keys" "$work/worker.log" "$work/late.log" || die "a worker was told where the keys are"

section "damaged keys"
echo "public: nonsense" >>"$keys/workers.allow"
expect_code 65 damaged mnemo train "$file" --run-dir "$work/damaged" --set "pool.keys=$keys"
expect_words damaged "workers.allow:[0-9]+: " "expected"
expect_code 66 missing mnemo train "$file" --run-dir "$work/missing" --set "pool.keys=$work/nowhere"
expect_words missing "server.secret" "mnemo keys new"
ok "file, line and what was expected"
finish
