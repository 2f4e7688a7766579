/*
 * What runs in a pod beside its containers, and holds their network while they come and go.
 *
 * It waits to be told to end. As the first process of the pod's process namespace, if the pod
 * shares one, it inherits the orphans of the others, which have to be waited for.
 */
#include <signal.h>
#include <sys/wait.h>

int main(void)
{
    sigset_t awaited;
    int number;

    sigemptyset(&awaited);
    sigaddset(&awaited, SIGTERM);
    sigaddset(&awaited, SIGINT);
    sigaddset(&awaited, SIGCHLD);
    if (sigprocmask(SIG_BLOCK, &awaited, NULL) != 0)
        return 1;
    while (sigwait(&awaited, &number) == 0 && number == SIGCHLD) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
    return 0;
}
