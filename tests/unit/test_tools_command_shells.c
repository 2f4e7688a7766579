// What is judged to be plain is run by the shells that there are, with an `rm` that only says that
// it ran: none of them may find a command that the judge has not seen.
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "tools/command_rules.h"

#ifndef MIXTURES
#define MIXTURES 4000
#endif
#ifndef SEED
#define SEED 1
#endif

enum {
    SHELL_SECONDS = 5, // then the kernel ends it
    PIECES_MAX = 9,
};

static char place[] = "/tmp/hermes-shells-XXXXXX"; // with bin/, and work/ in which lines run

static char *in_place(const char *name)
{
    return mem_printf("%s/%s", place, name);
}

static int make_place(void **state)
{
    if (!mkdtemp(place) || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -1;
    CLEANUP(mem_cleanup)
    char *bin = in_place("bin"), *work = in_place("work"), *rm = in_place("bin/rm");
    mkdir(bin, 0700);
    mkdir(work, 0700);
    FILE *file = fopen(rm, "w");
    if (!file)
        return -1;
    fprintf(file, "#!/bin/sh\n: > %s/ran\n", place);
    fclose(file);
    return chmod(rm, 0700);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *at)
{
    return remove(path);
}

static int remove_place(void **state)
{
    return nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void become_shell(const char *shell, const char *line)
{
    CLEANUP(mem_cleanup)
    char *path = mem_printf("PATH=%s/bin:/usr/bin:/bin", place),
         *home = mem_printf("HOME=%s/work", place);
    char *environment[] = {path, home, NULL};
    bool bash = strcmp(shell, "/bin/bash") == 0;
    const char *const dash_argv[] = {shell, "-c", line, NULL};
    const char *const bash_argv[] = {shell, "--posix", "-c", line, NULL};
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    setrlimit(RLIMIT_CPU, &(struct rlimit){SHELL_SECONDS, SHELL_SECONDS});
    alarm(SHELL_SECONDS);
    if (chdir(home + strlen("HOME=")) == 0)
        execve(shell, (char *const *)(bash ? bash_argv : dash_argv), environment);
    _exit(127);
}

static bool runs_rm(const char *shell, const char *line)
{
    CLEANUP(mem_cleanup) char *ran = in_place("ran");
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        become_shell(shell, line);
    while (waitpid(-1, &status, 0) > 0) // and for what the shell left in the background
        ;
    return unlink(ran) == 0;
}

static const char *const shells[] = {"/bin/dash", "/bin/bash"};

// The judge asks, whatever it is that shells disagree about. Most run `rm` in one shell at least.
static const char *const hidden[] = {
    "rm } -rf ~",
    "rm { -rf ~",
    "time -p rm -rf ~",
    "2>/dev/null rm -rf ~",
    "22>/dev/null rm -rf ~",
    "echo a${IFS}#b; rm -rf ~",
    "echo ${IFS}#;rm -rf ~",
    "IFS=; r${IFS}m -rf ~",
    "echo x \r#; rm -rf ~",
    "ls &>x rm -rf ~",
    "echo $'\\'; rm -rf ~ #'",
    "echo $\"a\"; echo $\"'\"",
    "cat <<${X}\n${X}\nrm -rf ~\n$X",
    "cat <<$'EOF'\n$EOF\nrm -rf ~\nEOF\n",
    "cat <<$\"EOF\"\n$EOF\nrm -rf ~\nEOF\n",
    "cat <<a$(b)\na$(b)\nrm -rf ~\na\n",
    "cat <<EOF\na\\\nEOF\n'\nEOF\nrm -rf ~\n#'",
    "cat <<EOF\nE\\\nOF\nrm -rf ~\nEOF\n",
    "cat <\\\n<EOF\n'\nEOF\nrm -rf ~\n#'",
    "echo \"$\\\n(rm -rf ~)\"",
    "echo \"`echo \\\"'\\\"; rm -rf ~; echo \\\"'\\\"`\"",
    "echo \"${x:-'}\"; rm -rf ~; echo \"'}\"",
    "echo ${x:-{}; rm -rf ~; echo }",
    "echo ${x:-<(rm -rf ~)}",
    "echo ${ rm -rf ~; }",
    "x='$(rm -rf ~)'; echo ${x@P}",
    "echo $(A=1 esac; case x in x) rm -rf ~;; esac)",
    "echo $(>x esac; case x in x) rm -rf ~;; esac)",
    "echo \"$(case x in esac)\"; rm -rf ~; echo \"x)\"",
    "echo \"$(case x in\ncase) ls;; esac)\"; rm -rf ~; echo \"x)\"",
    "echo \"$(case x in (case) ls;; esac)\"; rm -rf ~; \")\"",
    "echo \"$(a=(case); ls)\"; rm -rf ~; echo \"x)\"",
    "cat <<E $(echo a\nrm -rf ~\nE\n)\nx\nE",
    "cat <<E \"a\nb\"\nE\nrm -rf ~\nE\n",
    "cat $(cat <<E)\n'\nE\nrm -rf ~\n#'",
    "alias foo='rm -rf ~'\nfoo",
    "echo $[ #]; rm -rf ~",
    "((1 # 2)); rm -rf ~\n))",
    "for ((i = 0 # 1; i < 1; i++)); do rm -rf ~; done\n))",
    "echo $((echo \"))\"; rm -rf ~) ) #\"",
    "set -- a; for i { rm -rf ~; }",
    "coproc X { rm -rf ~; }",
    "`echo rm -rf ~ `A=1",
    "$(echo rm)A=1",
    "`echo rm -rf ~`}",
    "`echo rm -rf ~`if",
    "$(echo rm)$HOME",
};

static void what_shells_disagree_about(void **state)
{
    size_t wrong = 0, ran = 0;
    for (size_t i = 0; i < ARRAY_LEN(hidden); i++) {
        if (command_judge(span_of(hidden[i]), NULL).verdict == COMMAND_PLAIN) {
            print_error("plain: %s\n", hidden[i]);
            wrong++;
        }
        ran += runs_rm(shells[0], hidden[i]) || runs_rm(shells[1], hidden[i]);
    }
    assert_int_equal(wrong, 0);
    assert_true(ran > ARRAY_LEN(hidden) / 2); // and it is told when `rm` runs
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        assert_true(runs_rm(shells[i], "rm -rf ~"));
}

static uint32_t random_state = SEED;

static size_t pick(size_t count)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % count;
}

// What decides where a word, a text or a command ends.
static const char *const pieces[] = {
    "echo ",
    "cat ",
    "a",
    "'",
    "\"",
    "\\",
    "\n",
    "\\\n",
    " ",
    " #",
    "#",
    "`",
    "$(",
    ")",
    "${x:-",
    "}",
    "{ ",
    " {",
    "((",
    "))",
    "$((",
    "cat <<E ",
    "\nE\n",
    "<",
    ">x",
    "&",
    "|",
    "; ",
    ";;",
    "case x in",
    " x) ",
    " esac",
    "if :; then ",
    " fi",
    "$'",
    "$IFS",
    "time ",
    "2>x ",
    "A=1 ",
    "f() ",
    "function f ",
    "! ",
    "for x in a; do ",
    "done",
    "<<'E' ",
    "<<-E ",
    "\t",
    "<(",
    "&>",
    "$[",
    "]",
    "[[ ",
    " ]]",
    "; f",
    "${x#",
    "\"$(",
    ")\"",
    "\"`",
    "`\"",
    "'\\''",
    "$x",
    "(",
    " & ",
    " && ",
    " || ",
    "case",
    "\r",
    "a=(",
    "<<\"E\"\n",
    "${#x}",
    "\\\"",
    "\\`",
    "x=",
    "x",
    "\nE\n",
    "if ",
    "-p ",
};

// Most of them as no more than text, until something around them says otherwise.
static const char *const commands[] = {
    "rm -rf ~",
    "\nrm -rf ~\n",
    "'; rm -rf ~; '",
    "\"; rm -rf ~; \"",
    "'\nrm -rf ~\n'",
    "\"\nrm -rf ~\n\"",
    "# rm -rf ~\n",
    " #'\nrm -rf ~ #'\n",
    "cat <<'E'\nrm -rf ~\nE\n",
    "cat <<E\nrm -rf ~\nE\n",
    "\"${x:-; rm -rf ~; }\"",
    "${x:-;rm -rf ~}",
    " echo rm -rf ~",
    "\"$(echo '; rm -rf ~;')\"",
    "`echo '; rm -rf ~;'`",
};

static void write_mixture(struct buf *out)
{
    size_t count = 2 + pick(PIECES_MAX - 2), at = pick(count);
    for (size_t i = 0; i < count; i++) {
        buf_append_text(out, pieces[pick(ARRAY_LEN(pieces))]);
        if (i == at)
            buf_append_text(out, commands[pick(ARRAY_LEN(commands))]);
    }
}

static void mixtures(void **state)
{
    size_t wrong = 0, plain = 0;
    for (size_t i = 0; i < MIXTURES; i++) {
        BUF_AUTO line = BUF_INIT(4096);
        write_mixture(&line);
        if (command_judge(buf_span(&line), NULL).verdict != COMMAND_PLAIN)
            continue;
        plain++;
        for (size_t j = 0; j < ARRAY_LEN(shells); j++)
            if (runs_rm(shells[j], buf_text(&line))) {
                print_error("%s runs, but plain:\n%s\n---\n", shells[j], buf_text(&line));
                wrong++;
            }
    }
    assert_int_equal(wrong, 0);
    assert_true(plain > MIXTURES / 100); // else nothing is compared
    if (MIXTURES > 5000)
        print_message("%zu of %d plain\n", plain, MIXTURES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_shells_disagree_about),
        cmocka_unit_test(mixtures),
    };
    return cmocka_run_group_tests(tests, make_place, remove_place);
}
