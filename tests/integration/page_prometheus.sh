#!/bin/bash
# The numbers of a run, read by Prometheus itself: promtool takes them, a server scrapes them in both forms and answers
# the questions of the dashboard.
# shellcheck disable=SC2154 # variables of lib.sh
source "$(dirname "$0")/lib.sh"
command -v prometheus >/dev/null && command -v promtool >/dev/null ||
    skip "no Prometheus: cluster/install-packages page installs it"
has_page() { # RUN
    [ -s "$1/page" ]
}

file=$work/sinusoid.yaml
run=$work/run
sinusoid "$file" 100000000
echo 0123456789abcdef0123456789abcdef >"$work/token"
chmod 600 "$work/token"
start train mnemo train "$file" --run-dir "$run" --set pool.threads=1 --set evaluate.every=500 --set evaluate.val_tasks=20 \
    --set "run.page_token=$work/token" --set "run.prometheus_textfile=$work/run.prom"
train=$started
wait_until 60 "the page" has_page "$run"
wait_until 60 "a validation" grep -qs val_tasks "$run/metrics.jsonl"
target=$(sed -n 's,^http://\([^/]*\)/.*,\1,p' "$run/page")

section "promtool"
python3 - "$target" "$(cat "$work/token")" "$work/told" <<'PYTHON' || die "/metrics does not answer"
import http.client, sys, time
while True:
    connection = http.client.HTTPConnection(sys.argv[1])
    connection.request("GET", "/metrics", headers={"Authorization": "Bearer " + sys.argv[2]})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status == 200 and b"mnemo_validation_score{" in text:
        break
    time.sleep(0.05)
open(sys.argv[3], "wb").write(text)
PYTHON
promtool check metrics <"$work/told" >"$work/promtool.out" 2>&1 || die "promtool: $(cat "$work/promtool.out")"
[ ! -s "$work/promtool.out" ] || die "promtool: $(cat "$work/promtool.out")"
ok "promtool has nothing to say of $(grep -vc '^#' "$work/told") numbers"

section "a server"
cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: mnemo
    authorization: {credentials_file: $work/token}
    static_configs: [{targets: ["$target"]}]
YAML
promtool check config "$work/prometheus.yml" >/dev/null || die "the configuration"
start prometheus prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" --web.listen-address=127.0.0.1:0 --log.level=debug
prometheus=$started
find_port() { # the system has chosen it
    port=$(sed -n 's/.*msg="Listening on" address=127.0.0.1:\([0-9]*\).*/\1/p' "$work/prometheus.log" | head -1)
    [ -n "$port" ]
}
wait_until 30 "Prometheus listens" find_port
start ask python3 "$source_folder/tests/integration/page_prometheus.py" "$port" "$source_folder/docs/grafana-dashboard.json"
exit_code_of 60 "$started" ask
cat "$work/ask.out"
[ "$exit_code" -eq 0 ] || die "Prometheus does not have what the dashboard asks for"
kill -TERM "$prometheus" "$train"
exit_code_of 60 "$train" train
finish
