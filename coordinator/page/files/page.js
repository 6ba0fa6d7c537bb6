/* The page of a run: takes the frames that /events brings (docs/page.md) and shows them. Each frame goes on
   from the one before it or tells everything; what is shown is changed in place, and only where it differs. */
'use strict';

const $ = id => document.getElementById(id);
const MOST_ROWS = 100, MOST_LINES = 400, FIRST_CURVES = 6;
const SHARES = [['tasks', 'computing tasks'], ['sums', 'adding up what tasks gave'], ['reduce', 'allreduce between ranks'],
                ['outer', 'outer step and handing out theta'], ['wait', 'waiting for work']];
let run = null;          // what stays: name, steps, ...
let number = 0;          // of the last frame
const curves = new Map(); // by key: what /events told of it, put together
const charts = new Map(); // by name: a Chart and its figure
const changed = new Set(); // names of curves that are to be drawn
let newest = null;         // frame that is to be shown
let logarithmic = false, all = false, lastPhase = '', over = false, knownWorkers = null, validated = 0, events = null;

// ---- words and numbers

const known = value => typeof value === 'number' && Number.isFinite(value);
const count = value => known(value) ? Math.round(value).toLocaleString('en') : '–';
function short(value) {
  if (!known(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e5 || (size < 1e-3 && size > 0)) return value.toExponential(2);
  return size >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)));
}
const score = (value, share) => !known(value) ? '–' : share ? (100 * value).toFixed(2) + ' %' : short(value);
function interval(result) {
  if (!result || !known(result.mean)) return '–';
  const scale = result.share ? 100 : 1, unit = result.share ? ' %' : result.unit ? ' ' + result.unit : '';
  const half = scale * result.half_width;
  if (!known(result.half_width) || half <= 0) return score(result.mean, result.share) + (result.share ? '' : unit);
  const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(half)))); // two of the interval that are not 0
  return `${(scale * result.mean).toFixed(digits)} ± ${half.toFixed(digits)}${unit}`;
}
function time(seconds) {
  if (!known(seconds) || seconds > 1e9) return '–';
  const s = Math.round(seconds), two = n => String(n).padStart(2, '0');
  return s >= 86400 ? Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h'
                    : (s >= 3600 ? Math.floor(s / 3600) + ':' + two(Math.floor(s % 3600 / 60)) : Math.floor(s / 60)) + ':' + two(s % 60);
}
const ago = seconds => !known(seconds) ? '–' : seconds < 60 ? 'less than a minute' : seconds < 7200 ? Math.floor(seconds / 60) + ' min' :
                       seconds < 172800 ? Math.floor(seconds / 3600) + ' h' : Math.floor(seconds / 86400) + ' d';

function say(text) { // to those who hear the page
  if ($('news').textContent !== text) $('news').textContent = text;
}
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
function make(name, cls, text) {
  const element = document.createElement(name);
  if (cls) element.className = cls;
  if (text !== undefined) element.textContent = text;
  return element;
}

// Rows of a table by key: [key, [text or [text, class], ...]]; what does not change is not touched.
function rows(body, list) {
  const old = new Map([...body.children].map(row => [row.dataset.key, row]));
  let place = body.firstElementChild;
  for (const [key, cells] of list) {
    let row = old.get(key);
    if (!row) {
      row = make('tr');
      row.dataset.key = key;
      cells.forEach((cell, i) => {
        const one = make(i === 0 ? 'th' : 'td');
        if (i === 0) one.scope = 'row';
        row.append(one);
      });
    }
    old.delete(key);
    cells.forEach((cell, i) => {
      const [text, cls] = Array.isArray(cell) ? cell : [cell, ''];
      put(row.children[i], text);
      if (row.children[i].className !== cls) row.children[i].className = cls;
    });
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
  }
  for (const row of old.values()) row.remove();
}

// ---- the head

const seedsFollow = () => run.part < run.parts; // runs of this series are to come, at this address
const title = () => run.name + (run.parts > 1 ? `, seed ${run.seed}` : '');

function showPhase(frame) {
  const words = {training: 'training', validation: 'validating', test: 'testing', ended: 'ended', interrupted: 'interrupted', failed: 'failed'};
  const judging = frame.total > 0 ? ` ${frame.done} of ${frame.total} tasks` : '';
  put($('phase'), words[frame.phase] + judging + (frame.phase === 'ended' && seedsFollow() ? '; the next seed follows' : ''));
  $('phase').dataset.phase = frame.phase;
  $('why').hidden = !frame.why;
  put($('why'), frame.why + (frame.phase === 'interrupted' ? ` — to go on: mnemo train --run-dir ${run.folder}` : ''));
  if (frame.phase !== lastPhase && lastPhase !== '') say(`The run${run.parts > 1 ? ` with seed ${run.seed}` : ''}: ${words[frame.phase]}. ${frame.why}`);
  lastPhase = frame.phase;
  document.title = `${frame.over ? words[frame.phase] : Math.floor(100 * frame.step / Math.max(run.steps, 1)) + ' %'} · ${title()}`;
}

function showFigures(frame) {
  const progress = $('progress');
  progress.max = run.steps;
  progress.value = frame.step;
  put($('progress-text'), `meta-step ${count(frame.step)} of ${count(run.steps)}` +
      (frame.over || !known(frame.to_go_s) || frame.step >= run.steps ? '' : `, ${time(frame.to_go_s)} to go`));
  const figures = [['time of training', time(frame.wall_s)], ['tasks a second', short(frame.tasks_per_s)],
                   ['threads', count(frame.threads), frame.workers > 0 ? `with ${count(frame.workers)} remote worker${frame.workers === 1 ? '' : 's'}` : ''],
                   ['a meta-step takes', known(frame.step_s) ? (frame.step_s < 1 ? short(1000 * frame.step_s) + ' ms' : short(frame.step_s) + ' s') : '–'],
                   ['learning rate', short(frame.lr)], ['gradient norm', short(frame.grad_norm)]];
  if (frame.skipped > 0) figures.push(['tasks skipped', count(frame.skipped), 'not finite']);
  const list = $('figures');
  figures.forEach(([name, value, note], i) => {
    const box = list.children[i] || list.appendChild(make('div'));
    if (!box.firstChild) box.append(make('dt'), make('dd'));
    put(box.firstChild, name);
    if (box.dataset.value === value + note) return;
    box.dataset.value = value + note;
    box.lastChild.textContent = value;
    if (note) box.lastChild.append(' ', make('small', '', note));
  });
  while (list.children.length > figures.length) list.lastChild.remove();
}

// ---- curves

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const nameOf = key => key.startsWith('val_') ? key.slice(4) : key;

function takeCurves(frame) {
  const grown = new Set();
  for (const told of frame.curves) {
    const curve = curves.get(told.key) || {points: []};
    const points = curve.points.slice(0, told.from).concat(told.points);
    if (told.points.length > 0 || points.length !== curve.points.length) grown.add(nameOf(told.key));
    curves.set(told.key, {...told, points});
  }
  return grown;
}

function smooth(points) { // the mean of as many neighbours on both sides, up to a fortieth of the curve; so it lags behind nowhere
  const most = Math.floor(points.length / 40), sums = [0];
  for (const [, y] of points) sums.push(sums[sums.length - 1] + y);
  return points.map(([x], i) => {
    const wide = Math.min(most, i, points.length - 1 - i);
    return {x, y: (sums[i + wide + 1] - sums[i - wide]) / (2 * wide + 1)};
  });
}

const xy = points => points.map(([x, y]) => ({x, y}));

function dataOf(name) {
  const train = curves.get(name), val = curves.get('val_' + name);
  const t = train ? train.points : [], v = val ? val.points : [];
  const banded = v.filter(point => point.length > 2);
  const line = {pointRadius: 0, pointHitRadius: 6, tension: 0};
  return [
    {...line, label: 'low', data: banded.map(([x, y, h]) => ({x, y: y - h})), borderWidth: 0, order: 4},
    {...line, label: 'high', data: banded.map(([x, y, h]) => ({x, y: y + h})), borderWidth: 0, backgroundColor: colour('--band'), fill: '-1', order: 4},
    {...line, label: 'training', data: xy(t), borderColor: colour('--train-raw'), borderWidth: 1, order: 3},
    {...line, label: 'training, smoothed', data: smooth(t), borderColor: colour('--train'), borderWidth: 2, order: 2},
    {...line, label: 'validation', data: xy(v), borderColor: colour('--val'), borderWidth: 2.5, pointRadius: v.length <= 60 ? 2.5 : 0,
     pointBackgroundColor: colour('--val'), order: 1},
  ];
}

const isShare = name => (curves.get(name) || curves.get('val_' + name)).share;

function optionsOf(name) {
  const share = isShare(name), grid = {color: colour('--grid'), drawBorder: false, tickLength: 0};
  const positive = dataOf(name).every(set => set.label === 'low' || set.data.every(point => point.y > 0));
  const ticks = {color: colour('--quiet'), maxTicksLimit: 6, padding: 6, font: {size: 11}};
  return {
    animation: false, parsing: false, normalized: true, responsive: true, maintainAspectRatio: false,
    interaction: {mode: 'nearest', axis: 'x', intersect: false},
    scales: {
      x: {type: 'linear', min: 0, bounds: 'data', grid: {...grid, display: false}, ticks: {...ticks, maxRotation: 0, includeBounds: false, callback: value => count(value)}},
      y: {type: logarithmic && positive && !share ? 'logarithmic' : 'linear', grid, ticks: {...ticks, callback: value => share ? short(100 * value) + ' %' : short(value)}},
    },
    plugins: {
      legend: {display: false},
      tooltip: {
        filter: item => item.dataset.label !== 'low' && item.dataset.label !== 'high',
        callbacks: {title: items => items.length ? 'meta-step ' + count(items[0].parsed.x) : '', label: item => `${item.dataset.label}: ${score(item.parsed.y, share)}`},
      },
    },
  };
}

function newChart(name) {
  const figure = make('figure'), caption = make('figcaption'), plot = make('div', 'plot'), canvas = make('canvas');
  canvas.setAttribute('role', 'img');
  caption.append(make('b', '', name.replaceAll('_', ' ')), make('span'));
  plot.append(canvas);
  const key = make('ul', 'key');
  figure.append(caption, plot, key);
  const home = charts.size < FIRST_CURVES ? $('curves') : $('more-curves');
  if (charts.size === 0) home.textContent = '';
  if (charts.size >= FIRST_CURVES) $('more').hidden = false;
  figure.dataset.name = name;
  home.append(figure);
  watcher.observe(figure);
  return {figure, canvas, key, chart: null, seen: true};
}

function showCurve(name) {
  let place = charts.get(name);
  if (!place) charts.set(name, place = newChart(name));
  const train = curves.get(name), val = curves.get('val_' + name);
  const last = curve => curve && curve.points.length ? score(curve.points[curve.points.length - 1][1], curve.share) : '';
  const now = [train && `training ${last(train)}`, val && `validation ${last(val)}`].filter(Boolean).join(', ');
  put(place.figure.querySelector('span'), now);
  const kinds = [train && ['raw', train.stride > 1 ? `training, mean of ${count(train.stride)} meta-steps` : 'training'],
                 train && ['', 'smoothed'], val && ['val', 'validation, 95 % interval']].filter(Boolean);
  if (place.key.children.length !== kinds.length || (train && place.stride !== train.stride)) {
    place.key.replaceChildren(...kinds.map(([cls, text]) => make('li', cls, text)));
    place.stride = train ? train.stride : 0;
  }
  place.canvas.setAttribute('aria-label', `${name.replaceAll('_', ' ')} over meta-steps; now ${now}`);
  const data = dataOf(name);
  if (!place.chart) {
    place.chart = new Chart(place.canvas, {type: 'line', data: {datasets: data}, options: optionsOf(name)});
    return;
  }
  place.chart.data.datasets.forEach((set, i) => Object.assign(set, data[i]));
  place.chart.update('none');
}

function recolour() {
  for (const [name, place] of charts) {
    if (!place.chart) continue;
    place.chart.options = optionsOf(name);
    place.chart.data.datasets = dataOf(name);
    place.chart.update('none');
  }
}

// ---- tables

function showScores(frame) {
  const list = new Map();
  const named = result => [result.name, result.axis && result.point ? `${result.axis.replaceAll('_', ' ')} ${result.point}` : ''];
  for (const [column, results] of [['test', frame.test], ['validation', frame.validation]])
    for (const result of results) {
      const [name, at] = named(result), key = name + '|' + at;
      if (!list.has(key)) list.set(key, {name: at ? `${name}, ${at}` : name});
      list.get(key)[column] = result;
    }
  $('scores').hidden = list.size === 0;
  rows($('score-rows'), [...list].map(([key, row]) => [key, [row.name, [interval(row.test), 'n'], [interval(row.validation), 'n']]]));
  put($('c-scores'), 'Mean over tasks, with the 95 % interval' + (frame.test_tasks > 0 ? `; test over ${count(frame.test_tasks)} tasks` : '') +
      (frame.validated > 0 ? `; validation after meta-step ${count(frame.validated)}` : ''));
  if (frame.validated > validated && validated > 0 && frame.validation.length)
    say(`Validation after meta-step ${count(frame.validated)}: ${frame.validation.map(r => r.name + ' ' + interval(r)).slice(0, 2).join(', ')}`);
  validated = frame.validated;
}

function showShares(frame) {
  const bar = $('bar');
  const hasty = known(frame.step_s) && frame.step_s < 0.005 && frame.shares.wait > 0.05;
  put($('c-time'), 'The threads’ time in the meta-steps of the last seconds' + (hasty ? '; in steps as short as these, much of the waiting is handing out' : ''));
  rows($('share-rows'), SHARES.map(([key, text]) => [key, [text, [known(frame.shares[key]) ? (100 * frame.shares[key]).toFixed(1) + ' %' : '–', 'n']]]));
  SHARES.forEach(([key], i) => {
    const part = bar.children[i] || bar.appendChild(make('span', 's' + i));
    part.style.flexBasis = (known(frame.shares[key]) ? 100 * frame.shares[key] : 0) + '%';
    const head = $('share-rows').children[i].firstChild;
    if (head.childElementCount === 0) head.prepend(make('span', 'swatch s' + i));
  });
}

function showPool(frame) {
  const some = value => value > 0 ? [count(value), 'n warn'] : ['0', 'n'];
  const list = all ? frame.pool : frame.pool.slice(0, MOST_ROWS);
  rows($('pool-rows'), list.map(w => [String(w.peer), [
    w.peer === 0 ? 'own threads of rank 0' : w.name, ago(w.here_s), [count(w.threads), 'n'], [short(w.tasks_per_s), 'n'], [count(w.tasks), 'n'],
    [count(w.leases), 'n'], some(w.expired), some(w.damaged),
    [w.doing + (w.paused_s > 0 ? `, ${time(w.paused_s)} to go` : '') + (w.silent_s > 3 ? `; not heard for ${Math.round(w.silent_s)} s` : ''),
     w.paused_s > 0 || w.silent_s > 3 ? 'warn' : '']]]));
  const remote = frame.pool.filter(w => w.peer !== 0).length;
  put($('c-pool'), frame.over ? 'The run is over, so nobody computes' :
      run.ranks > 1 ? `Who computes for rank 0; all ${count(run.ranks)} ranks have ${count(frame.workers)} remote workers and ${count(frame.threads)} threads`
                    : `Who computes: ${count(remote)} remote worker${remote === 1 ? '' : 's'}`);
  $('all').hidden = frame.pool.length <= MOST_ROWS;
  put($('all'), all ? `Show the first ${MOST_ROWS}` : `Show all ${frame.pool.length}`);
  const here = new Map(frame.pool.map(w => [w.peer, w.name]));
  if (knownWorkers && !frame.over) {
    const came = [...here].filter(([peer]) => !knownWorkers.has(peer)).map(([, name]) => name);
    if (came.length) say(`${came.slice(0, 3).join(', ')} joined`);
  }
  knownWorkers = here;
  $('gone').hidden = frame.gone.length === 0;
  rows($('gone-rows'), frame.gone.map((g, i) => [String(i), [g.name, [g.how, g.how === 'left' ? '' : g.how === 'rejected' ? 'bad' : 'warn'], ago(g.ago_s) + ' ago', g.why]]));
}

function showLines(frame) {
  if (frame.lines.length === 0) return;
  const box = $('lines'), atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  for (const [, text] of frame.lines) {
    const level = (/^\S+ (\w+)/.exec(text) || [])[1];
    box.append(make('span', level === 'warn' || level === 'error' ? level : '', text + '\n'));
  }
  while (box.childElementCount > MOST_LINES) box.firstChild.remove();
  if (atEnd) box.scrollTop = box.scrollHeight;
}

// ---- an adapted task: it is asked for only while somebody has it open

const LOOK_MS = 3000, MAKING_MS = 500;
let task = 0, taskTimer = 0, shownTask = '';

async function lookAtTask() {
  clearTimeout(taskTimer);
  if (!$('task').open || document.hidden) return;
  const index = task;
  let told = null;
  try {
    const answer = await fetch(`/task.json?index=${index}`);
    told = answer.ok ? await answer.json() : null;
  } catch { /* the run is over, or the network is away: what is there stays */ }
  if (index !== task) return;
  if (told) showTask(told);
  if (!over || told) taskTimer = setTimeout(lookAtTask, told && told.state === 'making' ? MAKING_MS : LOOK_MS);
}

function showTask(told) {
  const step = `of the checkpoint after meta-step ${count(told.step)}`;
  put($('task-state'), `task ${told.index}: ` + (
      told.state === 'waiting' ? `there is no checkpoint yet; one is written every ${count(told.checkpoint_every)} meta-steps` :
      told.state === 'ready' ? step : known(told.step) ? `${step}; a newer one is under way` : 'under way'));
  $('task-before').disabled = task === 0;
  const which = `${told.index} ${told.step}`;
  if (which === shownTask) return;
  shownTask = which;
  const picture = $('task-picture');
  picture.hidden = !told.picture;
  if (told.picture) {
    picture.src = `/task.png?index=${told.index}&step=${told.step}`;
    picture.alt = `Picture of ${told.text.split('\n')[0]}. The text below it tells the same in words and numbers.`;
  } else picture.removeAttribute('src');
  $('task-why').hidden = told.why === '';
  put($('task-why'), told.why);
  $('task-text').hidden = told.text === '';
  put($('task-text'), told.text);
}

function choose(step) {
  task = Math.max(0, task + step);
  put($('task-state'), `task ${task}`);
  lookAtTask();
}

// ---- frames

function show(frame) {
  if (frame.run) {
    run = frame.run;
    curves.clear();
    $('lines').textContent = '';
    put($('name'), title());
    $('part').hidden = run.parts <= 1;
    put($('part'), `run ${run.part} of ${run.parts}, one a seed`);
    knownWorkers = null;
    validated = 0;
    shownTask = ''; // of a run before this one
    put($('experiment'), run.experiment);
    put($('where'), `${run.folder}; process ${run.process} on ${run.host}, Mnemo ${run.version}, run ${run.id}`);
  }
  number = frame.number;
  over = frame.over;
  takeCurves(frame).forEach(name => changed.add(name));
  showPhase(frame);
  showLines(frame);
  if (!newest) requestAnimationFrame(draw);
  newest = frame;
}

// Only what can be seen is drawn, and only when it can be: a page in the background takes no time.
function draw() {
  const frame = newest;
  newest = null;
  showFigures(frame);
  for (const name of new Set([...curves.keys()].map(nameOf)))
    if (changed.has(name) && curvesOf(name) > 0 && (!charts.has(name) || charts.get(name).seen)) {
      changed.delete(name);
      showCurve(name);
    }
  showScores(frame);
  showShares(frame);
  showPool(frame);
  document.documentElement.dataset.frame = frame.number;
}

const watcher = new IntersectionObserver(entries => {
  for (const entry of entries) {
    const name = entry.target.dataset.name, place = charts.get(name);
    place.seen = entry.isIntersecting;
    if (place.seen && changed.delete(name)) showCurve(name);
  }
}, {rootMargin: '200px'});

const curvesOf = name => ['', 'val_'].reduce((n, prefix) => n + (curves.has(prefix + name) ? curves.get(prefix + name).points.length : 0), 0);

function listen() {
  events = new EventSource('/events');
  events.onmessage = message => {
    const frame = JSON.parse(message.data);
    if (frame.since !== 0 && frame.since !== number) { // something between is missing
      events.close();
      listen();
      return;
    }
    show(frame);
    if (frame.phase === 'ended' && !seedsFollow()) events.close(); // of another end it may go on here
  };
  events.onerror = () => {
    if (!over) {
      $('phase').dataset.phase = 'lost';
      put($('phase'), 'no word from the run: it was interrupted, or the network is');
      if (lastPhase !== 'lost') say('No word from the run.');
      lastPhase = 'lost';
    }
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
  };
}

$('log').addEventListener('click', () => {
  logarithmic = !logarithmic;
  $('log').setAttribute('aria-pressed', String(logarithmic));
  recolour();
});
$('task').addEventListener('toggle', lookAtTask);
document.addEventListener('visibilitychange', lookAtTask);
$('task-before').addEventListener('click', () => choose(-1));
$('task-next').addEventListener('click', () => choose(1));
$('all').addEventListener('click', () => { all = !all; });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
addEventListener('beforeprint', () => {
  document.documentElement.dataset.print = '';
  document.querySelectorAll('details').forEach(one => { one.open = true; });
  changed.forEach(showCurve);
  changed.clear();
  recolour();
});
addEventListener('afterprint', () => {
  delete document.documentElement.dataset.print;
  recolour();
});
listen();
