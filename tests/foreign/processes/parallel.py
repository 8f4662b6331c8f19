"""A pool of processes, a lock and shared memory, as on any machine."""
import hashlib
import multiprocessing
import sys


def start(lock_, total_):
    global lock, total
    lock, total = lock_, total_


def digest(line):
    with lock:
        total.value += len(line)
    return hashlib.sha256(line.encode()).hexdigest()[:16]


if __name__ == "__main__":
    lines = sys.stdin.read().splitlines()
    lock, total = multiprocessing.Lock(), multiprocessing.Value("q", 0)
    with multiprocessing.Pool(4, start, (lock, total)) as pool:
        for found in pool.imap(digest, lines, chunksize=50):
            print(found)
    assert total.value == sum(map(len, lines))
