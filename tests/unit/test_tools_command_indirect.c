// Programs that run others through an option, a script or a variable, and what writes files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "tools/command_rules.h"

static const char *const plain[] = {
    "awk -F'|' '{print $1 || $2}' x",
    "awk '/a|b/ {print}' x",
    "sed -n '1,5p' e.txt",
    "sed '/^#/d; s/one/we/g; $d' x",
    "sed -e 's|/a|/w|' -e '/x/s/e/w/' exe",
    "sed '1i\\we are here' x",
    "tar czf a.tar.gz --exclude=x dir",
    "git -c user.name=me commit -m 'clean reset'",
    "git clean -n",
    "git reset HEAD x",
    "git log --format=%H | xargs -n1 git show",
    "xargs -I{} cp {} dir/ < list",
    "PAGER=cat git log",
    "export LANG=C A=$x",
    "env -u A LANG=C ls",
    "truncate -s 10 x",
    "setarch x86_64 ls",
    "script -q out.txt",
};

static const char *const asks[] = {
    "prlimit rm -r x",
    "setarch -R rm -r x",
    "setarch x86_64 rm -r x",
    "env --split-string='rm -r x'",
    "env --split-string 'rm -r x'",
    "env -vS'rm -r x'",
    "script -qc'rm -r x' /dev/null",
    "script --command='rm -r x' /dev/null",
    "script --comm 'rm -r x' /dev/null",
    "su --command='rm -r x'",
    "trap -- 'rm -r x' EXIT",
    "watch -n 1 'rm -r x'",
    "ls | xargs env",
    "ls | xargs nice -n 5",
    "ls | xargs -I% % -r y",
    "ls | xargs -I X X -r y",
    "ls | xargs --replace=@ @ y",
    "ls | xargs -I {} {} y",
    "ls | xargs -n1 sh",
    "ls | xargs -n1 sh -s",
    "ls | xargs -n1 timeout 5 sh",
    "find . -exec sh {} \\;",
    "find . -exec {} \\;",
    "find . -exec env {} \\;",
    "awk 'BEGIN{print \"ls\" | \"sh\"}'",
    "awk 'BEGIN{\"ls\"|getline}'",
    "awk '{\"ls\" | getline x}'",
    "awk '{print |& \"sh\"}'",
    "awk '{system (\"ls\")}'",
    "sed '1e ls' x",
    "sed 's/a/b/e' x",
    "sed -n '/x/{s/a/b/ge}' x",
    "sed -e 'p' -e 'e ls' x",
    "sed 'w out' x",
    "tar cf a --checkpoint=1 --checkpoint-action=exec=ls .",
    "tar xf a --to-command=sh",
    "tar -I sh -xf a",
    "git -c alias.x='!ls' x",
    "git -c core.pager=ls log",
    "git config alias.x '!ls'",
    "git clone --upload-pack=ls x y",
    "git rebase --exec ls main",
    "git submodule foreach ls",
    "git bisect run ls",
    "git clean -fdx",
    "git clean -d --force",
    "git reset --hard",
    "git -C x reset --hard HEAD~1",
    "truncate -s0 *",
    "truncate -s 0 $x",
    "PAGER=./x git log",
    "EDITOR=./x git commit",
    "BASH_ENV=x bash y",
    "PATH=.:$PATH",
    "PATH=.:$PATH ls",
    "export PATH=.:$PATH",
    "env PATH=. ls",
    "export LD_PRELOAD=./x.so",
    "env A=$x ls",
    "PS4='$(ls)'; set -x; ls",
    "x='a[$(ls)]'; echo $((x))",
};

static void expect(const char *const *commands, size_t count, enum command_verdict verdict)
{
    size_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        struct command_judgement judged = command_judge(span_of(commands[i]), NULL);
        if (judged.verdict == verdict)
            continue;
        print_error("%d, not %d: %s (%s)\n", judged.verdict, verdict, commands[i], judged.why);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void what_is_plain(void **state)
{
    expect(plain, ARRAY_LEN(plain), COMMAND_PLAIN);
}

static void what_runs_another(void **state)
{
    expect(asks, ARRAY_LEN(asks), COMMAND_ASKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_plain),
        cmocka_unit_test(what_runs_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
