#!/bin/bash
# The benchmarks run and write what they promise. How fast anything is, no test can say.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"

sinusoid "$work/sinusoid.yaml" 4

section "mnemo bench"
expect_code 0 bench mnemo bench "$work/sinusoid.yaml" --threads 2 --seconds 0.1 --profile
for words in 'tasks/s with 2 threads' 'SGEMM, one core' 'SGEMM, 2 cores' 'by kind of operation' 'by single operation' \
    'Hessian-vector product: gemm' 'exact sums' 'drawing the task' 'outer step' 'waiting'; do
    grep -qF "$words" "$work/bench.out" || die "mnemo bench --profile does not say \"$words\""
done
ok "speed, the peak of one core and of two at once, and where the time goes"

section "tests/bench"
python3 -c 'import json' 2>/dev/null || skip "no python3"
MNEMO_BUILD=$build expect_code 0 growth python3 "$source_folder/tests/bench/growth" --only parameters,batch --smallest \
    --seconds 0.1 --out "$work/growth"
python3 - "$work/growth/growth.json" <<'END' || die "growth.json does not hold what it should"
import json, sys
curves = json.load(open(sys.argv[1]))['curves']
assert list(curves) == ['parameters', 'batch'], curves
for name, parameters in (('parameters', 1153), ('batch', 112261)):
    point, = curves[name]
    assert point['parameters'] == parameters, point
    assert point['tasks_per_cpu_s'] > 0 and 0 < point['share_of_peak'] < 2 and point['peak_rss_mib'] > 1, point
    assert abs(sum(kind['share'] for kind in point['kinds']) - 1) < 1e-3, point
END
grep -q '^| 1,153 |' "$work/growth/growth.md" || die "growth.md has no row of 1,153 parameters"
if command -v gnuplot >/dev/null; then
    [ "$(head -c 4 "$work/growth/growth-batch.png" | tail -c 3)" = PNG ] || die "no picture"
fi
ok "growth: table, JSON and picture of the smallest points"
MNEMO_BUILD=$build expect_code 0 begin python3 "$source_folder/tests/bench/start" --rounds 1 --experiment "$work/sinusoid.yaml"
for row in '--check' 'first step' 'to its end' 'first step, mpirun -n 2'; do
    grep -qE -- "^\| $row \| \*\*[0-9]+\*\* \|" "$work/begin.out" || die "tests/bench/start has no row '$row'"
done
ok "start: a row for --check and for the first step, alone and under mpirun"
finish
