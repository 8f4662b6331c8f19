"""40 MiB on standard output, and 12 MiB of chatter on standard error."""
import sys
block = bytes(range(256)) * 4096
for n in range(40):
    sys.stdout.buffer.write(bytes([n]) + block[1:])
    sys.stderr.write("still at it, %d of 40 of run %s\n" % (n, sys.argv[1]) * 10000)
