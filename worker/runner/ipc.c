/* Removing what a program made of System V: shared memory, queues and semaphores outlive their processes. */
#define _GNU_SOURCE
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "runner.h"

/* The kernel's *_STAT_ANY: an object by its place in the table, whatever its mode (Linux 4.17); older C libraries lack them. */
#define SHM_ANY 15
#define MSG_ANY 13
#define SEM_ANY 20

static void empty_shared_memory(void) {
    struct shmid_ds of_one;
    struct shm_info all;
    for (int last = shmctl(0, SHM_INFO, (void *)&all); all.used_ids > 0 && last >= 0; last--)
        shmctl(shmctl(last, SHM_ANY, &of_one), IPC_RMID, 0);
}

static void empty_queues(void) {
    struct msqid_ds of_one;
    struct msginfo all;
    for (int last = msgctl(0, MSG_INFO, (void *)&all); all.msgpool > 0 && last >= 0; last--)
        msgctl(msgctl(last, MSG_ANY, &of_one), IPC_RMID, 0);
}

static void empty_semaphores(void) {
    union {
        struct semid_ds *of_one;
        struct seminfo *of_all;
    } one, all;
    struct semid_ds of_one;
    struct seminfo of_all = {0};
    one.of_one = &of_one;
    all.of_all = &of_all;
    for (int last = semctl(0, 0, SEM_INFO, all); of_all.semusz > 0 && last >= 0; last--)
        semctl(semctl(last, 0, SEM_ANY, one), 0, IPC_RMID);
}

void empty_ipc(void) {
    empty_shared_memory();
    empty_queues();
    empty_semaphores();
}
