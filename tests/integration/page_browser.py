"""The live page in headless Chromium, for page_browser.sh: whole RUN WORKER-PROGRAM PROCESS-OF-THE-RUN [PICTURE], end RUN, again RUN, large RUN, or seeds RUN."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(__file__))
from browser import Browser # noqa: E402

command, run, *rest = sys.argv[1:]
patience = int(os.environ.get("MNEMO_TEST_PATIENCE", "1"))


def ok(text):
    print("ok:", text, flush=True)


with open(f"{run}/page") as file:
    url = file.read().strip()


def whole(browser, worker_program, process, *picture):
    browser.go(url)
    browser.wait("the first frame", "return Number(document.documentElement.dataset.frame) > 0")
    browser.wait("a curve", "return document.querySelectorAll('#curves figure canvas').length > 0")
    assert browser.text("#name") == "sinusoid" and browser.text("#phase").startswith(("training", "validating"))
    ok("it loads: name, phase, curves")

    script = "return Chart.getChart(document.querySelector('#curves canvas')).data.datasets[2].data.map(p => p.x)"
    before = browser.run(script)
    browser.wait("the curve moves", f"const x = (() => {{ {script} }})(); return x[x.length - 1] > {before[-1]}")
    shown = browser.run("return document.querySelector('#curves figcaption span').textContent")
    browser.wait("its number moves", f"return document.querySelector('#curves figcaption span').textContent !== {shown!r}")
    browser.wait("a validation with its interval", """
        const sets = Chart.getChart(document.querySelector('#curves canvas')).data.datasets;
        return sets[4].data.length > 0 && sets[1].data.some((p, i) => p.y > sets[0].data[i].y)""")
    ok("curves move, and validations have their interval")

    worker = subprocess.Popen([worker_program, f"{run}/endpoint", "--threads", "1"], stderr=subprocess.DEVNULL)
    name = f":{worker.pid}"
    row = f"[...document.querySelectorAll('#pool-rows tr')].find(r => r.firstChild.textContent.endsWith('{name}'))"
    browser.wait("the worker's row", f"return {row} !== undefined")
    ok(f"a worker that joins is on the page, {browser.took:.2f} s after its process was started")
    browser.wait("what it has done", f"return {row} !== undefined && Number({row}.children[4].textContent.replaceAll(',', '')) > 0")
    browser.wait("the news for those who hear the page", "return document.querySelector('#news').textContent !== ''")
    worker.kill()
    worker.wait()
    browser.wait("it has gone", f"""return {row} === undefined &&
        [...document.querySelectorAll('#gone-rows tr')].some(r => r.textContent.includes('{name}') && r.textContent.includes('lost'))""")
    ok("and one that is killed is among those who went")

    assert browser.run("return document.querySelector('#task-text').textContent") == "" # nobody has asked
    browser.run("document.querySelector('#task').open = true")
    browser.wait("a task of the newest checkpoint", "return document.querySelector('#task-picture').naturalWidth > 100", 60)
    assert "val task 0 of" in browser.run("return document.querySelector('#task-picture').alt"), "alt"
    assert "inner steps" in browser.text("#task-text") and browser.text("#task-state").startswith("task 0: of the checkpoint after meta-step")
    first = browser.text("#task-text")
    browser.run("document.querySelector('#task-next').click()")
    browser.wait("the next task", "return document.querySelector('#task-picture').alt.includes('val task 1 of')", 60)
    assert browser.text("#task-text") != first
    ok("a task before and after adaptation, as a picture and in words; and the next one")

    # For keyboards and screen readers
    lacks = browser.run("""
        const lacks = [];
        for (const one of ['header', 'main', 'footer', 'h1']) if (document.querySelectorAll(one).length !== 1) lacks.push(one);
        for (const table of document.querySelectorAll('table')) if (!table.caption || table.caption.textContent === '') lacks.push('caption');
        for (const one of document.querySelectorAll('thead th')) if (one.scope !== 'col') lacks.push('scope');
        for (const one of document.querySelectorAll('canvas')) if (one.getAttribute('role') !== 'img' || !one.getAttribute('aria-label')) lacks.push('canvas');
        for (const one of document.querySelectorAll('img:not([hidden])')) if (!one.alt) lacks.push('alt');
        for (const one of document.querySelectorAll('section')) if (!document.getElementById(one.getAttribute('aria-labelledby'))) lacks.push('section');
        if (document.querySelector('#news').getAttribute('aria-live') !== 'polite') lacks.push('live');
        if (document.documentElement.lang !== 'en') lacks.push('lang');
        return lacks""")
    assert lacks == [], lacks
    browser.run("document.body.focus()")
    reached = []
    for _ in range(12):
        browser.press("\ue004")
        reached.append(browser.run("const e = document.activeElement; return e.id || e.className || e.tagName"))
    assert reached[0] == "skip" and "log" in reached and "lines" in reached, reached
    browser.run("document.getElementById('log').focus()")
    browser.press("\ue007")
    assert browser.run("return document.getElementById('log').getAttribute('aria-pressed') + "
                       "Chart.getChart(document.querySelector('#curves canvas')).options.scales.y.type") == "truelogarithmic"
    ok("landmarks, captions, labels; every part is reached by the tabulator")

    # Contrast of text on its ground, light and dark (WCAG AA: 4.5)
    contrast = """
        const parse = c => c.match(/[\\d.]+/g).map(Number), linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
        const light = c => { const [r, g, b] = parse(c).map(linear); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (parse(c)[3] !== 0) return c; } return 'rgb(255,255,255)'; };
        const low = [];
        for (const e of document.querySelectorAll('h1, h2, p, dt, dd, th, td, caption, a, button, summary, figcaption span, .key li, .lines span')) {
          if (e.textContent.trim() === '' || e.closest('[hidden]')) continue;
          const a = light(getComputedStyle(e).color), b = light(ground(e)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
          if (ratio < 4.5) low.push([e.tagName, e.className, e.textContent.slice(0, 30), ratio]);
        }
        return [getComputedStyle(document.documentElement).backgroundColor, low]"""
    grounds = []
    for scheme in ("light", "dark"):
        browser.emulate(prefers_color_scheme=scheme)
        ground, low = browser.run(contrast)
        assert low == [], (scheme, low)
        grounds.append(ground)
    assert grounds[0] != grounds[1], grounds
    browser.wait("the curves take the scheme's colours", """
        const painted = Chart.getChart(document.querySelector('#curves canvas')).data.datasets[4].borderColor;
        return painted === getComputedStyle(document.documentElement).getPropertyValue('--val').trim()""")
    wide = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, wide
    ok("light and dark, all text with enough contrast; nothing wider than the window")
    if picture:
        browser.screenshot(picture[0])

    entries = browser.console() # before it looks in vain for the run to go on
    assert entries == [], entries
    ok("no error in the console")
    os.kill(int(process), signal.SIGTERM)
    browser.wait("the end", "return document.querySelector('#phase').textContent === 'interrupted'")
    assert "stopped by SIGTERM" in browser.text("#why") and "mnemo train --run-dir" in browser.text("#why")
    assert "interrupted" in browser.run("return document.title + document.querySelector('#news').textContent")
    ok("a run that is stopped says so, and how it goes on")


def end(browser):
    browser.go(url)
    browser.wait("the first frame", "return Number(document.documentElement.dataset.frame) > 0")
    print("looking", flush=True) # now somebody may compute
    browser.wait("the end", "return document.querySelector('#phase').textContent === 'ended'", 120)
    assert "loss" in browser.text("#score-rows") and "±" in browser.text("#score-rows")
    assert "5,000 of 5,000" in browser.text("#progress-text"), browser.text("#progress-text")
    assert "ended" in browser.run("return document.title")
    assert browser.console() == []
    ok("a run that ends says so, with its test")


def again(browser):
    """A run that is killed, goes on at the same port, is stopped and goes on: the page finds it again by itself."""
    browser.go(url)
    browser.wait("the first frame", "return Number(document.documentElement.dataset.frame) > 0")
    print("looking", flush=True)
    browser.wait("that it is lost", "return document.querySelector('#phase').dataset.phase === 'lost'")
    assert "no word" in browser.text("#phase")
    ok("a run that was killed: no word from it")
    print("lost", flush=True)
    browser.wait("the run again", "return document.querySelector('#phase').dataset.phase === 'training' && run.begun_at > 0", 60)
    browser.wait("what was before and what is new", """
        const chart = Chart.getChart(document.querySelector('#curves canvas'));
        const x = chart.data.datasets[2].data.map(point => point.x);
        return x.length > 0 && x[0] < run.begun_at && x[x.length - 1] > run.begun_at""")
    ok("it goes on, and so does the page, with the curves from the beginning")
    print("on", flush=True)
    browser.wait("that it is stopped", "return document.querySelector('#phase').dataset.phase === 'interrupted'", 60)
    print("stopped", flush=True)
    browser.wait("the run once more", "return document.querySelector('#phase').dataset.phase === 'training'", 60)
    ok("a run that was stopped and goes on is found again too")


def large(browser):
    """Frames as those of a long run of many workers, shown one after the other: each takes little of the time between two of them."""
    browser.go(url)
    browser.wait("the first frame", "return Number(document.documentElement.dataset.frame) > 0")
    took = browser.run("""return (async () => {
        events.close();
        const frame = await (await fetch('/state.json')).json(), keys = ['loss', 'accuracy', 'support_loss', 'val_loss', 'val_accuracy', 'val_accuracy_a'];
        const worker = i => ({peer: i, name: `host${i % 50}:${i}`, doing: 'computing', threads: 8, leases: 2, expired: 0, damaged: 0, tasks: 1e6 + i,
                              tasks_per_s: 1000 + i, here_s: 86400, silent_s: 0.1, paused_s: 0});
        const times = [];
        for (let n = 1; n <= 20; n++) {
          frame.number += 1;
          frame.since = n === 1 ? 0 : frame.number - 1;
          frame.step = 1e6 + n;
          frame.pool = Array.from({length: 1000}, (_, i) => worker(i)).map(w => ({...w, tasks: w.tasks + n, tasks_per_s: w.tasks_per_s + n}));
          frame.curves = keys.map(key => ({key, unit: '', share: key.includes('accuracy'), higher: false, stride: 1024, from: n === 1 ? 0 : 1000,
              points: Array.from({length: n === 1 ? 1001 : 1}, (_, i) => [1024 * (n === 1 ? i : 1000) + n, Math.random(), 0.1].slice(0, key.startsWith('val') ? 3 : 2))}));
          if (n > 1) delete frame.run;
          const copy = structuredClone(frame), begun = performance.now();
          show(copy);
          draw();
          times.push(performance.now() - begun);
          newest = copy; // for the drawing that show() has asked for
          await new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)));
        }
        return times; })()""")
    rows = browser.run("return document.querySelectorAll('#pool-rows tr').length")
    assert rows == 100, rows
    assert browser.run("return Chart.getChart(document.querySelector('#curves canvas')).data.datasets[2].data.length") == 1001
    quarter = sorted(took[1:])[len(took) // 4] # how fast it can be: other programs take their time too, and painting here has no GPU
    assert quarter < 100 * patience, took
    assert browser.console() == []
    ok(f"a frame of a million meta-steps and a thousand workers takes the page {quarter:.0f} ms (the first {took[0]:.0f} ms)")


def seeds(browser):
    """The runs of two seeds behind one address: the page goes on with the second."""
    browser.go(url)
    browser.wait("the first frame", "return Number(document.documentElement.dataset.frame) > 0")
    assert browser.text("#name") == "sinusoid, seed 11" and browser.text("#part") == "run 1 of 2, one a seed"
    print("looking", flush=True)
    browser.wait("the next seed", "return document.querySelector('#name').textContent === 'sinusoid, seed 12'", 120)
    browser.wait("it has done nothing yet", "return document.querySelector('#progress-text').textContent.startsWith('meta-step 0 of')")
    print("next", flush=True)
    assert browser.text("#part") == "run 2 of 2, one a seed"
    browser.wait("the end of the last", "return document.querySelector('#phase').textContent === 'ended'", 120)
    assert "seed 12" in browser.run("return document.title") and "3,000 of 3,000" in browser.text("#progress-text")
    assert browser.run("return Chart.getChart(document.querySelector('#curves canvas')).data.datasets[2].data[0].x") < 100
    assert browser.console() == []
    ok("the page goes on with the next seed, tells which, and says when the last has ended")


with Browser(patience) as one:
    globals()[command](one, *rest)
