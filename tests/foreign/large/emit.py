"""64 MiB on standard output, and 20 MiB of chatter on standard error."""
import sys
block = bytes(range(256)) * 4096
for n in range(64):
    sys.stdout.buffer.write(bytes([n]) + block[1:])
    sys.stderr.write("still at it, %d of 64 of run %s\n" % (n, sys.argv[1]) * 10000)
