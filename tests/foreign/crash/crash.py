import os
import signal
import sys
if sys.argv[1] == "5":
    print("about to touch a null pointer", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGSEGV)
print(int(sys.argv[1]) ** 2)
