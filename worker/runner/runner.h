/* What the parts of the runner share. Only one run goes on at a time, so its state is global. */
#ifndef RUNNER_H
#define RUNNER_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/types.h>

#define BLOCK 65536
#define NOT_RUN 127

/* Places in the container, which the worker knows too. */
#define JOB "/dc/job"
#define SAVED "/dc/in/.dc-checkpoint"
#define CHECKPOINT "/tmp/.dc-checkpoint"
#define PROGRESS "/tmp/.dc-progress"

struct field {
    char *at;
    uint32_t size;
};

struct end {
    int code, signal, timed_out, cancelled;
    long long cpu_us, wall_us;
    long rss_kb;
};

struct run {
    int function, stdin_kind; /* 0 none, 1 inline, 2 file */
    long limit_ms;
    char *cwd, *work, *output, *files, *keep;
    char out; /* the type of frame that standard output becomes: O, or L */
    struct field input;
    char **argv, **env;
    int envc;
};

extern int master;                /* the worker's socket */
extern int children;              /* signalfd of SIGCHLD */
extern pid_t host;                /* the warm host process, its socket and its log; 0 where there is none */
extern int host_socket, host_log;

/* wire.c: frames */
long long now_us(void);
void quit(int code) __attribute__((noreturn)); /* the worker is gone, or speaks nonsense: nothing is left to do here */
int write_all(int fd, const void *data, size_t size);
int read_all(int fd, void *data, size_t size);
void put_size(unsigned char *at, uint32_t size);
uint32_t get_size(const unsigned char *at);
void send_frame(char type, const void *data, uint32_t size);
void log_text(const char *text);
void send_end(const struct end *end);
void not_run(const char *why); /* the whole run, where it cannot begin */
void begin_relaying(void);
int may_relay(void);           /* whether a program's words may pass on now, or only at relay_time() */
long long relay_time(void);
void relay_frame(char type, const void *data, uint32_t size);
int relay(int fd, char type);  /* pass on what is there; returns whether the descriptor is still open */
void drain(int fd, char type); /* pass on all that is there */
int asked_to_kill(void);
int stopped(void); /* whether the worker has asked to kill, looked at without waiting */

/* processes.c: starting, waiting, ending */
void become(const struct run *run, int in, int out, int err, int host_end) __attribute__((noreturn));
int start_host(const struct run *run);
void forget_host(void);
void kill_others(void);
int reap(pid_t wanted, int *status, struct rusage *usage);
int wait_for(struct pollfd *p, nfds_t count, long long *deadline);
void note_status(struct end *end, int status, const struct rusage *usage);

/* start.c, work.c, files.c, watch.c */
void run_program(char **argv) __attribute__((noreturn));
int make_work(const char *folder);
int is_shipped(const char *path, const struct stat *st); /* whether a file of the work folder is an unchanged copy */
void send_files(const struct run *run, struct end *end);
void begin_watching(void);
void watch(void);

/* scratch.c, ipc.c, command.c, function.c */
void empty_scratch(const char *keep);
void empty_ipc(void);
void run_command(const struct run *run);
void run_function(const struct run *run);

#endif
