#!/bin/bash
# Odd surroundings: several networks or none of IPv4, a log that nobody reads, data that change under a run, doors that
# are paths, signals to mpirun while tasks are long. The run goes on to the same bits, or says what is wrong.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

file=$work/sinusoid.yaml
sinusoid "$file" 12
expect_code 0 alone mnemo train "$file" --run-dir "$work/alone"
reference=$(theta_of alone)

same() { # NAME
    [ "$(theta_of "$1")" = "$reference" ] || die "$1: theta $(theta_of "$1") instead of $reference"
}

section "a log that nobody reads"
mkfifo "$work/full"
exec {full}<>"$work/full" # keeps it open; nothing is ever read
dd if=/dev/zero of="$work/full" bs=4096 count=1024 oflag=nonblock status=none 2>/dev/null
start deaf bash -c 'exec "$@" 2>"$0"' "$work/full" mnemo train "$file" --run-dir "$work/deaf" --set pool.threads=0
deaf=$started
wait_until 30 "the run listens" test -s "$work/deaf/endpoint"
start deaf_worker bash -c 'exec "$@" 2>"$0"' "$work/full" mnemo-worker "$work/deaf/endpoint"
exit_code_of 60 "$started" "the worker"
[ "$exit_code" -eq 0 ] || die "the worker: exit code $exit_code"
exit_code_of 60 "$deaf" "the run"
[ "$exit_code" -eq 0 ] || die "the run: exit code $exit_code"
same deaf
exec {full}>&-
ok "a run and a worker whose standard error is a full pipe end, with the same theta"

# Beyond a quota of files (here: of none) a signal would kill.
start limited bash -c 'ulimit -f 0; exec mnemo-worker --once "$0" 2>"$1"' "$work/nowhere" "$work/limited.txt"
exit_code_of 30 "$started" "a worker that may not write"
[ "$exit_code" -eq 66 ] || die "a worker whose log is beyond the quota: exit code $exit_code instead of 66"
ok "a worker whose log is beyond the quota of files is not killed"

section "data that change under a run"
export MNEMO_DATA=$work
described "$work/pictures.yaml" 600
expect_code 0 kept mnemo train "$work/pictures.yaml" --run-dir "$work/kept"
cp "$work/described.mnd" "$work/whole.mnd"
start cut mnemo train "$work/pictures.yaml" --run-dir "$work/cut" --set pool.threads=0
job=$started
wait_until 30 "the run listens" test -s "$work/cut/endpoint"
start cut_worker mnemo-worker "$work/cut/endpoint" --threads 1
wait_until 30 "the run makes steps" has_steps "$work/cut" 1
: >"$work/described.mnd"
exit_code_of 120 "$job" "the run whose data were cut"
[ "$exit_code" -eq 0 ] || die "the run whose data were cut: exit code $exit_code"
[ "$(theta_of cut)" = "$(theta_of kept)" ] || die "other theta: the data were read again"
mv "$work/whole.mnd" "$work/described.mnd"
ok "a packed file that is cut to nothing changes nothing for those who have it open"

section "doors that are paths"
mpi 2
start doors "${launch[@]}" mnemo train "$file" --run-dir "$work/doors" --set "pool.listen=ipc://$work/door" --set pool.threads=0
job=$started
wait_until 60 "the ranks listen" test -s "$work/doors/endpoint"
[ "$(grep -c '^endpoint: ' "$work/doors/endpoint")" = "$(grep '^endpoint: ' "$work/doors/endpoint" | sort -u | wc -l)" ] ||
    die "two ranks have one door: $(cat "$work/doors/endpoint")"
expect_code 69 second mnemo train "$file" --run-dir "$work/second" --set "pool.listen=ipc://$work/door"
expect_words second "$work/door" "another program"
expect_code 0 door_worker mnemo-worker "$work/doors/endpoint" --threads 1
exit_code_of 60 "$job" "the run"
[ "$exit_code" -eq 0 ] || die "the run with two doors: exit code $exit_code"
same doors
ok "ranks have doors of their own, and nobody takes them over"

section "a signal to mpirun while tasks are long"
glyphs "$work/long.yaml" 1000000
start long mpirun --mca odls_base_sigkill_timeout 10 -n 2 --oversubscribe --bind-to none mnemo train "$work/long.yaml" \
    --run-dir "$work/long" --set run.checkpoint_every=1000000 --set meta.inner_steps=20 --set tasks.query=15
job=$started
wait_until 120 "a step" has_steps "$work/long" 1
kill -TERM "$job"
exit_code_of 120 "$job" "mpirun"
ls "$work/long/checkpoints"/step-*.safetensors >/dev/null 2>&1 || die "no checkpoint was left"
made=$(steps_of "$work/long")
ok "SIGTERM to mpirun leaves a checkpoint of step $made"

section "networks"
[ "$(id -u)" -eq 0 ] && unshare --net ip link add probe type veth 2>/dev/null || { note "no right to make networks here"; finish; }
network() { # LISTEN SCRIPT: a run and a worker in a network of their own; sets $endpoint
    rm -rf "$work/net"
    # shellcheck disable=SC2016 # for the shell within
    start net unshare --net bash -ec 'ip link set lo up; eval "$1"; shift; exec "$@"' - "$2" \
        mnemo train "$file" --run-dir "$work/net" --set "pool.listen=$1" --set pool.insecure=true --set pool.threads=0
    local job=$started
    wait_until 30 "the run listens at $1" test -s "$work/net/endpoint"
    endpoint=$(sed -n 's/^endpoint: //p' "$work/net/endpoint")
    expect_code 0 net_worker nsenter --net --target "$job" mnemo-worker "$work/net/endpoint" --threads 1
    exit_code_of 60 "$job" "the run"
    same net
}
bridge='ip link add docker0 type veth peer name d1; ip address add 172.17.0.1/16 dev docker0; ip link set docker0 up; ip link set d1 up'
wire='ip link add eth0 type veth peer name e1; ip link set eth0 up; ip link set e1 up'
network 'tcp://*:*' "$bridge; $wire; ip address add 10.20.30.4/24 dev eth0; ip route add default via 10.20.30.1"
[[ $endpoint == tcp://10.20.30.4:* ]] || die "of two networks the endpoint is $endpoint"
ok "of two networks it tells the one of the default route"
if [ -e /proc/net/if_inet6 ]; then
    network 'tcp://*:*' "$wire; ip address add fd00:1::4/64 dev eth0 nodad"
    [[ $endpoint == 'tcp://[fd00:1::4]:'* ]] || die "on a machine with IPv6 alone the endpoint is $endpoint"
    network 'tcp://[::1]:*' :
    [[ $endpoint == 'tcp://[::1]:'* ]] || die "tcp://[::1]:* gave $endpoint"
    ok "a machine may have IPv6 alone"
fi
network 'tcp://localhost:*' :
ok "localhost is a place to listen at"
finish
