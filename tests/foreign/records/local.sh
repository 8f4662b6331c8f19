python3 -c '
import struct, sys
for n, x in struct.iter_unpack("<id", sys.stdin.buffer.read()):
    sys.stdout.buffer.write(struct.pack("<di", x, n))
' <"$1"
