// Programs that run others through an option, a script or a variable, and what writes files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "support/command_table.h"

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
    "ld -o a.out a.o",
    "ld-notes.sh",
    "cat /etc/ld.so.conf",
};

static const char *const asks[] = {
    "prlimit rm -r x",
    "setarch -R rm -r x",
    "setarch x86_64 rm -r x",
    "ld.so ./program",
    "/lib64/ld-linux-x86-64.so.2 ./program",
    "/lib/ld-linux-aarch64.so.1 --library-path . ls",
    "/lib/ld-musl-x86_64.so.1 ls",
    "/lib/ld-2.31.so ls",
    "/lib*/ld-linux* ls",
    "ls | xargs ld.so",
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

static const char *const writes[] = {
    "F=AGENTS.md; echo evil > $F",
    "echo x >> ${F:-AGENTS.md}",
    "echo x > \"$(echo AGENTS).md\"",
    "echo x > AGENT?.md",
    "echo x > \"$1\"",
    "cp evil AGENT?.md",
    "cp evil *.md",
    "cp evil {AGENTS,x}.md",
    "mv evil \"$(echo AGENTS).md\"",
    "cp evil $F",
    "sed -i s/a/b/ AGENT*.md",
    "sed -i -e s/a/b/ \"$f\"",
    "sed -i s/a/b/ *",
    "dd of=AGENTS.md",
    "dd of=.env",
    "dd of=$F",
    "sort -o AGENTS.md",
    "sort -oAGENTS.md x",
    "sort --output=AGENTS.md x",
    "curl -o AGENTS.md https://a.b",
    "curl --output AGENTS.md https://a.b",
    "wget -O .env a.b",
    "tee \"$F\" < x",
    "rm AGENT?.md",
    "cp -t /etc x",
};

static const char *const writes_else[] = {
    "echo x > \"$f.new\"",
    "echo x > out-$(date +%F).log",
    "for f in *.c; do sort $f > $f.sorted; done",
    "sed -i \"s/$a/b/\" notes.txt",
    "sed -i s/a/b/ *.c",
    "cp *.c dir/",
    "cp x *.txt",
    "rm -f *.o",
    "rm -f *",
    "rm \"$tmp\"",
    "dd of=out.bin",
    "sort -o out.txt in.txt",
    "curl -o page.html https://a.b",
    "echo x > ~/notes.txt",
    "ls > /dev/null",
    "echo x >&2",
    "make 2>&1 | tee build.log",
};

static void what_is_plain(void **state)
{
    command_table_expect(plain, ARRAY_LEN(plain), COMMAND_PLAIN);
}

static void what_runs_another(void **state)
{
    command_table_expect(asks, ARRAY_LEN(asks), COMMAND_ASKS);
}

static void what_may_write_a_protected_file(void **state)
{
    command_table_expect(writes, ARRAY_LEN(writes), COMMAND_ASKS);
    command_table_expect(writes_else, ARRAY_LEN(writes_else), COMMAND_PLAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_plain),
        cmocka_unit_test(what_runs_another),
        cmocka_unit_test(what_may_write_a_protected_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
