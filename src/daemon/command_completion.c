#include <stdio.h>
#include <string.h>

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

// The words of a usage like "[show ID|list]" that can be typed as they are; capitals are
// placeholders.
static void print_choices(const struct command *command)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";
    for (const char *c = command->words ? command->words : ""; *c;) {
        size_t len = strspn(c, letters);
        if (len)
            printf("%.*s ", (int)len, c);
        c += len ? len : 1;
    }
    if (command == &command_help)
        each_command(print_name);
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
    print_case(command, "words=\"", "\"");
}

static void zsh_command(const struct command *command)
{
    printf("        '%s:%s'\n", command->name, command->summary);
}

static void zsh_case(const struct command *command)
{
    print_case(command, "compadd -- ", "");
}

static void fish_command(const struct command *command)
{
    printf("complete -c hermes -n __fish_use_subcommand -f -a %s -d '%s'\n", command->name,
           command->summary);
    if (command->words) {
        printf("complete -c hermes -n '__fish_seen_subcommand_from %s' -f -a '", command->name);
        print_choices(command);
        puts("'");
    }
    const struct command_option *option;
    for (size_t i = 0; (option = command_option(command, i)); i++)
        printf("complete -c hermes -n '__fish_seen_subcommand_from %s' -l %s%s -d '%s'\n",
               command->name, option->name, option->argument ? " -r" : "", option->help);
}

static int run(const struct arguments *arguments, struct error *err)
{
    const char *shell = arguments->word_count ? arguments->words[0] : "";
    if (strcmp(shell, "bash") == 0) {
        printf("# eval \"$(hermes completion bash)\"\n"
               "_hermes() {\n"
               "    local word=\"${COMP_WORDS[COMP_CWORD]}\" words=\"\"\n"
               "    COMPREPLY=()\n"
               "    case \"${COMP_WORDS[COMP_CWORD-1]}\" in\n"
               "        --config|-c) COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n"
               "        --home) COMPREPLY=($(compgen -d -- \"$word\")); return ;;\n"
               "    esac\n"
               "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
               "        COMPREPLY=($(compgen -W \"");
        each_command(print_name);
        printf("--help --version --profile\" -- \"$word\"))\n"
               "        return\n"
               "    fi\n"
               "    case \"${COMP_WORDS[1]}\" in\n");
        each_command(bash_case);
        printf("    esac\n"
               "    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
               "}\n"
               "complete -F _hermes hermes\n");
    } else if (strcmp(shell, "zsh") == 0) {
        printf("#compdef hermes\n"
               "# eval \"$(hermes completion zsh)\"\n"
               "_hermes() {\n"
               "    local -a commands\n"
               "    commands=(\n");
        each_command(zsh_command);
        printf("    )\n"
               "    if (( CURRENT == 2 )); then\n"
               "        _describe command commands\n"
               "        return\n"
               "    fi\n"
               "    case \"$words[2]\" in\n");
        each_command(zsh_case);
        printf("    esac\n"
               "}\n"
               "compdef _hermes hermes\n");
    } else if (strcmp(shell, "fish") == 0) {
        printf("# hermes completion fish | source\n");
        each_command(fish_command);
    } else {
        return error_set(err, COMMAND_MISUSED,
                         "completion: \"%.64s\" is not one of bash, zsh, fish", shell);
    }
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
