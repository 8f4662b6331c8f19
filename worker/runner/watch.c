/* What a program tells of itself while it runs: its progress, and the checkpoint it would go on from.
 *
 * PROGRESS    a text file; its first line is shown: a fraction from 0 to 1, then a message, both optional
 * CHECKPOINT  any file, replaced by rename; when the program begins it is the last one that was saved of this chunk
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner.h"

#define EVERY_US 1000000LL
#define LARGEST_CHECKPOINT (64LL << 20)
#define SLOW_DOWN 4 /* a byte of a checkpoint lets the next look wait for a part of a microsecond */

static long long next_look;
static struct stat seen_progress, seen_checkpoint;

void begin_watching(void) {
    memset(&seen_progress, 0, sizeof seen_progress);
    memset(&seen_checkpoint, 0, sizeof seen_checkpoint);
    next_look = now_us() + EVERY_US;
    if (access(SAVED, R_OK) == 0) {
        int failed = symlink(SAVED, CHECKPOINT);
        (void)failed; /* it begins anew then */
    }
}

/* Opens a regular file that is not as it was seen last. */
static int changed(const char *path, struct stat *seen) {
    struct stat now;
    if (lstat(path, &now) || !S_ISREG(now.st_mode)) return -1;
    if (now.st_ino == seen->st_ino && now.st_size == seen->st_size && now.st_mtim.tv_sec == seen->st_mtim.tv_sec &&
        now.st_mtim.tv_nsec == seen->st_mtim.tv_nsec)
        return -1;
    *seen = now;
    return open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static void send_progress(int fd) {
    char line[512];
    ssize_t n = read(fd, line, sizeof line);
    if (n > 0) send_frame('P', line, (uint32_t)n);
    close(fd);
}

static void send_checkpoint(int fd) {
    static char block[BLOCK];
    long long size = seen_checkpoint.st_size, sent = 0;
    ssize_t n = 0;
    if (size > LARGEST_CHECKPOINT) {
        log_text("a checkpoint of more than 64 MiB is not kept\n");
    } else {
        while (sent < size && (n = read(fd, block, sizeof block)) > 0) {
            send_frame('C', block, (uint32_t)n);
            sent += n;
        }
        send_frame('C', "", 0);
        next_look += size / SLOW_DOWN;
    }
    close(fd);
}

void watch(void) {
    int fd;
    if (now_us() < next_look) return;
    next_look = now_us() + EVERY_US;
    if ((fd = changed(PROGRESS, &seen_progress)) >= 0) send_progress(fd);
    if ((fd = changed(CHECKPOINT, &seen_checkpoint)) >= 0) send_checkpoint(fd);
}
