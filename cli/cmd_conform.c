/* kvpipe conform STAGE: drives a stage through the link's contract and says which rules it keeps.
 * Relies on the kit (conform.h); one table of rules for each end of a link.
 * Leaves the rules to conform_*.c. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/conform.h"
#include "common/log.h"
#include "common/mem.h"

#define RULES_MAX 64

struct options {
    const char *rules[RULES_MAX];
    unsigned nrules;
    bool list;
};

static const struct {
    const char *name;
    enum conform_stage stage;
} stages[] = {{"capture", CONFORM_CAPTURE},
              {"encoder", CONFORM_ENCODER},
              {"muxer", CONFORM_MUXER},
              {"uploader", CONFORM_UPLOADER}};

static const struct conform_rule *const tables[] = {conform_inlet_rules, conform_relay_rules,
                                                    conform_uploader_rules, conform_capture_rules};
#define TABLES (sizeof tables / sizeof *tables)

static bool wanted(const struct options *o, const struct conform_rule *r)
{
    for (unsigned i = 0; i < o->nrules; i++)
        if (strcmp(o->rules[i], r->name) == 0)
            return true;
    return !o->nrules;
}

static bool known(const struct options *o, enum conform_stage stage)
{
    for (unsigned i = 0; i < o->nrules; i++) {
        bool found = false;
        for (size_t t = 0; t < TABLES; t++)
            for (const struct conform_rule *r = tables[t]; r->name; r++)
                found = found || ((r->stages & stage) && strcmp(r->name, o->rules[i]) == 0);
        if (!found) {
            fprintf(stderr, "kvpipe: this stage has no rule '%s'; see --list\n", o->rules[i]);
            return false;
        }
    }
    return true;
}

static void say(const char *verdict, const struct conform_rule *r, const char *why)
{
    printf("%-4s %-14s %-14s %s%s%s\n", verdict, r->name, r->where, r->claim, *why ? ": " : "",
           why);
    fflush(stdout);
}

/* Judges one rule. A stage that failed is started anew, so that the next rule finds it in order. */
static bool judge(struct conform_kit *k, const struct conform_rule *r)
{
    bool up = conform_alive(k);
    conform_reset(k);
    if (k->exec && !up) {
        conform_kill(k, SIGKILL);
        if ((up = conform_start(k)))
            conform_reset(k);
    }
    bool kept = up && r->run(k);
    if (k->fault[0]) { /* the cause of whatever the rule missed */
        char text[sizeof k->why];
        snprintf(text, sizeof text, "%s%s%.200s", k->fault, kept ? "" : "; then ",
                 kept ? "" : k->why);
        kept = conform_fail(k, "%s", text);
    }
    say(kept ? "PASS" : "FAIL", r, kept ? "" : k->why);
    if (!kept && k->exec)
        conform_kill(k, SIGKILL);
    return kept;
}

static int run_rules(struct conform_kit *k, const struct options *o)
{
    unsigned passed = 0, failed = 0, skipped = 0;
    for (size_t t = 0; t < TABLES; t++)
        for (const struct conform_rule *r = tables[t]; r->name; r++) {
            if (!(r->stages & k->stage) || !wanted(o, r))
                continue;
            if (r->needs_exec && !k->exec) {
                say("SKIP", r, "only with --exec");
                skipped++;
            } else if (judge(k, r)) {
                passed++;
            } else {
                failed++;
            }
        }
    printf("%s: %u kept, %u broken, %u not tried\n", k->stage_name, passed, failed, skipped);
    if (failed && k->exec)
        printf("what the stage said: %s/stage.log\n", k->dir);
    return failed ? 1 : 0;
}

static int list(enum conform_stage stage)
{
    for (size_t t = 0; t < TABLES; t++)
        for (const struct conform_rule *r = tables[t]; r->name; r++)
            if (r->stages & stage)
                printf("%-14s %-14s %s\n", r->name, r->where, r->claim);
    return 0;
}

static int parse(int argc, char **argv, struct conform_kit *k, struct options *o)
{
    static const struct option longs[] = {{"exec", required_argument, NULL, 'e'},
                                          {"connect", required_argument, NULL, 'c'},
                                          {"listen", required_argument, NULL, 'l'},
                                          {"rule", required_argument, NULL, 'r'},
                                          {"list", no_argument, NULL, 'L'},
                                          {"slow", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    int c;
    optind = 0;
    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (c == 'e')
            k->exec = optarg;
        else if (c == 'c')
            k->below = xstrdup(optarg);
        else if (c == 'l')
            k->above = xstrdup(optarg);
        else if (c == 'r' && o->nrules < RULES_MAX)
            o->rules[o->nrules++] = optarg;
        else if (c == 'L')
            o->list = true;
        else if (c == 's')
            k->slow = atof(optarg);
        else
            return -1;
    }
    if (optind != argc - 1 || !(k->slow > 0 && k->slow <= 100))
        return -1;
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strcmp(argv[optind], stages[i].name) == 0) {
            k->stage = stages[i].stage;
            k->stage_name = stages[i].name;
        }
    return k->stage ? 0 : -1;
}

/* What a stage that runs already must tell of itself. */
static const char *missing(const struct conform_kit *k)
{
    if (k->exec)
        return NULL;
    if ((k->stage & CONFORM_OUTLET) && !k->below)
        return "--connect ADDRESS (where the stage listens), or --exec COMMAND";
    if ((k->stage & CONFORM_INLET) && !k->above)
        return "--listen ADDRESS (where the stage looks for the one above), or --exec COMMAND";
    return NULL;
}

static int run(int argc, char **argv)
{
    struct conform_kit k = {.slow = 1};
    struct options o = {0};
    if (parse(argc, argv, &k, &o) < 0)
        return command_usage(&cmd_conform);
    if (o.list)
        return list(k.stage);
    if (!known(&o, k.stage))
        return 2;
    if (missing(&k)) {
        fprintf(stderr, "kvpipe: expected %s\n", missing(&k));
        return 2;
    }
    log_set_level(LOG_NONE);
    signal(SIGPIPE, SIG_IGN);
    if (conform_prepare(&k) < 0) {
        perror("kvpipe: a folder for the stage under TMPDIR or /tmp");
        return 1;
    }
    int code = 1;
    if (!k.exec && !conform_start(&k))
        printf("%s\n", k.why);
    else
        code = run_rules(&k, &o);
    conform_clean(&k, code && k.exec);
    return code;
}

const struct command cmd_conform = {"conform", "STAGE --exec COMMAND",
                                    "judge a replacement stage by the contract", run};
