/* Processes: started, waited for, and ended so that nothing of one chunk runs on in the next. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner.h"

#define TICK_US 1000000LL
#define PAUSE_US 1000000
#define PATIENT_ROUNDS 300 /* of a millisecond, in which what was killed can end */
#define HOLD_US 100000
#define MOST_ROUNDS 5000 /* of a millisecond */

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

/* An earlier program may have bound us to few; the kernel cuts this to what the container has. */
static void all_cpus(void) {
    static cpu_set_t all[16];
    memset(all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, all);
}

void become(const struct run *run, int in, int out, int err, int host_end) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    close(master); /* before an older process of this job could trace us and take it */
    if (host_socket >= 0 && host_socket != host_end) close(host_socket);
    all_cpus();
    prctl(PR_SET_DUMPABLE, 1); /* else the next file is root's */
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

/* poll(), for a second at most. Moves the deadline on where it was away much longer than asked: the container was paused,
 * and only running time counts. Returns 0 once the deadline has passed, whatever there is to read; -1 where there is nothing. */
int wait_for(struct pollfd *p, nfds_t count, long long *deadline) {
    long long before = now_us(), wait = TICK_US, relay_at = relay_time();
    if (relay_at > before && relay_at - before < wait) wait = relay_at - before;
    if (*deadline && *deadline - before < wait) wait = *deadline < before ? 0 : *deadline - before;
    int ready = poll(p, count, (int)((wait + 999) / 1000));
    long long now = now_us(), away = now - before - wait;
    if (!*deadline) return ready > 0 ? ready : -1;
    if (away > PAUSE_US) *deadline += away;
    if (now >= *deadline) return 0;
    return ready > 0 ? ready : -1;
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

/* Kill every process but ourselves and the host; returns whether there was one. */
static int kill_all_but_host(void) {
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int found = 0;
    if (!proc) return 0;
    while ((entry = readdir(proc))) {
        pid_t pid = atoi(entry->d_name);
        if (pid > 1 && pid != host && !is_zombie(entry->d_name) && kill(pid, SIGKILL) == 0) found = 1;
    }
    closedir(proc);
    return found;
}

static void rest(void) {
    struct timespec pause = {0, 1000000};
    nanosleep(&pause, NULL);
}

/* Kill all, and wait until they are gone. Where one cannot be killed the container ends with us. */
static void kill_all(void) {
    int status;
    pid_t pid = 0;
    for (int round = 0; round < MOST_ROUNDS; round++) {
        kill(-1, SIGKILL);
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == host) forget_host();
        if (pid < 0) return;
        rest();
    }
    quit(5);
}

/* Whether the host stands still, after a moment if need be; the kernel tells of it by SIGCHLD. */
static int is_held(void) {
    struct signalfd_siginfo info;
    struct pollfd p = {children, POLLIN, 0};
    siginfo_t state = {0};
    long long until = now_us() + HOLD_US;
    while (waitid(P_PID, (id_t)host, &state, WSTOPPED | WNOHANG | WNOWAIT) == 0 && state.si_pid != host) {
        if (now_us() >= until) return 0;
        if (poll(&p, 1, HOLD_US / 1000) > 0)
            while (read(children, &info, sizeof info) > 0) {}
    }
    return state.si_pid == host;
}

/* Ends all but the host, and stops that, threads and all, until it is called again. */
void kill_others(void) {
    int status;
    for (int round = 0; host && round < PATIENT_ROUNDS; round++) {
        pid_t pid;
        kill(host, SIGSTOP);
        int held = is_held(), found = kill_all_but_host(); /* in this order: who could let it go on is found */
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == host) forget_host();
        if (host && held && !found) return;
        rest();
    }
    kill_all(); /* the host too, where what it left multiplies faster than it is found */
}
