"""python3 -m mnemo_worker: join a run with a learner of one's own; write its card; check it."""

import argparse
import os
import sys

# Before NumPy is loaded: one task is computed by one thread, the same way everywhere.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

_HELP = """\
usage: python3 -m mnemo_worker [options] LEARNER ENDPOINT      join a run and compute its tasks until it is over
       python3 -m mnemo_worker card LEARNER -o FILE            write what theta is made of, for tasks.learner of an experiment
       python3 -m mnemo_worker check LEARNER                   try the learner: same task twice, gradients, numeric class

LEARNER is FILE.py:CLASS or MODULE:CLASS, of a class derived from mnemo_worker.Learner.
ENDPOINT is tcp://HOST:PORT, the endpoint file of a run, or the run's folder. A file is read again before each dial, so that a
run may move. One process computes with one thread: start as many as there are cores.

options:
  --patience S   seconds without a coordinator until giving up (default: 600)
  --once         do not wait for a coordinator that is not there
  --name NAME    what the coordinator calls this worker (default: HOST:PID)
  --key KEY      public key of the coordinator (Z85), for a tcp:// endpoint; files hold it
  --secret FILE  this worker's secret key, for a run that takes workers with keys only: NAME.secret as `mnemo keys` made it
                 (default: MNEMO_WORKER_SECRET)
  --seed N       check: of the tasks (default: 1)
  --quiet        say only what goes wrong
  --verbose      say more

SIGTERM, SIGINT and SIGHUP give the tasks back and end; a second signal ends at once.
Exit codes are those of mnemo-worker; 78: the learner is not that of the run, or fails.
"""


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise SystemExit(_fail(64, f"{message}; see python3 -m mnemo_worker --help"))

    def format_help(self):
        return _HELP


def main(arguments=None):
    from . import errors

    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments[:1] in (["card"], ["check"]):
            return _look(arguments[0], arguments[1:])
        return _join(arguments)
    except errors.Failure as failure:
        return _fail(failure.code, str(failure))
    except ModuleNotFoundError as missing:
        if missing.name not in ("numpy", "zmq", "google", "google.protobuf"):
            raise
        return _fail(errors.UNAVAILABLE, f"{sys.executable} has no module {missing.name}: Debian's Python, /usr/bin/python3, has it with python3-numpy, "
                     "python3-zmq and python3-protobuf (cluster/install-packages python)")


def _join(arguments):
    from . import wire
    from .worker import Worker

    parser = _Parser(prog="mnemo_worker", usage=_HELP)
    parser.add_argument("learner")
    parser.add_argument("endpoint")
    parser.add_argument("--patience", type=float, default=600)
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--name")
    parser.add_argument("--key", default="")
    parser.add_argument("--secret", default=os.environ.get("MNEMO_WORKER_SECRET", ""))
    parser.add_argument("--quiet", dest="level", action="store_const", const="error", default="info")
    parser.add_argument("--verbose", dest="level", action="store_const", const="debug")
    options = parser.parse_args(arguments)
    worker = Worker(options)
    missing = wire.missing_endpoint(options.endpoint)
    if missing:
        worker.log("warning", missing)
    code = worker.run()
    if worker.busy:
        sys.stderr.flush()
        os._exit(code)
    return code


def _look(command, arguments):
    from . import check, learner, tensor_file

    parser = _Parser(prog=f"mnemo_worker {command}", usage=_HELP)
    parser.add_argument("learner")
    if command == "card":
        parser.add_argument("-o", dest="out", required=True)
    else:
        parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    made = learner.load(options.learner)
    shape, start = learner.Shape.of(made)
    if command == "check":
        return check.run(made, shape, start, options.seed)
    tensor_file.write(options.out, start, {"mnemo.scores": shape.scores_text(), "learner": options.learner})
    print(f"wrote {options.out}: {shape.size} numbers in {len(shape.tensors)} tensors, scores "
          f"{', '.join(name for name, _ in shape.scores)}")
    return 0


def _fail(code, text):
    print(f"mnemo_worker: {text}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
