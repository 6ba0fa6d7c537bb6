"""Results as Markdown: python3 tests/bench/table.py RESULTS.json

Tasks per CPU second are the steadier figure on a busy machine: the median over all windows. The ratio is Mnemo's over that
of the strongest PyTorch program of the same workload in the same run.
"""
import json
import statistics
import sys

from workloads import WORKLOADS


def number(x):
    return '%.0f' % x if x >= 100 else '%.1f' % x if x >= 10 else '%.2f' % x


def rates(runs, clock):
    return [run['units_per_step'] * w['steps'] / w[clock] for run in runs for w in run['windows']]


def rows_of(runs):
    """workload, threads -> program -> runs"""
    rows = {}
    for run in runs:
        if 'error' not in run:
            rows.setdefault((run['workload'], run['threads']), {}).setdefault(run['impl'], []).append(run)
    return rows


def program_columns(runs):
    every = rates(runs, 'cpu')
    return '**%s** [%s-%s] | %s | %.0f' % (number(statistics.median(every)), number(min(every)), number(max(every)),
                                       number(statistics.median(rates(runs, 'wall'))), max(r['peak_rss_mib'] for r in runs))


def comparison(runs, torch):
    lines = ['| workload | threads | Mnemo, tasks/CPU-s [min-max] | wall | MiB | share of SGEMM peak | '
             'strongest PyTorch, tasks/CPU-s [min-max] | wall | MiB | program | ratio |',
             '| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |']
    for (workload, threads), programs in rows_of(runs).items():
        median = {name: statistics.median(rates(rows, 'cpu')) for name, rows in programs.items()}
        ours = programs.pop('mnemo', None)
        best = max(programs, key=median.get, default=None)
        share = ours and statistics.median(r['gflops_per_cpu_second'] / r['peak_gflops'] for r in ours)
        lines.append('| %s | %d | %s | %s | %s | %s |' % (
            workload, threads, program_columns(ours) if ours else 'no such model | | ', '%.0f %%' % (100 * share) if ours else '',
            '%s | %s' % (program_columns(programs[best]), best) if best else
            'not measured | | | ' + ('' if torch else 'no PyTorch'),
            '%.1f' % (median['mnemo'] / median[best]) if ours and best else ''))
    peaks = {run['peak_by']: max(r['peak_gflops'] for r in runs if r.get('peak_by') == run['peak_by'])
             for run in runs if 'peak_by' in run}
    lines += ['', 'SGEMM of one core: ' + ', '.join('%.1f GFLOP/s (%s)' % (rate, by) for by, rate in peaks.items())]
    failed = sorted({'%s (%s)' % (run['cmd'], run['error'].strip()) for run in runs if 'error' in run
                     and not (run['cmd'].split()[0].endswith('workload') and run['cmd'].split()[1] not in WORKLOADS)})
    if failed:
        lines += ['', 'Failed: ' + '; '.join(failed)]
    return lines


def scaling(results):
    lines = ['| %s | tasks/s by the wall\'s clock | times one | tasks/CPU-s | times one (2 workers: twice the ratio) |'
             % results['workload'], '| --- | --- | --- | --- | --- |']
    shapes = {}
    for row in results['rows']:
        shapes.setdefault((row['program'], row['shape'], row['workers']), []).append(row)
    one = {}
    for (program, shape, workers), rows in shapes.items():
        middle = max if program == 'SGEMM' else statistics.median  # of the peak we want the undisturbed one
        wall = middle(r['wall'] for r in rows)
        cpu = statistics.median(r['cpu'] for r in rows) if 'cpu' in rows[0] else None
        if workers == 1:
            one[program] = (wall, cpu)
        of_wall, of_cpu = one.get(program, (float('nan'), float('nan')))
        lines.append('| %s: %s | %s%s | %.2f | %s | %s |' % (
            program, shape, number(wall), ' GFLOP/s' if cpu is None else '', wall / of_wall,
            number(cpu) if cpu else '', '%.2f' % (workers * cpu / of_cpu) if cpu else ''))
    return lines + [''] * bool(results['failures']) + ['Failed: ' + f for f in results['failures']]


def memory(rows):
    lines = ['| inner steps of `om5-maml` | whole process, MiB | of it a thread\'s workspace, MiB | theta, MiB |',
             '| --- | --- | --- | --- |']
    return lines + ['| %d | %.1f | %.1f | %.2f |' % (r['inner_steps'], r['peak_rss_mib'], r['workspace_bytes'] / 2 ** 20,
                                                 4 * r['parameters'] / 2 ** 20) for r in rows]


def markdown(results):
    lines = ['# Mnemo and PyTorch on this machine', '']
    lines += ['- %s: %s' % pair for pair in results['machine'].items()]
    lines += ['- load before and after: %s; %s' % tuple(' '.join(map(str, results['load'][k])) for k in ('before', 'after')),
              '- %d rounds, windows of runs of %g s' % (results['options']['rounds'], results['options']['seconds'])]
    torch = not results['machine']['torch'].startswith('not measured')
    for setting in results['settings']:
        lines += ['', '## OPENBLAS_CORETYPE %s' % setting['name'], ''] + comparison(setting['runs'], torch)
    lines += ['', '## Two workers against one', ''] + scaling(results['scaling'])
    lines += ['', '## Memory', ''] + memory(results['memory'])
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    with open(sys.argv[1]) as file:
        print(markdown(json.load(file)))
