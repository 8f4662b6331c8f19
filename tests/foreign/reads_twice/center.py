"""Maps its input into memory and goes over it twice, and wants both as options: each line with its rank by length."""
import argparse
import mmap
import os

parser = argparse.ArgumentParser()
parser.add_argument("--in", dest="source", required=True)
parser.add_argument("--out", required=True)
args = parser.parse_args()
with open(args.source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
    assert len(data) == os.path.getsize(args.source)
    longest = max(len(line) for line in data[:].split(b"\n"))
    with open(args.out + ".part", "wb") as out:
        for line in iter(data.readline, b""):
            out.write(b"%s %s\n" % (b"long" if 2 * len(line) > 60 else b"short", line.rstrip(b"\n")))
os.rename(args.out + ".part", args.out)
assert longest
