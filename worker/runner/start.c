/* Starting a program: found in the image or in its working directory; a script runs by its interpreter whether or not
 * it kept its run bit and its line ends; and what cannot be started is told apart. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define FIRST_LINE 256
#define MANY 8192

static void say(const char *name, const char *why) __attribute__((noreturn));
static void say(const char *name, const char *why) {
    dprintf(2, "cannot run %s: %s\n", name, why);
    _exit(NOT_RUN);
}

static int in_path(const char *name) {
    char place[PATH_MAX];
    const char *from = getenv("PATH"), *end;
    if (strchr(name, '/')) return access(name, X_OK) == 0;
    for (from = from ? from : "/bin:/usr/bin"; *from; from = *end ? end + 1 : end) {
        end = strchrnul(from, ':');
        if (snprintf(place, sizeof place, "%.*s/%s", (int)(end - from), from, name) < (int)sizeof place &&
            access(place, X_OK) == 0)
            return 1;
    }
    return 0;
}

/* The program that a `#!` line comes to: its interpreter, or what that looks for where it is `env`. */
static const char *program_of(const char *interpreter, const char *rest, char *word) {
    const char *base = strrchr(interpreter, '/');
    if (strcmp(base ? base + 1 : interpreter, "env")) return interpreter;
    if (!strncmp(rest, "-S", 2)) rest += 2;
    rest += strspn(rest, " \t");
    size_t length = strcspn(rest, " \t");
    if (!length || *rest == '-' || memchr(rest, '=', length)) return interpreter;
    memcpy(word, rest, length);
    word[length] = 0;
    return word;
}

static void run_script(const char *file, char *line, char **argv) __attribute__((noreturn));
static void run_script(const char *file, char *line, char **argv) {
    static char *with[MANY + 3], word[FIRST_LINE], why[2 * FIRST_LINE];
    int at = 0;
    size_t end = strcspn(line, "\n");
    int mended = end && line[end - 1] == '\r';
    while (end && strchr(" \t\r", line[end - 1])) end--;
    line[end] = 0;
    char *interpreter = line + 2 + strspn(line + 2, " \t");
    char *rest = interpreter + strcspn(interpreter, " \t");
    if (*rest) *rest++ = 0;
    rest += strspn(rest, " \t");
    const char *program = program_of(interpreter, rest, word);
    if (!in_path(interpreter)) program = interpreter;
    if (!in_path(program)) {
        snprintf(why, sizeof why, "its first line asks for the interpreter %s, which the image does not have", program);
        say(argv[0], why);
    }
    if (!mended) execv(file, argv); /* as the kernel does it, where the run bit is there */
    with[at++] = interpreter;
    if (*rest) with[at++] = rest;
    with[at++] = (char *)file;
    for (int i = 1; argv[i] && at < MANY + 2; i++) with[at++] = argv[i];
    execv(interpreter, with);
    say(argv[0], strerror(errno));
}

static void run_file(const char *file, char **argv) __attribute__((noreturn));
static void run_file(const char *file, char **argv) {
    static char head[FIRST_LINE], *shell[MANY + 3];
    int fd = open(file, O_RDONLY | O_CLOEXEC), elf;
    ssize_t n = fd < 0 ? 0 : read(fd, head, sizeof head - 1);
    if (fd < 0 && errno == ENOENT) say(argv[0], "there is no such program in the image, and no such file in the job's folder");
    if (n > 2 && !memcmp(head, "#!", 2)) run_script(file, head, argv);
    elf = n > 4 && !memcmp(head, "\177ELF", 4);
    execv(file, argv);
    int why = errno;
    if (why == EACCES && elf && !chmod(file, 0755)) { /* a copy of ours that lost its run bit */
        execv(file, argv);
        why = errno;
    }
    if (why == EACCES && !access(file, F_OK) && access(file, X_OK))
        say(argv[0], elf ? "it has no run bit: chmod +x it, then submit again"
                         : "it has neither a run bit nor a first line such as #!/bin/sh");
    if (why == ENOENT && elf) say(argv[0], "the image lacks the C library it was built for: build it in the image, or static");
    if (why == ENOEXEC && elf) say(argv[0], "it was built for another kind of machine");
    if (why == ENOEXEC) { /* a script without a first line: the shell's, as everywhere */
        int at = 0;
        shell[at++] = "/bin/sh";
        shell[at++] = (char *)file;
        for (int i = 1; argv[i] && at < MANY + 2; i++) shell[at++] = argv[i];
        execv("/bin/sh", shell);
        why = errno;
    }
    say(argv[0], strerror(why));
}

void run_program(char **argv) {
    char here[PATH_MAX]; /* a program in the working directory needs no "./" */
    if (strchr(argv[0], '/')) run_file(argv[0], argv);
    execvp(argv[0], argv);
    int why = errno;
    if (snprintf(here, sizeof here, "./%s", argv[0]) >= (int)sizeof here) say(argv[0], strerror(ENAMETOOLONG));
    if (why != ENOENT && access(here, F_OK)) say(argv[0], strerror(why));
    run_file(here, argv);
}
