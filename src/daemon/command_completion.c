#include <stdio.h>
#include <string.h>

#include "base/span.h"
#include "daemon/command.h"

static void each_command(void (*print)(const struct command *command))
{
    for (const struct command *const *command = commands; *command; command++)
        print(*command);
    struct command gateway = command_run; // hermes-agent's word, which main.c takes apart
    gateway.name = "gateway";
    gateway.words = "[run|status]";
    gateway.summary = "The words of hermes-agent: gateway run, gateway status";
    print(&gateway);
}

static void print_name(const struct command *command)
{
    printf("%s ", command->name);
}

// The words of a usage like "[show ID|list]" that can be typed as they are, each once; capitals are
// placeholders, as is what follows them in FILE.json.
static void print_choices(const struct command *command)
{
    struct span rest = span_of(command->words ? command->words : ""), before = SPAN_ABSENT;
    while (rest.len) {
        size_t len = 0;
        while (len < rest.len && !strchr(" []|", rest.data[len]))
            len++;
        struct span word = span_make(rest.data, len);
        bool typed = len && strchr("abcdefghijklmnopqrstuvwxyz-", *word.data);
        if (typed && !span_equal(word, before)) {
            printf("%.*s ", (int)len, word.data);
            before = word;
        }
        rest = span_skip(rest, len < rest.len ? len + 1 : len);
    }
    if (command == &command_help)
        each_command(print_name);
}

static bool takes_file(const struct command *command)
{
    return command == &command_import || command == &command_replay;
}

static void print_case(const struct command *command, const char *before, const char *behind)
{
    printf("        %s) %s", command->name, before);
    print_choices(command);
    const struct command_option *option;
    for (size_t i = 0; (option = command_option(command, i)); i++)
        printf("--%s ", option->name);
    printf("--help%s ;;\n", behind);
}

static void bash_case(const struct command *command)
{
    print_case(command, "words=\"",
               takes_file(command) ? "\"; files=-f; compopt -o filenames 2>/dev/null" : "\"");
}

static void zsh_command(const struct command *command)
{
    printf("        '%s:%s'\n", command->name, command->summary);
}

static void zsh_case(const struct command *command)
{
    print_case(command, "compadd -- ", takes_file(command) ? "; _files" : "");
}

static void fish_command(const struct command *command)
{
    printf("complete -c hermes -n __hermes_needs_command -f -a %s -d '%s'\n", command->name,
           command->summary);
    if (command->words && !takes_file(command)) {
        printf("complete -c hermes -n '__fish_seen_subcommand_from %s' -f -a '", command->name);
        print_choices(command);
        puts("'");
    }
    const struct command_option *option;
    for (size_t i = 0; (option = command_option(command, i)); i++)
        printf("complete -c hermes -n '__fish_seen_subcommand_from %s' -l %s%s -d '%s'\n",
               command->name, option->name, option->argument ? " -r" : "", option->help);
}

static void print_bash(void)
{
    printf("# eval \"$(hermes completion bash)\"\n"
           "_hermes() {\n"
           "    local word=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\" files=\"\" i=1\n"
           "    COMPREPLY=()\n"
           "    case \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"
           "        --config|-c) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
           "        --home) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
           "    esac\n"
           "    while [ $i -lt \"$COMP_CWORD\" ]; do\n" // bash breaks words at "=", too
           "        case \"${COMP_WORDS[i]}\" in\n"
           "            -p|--profile) [ \"${COMP_WORDS[i+1]}\" != = ] || i=$((i+1)); "
           "i=$((i+2)) ;;\n"
           "            --profile=*) i=$((i+1)) ;;\n"
           "            *) break ;;\n"
           "        esac\n"
           "    done\n"
           "    [ $i -le \"$COMP_CWORD\" ] || return 0\n"
           "    if [ \"$COMP_CWORD\" -eq $i ]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    each_command(print_name);
    printf("--help --version --profile\" -- \"$word\"))\n"
           "        return\n"
           "    fi\n"
           "    case \"${COMP_WORDS[i]}\" in\n");
    each_command(bash_case);
    printf("    esac\n"
           "    COMPREPLY=($(compgen $files -W \"$words\" -- \"$word\"))\n"
           "}\n"
           "complete -F _hermes hermes\n");
}

static void print_zsh(void)
{
    printf("#compdef hermes\n"
           "# eval \"$(hermes completion zsh)\"\n"
           "_hermes() {\n"
           "    local -a commands\n"
           "    commands=(\n");
    each_command(zsh_command);
    printf("    )\n"
           "    integer i=2\n"
           "    while (( i < CURRENT )); do\n"
           "        case \"$words[i]\" in\n"
           "            -p|--profile) (( i += 2 )) ;;\n"
           "            --profile=*) (( i += 1 )) ;;\n"
           "            *) break ;;\n"
           "        esac\n"
           "    done\n"
           "    (( i <= CURRENT )) || return\n"
           "    if (( CURRENT == i )); then\n"
           "        _describe command commands\n"
           "        return\n"
           "    fi\n"
           "    case \"$words[i]\" in\n");
    each_command(zsh_case);
    printf("    esac\n"
           "}\n"
           "compdef _hermes hermes\n");
}

static void print_fish(void)
{
    printf("# hermes completion fish | source\n"
           "function __hermes_needs_command\n"
           "    set -l words (commandline -opc)\n"
           "    set -l i 2\n"
           "    while test $i -le (count $words)\n"
           "        switch $words[$i]\n"
           "            case -p --profile\n"
           "                set i (math $i + 2)\n"
           "            case '--profile=*'\n"
           "                set i (math $i + 1)\n"
           "            case '*'\n"
           "                return 1\n"
           "        end\n"
           "    end\n"
           "    test $i -eq (math (count $words) + 1)\n"
           "end\n");
    each_command(fish_command);
}

static int run(const struct arguments *arguments, struct error *err)
{
    const char *shell = arguments->word_count ? arguments->words[0] : "";
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else if (strcmp(shell, "fish") == 0)
        print_fish();
    else
        return error_set(err, COMMAND_MISUSED,
                         "completion: \"%.64s\" is not one of bash, zsh, fish", shell);
    return EXIT_OK;
}

const struct command command_completion = {
    .name = "completion",
    .words = "[bash|zsh|fish]",
    .summary = "Print a completion script for a shell",
    .help = "  eval \"$(hermes completion bash)\"     in ~/.bashrc\n"
            "  eval \"$(hermes completion zsh)\"      in ~/.zshrc\n"
            "  hermes completion fish | source      in config.fish\n",
    .max_words = 1,
    .run = run,
};
