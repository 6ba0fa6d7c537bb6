#include "coordinator/commands/help.h"

#include "common/experiment.h"
#include <stdio.h>
#include <string.h>

static const struct entry {
    const char *name;
    const char *usage;   /* after the name, one form a line */
    const char *what;    /* what it does */
    const char *options; /* two columns; NULL: none */
} commands[] = {
    {"train", "EXPERIMENT.yaml [OPTION]...\n--run-dir DIR [OPTION]...",
     "Meta-train, alone or under mpirun or srun; in a run folder that exists, go on where it\n"
     "stopped. The last lines of the output are the test table and the fingerprint of theta.",
     "  --run-dir DIR       the run's folder (default: runs/NAME-TIME)\n"
     "  --theta CHECKPOINT  a new run begins with theta of a checkpoint, or of a run's newest,\n"
     "                      not with random numbers\n"
     "  --partial           with --theta: of another network; what fits by name and shape is\n"
     "                      taken, the rest is drawn\n"
     "  --until STEP        pause at this meta-step, as if a signal had come: exit code 75\n"
     "  --seeds N           train with so many seeds, from the file's on, one after the other, in\n"
     "                      DIR/seed-S; mean and deviation over seeds, the best by validation\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the file has; as often as you like\n"
     "  --check             only print the effective configuration\n"
     "  --quiet, --verbose  say less, or more\n"},
    {"sweep", "SWEEP.yaml [OPTION]...",
     "Train one experiment with many settings and seeds, several runs at a time, alone or under\n"
     "mpirun or srun; the last lines of the output are a table of all points, what each key\n"
     "does, and the best by validation. The file names a base experiment and what varies: lists\n"
     "(grid), ranges to draw from (random, quasi-random), seeds, a budget, halving. Each run is\n"
     "DIR/runs/NAME, as mnemo train makes it alone; workers join all of them at DIR/endpoint.\n"
     "Ctrl-C stops it with exit code 75, and the same command with --run-dir goes on. If runs\n"
     "fail, the others go on, and the exit code is that of the first that did.",
     "  --run-dir DIR       the sweep's folder (default: runs/NAME-TIME)\n"
     "  --slots N           runs at a time on each rank (default: its cores, and one more)\n"
     "  --set KEY=VALUE     of all runs\n"
     "  --check             only print what would be run\n"
     "  --json              print the table for programs\n"
     "  --quiet, --verbose  say less, or more\n"},
    {"status", "RUN|SWEEP|--url ADDRESS [--json]",
     "How a run stands: under way or not, by whom, how far, how fast, its newest scores. It is "
     "read\n"
     "from the run's folder; the run takes no notice. Or from its page, from wherever you are. Of "
     "a\n"
     "sweep: how many runs are over, which are under way or failed, and the best so far.",
     "  --url ADDRESS       the address of its page, as mnemo train prints it or as it stands in\n"
     "                      RUN/page (with the token, if it has one)\n"
     "  --json              print it for programs\n"},
    {"top", "RUN|SWEEP|--url ADDRESS",
     "The same once a second, until the run ends or is stopped, or you press Ctrl-C.",
     "  --url ADDRESS       the address of its page\n"},
    {"explain", "RUN|SWEEP [OPTION]...",
     "Why a worker is idle or was refused, why a step waited and for whom, which tasks were "
     "computed\n"
     "twice and what that cost. It is read from RUN/journal.jsonl, of a run that goes on or is "
     "over.",
     "  --worker NAME       all that the journal tells of one worker, by its name or a part of it\n"
     "  --step N            all that it tells of a meta-step\n"
     "  --json              print it for programs\n"},
    {"report", "RUN...|SWEEP [-o FILE]",
     "One or several runs as one page for a browser, which needs nothing else: scores with "
     "intervals,\n"
     "curves of all of them together, pictures, the experiments and what differs between them. Of "
     "a\n"
     "sweep: its table, its picture, and its best runs side by side.",
     "  -o FILE             the page (default: report.html in the first run's folder)\n"},
    {"evaluate", "RUN... [OPTION]...",
     "Test the newest theta of a run on test tasks: mean and 95 % interval. Several runs are\n"
     "compared on the same tasks, task by task, with the first of them.",
     "  --baseline          judge a random start too, adapted as long on the same tasks: what\n"
     "                      meta-training has gained\n"
     "  --ensemble N        judge the mean of the probabilities of the N newest checkpoints too;\n"
     "                      of several runs, of all N of them\n"
     "  --split SPLIT       tasks from the classes of train, val or test (default: test)\n"
     "  --write-episodes FILE\n"
     "                      list which items of which classes each task has, for other programs\n"
     "  --read-episodes FILE\n"
     "                      judge exactly the tasks of such a list, whoever made it\n"
     "  --png FILE          draw every point of each score, as after each inner step\n"
     "  --csv FILE          write them as comma-separated values\n"
     "  --scores FILE       write the scores of each task\n"
     "  --json              print it for programs\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the run has, as evaluate.tasks=2000; not of the\n"
     "                      network or of the outer loop\n"
     "  --quiet, --verbose  say less, or more\n"},
    {"task", "EXPERIMENT.yaml [OPTION]...\nRUN [OPTION]...",
     "Show one task, with what the network answers: at step 0, or of a run with the newest theta.",
     "  --split SPLIT       train, val or test (default: test)\n"
     "  --index N           which task (default: 0)\n"
     "  --png FILE          draw it\n"
     "  --dump FILE         its data, theta, adapted theta, losses and meta-gradient as "
     "safetensors\n"
     "  --theta CHECKPOINT  theta of a checkpoint instead of that of step 0\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the file has\n"},
    {"ask", "RUN --story FILE [OPTION]... [QUESTION]...\nRUN --interactive [OPTION]...",
     "Ask a run that learned from stories about a story of your own: the most probable answers, "
     "and\nhow much each hop of the network went by each sentence. Without a question, those in "
     "the "
     "file\nare asked. A run that learned from dialogues is talked to: --interactive.",
     "  --interactive       talk, a line at a time from standard input to its end: what you say to "
     "a "
     "bot,\n"
     "                      or sentences of a story and questions on lines that end in '?'; :help "
     "tells more\n"
     "  --story FILE        a sentence a line, and questions on lines that end in '?', with a tab "
     "and\n"
     "                      the answer behind it if you like; lines may be numbered as in bAbI;\n"
     "                      -: standard input\n"
     "  --png FILE          draw it\n"
     "  --json              print it for programs\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the run has, as run.data_path=FOLDER\n"},
    {"adapt", "RUN --support DIR|FILE [--query DIR|FILE] [-o OUT] [OPTION]...",
     "Adapt a run to a few examples of a task of your own, and say what it makes of new items. "
     "RUN\n"
     "is the folder of a run, or a checkpoint. Pictures are brought into the form of training.",
     "  --support DIR|FILE  the examples: a folder with a folder of PNG or JPEG pictures for each\n"
     "                      class, as many as you have of each; for a run of curves, a CSV file "
     "of\n"
     "                      x,y; for a run of a table's rows, a table with the same columns\n"
     "                      (CSV, TSV, .npz, or \"x.npy,y.npy\" side by side), labels may be any;\n"
     "                      for a run of made-up tables, any table with a column of classes;\n"
     "                      for a run that adapts to answered questions, a story with such\n"
     "  --class-column C    of a run of made-up tables: which column of the examples tells the\n"
     "                      class, by name or number from 1 (default: the last)\n"
     "  --query DIR|FILE    what to judge: pictures, or a folder of them for each class, to "
     "compare\n"
     "                      with; a CSV file of x, or x,y; a table; a story with questions\n"
     "  -o OUT              a folder: OUT/adapted.safetensors for mnemo predict, predictions.csv,\n"
     "                      predictions.json\n"
     "  --steps N           inner steps (default: as in training)\n"
     "  --holdout HOW       choose their number, up to N, or twice as many as in training:\n"
     "                      leave-one-out of the examples, or a share of each class, as 0.25\n"
     "  --ink, --no-ink     dark is ink, or is not; as for mnemo data import folder (default: as\n"
     "                      the run's own data are, if they are glyphs or Omniglot; else not)\n"
     "  --json              print it for programs\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the run has, as meta.inner_lr=0.05\n"},
    {"predict", "ADAPTED --query DIR|FILE [-o OUT] [OPTION]...",
     "What an adapted model says of new items. ADAPTED is the folder that mnemo adapt -o made, or\n"
     "the adapted.safetensors in it; the run is not needed any more.",
     "  --query DIR|FILE    what to judge, as for mnemo adapt\n"
     "  -o OUT              a folder for predictions.csv and predictions.json\n"
     "  --ink, --no-ink     dark is ink, or is not (default: as when it was adapted)\n"
     "  --json              print it for programs\n"},
    {"verify", "RUN [OPTION]...",
     "Compute a run again, or a slice of it, on this machine, and compare theta after every "
     "meta-step\n"
     "with what RUN/metrics.jsonl tells of it, and with the checkpoints on the way: the same "
     "experiment\n"
     "gives the same bits. It begins from the newest checkpoint before the slice, else from "
     "theta_0.\n"
     "Exit code 65: it differs, and where first.",
     "  --steps A-B         meta-steps that are compared (default: all that have been made)\n"
     "  --threads N         of this machine (default: its processors)\n"
     "  --quiet, --verbose  fewer, more words\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the run has, as run.data_path=FOLDER\n"},
    {"export", "RUN [OPTION]...",
     "Write what a run has learned for other programs: one safetensors file of theta by PyTorch's\n"
     "names and layouts, with the experiment, the step and the fingerprint as metadata. Without\n"
     "--checkpoint it is the theta that is tested: the best on validation if there is one and\n"
     "evaluate.keep_best is set, else the last.",
     "  -o FILE             the file (default: RUN/model.safetensors)\n"
     "  --checkpoint WHICH  last, best, or a file of RUN/checkpoints\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the run has, as run.data_path=FOLDER\n"},
    {"data",
     "import omniglot ZIP... -o FILE [OPTION]...\n"
     "import omniglot-runs ZIP -o FILE [--size PIXELS]\n"
     "import folder DIR|ZIP|TAR -o FILE [OPTION]...\n"
     "import idx IMAGES LABELS... -o FILE [OPTION]...\n"
     "import arrays X.npy Y.npy... | FILE.npz | FILE.safetensors -o FILE [OPTION]...\n"
     "import cifar FILE.bin... -o FILE [OPTION]...\n"
     "show FILE [--all]",
     "Pack images into one file that task sets read, or tell what is in one. A folder (also as "
     "zip\n"
     "or tar) holds PNG and JPEG files as class/PICTURE or group/class/PICTURE; folders train, "
     "val\n"
     "and test at its top are splits. idx reads MNIST's files, arrays reads [n, h, w], [n, h, w, "
     "c]\n"
     "or [n, c, h, w] with labels [n], cifar reads its binary records; all may be compressed.",
     "  -o FILE             the packed file, as data/mine.mnd\n"
     "  --size PIXELS       of the packed images, a side (default: 28; of arrays: theirs)\n"
     "  --splits LISTS      a folder with train.txt, val.txt or test.txt, or such files with "
     "commas\n"
     "                      between: names of classes, one a line\n"
     "omniglot only:\n"
     "  --val-alphabets N   so many of the background alphabets are for validation; the "
     "evaluation\n"
     "                      archive may be left out (omniglot-runs: all_runs.zip, for tasks.runs)\n"
     "folder, idx, arrays, cifar:\n"
     "  --dry-run           tell what is found, with what looks odd, and write nothing\n"
     "  --shares A,B,C      shares of the classes for train, val and test (default: "
     "0.64,0.16,0.2)\n"
     "  --seed N            which classes go where (default: 1)\n"
     "  --min-images N      leave out classes with fewer pictures\n"
     "  --colour            red, green and blue instead of grey; --grey: the reverse, of arrays\n"
     "  --ink               dark is ink: for drawings on light paper\n"
     "  --rotations         quarter turns are classes of their own: for characters\n"
     "  --skip-damaged      leave out and name what cannot be read, instead of stopping\n"
     "  --class-names FILE  not folder: a name a line for label 0, 1, ... (FILE,FILE: groups "
     "too),\n"
     "                      or a table with tabs and columns id, name, group\n"
     "  --transposed        idx, arrays: rows are columns and columns rows, as in EMNIST's files\n"
     "  --arrays X,Y        arrays only: images and labels by name; more pairs may follow\n"
     "show:\n"
     "  --all               all classes, not only the first\n"},
    {"keys", "new [-o FOLDER]\nworker NAME [-o FOLDER]",
     "Make a folder of keys (default: keys) for pool.keys, with one worker's; or one worker's\n"
     "more. Workers whose public key stands in FOLDER/workers.allow may join, and give\n"
     "mnemo-worker --secret NAME.secret. The file is read again when it changes; to take a key\n"
     "away, delete its line: it keeps the worker from coming in again.",
     "  -o FOLDER           where the keys are (default: keys)\n"},
    {"bench", "EXPERIMENT.yaml [OPTION]...",
     "Speed of whole meta-steps on this machine, without network or files, beside what its cores\n"
     "give at most, one alone and N at once.",
     "  --threads N         threads that compute (default: all cores)\n"
     "  --seconds S         how long to measure\n"
     "  --json              print numbers for programs\n"
     "  --profile           where a task's time goes, by kind of operation and by single "
     "operation\n"
     "  --plugin FILE       load a plug-in that the experiment needs; see mnemo help plugin\n"
     "  --set KEY=VALUE     another value than the file has\n"},
    {"self-test", "",
     "Compute training tasks of several families of learners by every set of kernels that this\n"
     "machine has, and again, and compare: with the reference kernels to within rounding, with "
     "the\n"
     "second time bit by bit. Needs no data and writes no file.",
     NULL},
    {"plugin", "check FILE",
     "Try a plug-in (mnemo/plugin.h) twice in processes of its own: the same tasks again, on "
     "other\n"
     "threads, at other addresses, and results of its parts and rules, bit by bit; gradients "
     "beside\n"
     "central differences; each option at its ends; tasks of one item, one class, one number. To "
     "use\n"
     "it: --plugin FILE, which every command and mnemo-worker take, as often as you like, or\n"
     "MNEMO_PLUGINS, files with ':' between. Then `MNEMO_PLUGINS=FILE mnemo help tasks.kind=KIND` "
     "tells\n"
     "its options.",
     NULL},
    {"complete", "bash|zsh|fish",
     "Print what makes a shell complete mnemo's commands, options and keys; in ~/.bashrc:\n"
     "  eval \"$(mnemo complete bash)\"",
     NULL},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_usage(const struct entry *entry, const char *before);
static void print_command(const struct entry *entry);
static void print_overview(void);
static void print_topics(void);
static void print_codes(void);
static void print_options(void);
static void print_all(void);
static const struct entry *find_command(const char *name);

const char *mn_help_command(size_t i, const char **options)
{
    if (i >= N_COMMANDS)
        return NULL;
    if (options != NULL)
        *options = commands[i].options;
    return commands[i].name;
}

mn_status mn_help_unknown(const char *name, mn_error *err)
{
    char names[400] = "";
    for (size_t i = 0, n = 0; i < N_COMMANDS && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s, ", commands[i].name);
    return mn_fail(err, MN_ERR_USAGE,
                   "%s%s%s: expected %shelp TOPIC, --help or --version; see mnemo --help",
                   name[0] == '\0' ? "no command" : "\"", name, name[0] == '\0' ? "" : "\"", names);
}

mn_status mn_help(const char *topic, mn_error *err)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } topics[] = {{"", print_overview},
                  {"topics", print_topics},
                  {"codes", print_codes},
                  {"options", print_options},
                  {"all", print_all}};
    for (size_t i = 0; i < sizeof topics / sizeof *topics; i++)
        if (strcmp(topic, topics[i].name) == 0) {
            topics[i].print();
            return MN_OK;
        }
    const struct entry *entry = find_command(topic);
    if (entry != NULL)
        print_command(entry);
    if (entry != NULL && strcmp(topic, "evaluate") != 0) /* which is a section too */
        return MN_OK;
    if (entry != NULL)
        (void)fputs("\nkeys of the section:\n", stdout);
    mn_error why = {0};
    return mn_experiment_help_on(topic, stdout, &why) == MN_OK
               ? MN_OK
               : mn_fail(err, MN_ERR_USAGE, "no help on that: %s; `mnemo help` lists the topics",
                         why.message);
}

bool mn_help_is_asked(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static const struct entry *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static void print_usage(const struct entry *entry, const char *before)
{
    const char *form = entry->usage;
    do {
        int n = (int)strcspn(form, "\n");
        (void)printf("%smnemo %s%s%.*s\n", before, entry->name, n > 0 ? " " : "", n, form);
        form += n;
        form += *form == '\n';
    } while (*form != '\0');
}

static void print_command(const struct entry *entry)
{
    print_usage(entry, "usage: ");
    (void)printf("\n%s\n", entry->what);
    if (entry->options != NULL)
        (void)printf("\noptions:\n%s", entry->options);
}

static void print_overview(void)
{
    (void)printf("mnemo %s: meta-training of memory networks on as many machines as there are\n\n"
                 "usage:\n",
                 MN_VERSION);
    for (size_t i = 0; i < N_COMMANDS; i++)
        print_usage(&commands[i], "  ");
    (void)fputs(
        "  mnemo help [TOPIC]\n"
        "  mnemo --help, mnemo --version\n\n"
        "mnemo COMMAND --help tells the options of a command, mnemo help KEY the meaning of a\n"
        "key of experiment files, as tasks.shot, mnemo help options all of them.\n"
        "Workers join a run with: mnemo-worker RUN/endpoint\n"
        "environment: MNEMO_DATA: folders of data files; MNEMO_CACHE: where packed files are\n"
        "  made; MNEMO_KERNELS: which kernels to use; MNEMO_PLUGINS: plug-ins, ':' between.\n",
        stdout);
}

static void print_topics(void)
{
    static const char before[] = "  a command   ";
    const size_t indent = sizeof before - 1;
    size_t column = indent;
    (void)printf("mnemo help TOPIC, where TOPIC is\n%s", before);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const size_t n = strlen(commands[i].name) + strlen(", ");
        const bool breaks = column + n > 80;
        if (i > 0)
            (void)fputs(breaks ? ",\n" : ", ", stdout);
        (void)printf("%*s%s", breaks ? (int)indent : 0, "", commands[i].name);
        column = (breaks ? indent : column) + n;
    }
    (void)fputs(
        "\n"
        "  a section   of experiment files: tasks, model, meta, outer, evaluate, pool, run\n"
        "  a key       of experiment files, as tasks.shot\n"
        "  a choice    of one, as tasks.kind=images: the keys that belong to it\n"
        "  options     all keys\n"
        "  codes       exit codes and signals\n"
        "  all         everything, as in the man page\n",
        stdout);
}

static void print_codes(void)
{
    static const struct {
        mn_status status;
        const char *example;
    } codes[] = {
        {MN_ERR_USAGE, "an unknown option, a missing argument"},
        {MN_ERR_DATA, "a truncated archive, no whole checkpoint"},
        {MN_ERR_NO_INPUT, "no such experiment, run or data"},
        {MN_ERR_UNAVAILABLE, "a port in use, a run that another job writes"},
        {MN_ERR_INTERNAL,
         "also ranks that do not agree, or a loss that is not finite with outer.nonfinite=abort"},
        {MN_ERR_NOMEM, ""},
        {MN_ERR_IO, "a full disk"},
        {MN_STOPPED, "by a signal; for a scheduler to queue the job again"},
        {MN_ERR_PROTOCOL, ""},
        {MN_ERR_PERMISSION, "a folder that must not be written"},
        {MN_ERR_CONFIG, "an unknown key, a value out of range, another numeric class"},
        {MN_ERR_NUMERIC,
         "all tasks of outer.max_skipped_steps meta-steps in a row, or of the test, were skipped;\n"
         "      or one was, with outer.nonfinite=abort"},
    };
    (void)fputs(
        "signals: TERM, INT, USR2: write a checkpoint and leave with exit code 75; USR1: write\n"
        "  a checkpoint and go on.\n\n"
        "exit codes:\n"
        "   0  done\n",
        stdout);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        (void)printf("  %2d  %s%s%s\n", mn_status_exit_code(codes[i].status),
                     mn_status_text(codes[i].status), codes[i].example[0] != '\0' ? ": " : "",
                     codes[i].example);
}

static void print_options(void)
{
    (void)fputs("keys of an experiment file, for --set too:\n", stdout);
    mn_experiment_help(stdout);
}

static void print_all(void)
{
    print_overview();
    for (size_t i = 0; i < N_COMMANDS; i++) {
        (void)fputs("\n", stdout);
        print_command(&commands[i]);
    }
    (void)fputs("\n", stdout);
    print_codes();
    (void)fputs("\n", stdout);
    print_options();
}
