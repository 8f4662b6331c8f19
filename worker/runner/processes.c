/* Processes: started, waited for, and ended so that nothing of one chunk runs on in the next. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"

#define TICK_MS 1000
#define PAUSE_US 1000000

int children = -1;
pid_t host = 0;
int host_socket = -1, host_log = -1;

/* --- starting --------------------------------------------------------------------------------------------------- */

/* NAME=value; +NAME=value is put behind a colon after what the image or the job says already. */
static void set_variable(char *word) {
    static char both[BLOCK];
    char *value = strchr(word, '='), *before;
    if (*word != '+' || !value) {
        putenv(word);
        return;
    }
    *value++ = 0;
    before = getenv(word + 1);
    snprintf(both, sizeof both, "%s%s%s", before ? before : "", before && *before ? ":" : "", value);
    setenv(word + 1, both, 1);
}

void become(const struct run *run, int in, int out, int err, int host_end) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    prctl(PR_SET_DUMPABLE, 1);
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) { /* out of memory takes the program, not the runner */
        ssize_t ignored = write(score, "900", 3);
        (void)ignored;
        close(score);
    }
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (host_end >= 0) {
        if (dup2(host_end, 3) < 0) _exit(NOT_RUN);
        close(host_end);
    }
    for (int i = 0; i < run->envc; i++) set_variable(run->env[i]);
    if (chdir(run->cwd)) {
        dprintf(2, "cannot enter %s: %s\n", run->cwd, strerror(errno));
        _exit(NOT_RUN);
    }
    run_program(run->argv);
}

int start_host(const struct run *run) {
    int pair[2], log[2], nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0) return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) return -1;
    if (pipe2(log, O_CLOEXEC)) return -1;
    host = fork();
    if (host == 0) {
        int end = fcntl(pair[1], F_DUPFD, 10); /* away from 3, where it must end up without close-on-exec */
        become(run, nothing, log[1], log[1], end);
    }
    close(nothing);
    close(pair[1]);
    close(log[1]);
    if (host < 0) return -1;
    host_socket = pair[0];
    host_log = log[0];
    fcntl(host_log, F_SETFL, O_NONBLOCK);
    return 0;
}

/* --- waiting ---------------------------------------------------------------------------------------------------- */

/* poll(), which moves the deadline on where it was away much longer than asked: the container was paused, and only
 * running time counts. Returns 0 only once the deadline has passed. */
int wait_for(struct pollfd *p, nfds_t count, long long *deadline) {
    if (!*deadline) return poll(p, count, -1);
    long long before = now_us(), left = (*deadline - before + 999) / 1000;
    int asked = left < 0 ? 0 : left > TICK_MS ? TICK_MS : (int)left;
    int ready = poll(p, count, asked);
    long long away = now_us() - before - asked * 1000LL;
    if (away > PAUSE_US) *deadline += away;
    if (ready == 0 && now_us() < *deadline) return -1;
    return ready;
}

/* Reap orphans; returns whether `wanted` ended, with its status and usage. */
int reap(pid_t wanted, int *status, struct rusage *usage) {
    struct signalfd_siginfo info;
    struct rusage of_child;
    int of_child_status, ended = 0;
    pid_t pid;
    while (read(children, &info, sizeof info) > 0) {}
    while ((pid = wait4(-1, &of_child_status, WNOHANG, &of_child)) > 0) {
        if (pid == wanted) {
            ended = 1;
            *status = of_child_status;
            *usage = of_child;
        }
        if (pid == host) forget_host();
    }
    return ended;
}

void note_status(struct end *end, int status, const struct rusage *usage) {
    end->code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end->cpu_us = usage->ru_utime.tv_sec * 1000000LL + usage->ru_utime.tv_usec + usage->ru_stime.tv_sec * 1000000LL +
                  usage->ru_stime.tv_usec;
    end->rss_kb = usage->ru_maxrss;
}

/* --- ending ----------------------------------------------------------------------------------------------------- */

void forget_host(void) {
    if (host_socket >= 0) close(host_socket);
    if (host_log >= 0) close(host_log);
    host = 0;
    host_socket = host_log = -1;
}

/* Whether it has ended and only waits to be reaped, by the host it may be: there is nothing left to kill. */
static int is_zombie(const char *pid) {
    char path[64], stat[512], *state;
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 1;
    ssize_t n = read(fd, stat, sizeof stat - 1);
    close(fd);
    if (n <= 0) return 1;
    stat[n] = 0;
    state = strrchr(stat, ')');
    return state && (state[2] == 'Z' || state[2] == 'X');
}

/* Kill every process but docker-init, ourselves and the host; returns whether there was one. */
static int kill_all_but_host(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int found = 0;
    if (!proc) return 0;
    while ((entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && pid != getpid() && pid != host && !is_zombie(entry->d_name) && kill(pid, SIGKILL) == 0) found = 1;
    }
    closedir(proc);
    return found;
}

void kill_others(void) {
    int status;
    if (!host) {
        kill(-1, SIGKILL);
        while (waitpid(-1, &status, 0) > 0 || errno == EINTR) {} /* we are the subreaper: all orphans are ours */
        return;
    }
    for (int round = 0; round < 1000 && kill_all_but_host(); round++) {
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == host) forget_host();
        if (!host) {
            kill_others();
            return;
        }
    }
}
