"""manual.py: the manual does what it says. Of every chapter the command lines are run, in order, by one bash in a folder of their own, and
what they print is compared with what the chapter says they do; what cannot be run is looked at.

  manual.py SOURCE SCRATCH [--write] [CHAPTER...]

A block ```console has commands behind `$ ` (a line that ends with \\ goes on) and below each what it prints, standard error included;
a block ```sh is run and must succeed. In what is printed, a line `...` stands for any lines, `...` within one for anything. Numbers of time and speed
may be any; all others have to be those of the chapter, for every machine computes the same bits.
What a reader has already and the test has not is made by a command in <!-- given: COMMAND -->, which must succeed ($MNEMO_SOURCE is the repository).
<!-- needs: COMMAND -->: where that fails, as for want of a package, the chapter is looked at as if it were not run, and this is said.
A block behind <!-- not run: WHY --> is not run: bash parses it, and programs, commands and options in it must be ones that there are.
In every chapter, and in the README, options, keys and commands that stand in `code` must exist, and so must files that are linked to.
--write puts what was printed into the chapters: new numbers where only numbers differ, else all of it, for an author to shorten.
"""
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

MARK = "\x01"
SECTIONS = "tasks|model|meta|outer|evaluate|run|pool"
UNITS = r"\s*(?:s|ms|us|min|MiB|kB|MB|GB|tasks/s|steps/s|GFLOP/s|/s)\b"
NUMBER = re.compile(r"[-+]?\d+\.\d+(?:e[-+]?\d+)?")


class Block:
    def __init__(self, kind, first, lines, why_not):
        self.kind, self.first, self.lines, self.why_not = kind, first, lines, why_not

    def commands(self):
        """[(line number, command, [expected lines])] of a console block."""
        found, goes_on = [], False
        for number, line in enumerate(self.lines, self.first):
            if line.startswith("$ "):
                found.append((number, [line[2:]], []))
            elif not found:
                raise SystemExit(f"line {number}: a console block begins with '$ '")
            elif goes_on:
                found[-1][1].append(line)
            else:
                found[-1][2].append(line)
                continue
            goes_on = line.endswith("\\")
        return [(number, "\n".join(command), expected) for number, command, expected in found]


def blocks_of(lines):
    blocks, kind, why_not, first = [], None, None, 0
    for number, line in enumerate(lines, 1):
        if kind is None and line.startswith("```"):
            kind, first = line[3:].strip(), number + 1
        elif kind is not None and line == "```":
            blocks.append(Block(kind, first, lines[first - 1:number - 1], why_not))
            kind = why_not = None
        elif kind is None and line.strip():
            given = re.fullmatch(r"<!-- given: (.+) -->", line)
            if given:
                blocks.append(Block("sh", number, [given.group(1)], None))
            found = re.fullmatch(r"<!-- not run: (.+) -->", line)
            why_not = found and found.group(1)
    return blocks


def pattern_of(line, strict=True):
    """A regular expression for what a line of the manual stands for."""
    out, place = "", 0
    for number in list(NUMBER.finditer(line)) + [None]:
        words = line[place:number.start() if number else len(line)]
        out += r"\s+".join(".*".join(map(re.escape, part.split("..."))) for part in re.split(r"\s+", words))
        if number:
            place = number.end()
            timed = re.match(UNITS, line[place:])
            out += re.escape(number.group()) if strict and not timed else r"[-+]?\d[\d.e+-]*"
    return out + r"\s*"


def agrees(expected, printed, strict=True):
    pattern = "".join(r"(?:[^\n]*\n)*?" if line.strip() == "..." else pattern_of(line, strict).replace(r"\s", "[ \\t]") + "\n" for line in expected)
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


def renumbered(expected, printed):
    """The expected lines with the numbers of those that were printed, where only numbers differ; else all that was printed."""
    if not agrees([line.rstrip() for line in expected], printed, False):
        return printed
    out, place = [], 0
    for line in expected:
        found = next((i for i in range(place, len(printed)) if re.fullmatch(pattern_of(line.rstrip(), False), printed[i])), None)
        if line.strip() != "..." and found is not None:
            news = NUMBER.findall(printed[found])
            if len(news) == len(NUMBER.findall(line)):
                line = NUMBER.sub(lambda _: news.pop(0), line)
            place = found + 1
        out.append(line)
    return out


def run(chapter, commands, scratch, source):
    """What each command printed and its exit code: {line number: (code, lines)}."""
    script = "".join(f"printf '\\n{MARK}begin {number}\\n'\n{command}\nprintf '\\n{MARK}end {number} %d\\n' $?\n" for number, command in commands)
    out = scratch / "printed"
    with open(out, "wb") as file:
        process = subprocess.Popen(["bash", "-c", script], cwd=scratch / "here", stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                                   env={**os.environ, "MNEMO_SOURCE": str(source)})
        try:
            process.wait(timeout=float(os.environ.get("MNEMO_TEST_PATIENCE", "1")) * 240)
        except subprocess.TimeoutExpired:
            print(f"{chapter}: not done within the deadline")
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    answers, number, lines = {}, None, []
    for line in out.read_text(errors="replace").split("\n"):
        word = line[1:].split() if line.startswith(MARK) else []
        if word[:1] == ["begin"]:
            number, lines = int(word[1]), []
        elif word[:1] == ["end"]:
            answers[number] = (int(word[2]), lines[:-1] if lines and lines[-1] == "" else lines)
            number = None
        elif number is not None:
            lines.append(line.rstrip())
    return answers


def says(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout


class Known:
    """What the programs say there is."""

    def __init__(self):
        self.worker = set(re.findall(r"--[a-z][a-z-]*", says("mnemo-worker", "--help")))
        self.commands = sorted(set(re.findall(r"^  mnemo ([a-z][a-z-]*)", says("mnemo", "--help"), re.M)))
        self.options = {name: {"--help"} | set(re.findall(r"--[a-z][a-z-]*", says("mnemo", name, "--help"))) for name in self.commands}
        self.keys = set(re.findall(rf"\b(?:{SECTIONS})\.[a-z_0-9]+", says("mnemo", "help", "options")))
        assert "train" in self.commands and "--set" in self.options["train"] and "tasks.shot" in self.keys

    def unlike(self, text):
        """What a command line names that there is not."""
        for program, words in re.findall(r"\b(mnemo|mnemo-worker)(?![\w.-])((?:(?!&&|\|\||;|\n)[^|>`]|\\\n)*)", text):
            command = next(iter(re.findall(r"^\s+([a-z][a-z-]*)\b(?![/.=])", words)), None)
            if program == "mnemo" and command is not None and command not in self.commands:
                yield f"there is no command mnemo {command}"
            allowed = self.worker if program == "mnemo-worker" else self.options.get(command, {"--help", "--version"})
            for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", words):
                if option not in allowed:
                    yield f"{program}{' ' + command if command and program == 'mnemo' else ''} has no option {option}"
        yield from self.keyless(text)

    def keyless(self, text):
        for key in re.findall(rf"(?<![\w./-])((?:{SECTIONS})\.[a-z_0-9]+)(?![\w./*-])", text):
            if key not in self.keys and not re.search(r"\.(yaml|md|html|json|c|h|py|sh|csv|zip|mnd|allow|secret)$", key):
                yield f"there is no key {key}"


def looked_at(path, lines, known, foreign):
    """Sentences about what a page names that is not there."""
    fenced = False
    everything = set().union(*known.options.values(), known.worker)
    for number, line in enumerate(lines, 1):
        if line.startswith("```"):
            fenced = not fenced
        if fenced or line.startswith("```"):
            continue
        for code in re.findall(r"`([^`]+)`", line):
            wrong = list(known.unlike(code))
            if code.startswith("--") and (option := re.match(r"--[a-z][a-z-]*", code).group()) not in everything | foreign:
                wrong.append(f"no program has the option {option}")
            yield from (f"{path}:{number}: {sentence}" for sentence in wrong)
        if path.parent.parent.name == "docs" and "_" in re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)|<!--.*-->", "", line):
            yield f"{path}:{number}: an underscore outside of `code` can turn what follows into italics"
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", line):
            if "://" not in link and not (path.parent / link).exists():
                yield f"{path}:{number}: the link to {link} leads nowhere"


def main():
    arguments = [a for a in sys.argv[1:] if a != "--write"]
    write = "--write" in sys.argv
    source, scratch = Path(arguments[0]).resolve(), Path(arguments[1]).resolve()
    manual = source / "docs/manual"
    index = (manual / "README.md").read_text()
    chapters = [name for name in dict.fromkeys(re.findall(r"\]\(([a-z-]+\.md)\)", index))]
    left_out = sorted(set(p.name for p in manual.glob("*.md")) - set(chapters) - {"README.md"})
    wrong = [f"docs/manual/README.md: no link to {name}" for name in left_out]
    known = Known()
    foreign = set(re.findall(r"--[a-z][a-z-]*", "".join((source / p).read_text() for p in
                                                         ["cluster/quickstart", "tests/run", "tests/fresh", "tests/bench/run", "tests/bench/start"])))
    foreign |= {"--prefix", "--mca", "--bind-to", "--map-by", "--hostfile", "--oversubscribe", "--mpi"}
    wanted = arguments[2:] or ["README.md"] + chapters
    for name in wanted:
        path = manual / name
        lines = path.read_text().split("\n")
        wrong += looked_at(path, lines, known, foreign)
        blocks = blocks_of(lines)
        for need in re.findall(r"^<!-- needs: (.+) -->$", path.read_text(), re.M):
            if subprocess.run(["bash", "-c", need], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                print(f"note: {name}: not run, for this fails here: {need}")
                for block in blocks:
                    block.why_not = block.why_not or "a need is not met"
        commands, expected = [], {}
        for block in blocks:
            text = "\n".join(block.lines)
            if block.kind not in ("console", "sh"):
                if not block.kind or re.search(r"^\$ |^mnemo(-worker)? ", text, re.M):
                    wrong.append(f"{path}:{block.first}: commands belong in blocks of console or sh, and others have a kind too")
                continue
            parts = block.commands() if block.kind == "console" else [(block.first, text, None)]
            if block.why_not:
                for number, command, _ in parts:
                    parsed = subprocess.run(["bash", "-n", "-c", command], stderr=subprocess.PIPE, text=True)
                    wrong += [f"{path}:{number}: {parsed.stderr.strip()}"] if parsed.returncode else []
                    wrong += [f"{path}:{number}: {sentence}" for sentence in known.unlike(command)]
                continue
            commands += [(number, command) for number, command, _ in parts]
            expected.update({number: lines for number, _, lines in parts})
        if not commands:
            print(f"ok: {name}: nothing to run")
            continue
        place = scratch / name[:-3]
        (place / "here").mkdir(parents=True)
        (place / "here/experiments").symlink_to(source / "experiments")
        answers = run(name, commands, place, source)
        n_before, news = len(wrong), []
        for number, command in commands:
            if number not in answers:
                wrong.append(f"{path}:{number}: not come to its end: {command}")
                break
            code, printed = answers[number]
            while printed and printed[0] == "":
                printed.pop(0)
            if code != 0:
                wrong.append(f"{path}:{number}: exit code {code}: {command}\n" + "\n".join(printed))
            elif expected[number] is not None and not agrees([e.rstrip() for e in expected[number]], printed):
                if write:
                    news.append((number + command.count("\n"), len(expected[number]), renumbered(expected[number], printed)))
                else:
                    wrong.append(f"{path}:{number}: {command}\nprinted\n" + "\n".join(printed) + "\ninstead of\n" + "\n".join(expected[number]))
        for begin, n, printed in reversed(news):  # from below, so that numbers of lines above stay what they are
            lines[begin:begin + n] = printed
        if news:
            path.write_text("\n".join(lines))
        if len(wrong) == n_before:
            print(f"ok: {name}: {len(commands)} command lines and blocks do what it says")
    for sentence in list(looked_at(source / "README.md", (source / "README.md").read_text().split("\n"), known, foreign)):
        wrong.append(sentence)
    for sentence in wrong:
        print("FAILED: " + sentence)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
